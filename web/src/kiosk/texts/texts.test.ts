import { readdirSync, readFileSync } from 'node:fs'
import { brotliDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { all, clock, isTongue, nameOf, say, tongues, type Key } from './index'

const keys = Object.keys(tongues.fi.texts).sort() as Key[]

// B13: the screens speak every language of the design.
describe('the kiosk’s languages', () => {
  it('are the fourteen', () => {
    expect([...all].sort()).toEqual(['ar', 'ckb', 'en', 'fa', 'fi', 'fr', 'kmr', 'prs', 'ps', 'ru', 'so', 'sv', 'tr', 'uk'])
    expect(readdirSync(new URL('.', import.meta.url)).filter((f) => /^[a-z]{2,3}\.ts$/.test(f)).sort()).toEqual(all.map((t) => `${t}.ts`).sort())
  })
  it.each(all)('%s says everything, with the same values filled in, in its own words', (tongue) => {
    const { texts } = tongues[tongue]
    expect(Object.keys(texts).sort()).toEqual(keys)
    for (const key of keys) {
      expect(texts[key].trim(), key).not.toBe('')
      expect(texts[key].includes('{seconds}'), key).toBe(key === 'there.body')
      expect(new TextEncoder().encode(texts[key]).length, `${key}: the voice takes no more`).toBeLessThanOrEqual(600)
    }
    if (tongue === 'fi') return
    const same = keys.filter((key) => texts[key] === tongues.fi.texts[key])
    expect(same, 'left in Finnish').toEqual([])
  })
  it.each(all)('%s is written in its own script, from its own side', (tongue) => {
    const arabic = /[\u0600-\u06ff]/
    const words = Object.values(tongues[tongue].texts).join(' ')
    expect(arabic.test(words)).toBe(tongues[tongue].dir === 'rtl')
    expect(/[a-z]/i.test(words)).toBe(!(arabic.test(words) || /[\u0400-\u04ff]/.test(words)) || /\{seconds\}/.test(words))
  })
  it('says of what no native reader has signed that nobody has', () => {
    expect(all.filter((t) => tongues[t].reviewed)).toEqual(['fi', 'en'])
  })
  it('fills in seconds and times', () => {
    expect(say('en', 'there.body', 7)).toBe('This page clears itself in 7 seconds.')
    for (const tongue of all) expect(clock(tongue, 1_700_000_000), tongue).toMatch(/^[\u200e\u200f]?\d\d[:.]\d\d$/)
    expect([nameOf('so'), nameOf('xx'), isTongue('constructor')]).toEqual(['Soomaali', 'xx', false])
  })
})

// Every letter has a drawing in a font that the page itself brings.
describe('the fonts', () => {
  const css = readFileSync(new URL('../../ui/fonts.css', import.meta.url), 'utf8')
  const faces = [...css.matchAll(/font-weight: (\d+);[^}]*?url\('([^']+)'\)[^}]*?unicode-range: ([^;]+);/gs)].map((m) => {
    const [, weight = '', file = '', ranges = ''] = m
    return { weight, has: charactersOf(readFileSync(new URL(`../../../node_modules/${file}`, import.meta.url))), covers: ranges.split(',').map(range) }
  })

  it.each(['400', '600'])('draw every letter at weight %s', (weight) => {
    const missing: string[] = []
    for (const tongue of all) {
      for (const letter of new Set(tongues[tongue].name + Object.values(tongues[tongue].texts).join(''))) {
        const point = letter.codePointAt(0) ?? 0
        const drawn = faces.some((f) => f.weight === weight && f.covers.some(([from, to]) => point >= from && point <= to) && f.has(point))
        if (!drawn) missing.push(`${tongue} ${letter} U+${point.toString(16)}`)
      }
    }
    expect(missing).toEqual([])
  })
})

function range(text: string): [number, number] {
  const [from = '', to = from] = text.trim().replace('U+', '').split('-')
  return [parseInt(from, 16), parseInt(to, 16)]
}

/**
 * Which characters a WOFF2 font draws: its table `cmap`, formats 4 and 12
 * (https://www.w3.org/TR/WOFF2/, section 4 and 5.1; OpenType, cmap).
 */
function charactersOf(font: Buffer): (point: number) => boolean {
  expect(font.toString('latin1', 0, 4)).toBe('wOF2')
  const tables = font.readUInt16BE(12)
  let at = 48
  const base128 = () => {
    let n = 0
    for (;;) {
      const b = font[at++] ?? 0
      n = n * 128 + (b & 0x7f)
      if (b < 0x80) return n
    }
  }
  let offset = 0
  let cmap = -1
  for (let i = 0; i < tables; i++) {
    const flags = font[at++] ?? 0
    const known = flags & 0x3f
    const isTransformable = known === 10 || known === 11 // glyf, loca
    if (known === 0x3f) at += 4
    let length = base128()
    const version = flags >> 6
    if (isTransformable ? version === 0 : version !== 0) length = base128()
    if (known === 0) cmap = offset
    offset += length
  }
  const data = brotliDecompressSync(font.subarray(at, at + font.readUInt32BE(20)))
  const points = new Set<number>()
  for (let i = 0; i < data.readUInt16BE(cmap + 2); i++) {
    const sub = cmap + data.readUInt32BE(cmap + 4 + i * 8 + 4)
    if (data.readUInt16BE(sub) === 12) {
      for (let g = 0; g < data.readUInt32BE(sub + 12); g++) {
        const group = sub + 16 + g * 12
        for (let p = data.readUInt32BE(group); p <= data.readUInt32BE(group + 4); p++) points.add(p)
      }
    } else if (data.readUInt16BE(sub) === 4) {
      const double = data.readUInt16BE(sub + 6)
      for (let s = 0; s < double; s += 2) {
        const end = data.readUInt16BE(sub + 14 + s)
        const start = data.readUInt16BE(sub + 16 + double + s)
        if (start !== 0xffff) for (let p = start; p <= end; p++) points.add(p)
      }
    }
  }
  return (point) => points.has(point)
}

