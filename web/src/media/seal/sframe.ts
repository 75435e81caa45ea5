import { concat, utf8, type Bytes } from './encoding'
import { SealError } from './errors'

/**
 * SFrame (RFC 9605, https://www.rfc-editor.org/rfc/rfc9605) with the cipher
 * suite AES_256_GCM_SHA512_128, as internal/sframe in Go.
 */
const suite = 5
export const keyBytes = 32
export const maxFrame = 4 << 20
export const maxHeader = 17
const tagBytes = 16
/** How many counters behind the newest an Opener still accepts. */
export const window = 1024

export interface Header {
  kid: bigint
  counter: bigint
  /** Bytes of the encoded header. */
  length: number
}

/** Reads the header of a sealed frame; an encoding longer than needed is refused. */
export function parseHeader(sealed: Uint8Array): Header {
  if (sealed.length === 0) throw new SealError('frame', 'no header')
  const config = sealed[0]
  let length = 1
  const field = (low: number): bigint => {
    if ((low & 0x08) === 0) return BigInt(low & 0x07)
    const n = (low & 0x07) + 1
    if (sealed.length < length + n) throw new SealError('frame', 'header is cut short')
    let v = 0n
    for (const b of sealed.subarray(length, length + n)) v = (v << 8n) | BigInt(b)
    length += n
    if (v < 8n || byteLength(v) !== n) throw new SealError('frame', 'header is not in its one form')
    return v
  }
  const kid = field(config >> 4)
  const counter = field(config)
  return { kid, counter, length }
}

export function encodeHeader(kid: bigint, counter: bigint): Bytes {
  const out: number[] = [0]
  const field = (v: bigint): number => {
    if (v < 8n) return Number(v)
    const n = byteLength(v)
    for (let i = n - 1; i >= 0; i--) out.push(Number((v >> BigInt(8 * i)) & 0xffn))
    return 0x08 | (n - 1)
  }
  out[0] |= field(kid) << 4
  out[0] |= field(counter)
  return Uint8Array.from(out)
}

function byteLength(v: bigint): number {
  return Math.ceil(v.toString(16).length / 2)
}

interface Derived {
  key: CryptoKey
  salt: Bytes
}

/** Derives key and salt (section 4.4.2); baseKey is not kept, and the caller overwrites it. */
async function derive(baseKey: Bytes, kid: bigint, anyLength = false): Promise<Derived> {
  if (baseKey.length !== keyBytes && !anyLength) throw new SealError('wrap', 'sender key is not 32 bytes')
  const base = await crypto.subtle.importKey('raw', baseKey, 'HKDF', false, ['deriveKey', 'deriveBits'])
  const hkdf = (label: string) => ({ name: 'HKDF', hash: 'SHA-512', salt: new Uint8Array(0), info: labelled(label, kid) })
  const [key, salt] = await Promise.all([
    crypto.subtle.deriveKey(hkdf('SFrame 1.0 Secret key '), base, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']),
    crypto.subtle.deriveBits(hkdf('SFrame 1.0 Secret salt '), base, 96),
  ])
  return { key, salt: new Uint8Array(salt) }
}

function labelled(label: string, kid: bigint): Bytes {
  const tail = new Uint8Array(10)
  const view = new DataView(tail.buffer)
  view.setBigUint64(0, kid)
  view.setUint16(8, suite)
  return concat(utf8(label), tail)
}

function nonce(salt: Bytes, counter: bigint): Bytes {
  const out = new Uint8Array(salt)
  for (let i = 0; i < 8; i++) out[11 - i] ^= Number((counter >> BigInt(8 * i)) & 0xffn)
  return out
}

/** Seals frames under one key: its counter begins at zero, never repeats and is never stored. */
export class Sealer {
  readonly kid: bigint
  private readonly derived: Derived
  private next: bigint

  private constructor(kid: bigint, derived: Derived, next: bigint) {
    this.kid = kid
    this.derived = derived
    this.next = next
  }

  /** The only Sealer that may ever use baseKey. The RFC's vectors begin elsewhere and have shorter keys. */
  static async make(baseKey: Bytes, kid: number, vector: { first?: bigint; anyLength?: boolean } = {}): Promise<Sealer> {
    return new Sealer(BigInt(kid), await derive(baseKey, BigInt(kid), vector.anyLength), vector.first ?? 0n)
  }

  async seal(metadata: Bytes, frame: Bytes): Promise<{ sealed: Bytes; counter: bigint }> {
    if (frame.length > maxFrame - maxHeader - tagBytes) throw new SealError('frame', 'frame is too large')
    if (this.next > 0xffff_ffff_ffff_ffffn) throw new SealError('exhausted', 'counter is used up')
    // Spent before anything is sealed, and before anybody else can run.
    const counter = this.next++
    const header = encodeHeader(this.kid, counter)
    const { key, salt } = this.derived
    const body = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce(salt, counter), additionalData: concat(header, metadata), tagLength: 128 }, key, frame)
    return { sealed: concat(header, new Uint8Array(body)), counter }
  }
}

/** Opens the frames of one key id, each counter at most once. */
export class Opener {
  readonly kid: bigint
  private readonly derived: Derived
  private readonly seen = new Set<bigint>()
  private top = -1n

  private constructor(kid: bigint, derived: Derived) {
    this.kid = kid
    this.derived = derived
  }

  static async make(baseKey: Bytes, kid: number): Promise<Opener> {
    return new Opener(BigInt(kid), await derive(baseKey, BigInt(kid)))
  }

  async open(metadata: Bytes, sealed: Bytes): Promise<Bytes> {
    if (sealed.length > maxFrame) throw new SealError('frame', 'frame is too large')
    const { kid, counter, length } = parseHeader(sealed)
    if (kid !== this.kid) throw new SealError('frame', 'another key id')
    this.refuseReplay(counter)
    const { key, salt } = this.derived
    let frame: ArrayBuffer
    try {
      const additionalData = concat(sealed.subarray(0, length), metadata)
      frame = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonce(salt, counter), additionalData, tagLength: 128 }, key, sealed.subarray(length))
    } catch {
      throw new SealError('frame', 'it does not open')
    }
    // Asked again: the same frame may have been opened while this one was.
    this.refuseReplay(counter)
    this.mark(counter)
    return new Uint8Array(frame)
  }

  private refuseReplay(counter: bigint) {
    if (counter <= this.top && (this.top - counter >= BigInt(window) || this.seen.has(counter))) {
      throw new SealError('replay', 'frame was opened before or is too old')
    }
  }

  private mark(counter: bigint) {
    this.seen.add(counter)
    if (counter > this.top) this.top = counter
    if (this.seen.size > 2 * window) {
      for (const c of this.seen) if (this.top - c >= BigInt(window)) this.seen.delete(c)
    }
  }
}
