import { send } from './session'
import type { Me, Reading, Booking, Case, Record, Transcript, Utterance, WaitingTicket } from './model'
import * as server from './server'
import type * as words from './words'
import type { Chunk } from '../media/seal/backup'

/** The installation's pinned keys, as internal/trust reads them. */
export interface Trust {
  v: number
  name: string
  demonstration: boolean
  server_roots: string[]
  device_roots: string[]
  recorder_roots: string[]
  statement_key: string
  also_statement_keys?: string[]
  sealing_key: string
  office_key: string
  bundle_key: string
  log_key: string
  backup_key?: string
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
  /** One chunk of a room terminal's own back-up. */
  backup: (chunk: Chunk) => send<undefined>('POST', '/gw/backup', chunk),
  signInEnd: () => send<undefined>('POST', '/gw/signin/end'),
  statement: (body: StatementRequest) => send<{ statement: string; proof?: PersonProof }>('POST', '/gw/statement', body),
}

/** GET /api/hearings/{hearing}/keeping: how long what a hearing left is kept. */
export interface Keeping {
  classes: {
    class: 'recording' | 'transcript' | 'kiosk-evidence' | 'quality-figures' | 'observation' | 'audit-log'
    state: 'erased' | 'held' | 'pending' | 'running' | 'due' | 'kept'
    until?: string // RFC 3339
    erased?: string
    source: string // the law, for the log
  }[]
  holds: { hold: string; ground: HoldGround; placed_at: number; lifted_at?: number }[] // milliseconds
  extensions: { extension: string; until: string; asked_at: number; approved_at?: number }[]
  marked: string // as it stands on documents, in Finnish
  tombstones: string[] // proofs of what was erased
  notes: { special: number; observation: number; until?: string } // that are kept, and when the last of them ends
  write_once: boolean // the storage itself keeps finished files
  files: { deleted: number; left: number; until: number; at: number } // of an erased recording; Unix seconds
}

export type HoldGround = 'appeal' | 'subsequent-application' | 'complaint' | 'crime-report' | 'archive-transfer'

export type LossCause = 'disconnected' | 'narrow' | 'loss' | 'delay'

/** GET /api/hearings/{hearing}/quality: what the connections lost, in milliseconds. */
export interface HearingQuality {
  people: { roles: words.Role[]; names: string[]; lasted: number; lost: number; poor: number; causes: { [cause in LossCause]?: number } }[]
}

const at = (path: string, ...ids: string[]) => path.replace(/\{\}/g, () => encodeURIComponent(ids.shift() ?? ''))

/** The server's routes (docs/protocol.md), answered in the pages' own words. */
export const api = {
  async me(): Promise<Me> {
    const me = await send<server.Me>('GET', '/api/me')
    const own = (me.roles ?? []).includes('interviewer') ? ((await send<{ hearings: server.Hearing[] | null }>('GET', '/api/hearings')).hearings ?? []) : []
    const day = server.readMe(me, own)
    const ended = day.hearings.filter((h) => h.phase === 'ended' && server.mayRead(h, me))
    const lists = await Promise.all(ended.map((h) => send<{ records: server.Listed[] | null }>('GET', at('/api/hearings/{}/records', h.hearing)).catch(() => ({ records: null }))))
    return { ...day, records: lists.flatMap(({ records }, i) => server.readListed(records ?? [], ended[i])) }
  },
  /** Says what it wants redeemed: a ticket for something else is refused. */
  redeem: ({ ticket, hearing, purpose }: WaitingTicket) => send<unknown>('POST', at('/api/tickets/{}/redeem', ticket), { hearing, purpose }),
  addCase: (body: Omit<Case, 'case'>) => send<Case>('POST', '/api/cases', body),
  book: (body: Booking) => send<unknown>('POST', '/api/hearings', body),
  async transcript(hearing: words.HearingID): Promise<Transcript> {
    return server.readTranscript(await send<server.Transcript>('GET', at('/api/hearings/{}/transcript', hearing)))
  },
  put: (hearing: words.HearingID, u: Utterance & { speaker: words.ParticipantID; language: string }) =>
    send<{ version: number }>('PUT', at('/api/hearings/{}/utterances/{}', hearing, u.utterance), {
      version: u.version,
      kind: u.kind,
      at: u.at,
      speaker: u.speaker,
      language: u.language,
      text: u.text,
    }),
  keeping: (hearing: words.HearingID) => send<Keeping>('GET', at('/api/hearings/{}/keeping', hearing)),
  quality: (hearing: words.HearingID) => send<HearingQuality>('GET', at('/api/hearings/{}/quality', hearing)),
  seal: (hearing: words.HearingID) => send<unknown>('POST', at('/api/hearings/{}/records', hearing)),
  /** A sealed version as its reader sees it; whose hand-over and receipt are shown follows the role. */
  async record(record: words.RecordID, role: words.Role): Promise<Record> {
    return server.readReview(await send<server.Review>('GET', at('/api/records/{}', record)), role)
  },
  deliver: (record: words.RecordID, language: string) => send<unknown>('POST', at('/api/records/{}/deliver', record), { language }),
  receipt: (record: words.RecordID) => send<unknown>('POST', at('/api/records/{}/receipt', record)),
  amend: (record: words.RecordID, utterance: words.UtteranceID, text: string, language: string) =>
    send<unknown>('POST', at('/api/records/{}/amendments', record), { kind: 'correction', utterance, text, language, channel: 'terminal' }),
  end: (record: words.RecordID, ending: Reading) => send<unknown>('POST', at('/api/records/{}/outcome', record), ending),
  answer: (amendment: words.AmendmentID, decision: 'accepted' | 'noted', text: string) =>
    send<unknown>('POST', at('/api/amendments/{}/answer', amendment), { decision, text }),
}
