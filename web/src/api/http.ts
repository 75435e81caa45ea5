import { send } from './session'
import type * as words from './words'
import type { SeatView } from './wire'

/** The installation's pinned keys, as internal/trust reads them. */
export interface Trust {
  v: number
  name: string
  demonstration: boolean
  server_roots: string[]
  device_roots: string[]
  recorder_roots: string[]
  statement_key: string
  sealing_key: string
  office_key: string
  bundle_key: string
  log_key: string
}

/** GET /gw/device: the machine that the page runs on. */
export interface Device {
  device: words.DeviceID
  label: string
  kind: string
  agreement: words.AgreementID
  premises: words.PremisesID
  trust: Trust
}

/** GET /gw/signin. */
export interface SignIn {
  available: boolean
  signed_in: boolean
  name?: string
  role?: string
  expires?: string
}

/** What a person brings to a join, given by the agent. */
export interface PersonProof {
  id_token: string
  nonce: string
}

export interface StatementRequest {
  hearing: words.HearingID
  member: words.MemberID
  seats: words.SeatID[]
  hpke_key: string
  sign_key: string
  dtls: string
  exp: number
}

export const gateway = {
  device: () => send<Device>('GET', '/gw/device'),
  signIn: () => send<SignIn>('GET', '/gw/signin'),
  signInStart: () => send<{ url: string }>('POST', '/gw/signin/start'),
  signInEnd: () => send<undefined>('POST', '/gw/signin/end'),
  statement: (body: StatementRequest) => send<{ statement: string; proof?: PersonProof }>('POST', '/gw/statement', body),
}

/** GET /api/me: what there is today for whoever sits at this device. */
export interface Me {
  person: { subject: string; name: string; roles: words.Role[] | null } | null
  hearings: TodaysHearing[] | null
  tickets: WaitingTicket[] | null
  records: OpenRecord[] | null
  places: Place[] | null // where a person can be booked to sit; interviewers only
}

export interface TodaysHearing {
  hearing: words.HearingID
  case: words.CaseID
  diary: string
  language: string
  mode: words.Mode
  opens: string // RFC 3339
  closes: string
  phase: words.Phase
  role: words.Role // what the caller is there
  people: { role: words.Role; name: string; place: string }[] | null
  seats: SeatView[] | null // on this device
  tickets: words.TicketID[] | null // redeemed by this device for these seats
  record: words.RecordID | '' // newest sealed version
}

export interface WaitingTicket {
  ticket: words.TicketID
  hearing: words.HearingID
  diary: string
  language: string
  purpose: words.Purpose
  role: words.Role
  name: string
  expires: string
}

export interface OpenRecord {
  record: words.RecordID
  hearing: words.HearingID
  diary: string
  version: number
  delivered: string
}

export interface Place {
  device: words.DeviceID
  label: string
  premises: words.PremisesID
  place: string
  own: boolean // this very device
}

export interface Case {
  case: words.CaseID
  diary: string
  lodged: string // YYYY-MM-DD
  language: string
}

export interface Booking {
  case: words.CaseID
  language: string
  mode: words.Mode
  justification?: string
  opens: string
  closes: string
  participants: { role: words.Role; name: string; subject?: string; device: words.DeviceID; premises: words.PremisesID }[]
}

export const utteranceKinds = ['question', 'answer', 'rendering', 'note'] as const
export type UtteranceKind = (typeof utteranceKinds)[number]

/** One line of the transcript. */
export interface Utterance {
  utterance: words.UtteranceID
  kind: UtteranceKind
  text: string
  at: words.Micros
  version: number
}

export interface Transcript {
  hearing: words.HearingID
  utterances: Utterance[] | null
  record: words.RecordID | ''
}

export interface Amendment {
  amendment: words.AmendmentID
  number: number
  utterance: words.UtteranceID
  text: string
  role: words.Role
  made: string
  answer: { decision: 'accepted' | 'noted'; text: string; made: string } | null
}

/** A sealed version of the transcript with what stands beside it. */
export interface Record {
  record: words.RecordID
  hearing: words.HearingID
  diary: string
  version: number
  sealed: string
  hash: string
  previous: string // hash of the version before, or ""
  delivered: string // RFC 3339, or ""
  received: string
  utterances: Utterance[] | null
  amendments: Amendment[] | null
  outcome: { outcome: 'confirmed' | 'refused'; reasons: string; made: string } | null
}

const at = (path: string, ...ids: string[]) => path.replace(/\{\}/g, () => encodeURIComponent(ids.shift() ?? ''))

export const api = {
  me: () => send<Me>('GET', '/api/me'),
  redeem: (ticket: words.TicketID) => send<unknown>('POST', at('/api/tickets/{}/redeem', ticket), {}),
  addCase: (body: Omit<Case, 'case'>) => send<Case>('POST', '/api/cases', body),
  book: (body: Booking) => send<{ hearing: words.HearingID }>('POST', '/api/hearings', body),
  transcript: (hearing: words.HearingID) => send<Transcript>('GET', at('/api/hearings/{}/transcript', hearing)),
  put: (hearing: words.HearingID, u: Utterance) =>
    send<{ version: number }>('PUT', at('/api/hearings/{}/utterances/{}', hearing, u.utterance), { kind: u.kind, text: u.text, at: u.at, version: u.version }),
  seal: (hearing: words.HearingID) => send<Record>('POST', at('/api/hearings/{}/records', hearing), {}),
  record: (record: words.RecordID) => send<Record>('GET', at('/api/records/{}', record)),
  deliver: (record: words.RecordID) => send<unknown>('POST', at('/api/records/{}/deliver', record), {}),
  receipt: (record: words.RecordID, language: string) => send<unknown>('POST', at('/api/records/{}/receipt', record), { language }),
  amend: (record: words.RecordID, utterance: words.UtteranceID, text: string) =>
    send<Amendment>('POST', at('/api/records/{}/amendments', record), { utterance, text }),
  outcome: (record: words.RecordID, outcome: 'confirmed' | 'refused', reasons: string) =>
    send<unknown>('POST', at('/api/records/{}/outcome', record), { outcome, reasons }),
  answer: (amendment: words.AmendmentID, decision: 'accepted' | 'noted', text: string) =>
    send<unknown>('POST', at('/api/amendments/{}/answer', amendment), { decision, text }),
}
