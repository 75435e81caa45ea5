import { problemOf, readDocument } from '../api/problem'
import { socket } from '../api/session'
import type { Document } from '../api/words'

/** What the kiosk's program waits for, in the order of a visit. */
export type Step = 'document' | 'zone' | 'chip' | 'reading'

export interface Outcome {
  result: 'join' | 'again' | 'desk'
  place: string
  expires: number // seconds since 1970; 0 where there is no ticket
}

/** Where a visit stands on this page. */
export type Visit = { at: 'step'; step: Step; done: number } | { at: 'outcome'; outcome: Outcome } | { at: 'problem'; problem: Document }

const protocol = 'kuule-screen.v1'
const steps: readonly string[] = ['document', 'zone', 'chip', 'reading'] satisfies Step[]
const results: readonly string[] = ['join', 'again', 'desk'] satisfies Outcome['result'][]

/** Reads a message of the kiosk's program; null for what it would not say. */
export function readMessage(text: string): Visit | null {
  const m: unknown = JSON.parse(text)
  if (typeof m !== 'object' || m === null) return null
  const { type, step, outcome, problem } = m as { type?: unknown; step?: { step?: unknown; done?: unknown }; outcome?: { result?: unknown; place?: unknown; expires?: unknown }; problem?: unknown }
  if (type === 'step' && typeof step?.step === 'string' && steps.includes(step.step)) {
    return { at: 'step', step: step.step as Step, done: typeof step.done === 'number' ? step.done : 0 }
  }
  if (type === 'outcome' && typeof outcome?.result === 'string' && results.includes(outcome.result)) {
    const { result, place, expires } = outcome
    return { at: 'outcome', outcome: { result: result as Outcome['result'], place: typeof place === 'string' ? place : '', expires: typeof expires === 'number' ? expires : 0 } }
  }
  if (type === 'problem') return { at: 'problem', problem: readDocument(problem) }
  return null
}

/**
 * One visit with the kiosk's program. It ends with an outcome, a problem, or when
 * the page lets go of it; nothing of it stays here afterwards.
 */
export class VisitSocket {
  private readonly ws: WebSocket
  private over = false

  constructor(reference: string, on: (visit: Visit) => void) {
    this.ws = socket('/kiosk/visit', protocol)
    this.ws.onopen = () => this.ws.send(JSON.stringify({ type: 'begin', begin: { reference } }))
    this.ws.onmessage = (event) => {
      if (this.over || typeof event.data !== 'string') return
      const visit = readMessage(event.data)
      if (visit === null) return
      this.over = visit.at !== 'step'
      on(visit)
    }
    this.ws.onclose = () => {
      if (!this.over) on({ at: 'problem', problem: problemOf('unavailable') })
      this.over = true
    }
  }

  zone(zone: string) {
    this.ws.send(JSON.stringify({ type: 'zone', zone: { zone } }))
  }

  close() {
    this.over = true
    this.ws.close()
  }
}
