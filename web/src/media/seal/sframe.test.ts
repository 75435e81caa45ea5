import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { concat, utf8, type Bytes } from './encoding'
import { encodeHeader, Opener, parseHeader, Sealer, window } from './sframe'

interface Vectors {
  header: { kid: string; ctr: string; encoded: string }[]
  sframe: { cipher_suite: number; kid: string; ctr: string; base_key: string; metadata: string; pt: string; ct: string }[]
}

const file = new URL('../../../../internal/sframe/testdata/rfc9605.json', import.meta.url)
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors
const hex = (text: string): Bytes => Uint8Array.from(text.match(/../g) ?? [], (b) => parseInt(b, 16))
const toHex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

const fresh = async () => {
  const key = crypto.getRandomValues(new Uint8Array(32))
  return { sealer: await Sealer.make(key, 77), opener: await Opener.make(key, 77) }
}

describe('SFrame', () => {
  it('encodes and reads the headers of the RFC', () => {
    expect(vectors.header.length).toBeGreaterThan(8)
    for (const v of vectors.header) {
      expect(toHex(encodeHeader(BigInt(v.kid), BigInt(v.ctr)))).toBe(v.encoded)
      expect(parseHeader(hex(v.encoded))).toEqual({ kid: BigInt(v.kid), counter: BigInt(v.ctr), length: v.encoded.length / 2 })
    }
  })

  // The RFC's base key for every suite has 16 bytes; the product takes 32 only.
  it('derives and seals as the RFC does', async () => {
    const v = vectors.sframe.find((s) => s.cipher_suite === 5)
    if (v === undefined) throw new Error('the vector of suite 5 is missing')
    await expect(Sealer.make(hex(v.base_key), Number(v.kid))).rejects.toThrow('32 bytes')
    const sealer = await Sealer.make(hex(v.base_key), Number(v.kid), { first: BigInt(v.ctr), anyLength: true })
    const { sealed } = await sealer.seal(hex(v.metadata), hex(v.pt))
    expect(toHex(sealed)).toBe(v.ct)
  })

  it('refuses headers that are not in their one form', () => {
    for (const bad of ['', '08', '0807', '8007', '0900ff', '9000ff', '80']) expect(() => parseHeader(hex(bad)), bad).toThrow('frame')
  })

  it('opens a frame once, under its key and metadata, unchanged', async () => {
    const { sealer, opener } = await fresh()
    const stranger = (await fresh()).opener
    const { sealed } = await sealer.seal(utf8('trk'), utf8('said'))
    await expect(stranger.open(utf8('trk'), sealed)).rejects.toThrow('frame')
    await expect(opener.open(utf8('other'), sealed)).rejects.toThrow('frame')
    for (let i = 0; i < sealed.length; i++) {
      const bad = concat(sealed)
      bad[i] ^= 1
      await expect(opener.open(utf8('trk'), bad), `byte ${i}`).rejects.toThrow()
    }
    expect(await opener.open(utf8('trk'), sealed)).toEqual(utf8('said'))
    await expect(opener.open(utf8('trk'), sealed)).rejects.toThrow('replay')
  })

  it('opens one of two copies that arrive at once', async () => {
    const { sealer, opener } = await fresh()
    const { sealed } = await sealer.seal(utf8('trk'), utf8('said'))
    const both = await Promise.allSettled([opener.open(utf8('trk'), sealed), opener.open(utf8('trk'), sealed)])
    expect(both.filter((r) => r.status === 'fulfilled')).toHaveLength(1)
  })

  it('lets frames come late within the window, never twice', async () => {
    const { sealer, opener } = await fresh()
    const frames: Bytes[] = []
    for (let i = 0; i < 2 * window + 1; i++) frames.push((await sealer.seal(utf8('trk'), utf8('f'))).sealed)
    const open = (i: number) => opener.open(utf8('trk'), frames[i])
    for (const i of [5, 3, 4, 2 * window, window + 1]) await open(i)
    for (const i of [2 * window, window + 1, window, 6]) await expect(open(i), `frame ${i}`).rejects.toThrow('replay')
  })

  it('never uses a counter twice, also when sealing at once, and refuses to overflow', async () => {
    const { sealer } = await fresh()
    const sealed = await Promise.all(Array.from({ length: 300 }, () => sealer.seal(utf8('trk'), utf8('f'))))
    expect(new Set(sealed.map((s) => s.counter)).size).toBe(300)
    const last = await Sealer.make(new Uint8Array(32), 1, { first: 0xffff_ffff_ffff_ffffn })
    await last.seal(utf8('trk'), utf8('f'))
    await expect(last.seal(utf8('trk'), utf8('f'))).rejects.toThrow('exhausted')
  })
})
