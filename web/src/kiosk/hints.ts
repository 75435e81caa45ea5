/**
 * What plain arithmetic can say of a camera's picture: light, sharpness, an
 * even background, and against an even background where a person stands and how
 * many there are. These are hints for whoever stands there. They are not a
 * measurement by ISO/IEC 19794-5 or ICAO 9303, and nothing is decided by them.
 */
export interface Picture {
  width: number
  height: number
  data: Uint8ClampedArray // RGBA
}

export interface Look {
  light: number // mean luma, 0..255
  dark: number // share of pixels without any drawing in the shadow, 0..1
  bright: number // share of pixels burnt out, 0..1
  sharp: number // edges against contrast; below 0.02 is blurred
  moved: number // mean difference to the picture before, 0..255; 0 without one
  even: boolean // the background is of one colour
  /** Against an even background alone; else null. */
  people: { count: number; width: number; centre: number; top: number } | null
}

export const hintKeys = ['nobody', 'alone', 'dark', 'bright', 'further', 'closer', 'centre', 'still', 'background'] as const
export type Hint = (typeof hintKeys)[number]

const lumaOf = (d: Uint8ClampedArray, i: number) => 0.299 * (d[i] ?? 0) + 0.587 * (d[i + 1] ?? 0) + 0.114 * (d[i + 2] ?? 0)

/** Looks at a picture of about 160 x 120; `before` is the one before it. */
export function look(picture: Picture, before: Look & { luma: Float32Array } | null): Look & { luma: Float32Array } {
  const { width, height, data } = picture
  const luma = new Float32Array(width * height)
  let sum = 0
  let dark = 0
  let bright = 0
  let moved = 0
  for (let i = 0; i < luma.length; i++) {
    const l = lumaOf(data, i * 4)
    luma[i] = l
    sum += l
    if (l < 20) dark++
    if (l > 250) bright++
    if (before !== null && before.luma.length === luma.length) moved += Math.abs(l - (before.luma[i] ?? 0))
  }
  const light = sum / luma.length
  const back = background(picture)
  return {
    light, dark: dark / luma.length, bright: bright / luma.length, moved: moved / luma.length,
    sharp: sharpness(luma, width, height, light), even: back.even, people: back.even ? people(picture, back.colour) : null, luma,
  }
}

/** The energy of the Laplacian in the middle of the picture, against the contrast there. */
function sharpness(luma: Float32Array, width: number, height: number, mean: number): number {
  let edges = 0
  let contrast = 1
  const at = (x: number, y: number) => luma[y * width + x] ?? 0
  for (let y = Math.floor(height * 0.15) + 1; y < height * 0.85 - 1; y++) {
    for (let x = Math.floor(width * 0.2) + 1; x < width * 0.8 - 1; x++) {
      const l = 4 * at(x, y) - at(x - 1, y) - at(x + 1, y) - at(x, y - 1) - at(x, y + 1)
      edges += l * l
      contrast += (at(x, y) - mean) ** 2
    }
  }
  return edges / contrast
}

type Colour = [number, number, number]

/** The colour of the upper edges, where nobody stands, and whether it is one. */
function background({ width, height, data }: Picture): { colour: Colour; even: boolean } {
  const points: number[] = []
  const side = Math.max(1, Math.floor(width * 0.06))
  for (let y = 0; y < height * 0.5; y++) {
    for (let x = 0; x < side; x++) points.push((y * width + x) * 4, (y * width + width - 1 - x) * 4)
  }
  for (let y = 0; y < height * 0.04; y++) for (let x = 0; x < width; x++) points.push((y * width + x) * 4)
  const middle = (channel: number) => {
    const values = points.map((p) => data[p + channel] ?? 0).sort((a, b) => a - b)
    return values[Math.floor(values.length / 2)] ?? 0
  }
  const colour: Colour = [middle(0), middle(1), middle(2)]
  const off = points.filter((p) => distance(data, p, colour) > apart).length
  return { colour, even: off / points.length < 0.12 }
}

const apart = 48 // of 441: shadows of a wall stay below it

function distance(data: Uint8ClampedArray, p: number, [r, g, b]: Colour): number {
  return Math.hypot((data[p] ?? 0) - r, (data[p + 1] ?? 0) - g, (data[p + 2] ?? 0) - b)
}

/** Who stands out from the background: how many, how wide the head of the largest is, where. Shares of the picture. */
function people({ width, height, data }: Picture, colour: Colour) {
  const stands = (x: number, y: number) => distance(data, (y * width + x) * 4, colour) > apart
  // Columns in which somebody stands tall enough in the upper part.
  const upper = Math.floor(height * 0.7)
  const tall: number[] = Array.from({ length: width }, (_, x) => {
    let n = 0
    for (let y = 0; y < upper; y++) if (stands(x, y)) n++
    return n
  })
  const runs: { from: number; to: number }[] = []
  let open: { from: number; to: number } | null = null
  let gap = 0
  for (let x = 0; x < width; x++) {
    if ((tall[x] ?? 0) >= height * 0.18) {
      if (open === null) runs.push((open = { from: x, to: x }))
      open.to = x
      gap = 0
    } else if (open !== null && ++gap > width * 0.03) open = null
  }
  const wide = runs.filter((r) => r.to - r.from + 1 >= width * 0.07)
  if (wide.length === 0) return { count: 0, width: 0, centre: 0.5, top: 1 }
  const main = wide.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a))
  // The head is what is highest there.
  let top = 0
  const row = (y: number) => {
    let n = 0
    let from = width
    let to = 0
    for (let x = main.from; x <= main.to; x++) {
      if (!stands(x, y)) continue
      n++
      from = Math.min(from, x)
      to = Math.max(to, x)
    }
    return { n, from, to }
  }
  while (top < height && row(top).n < width * 0.03) top++
  let head = 0
  let centre = 0.5
  for (let y = top; y < Math.min(height, top + height * 0.22); y++) {
    const { n, from, to } = row(y)
    if (y > top + height * 0.08 && n > head * 1.5) break // the shoulders
    if (n > head) {
      head = n
      centre = (from + to) / 2 / width
    }
  }
  return { count: wide.length, width: head / width, centre, top: top / height }
}

/** What to tell the person, the weightiest first; nothing where all is well. */
export function hints(l: Look, forCard: boolean): Hint[] {
  const found: Hint[] = []
  if (l.people?.count === 0) found.push('nobody')
  if ((l.people?.count ?? 1) > 1) found.push('alone')
  if (l.light < 45 || l.dark > 0.75) found.push('dark')
  if (l.light > 225 || (!forCard && l.bright > 0.6)) found.push('bright')
  if (l.people !== null && l.people.count > 0) {
    if (l.people.width > 0.45 || l.people.top < 0.02) found.push('further')
    else if (l.people.width < 0.14) found.push('closer')
    if (Math.abs(l.people.centre - 0.5) > 0.17) found.push('centre')
  }
  if (l.moved > 14 || l.sharp < 0.02) found.push('still')
  if (forCard && !l.even) found.push('background')
  return found
}

/** Hints after which no picture is taken by itself. */
export const stops: readonly Hint[] = ['nobody', 'alone']

/** What a picture for a card shows of a frame: 35 x 45 around the head, in the frame's pixels. */
export function cardPart(l: Look, width: number, height: number): { x: number; y: number; width: number; height: number } {
  const people = l.people !== null && l.people.count > 0 ? l.people : { width: 0.25, centre: 0.5, top: 0.12 }
  // A head is about three quarters as wide as it is high, and three quarters of the picture.
  let h = Math.min(height, Math.max(height * 0.5, (people.width * width * 4) / 3 / 0.75))
  let w = (h * 35) / 45
  if (w > width) {
    w = width
    h = (w * 45) / 35
  }
  const within = (at: number, size: number, all: number) => Math.max(0, Math.min(all - size, at))
  return { x: Math.round(within(people.centre * width - w / 2, w, width)), y: Math.round(within(people.top * height - h * 0.1, h, height)), width: Math.round(w), height: Math.round(h) }
}

export interface Value {
  name: string
  score: number
  scale: number
  engine: string
}

/** The look in whole numbers, as it travels beside the picture: asserted by the page, decided by nobody. */
export function values(l: Look): Value[] {
  const engine = 'kuule-page hints 1'
  const share = (name: string, of: number) => ({ name, score: Math.round(Math.max(0, Math.min(1, of)) * 1000), scale: 1000, engine })
  return [
    share('hint-light', l.light / 255), share('hint-burnt', l.bright), share('hint-sharp', l.sharp), share('hint-moved', l.moved / 255), share('hint-even-background', l.even ? 1 : 0),
    ...(l.people === null ? [] : [share('hint-head-width', l.people.width), share('hint-head-centre', l.people.centre)]),
  ]
}
