import { send } from '../api/session'
import type * as words from '../api/words'

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

/** What waits for an officer, and how long the last day's calls waited (seconds). */
export interface Waiting {
  calls: Call[]
  answers: { calls: number; p50: number; p95: number }
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
  waiting: () => send<Waiting>('GET', '/api/desk'),
  answer: (call: words.CallID) => send<undefined>('POST', `/api/desk/calls/${encodeURIComponent(call)}/answer`),
  begin: (reference: string, method: Method, note: string) => send<Identification>('POST', '/api/desk/identifications', { reference, method, note }),
  /** The device signs for the officer who is signed in at it; then the server counts the word. */
  async stand(i: Identification): Promise<Led> {
    const { signed } = await send<{ signed: string }>('POST', '/gw/identification', { evidence: i.evidence })
    return send<Led>('PUT', `/api/desk/identifications/${encodeURIComponent(i.visit)}/word`, { signed })
  },
  raise: (language: string, step: string) => send<Call>('POST', '/api/desk/calls', { language, step }),
  called: (call: words.CallID) => send<Call>('GET', `/api/desk/calls/${encodeURIComponent(call)}`),
}

/** A wait as people say it: 0:42, 3:05. */
export function waited(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`
}
