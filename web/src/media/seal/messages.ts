import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import { shaped, type Shape } from './canon'
import { peek, verify } from './jws'

/** Types of the signed messages: the JWS `typ`. */
export const typ = {
  statement: 'kuule-statement+jws',
  admission: 'kuule-admission+jws',
  roster: 'kuule-roster+jws',
  wrap: 'kuule-wrap+jws',
  origin: 'kuule-origin+jws',
  heartbeat: 'kuule-heartbeat+jws',
} as const

export type MessageName = keyof typeof typ

interface Messages {
  statement: signed.Statement
  admission: signed.Admission
  roster: signed.Roster
  wrap: signed.Wrap
  origin: signed.Origin
  heartbeat: signed.Heartbeat
}

/** The fields of each message, exactly; package sealing in Go names the same. */
export const shapes: Record<MessageName, Shape> = {
  statement: {
    v: 'integer', kind: 'text', hearing: 'text', member: 'text', device: 'text', seats: { list: 'text' },
    hpke_key: 'text', sign_key: 'text', dtls: 'text', iat: 'integer', exp: 'integer',
  },
  admission: {
    v: 'integer', kind: 'text', hearing: 'text', member: 'text', statement: 'text',
    seats: { list: { seat: 'text', participant: 'text', role: 'text', name: 'text' } },
    rule: 'text', iat: 'integer', exp: 'integer',
  },
  roster: {
    v: 'integer', hearing: 'text', group: 'text', epoch: 'integer', chair: 'text',
    members: { list: { member: 'text', admission: 'text' } }, prev: 'text', reason: 'text', at: 'integer',
  },
  wrap: {
    v: 'integer', hearing: 'text', group: 'text', epoch: 'integer', sender: 'text', recipient: 'text', track: 'text',
    source: 'text', kid: 'integer', roster: 'text', enc: 'text', ct: 'text',
  },
  origin: {
    v: 'integer', hearing: 'text', group: 'text', member: 'text', track: 'text', rid: 'text', seq: 'integer',
    prev: 'text', kid: 'integer', first: 'integer', hashes: 'text',
  },
  heartbeat: {
    v: 'integer', hearing: 'text', group: 'text', member: 'text', recording: 'text', state: 'text', seq: 'integer',
    durable: 'integer', now: 'integer', tracks: { list: { track: 'text', durable: 'integer' } }, head: 'text',
  },
}

/** Checks signature and form of a message; the values are the caller's to check. */
export async function verifyMessage<N extends MessageName>(name: N, message: string, key: CryptoKey): Promise<Messages[N]> {
  return (await verify(message, typ[name], key, shapes[name])) as unknown as Messages[N]
}

/** Reads a message unchecked, to find out which key to verify with. */
export function peekMessage<N extends MessageName>(name: N, message: string): Messages[N] {
  return peek(message, typ[name], shapes[name]) as unknown as Messages[N]
}

export function asMessage<N extends MessageName>(name: N, value: unknown): Messages[N] {
  return shaped(value, shapes[name]) as unknown as Messages[N]
}

export const bounds = {
  members: 64,
  tracks: 16,
  known: 256,
  epoch: 2 ** 32,
  wrap: 4096,
  origin: 16 << 10,
  heartbeat: 64 << 10,
  originHash: 16,
  originFrames: 400,
  pendingOrigins: 32,
  keptRosters: 16,
  statementSeconds: 12 * 3600,
  skewSeconds: 60,
  /** Milliseconds for which keys of the epoch before still open frames in flight. */
  linger: 5000,
  /** Milliseconds for which a sender goes on under its old key when nobody left. */
  grace: 250,
  /** The same for pictures: who gets the new key late holds them until then, and who is new waits for them. */
  pictureGrace: 100,
} as const

/** The SFrame key id of a sender's track in an epoch. */
export function kidOf(epoch: number, place: number, number: number): number {
  return epoch * 1024 + place * 16 + number
}

export function placeOf(kid: number): { epoch: number; place: number; number: number } {
  return { epoch: Math.floor(kid / 1024), place: Math.floor(kid / 16) % bounds.members, number: kid % bounds.tracks }
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Reads a printed identifier of a kind, strictly. */
export function isID(prefix: string, id: string): boolean {
  return id.startsWith(`${prefix}_`) && uuid.test(id.slice(prefix.length + 1)) && !/_0{8}-/.test(id)
}

export const sources: readonly words.Source[] = ['audio', 'video', 'screen']
