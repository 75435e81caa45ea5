import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import { concat, equal, fromBase64url, sha256, toBase64url, utf8 } from './encoding'
import { refusing, SealError } from './errors'
import { hash, importPoint, importSPKI, verifyChain } from './jws'
import { asMessage, bounds, isID, peekMessage, shapes, typ, verifyMessage } from './messages'
import { importRecipient } from './wraps'

/** What the page pinned: roots in PEM, authority's key over admissions in base64url SPKI. */
export interface Pinned {
  device_roots: string[]
  recorder_roots: string[]
  statement_key: string
  also_statement_keys?: string[] // other versions of it that count
  /** Of a room terminal alone: what its back-up is sealed to. */
  backup_key?: string
}

/** A page or recorder whose statement and admission both hold. */
export interface Member {
  readonly id: words.MemberID
  readonly recorder: boolean
  readonly statement: signed.Statement
  readonly admission: signed.Admission
  readonly statementHash: string
  readonly admissionHash: string
  readonly signKey: CryptoKey
  readonly hpkeKey: CryptoKey
}

const recorderUnit = 'recorder'
const roomRoles: readonly string[] = ['interviewer', 'applicant', 'counsel', 'interpreter', 'representative']

export function hasRole(member: Member, role: words.Role): boolean {
  return (member.admission.seats ?? []).some((s) => s.role === role)
}

/**
 * Checks a statement at the given moment: its chain to the roots of its kind,
 * that the certificate is of that very device (or of a recorder, which can be
 * nothing else), its times and its keys.
 */
export function verifyStatement(pinned: Pinned, message: string, now: Date): Promise<signed.Statement> {
  return refusing('statement', async () => {
    // Only the kind is used of what is not verified yet, to pick the roots.
    const roots = peekMessage('statement', message).kind === 'recorder' ? pinned.recorder_roots : pinned.device_roots
    const { leaf, payload } = await verifyChain(message, typ.statement, roots, now, shapes.statement)
    const s = asMessage('statement', payload)
    const seats = s.seats ?? []
    const unit = leaf.units.length === 1 && !leaf.authority ? leaf.units[0] : ''
    const holds =
      s.v === 1 && isID('hrg', s.hearing) && isID('mem', s.member) && seats.length <= bounds.members && !repeats(seats) &&
      seats.every((seat) => isID('set', seat)) && /^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/.test(s.dtls) && s.exp - s.iat <= bounds.statementSeconds
    const page = s.kind === 'page' && isID('dev', s.device) && unit === s.device && seats.length > 0
    const recorder = s.kind === 'recorder' && unit === recorderUnit && (s.device as string) === '' && seats.length === 0
    if (!holds || !(page || recorder)) throw new SealError('statement', 'certificate, seats or bounds do not fit')
    within(s, now)
    return s
  })
}

/** Checks a statement and the admission that countersigns it. */
export async function verifyMember(pinned: Pinned, statement: string, admission: string, now: Date): Promise<Member> {
  const s = await verifyStatement(pinned, statement, now)
  const [signKey, hpkeKey] = await refusing('statement', () => Promise.all([importPoint(s.sign_key), importRecipient(s.hpke_key)]))
  const statementHash = await hash(statement)
  const a = await refusing('admission', () => anyOf([pinned.statement_key, ...(pinned.also_statement_keys ?? [])], async (key) => verifyMessage('admission', admission, await importSPKI(key))))
  const seats = a.seats ?? []
  const holds =
    a.v === 1 && a.statement === statementHash && a.hearing === s.hearing && a.member === s.member && a.kind === s.kind && a.rule !== '' &&
    (s.kind === 'page') === seats.length > 0 && !repeats(seats.map((seat) => seat.seat)) &&
    seats.every((seat) => (s.seats ?? []).includes(seat.seat) && isID('par', seat.participant) && roomRoles.includes(seat.role))
  if (!holds) throw new SealError('admission', 'it does not fit the statement')
  within(a, now)
  return {
    id: s.member, recorder: s.kind === 'recorder', statement: s, admission: a, statementHash,
    admissionHash: await hash(admission), signKey, hpkeKey,
  }
}

/** What the first version of a key that fits gives; else why the last did not. */
async function anyOf<T>(keys: readonly string[], check: (key: string) => Promise<T>): Promise<T> {
  for (const key of keys.slice(0, -1)) {
    try {
      return await check(key)
    } catch {
      // the next version
    }
  }
  return check(keys.at(-1) ?? '')
}

/** Refuses what is past its end, or begins later than a minute from now. */
export function within(times: { iat: number; exp: number }, now: Date) {
  const t = Math.floor(now.getTime() / 1000)
  if (times.iat > t + bounds.skewSeconds || times.exp <= t || times.exp <= times.iat) throw new SealError('expired', 'not valid now')
}

/** Whether an admitted seat commits to this name: base64url SHA-256(salt || 0x00 || name). */
export async function nameIs(seat: signed.AdmittedSeat, salt: string, name: string): Promise<boolean> {
  let bytes
  try {
    bytes = fromBase64url(salt)
  } catch {
    return false
  }
  if (bytes.length < 16 || bytes.length > 64 || name === '' || name.includes('\0')) return false
  const want = toBase64url(await sha256(concat(bytes, new Uint8Array(1), utf8(name))))
  return equal(utf8(want), utf8(seat.name))
}

export function repeats(list: readonly string[]): boolean {
  return new Set(list).size !== list.length
}
