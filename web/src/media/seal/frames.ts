import type * as words from '../../api/words'
import { concat, type Bytes } from './encoding'
import { SealError } from './errors'
import { sources } from './messages'

/** Stands inside the seal before the codec's frame: ten bytes (docs/protocol.md). */
export interface FrameHeader {
  source: words.Source
  /** Microseconds on the hearing clock. */
  capture: words.Micros
  /** -dBov, 0 loud to 127 silent; 255: none. */
  level: number
  /** Sound packed twice (RED, RFC 2198): what is sealed is the whole packet. */
  redundant?: boolean
}

export const frameHeaderBytes = 10
export const noLevel = 255
const version = 1
const redundantAudio = 4

export function encodeFrame(h: FrameHeader, frame: Uint8Array): Bytes {
  const redundant = h.redundant === true
  const code = redundant ? redundantAudio : sources.indexOf(h.source) + 1
  if (code === 0 || (redundant && h.source !== 'audio') || !Number.isSafeInteger(h.capture) || h.capture < 0 || !Number.isInteger(h.level) || h.level < 0 || h.level > 255) {
    throw new SealError('frame', 'header is out of bounds')
  }
  const head = new Uint8Array(frameHeaderBytes)
  const view = new DataView(head.buffer)
  view.setUint8(0, (version << 4) | code)
  view.setBigUint64(1, BigInt(h.capture))
  view.setUint8(9, h.level)
  return concat(head, frame)
}

export function parseFrame(opened: Bytes): { header: FrameHeader; frame: Bytes } {
  if (opened.length < frameHeaderBytes) throw new SealError('frame', 'header is cut short')
  const view = new DataView(opened.buffer, opened.byteOffset, frameHeaderBytes)
  const code = opened[0] & 0x0f
  const capture = view.getBigUint64(1)
  if (opened[0] >> 4 !== version || code < 1 || code > redundantAudio || capture > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new SealError('frame', 'header is not known')
  }
  const redundant = code === redundantAudio
  const source = redundant ? 'audio' : sources[code - 1]
  const header: FrameHeader = { source, capture: Number(capture), level: opened[9] }
  if (redundant) header.redundant = true
  return { header, frame: opened.subarray(frameHeaderBytes) }
}

/**
 * A packet of redundant sound (RFC 2198) with nothing in it but its own. Copies
 * of what was said before a key are not sealed under it: whoever has that key
 * alone was not there to hear it.
 */
export function withoutCopies(packed: Uint8Array): Bytes {
  let copies = 0
  let at = 0
  for (; at < packed.length && (packed[at] & 0x80) !== 0; at += 4) {
    if (at + 4 > packed.length) break
    copies += ((packed[at + 2] & 0x03) << 8) | packed[at + 3]
  }
  if (at + 1 + copies > packed.length) throw new SealError('frame', 'redundant sound is cut short')
  return concat(packed.subarray(at, at + 1), packed.subarray(at + 1 + copies))
}
