import { bytes, download, farewell, send } from '../api/session'
import type * as words from '../api/words'

/** A viewing as its asker, its approver and the hearing's own interviewer see it. */
export interface Viewing {
  viewing: string
  hearing: words.HearingID
  state: 'asked' | 'allowed' | 'declined' | 'expired'
  own: boolean // needs no second person
  mine: boolean
  decide: boolean // waits for the caller's decision
  open: boolean
  purpose: string
  asker: string
  role: words.Role // of who asked
  approver: string
  reason: string
  created: number // Unix seconds
  decided: number
  expires: number
  spans: { kind: 'served' | 'heard'; from: words.Micros; to: words.Micros; first: number; last: number }[]
  media: { medium: string; form: 'sealed' | 'mixed' | 'open'; made: number; intended: string; receiver: string; handed: string }[] // sealed, for hand-over
  participant?: words.ParticipantID // the applicant who listens to the own hearing
  station?: boolean // and was seated at this device by an interviewer
  exports: { form: Copy['form'] | 'open' | 'tracks'; place: 'page' | 'console'; sealed: boolean; begun: number; ended: number; bytes: number; sha256: string }[] // '': not all of it was given out
}

/** A copy that the page asks for. */
export interface Copy {
  form: 'lane' | 'folder' | 'mixed' | 'sealed'
  lane?: number
  to?: string
  passphrase?: string
}

/** How far the newest copy of a viewing is. */
export interface Copying {
  form: string
  bytes: number
  done: number // thousandths
  over: boolean
  sha256: string
  medium: string
  problem: words.Document | null
}

/** What the administrator may write: sealed alone. */
export interface Release {
  form: 'sealed' | 'mixed' | 'open'
  to: string
  passphrase?: string
  recipient?: string
}

export interface Hole {
  from: words.Micros
  to: words.Micros
  cause: string
}

export interface Lane {
  name: string
  roles: words.Role[] | null
  source: 'audio' | 'video' | 'screen'
  frames: number
  width: number
  height: number
  holes: Hole[]
  level: string | null // base64: loudness in −dBov plus one by step; 0: nothing there
}

/** What the recordings of a hearing hold; grows until it is done. */
export interface Outline {
  from: words.Micros
  to: words.Micros
  surveyed: words.Micros
  done: boolean
  step: words.Micros
  lanes: Lane[]
  phases: { phase: words.Phase; cause: words.Cause; since: words.Micros }[]
  backups: Span[] // from a room terminal's back-up: no recorder has it
  faults: string[] | null
  unopened: number
}

export interface Span {
  from: words.Micros
  to: words.Micros
}

const hashOf = async (text: string) => base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))

function base64url(raw: Uint8Array): string {
  return btoa(String.fromCharCode(...raw)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Has the device sign that its person opens this recording, or allows another to, for this purpose, now. */
async function consent(act: 'view' | 'approve' | 'seat', v: Viewing): Promise<string> {
  const nonce = [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, '0')).join('')
  const made = await send<{ consent: string }>('POST', '/gw/consent', { act, viewing: v.viewing, hearing: v.hearing, purpose: await hashOf(v.purpose), nonce, ...(act === 'view' && v.participant !== undefined ? { participant: v.participant } : {}) })
  return made.consent
}

const of = (v: string, what: string) => `/api/viewings/${encodeURIComponent(v)}/${what}`

export const viewings = {
  ask: (hearing: string, purpose: string, approver = '') => send<Viewing>('POST', `/api/hearings/${encodeURIComponent(hearing)}/viewings`, { purpose, approver }),
  /** An interviewer says that the hearing's applicant sits at this device. */
  seat: (hearing: string, purpose: string) => send<Viewing>('POST', `/api/hearings/${encodeURIComponent(hearing)}/viewings`, { purpose, approver: '', seated: true }),
  mine: async () => (await send<{ viewings: Viewing[] }>('GET', '/api/viewings')).viewings,
  ofHearing: async (hearing: words.HearingID) => (await send<{ viewings: Viewing[] }>('GET', `/api/hearings/${encodeURIComponent(hearing)}/viewings`)).viewings,
  async decide(v: Viewing, allow: boolean, reason: string) {
    return send<Viewing>('POST', of(v.viewing, 'decision'), { allow, reason, consent: allow ? await consent(v.station === true ? 'seat' : 'approve', v) : '' })
  },
  async open(v: Viewing) {
    return send<{ opening: string; until: number; idle: number }>('POST', of(v.viewing, 'open'), { consent: await consent('view', v) })
  },
  outline: (v: string) => send<Outline>('GET', of(v, 'outline')),
  media: (v: string, lane: number, from: number, to: number, begin: boolean, signal: AbortSignal) =>
    bytes(`${of(v, 'media')}?lane=${String(lane)}&from=${String(from)}&to=${String(to)}${begin ? '&begin=1' : ''}`, signal),
  heard: (v: string, after: number, spans: Span[]) => send<unknown>('POST', of(v, 'heard'), { after, spans }),
  copy: (v: string, copy: Copy, signal: AbortSignal, onBytes: (bytes: number) => void) => download(of(v, 'export'), copy, signal, onBytes),
  copying: (v: string) => send<Copying>('GET', of(v, 'export')),
  release: (v: string, release: Release) => send<{ until: number }>('POST', of(v, 'release'), release),
  handed: (v: string, medium: string, receiver: string, on: string) => send<unknown>('POST', of(v, 'handed'), { medium, receiver, on }),
  close: (v: string, after: number, spans: Span[], over: boolean) => send<unknown>('POST', of(v, 'close'), { after, spans, over }),
  leave: (v: string, after: number, spans: Span[]) => farewell(of(v, 'close'), { after, spans, over: false }),
}
