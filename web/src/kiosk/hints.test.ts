import { describe, expect, it } from 'vitest'
import { cardPart, hints, look, stops, values, type Look, type Picture } from './hints'

const width = 160
const height = 120

interface Scene {
  back?: (x: number, y: number) => number
  people?: { x: number; size: number }[]
  light?: number
  blurred?: boolean
}

/** A drawn scene: heads with shoulders before a wall. */
function scene({ back = () => 190, people = [{ x: 80, size: 20 }], light = 1, blurred = false }: Scene = {}): Picture {
  const grey = new Float32Array(width * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let g = back(x, y)
      for (const { x: at, size } of people) {
        const head = ((x - at) / size) ** 2 + ((y - 30 - size) / (size * 1.3)) ** 2 < 1
        const body = y > 30 + size * 2.4 && Math.abs(x - at) < size * 1.7
        if (head) g = (x + y) % 6 < 2 ? 60 : 110 // a face has lines
        else if (body) g = x % 8 < 4 ? 40 : 70
      }
      grey[y * width + x] = g * light
    }
  }
  const data = new Uint8ClampedArray(width * height * 4)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let g = grey[y * width + x] ?? 0
      if (blurred) {
        let n = 0
        g = 0
        for (let dy = -4; dy <= 4; dy++) for (let dx = -4; dx <= 4; dx++, n++) g += grey[Math.min(height - 1, Math.max(0, y + dy)) * width + Math.min(width - 1, Math.max(0, x + dx))] ?? 0
        g /= n
      }
      data.set([g, g, g, 255], (y * width + x) * 4)
    }
  }
  return { width, height, data }
}

const say = (s: Scene, card = false) => hints(look(scene(s), null), card)

// B3, B7: hints from plain arithmetic; each has a scene that calls for it.
describe('hints', () => {
  it('have nothing to say of a person who stands well', () => {
    expect(say({})).toEqual([])
    expect(say({}, true)).toEqual([])
  })
  it.each([
    ['nobody', { people: [] }],
    ['alone', { people: [{ x: 45, size: 16 }, { x: 115, size: 16 }] }],
    ['dark', { light: 0.12 }],
    ['bright', { back: () => 255, light: 6 }],
    ['closer', { people: [{ x: 80, size: 9 }] }],
    ['further', { people: [{ x: 80, size: 48 }] }],
    ['centre', { people: [{ x: 40, size: 18 }] }],
    ['still', { blurred: true }],
  ] as [string, Scene][])('%s', (hint, s) => expect(say(s)).toContain(hint))

  it('ask for an empty background only for a card, and say nothing of places before another', () => {
    const busy: Scene = { back: (x, y) => ((x >> 3) + (y >> 3)) % 2 === 0 ? 40 : 220 }
    expect(say(busy, true)).toContain('background')
    expect(say(busy)).not.toContain('background')
    expect(look(scene({ ...busy, people: [{ x: 20, size: 9 }] }), null).people).toBeNull()
  })
  it('see movement between two pictures', () => {
    const first = look(scene({ people: [{ x: 60, size: 20 }] }), null)
    expect(hints(look(scene({ people: [{ x: 95, size: 20 }] }), first), false)).toContain('still')
    expect(hints(look(scene({ people: [{ x: 60, size: 20 }] }), first), false)).not.toContain('still')
  })
  it('hold back a picture of nobody or of two', () => expect(stops).toEqual(['nobody', 'alone']))
})

describe('a picture for a card', () => {
  it('is 35 x 45 around the head, inside the frame', () => {
    for (const x of [10, 40, 80, 120, 150]) {
      for (const size of [6, 20, 60]) {
        const part = cardPart(look(scene({ people: [{ x, size }] }), null), 1280, 960)
        expect(Math.abs(part.width / part.height - 35 / 45)).toBeLessThan(0.01)
        expect(part.x >= 0 && part.y >= 0 && part.x + part.width <= 1280 && part.y + part.height <= 960).toBe(true)
      }
    }
  })
  it('travels with what the page made of it, in whole numbers', () => {
    const l: Look = look(scene(), null)
    for (const v of values(l)) expect(Number.isInteger(v.score) && v.score >= 0 && v.score <= v.scale, v.name).toBe(true)
    expect(values(l).map((v) => v.engine)).toContain('kuule-page hints 1')
  })
})
