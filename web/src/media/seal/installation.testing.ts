import { readFileSync } from 'node:fs'
import type * as signed from '../../api/signed'
import { newID } from '../../api/ids'
import type * as words from '../../api/words'
import { fromBase64url, sha256, toBase64url, utf8, concat } from './encoding'
import { Group, hearingRules, type Rules } from './group'
import { hash, sign } from './jws'
import type { Pinned } from './members'
import { typ } from './messages'
import { makeIdentity, type Identity } from './wraps'

/** What Go writes for these tests (interview/sealing/interop_test.go). */
export interface Vector {
  source: string
  now: number
  hearing: words.HearingID
  group: words.GroupID
  device_root: string
  recorder_root: string
  statement_key: string
  authority: string
  device: { id: words.DeviceID; key: string; cert: string }
  chair: VectorMember
  applicant: VectorMember
  recorder: VectorMember
  roster: string
  sas: string
  track: words.TrackID
  wrap: string
  frames: { capture: number; level: number; frame: string; sealed: string }[]
  origin: string
  heartbeat: string
}

export interface VectorMember {
  member: words.MemberID
  hpke?: string
  sign?: string
  statement: string
  admission: string
  salt?: string
  name?: string
}

export const directory = new URL('./testdata/', import.meta.url)
export const go = JSON.parse(readFileSync(new URL('interop.json', directory), 'utf8')) as Vector
export const pinned: Pinned = { device_roots: [go.device_root], recorder_roots: [go.recorder_root], statement_key: go.statement_key }

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' }
const ecdh = { name: 'ECDH', namedCurve: 'P-256' }

export function signingKey(pkcs8: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('pkcs8', fromBase64url(pkcs8), ecdsa, false, ['sign'])
}

/** The applicant of the vectors, with its private keys. */
export async function readerIdentity(): Promise<Identity> {
  const pair = async (pkcs8: string, algorithm: EcKeyImportParams, use: KeyUsage[], publicUse: KeyUsage[]) => {
    const bytes = fromBase64url(pkcs8)
    const jwk = await crypto.subtle.exportKey('jwk', await crypto.subtle.importKey('pkcs8', bytes, algorithm, true, use))
    const { kty, crv, x, y } = jwk
    return {
      privateKey: await crypto.subtle.importKey('pkcs8', bytes, algorithm, false, use),
      publicKey: await crypto.subtle.importKey('jwk', { kty, crv, x, y }, algorithm, true, publicUse),
    }
  }
  const [hpke, signing] = await Promise.all([
    pair(go.applicant.hpke ?? '', ecdh, ['deriveBits'], []),
    pair(go.applicant.sign ?? '', ecdsa, ['sign'], ['verify']),
  ])
  const point = async (key: CryptoKey) => toBase64url(new Uint8Array(await crypto.subtle.exportKey('raw', key)))
  return { member: go.applicant.member, hpke, sign: signing, keys: { hpke: await point(hpke.publicKey), sign: await point(signing.publicKey) } }
}

/** A clock that tests move. */
export class Clock {
  at = go.now * 1000
  readonly now = () => this.at
}

export function groupOf(self: Identity, clock: Clock, rules: Rules = hearingRules, trust: Pinned = pinned): Group {
  return new Group({ pinned: trust, self, hearing: go.hearing, group: go.group, rules, now: clock.now })
}

export interface Joined {
  identity: Identity
  statement: string
  admission: string
}

interface Change {
  statement?: Partial<signed.Statement>
  admission?: Partial<signed.Admission>
}

/** A fresh page on the vectors' spare device, admitted by the vectors' authority. */
export async function page(role: words.Role, change: Change = {}): Promise<Joined> {
  const identity = await makeIdentity(newID('mem'))
  return { identity, ...(await admitted(identity.member, identity.keys, role, change)) }
}

export async function admitted(member: words.MemberID, keys: Identity['keys'], role: words.Role, change: Change = {}) {
  const seat = newID('set')
  const statement = await sign(
    {
      v: 1, kind: 'page', hearing: go.hearing, member, device: go.device.id, seats: [seat], hpke_key: keys.hpke, sign_key: keys.sign,
      dtls: Array(32).fill('AB').join(':'), iat: go.now, exp: go.now + 3600, ...change.statement,
    },
    typ.statement, await signingKey(go.device.key), [go.device.cert],
  )
  const admission = await sign(
    {
      v: 1, kind: 'page', hearing: go.hearing, member, statement: await hash(statement),
      seats: [{ seat, participant: newID('par'), role, name: await commit(`Name of the ${role}`) }],
      rule: 'test', iat: go.now, exp: go.now + 3600, ...change.admission,
    },
    typ.admission, await signingKey(go.authority),
  )
  return { statement, admission, seat, role }
}

export const salt = utf8('0123456789abcdef')

async function commit(name: string): Promise<string> {
  return toBase64url(await sha256(concat(salt, new Uint8Array(1), utf8(name))))
}
