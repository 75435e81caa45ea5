import { send } from '../api/session'
import type * as words from '../api/words'
import { nameOf } from '../kiosk/texts'

/** How officers identify a person whom no kiosk could; interview/ticket has the same. */
export const methods = ['document', 'register', 'known'] as const
export type Method = (typeof methods)[number]

export interface Call {
  call: words.CallID
  place: string
  language: string
  step: string
  raised: string
  answered: boolean
  queue: string // of staff, in which it rings
  staffed: boolean // somebody has that queue open
}

/** A number that waits or was called; it names nobody. */
export interface Waiter {
  id: words.NumberID
  text: string
  matter: string
  language: string
  drawn: string
  for_desk?: string
  desk?: string
  calls: number
}

/** A queue of waiting numbers. */
export interface Line {
  name: string
  label: string
  desks: string[]
  waiting: Waiter[]
  called: Waiter[]
  figures: { drawn: number; done: number; absent: number; handed: number; wait_p50: number; wait_p95: number; took_p50: number }
}

export type NumberAct = 'again' | 'absent' | 'done' | 'hand'

/** How long the calls of a queue waited (seconds), and whether somebody is there. */
export interface Answers {
  queue?: string
  label?: string
  staffed: boolean
  calls: number
  p50: number
  p95: number
}

export interface Identification {
  visit: words.VisitID
  name: string
  method: Method
  note: string
  begun: string
  needed: number
  words: number
  mine: boolean
  evidence: string
}

/** A part of a kiosk that staff should see to; nothing of who was there. */
export interface Notice {
  notice: words.CallID
  place: string
  part: string
  code: string
  raised: string
  times: number
}

export interface Step {
  step: string
  began: number
  ended: number
  result: 'verified' | 'asserted' | 'notAvailable' | 'failed'
  reason?: string
  tries: number
}

/** What a kiosk found out of the person who now stands at the desk. */
export interface Handed {
  visit: words.VisitID
  name: string
  place: string
  route: string
  ended: string
  checks: words.Check[]
  steps: Step[]
  surname?: string
  given?: string
  number?: string
  birth?: string
  reference: string
}

/** How a possible duplicate is settled; kiosk-bridge/duplicate has the same. */
export const settlements = ['same-person', 'other-person', 'same-entry', 'undetermined'] as const
export type Settlement = (typeof settlements)[number]

/** A search of the register that found somebody, or was lost. */
export interface Duplicate {
  visit: words.VisitID
  case: words.CaseID
  diary: string // of the case; '' where it cannot be read
  participant: words.ParticipantID
  submitted: string
  lost: string // why there is no result; '' where there is
  candidates: { modality: string; reference: string; score: number }[]
  threshold: string
  line: number // the threshold's score
  algorithm: string
  size: number // of the register
  asOf: string
}

/** What a certificate of a pending matter says. */
export interface Certificate {
  v: number
  visit: words.VisitID
  kiosk: words.DeviceID
  diary: string
  name: string
  issued: number
}

/** How long visits took, from the first document placed to the verdict (milliseconds). */
export interface Figures {
  target: number
  visits: number
  p50: number
  p95: number
  max: number
  over: number
  to_desk: number // visits that people had to go on with
  again: number // visits that ended in another try
  retried: number // visits in which a step was done more than once
  duplicates: { searched: number; found: number; same: number }
  steps: { step: string; times: number; p50: number; p95: number; tries: number; fails: number }[]
  recent: { visit: words.VisitID; place: string; route: string; result: string; ended: string; took: number; slow?: string; slow_ms?: number }[]
}

/** What waits for an officer, and how long the last day's calls waited (seconds). */
export interface Waiting {
  calls: Call[]
  answers: { calls: number; p50: number; p95: number }
  queues: Answers[] // of help, each by itself
  notices: Notice[]
  identifications: Identification[]
}

/** Where an identification leads: `join` when a ticket waits, `desk` while another officer is needed. */
export interface Led {
  result: 'join' | 'desk'
  place?: string
  expires?: number
}

/** The desk's routes (docs/protocol.md). */
export const desk = {
  /** What waits; of calls those of the named queues alone, all where none is named. */
  waiting: (queues: string[]) => send<Waiting>('GET', `/api/desk${queues.length === 0 ? '' : `?queue=${queues.map(encodeURIComponent).join(',')}`}`),
  lines: () => send<{ queues: Line[] }>('GET', '/api/desk/queues'),
  next: (queue: string, desk: string) => send<{ number?: Waiter }>('POST', `/api/desk/queues/${encodeURIComponent(queue)}/next`, { desk }),
  act: (number: words.NumberID, act: NumberAct, to: { queue?: string; desk?: string } = {}) => send<undefined>('POST', `/api/desk/numbers/${encodeURIComponent(number)}`, { act, ...to }),
  answer: (call: words.CallID) => send<undefined>('POST', `/api/desk/calls/${encodeURIComponent(call)}/answer`),
  begin: (of: { reference: string } | { from: words.VisitID }, method: Method, note: string) => send<Identification>('POST', '/api/desk/identifications', { ...of, method, note }),
  see: (notice: words.CallID) => send<undefined>('POST', `/api/desk/notices/${encodeURIComponent(notice)}/seen`),
  takeOver: (code: string) => send<Handed>('POST', '/api/desk/handovers', { code }),
  duplicates: () => send<{ tasks: Duplicate[] }>('GET', '/api/desk/duplicates'),
  settle: (visit: words.VisitID, settlement: Settlement, note: string) => send<undefined>('POST', `/api/desk/duplicates/${encodeURIComponent(visit)}`, { settlement, note }),
  certificate: (code: string) => send<Certificate>('POST', '/api/desk/certificates', { code }),
  visits: () => send<Figures>('GET', '/api/desk/visits'),
  /** The device signs for the officer who is signed in at it; then the server counts the word. */
  async stand(i: Identification): Promise<Led> {
    const { signed } = await send<{ signed: string }>('POST', '/gw/identification', { evidence: i.evidence })
    return send<Led>('PUT', `/api/desk/identifications/${encodeURIComponent(i.visit)}/word`, { signed })
  },
  raise: (language: string, step: string) => send<Call>('POST', '/api/desk/calls', { language, step }),
  called: (call: words.CallID) => send<Call>('GET', `/api/desk/calls/${encodeURIComponent(call)}`),
}

/**
 * Whether a refused code looks like a certificate's at all: then it was changed,
 * misread or made elsewhere. Only the server decides whether one is genuine.
 */
export function likeCertificate(code: string): boolean {
  const parts = code.replace(/\s/g, '').split('.')
  if (parts.length !== 3 || parts.some((p) => !/^[\w-]+$/.test(p))) return false
  try {
    const head: unknown = JSON.parse(atob((parts[0] ?? '').replace(/-/g, '+').replace(/_/g, '/')))
    return (head as { typ?: unknown } | null)?.typ === 'kuule-pending-matter+jws'
  } catch {
    return false
  }
}

/** A language's name in the page's own language; '' where it is the speakers' own name, or unknown. */
export function nameHere(code: string, locale: string): string {
  try {
    const here = new Intl.DisplayNames([locale], { type: 'language', fallback: 'none' }).of(code) ?? ''
    return here.toLowerCase() === nameOf(code).toLowerCase() ? '' : here
  } catch {
    return '' // no code of a language
  }
}

/** A wait as people say it: 0:42, 3:05. */
export function waited(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`
}

/** A time as staff read it: 4.2 s. */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
