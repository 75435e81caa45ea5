import { problemOf, readDocument } from '../api/problem'
import { socket } from '../api/session'
import type { Document } from '../api/words'
import type { Value } from './hints'

export const services = ['interview', 'identity', 'passport', 'card', 'pay'] as const
export type Service = (typeof services)[number]

/** What the kiosk's program waits for; kiosk-bridge/kiosk/screen.go has the same. */
export const steps = [
  'document', 'zone', 'chip', 'reading', 'applicant', 'face', 'fingers', 'photo', 'signature', 'scan', 'scan-busy', 'scan-check', 'scan-failed', 'payment', 'payment-busy', 'print', 'print-busy',
] as const
export type Step = (typeof steps)[number]

/** How what comes after an identification ended; none of it changes where the person goes. */
export const notes = ['payment.paid', 'payment.failed', 'print.done', 'print.failed', 'print.paper'] as const
export type Note = (typeof notes)[number]

export interface Stage {
  step: Step
  done: number // of the chip's answers; tries of a finger or a number before
  n: number // of the ask that a capture answers; 0 where nothing is captured
  tries: number
  seconds: number // that there are for it
  order: string[] // in which way to look, one after the other
  text: string // that is signed
  hash: string // of that text: SHA-256 in base64url
  finger: number // 1 right thumb to 10 left little; 0 where none is asked for
}

export interface Outcome {
  result: 'join' | 'again' | 'desk' | 'done'
  place: string
  expires: number // seconds since 1970; 0 where there is no ticket
  handover: string // for the desk; '' where there is none
  fingers: boolean // the desk, since no finger could be taken
  square: string[] // the same as a QR code, rows of 0 and 1
  notes: Note[]
  number: Waiting | null // to wait for people
}

/** A waiting number; kiosk-bridge/kiosk/numbers.go has the same. */
export interface Waiting {
  text: string
  label: string // of the queue
  ahead: number // persons
  wait: number // seconds, as measured; -1 where nobody knows
  printed: boolean
}

const waiting = (v: unknown): Waiting | null => {
  if (typeof v !== 'object' || v === null) return null
  const of = v as Members
  return text(of['text']) === '' ? null : { text: text(of['text']), label: text(of['label']), ahead: number(of['ahead']), wait: typeof of['wait'] === 'number' ? of['wait'] : -1, printed: of['printed'] === true }
}

/** What a capture came to: the pictures go with it. */
export interface Taken {
  result: 'taken' | 'declined' | 'failed'
  reason: string
  tries: number
  values: Value[]
  pieces: { kind: string; format: string; bytes: Blob }[]
}

/** Where a visit stands on this page. */
export type Visit = { at: 'step'; stage: Stage } | { at: 'picture'; picture: Blob } | { at: 'outcome'; outcome: Outcome } | { at: 'problem'; problem: Document }

const protocol = 'kuule-screen.v1'
const results: readonly string[] = ['join', 'again', 'desk', 'done'] satisfies Outcome['result'][]

const text = (v: unknown) => (typeof v === 'string' ? v : '')
const number = (v: unknown) => (typeof v === 'number' ? v : 0)
const texts = (v: unknown) => (Array.isArray(v) ? v.filter((each): each is string => typeof each === 'string') : [])

type Members = Record<string, unknown>

/** Reads a message of the kiosk's program; null for what it would not say. */
export function readMessage(message: string): Visit | null {
  const m: unknown = JSON.parse(message)
  if (typeof m !== 'object' || m === null) return null
  const { type, step, outcome, problem } = m as { type?: unknown; step?: Members; outcome?: Members; problem?: unknown }
  if (type === 'step' && step !== undefined) {
    const known = steps.find((s) => s === step['step'])
    if (known === undefined) return null
    const stage = { step: known, done: number(step['done']), n: number(step['n']), tries: number(step['tries']), seconds: number(step['seconds']), order: texts(step['order']), text: text(step['text']), hash: text(step['text_sha256']), finger: number(step['finger']) }
    return { at: 'step', stage }
  }
  if (type === 'outcome' && outcome !== undefined && results.includes(text(outcome['result']))) {
    const { result, place, expires, handover, square } = outcome
    return {
      at: 'outcome',
      outcome: { result: result as Outcome['result'], place: text(place), expires: number(expires), handover: text(handover), fingers: result === 'desk' && outcome['because'] === 'fingers', square: texts(square), notes: notes.filter((n) => texts(outcome['notes']).includes(n)), number: waiting(outcome['number']) },
    }
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

  constructor(begin: { reference: string; service: Service | 'other'; language: string; camera: boolean }, on: (visit: Visit) => void) {
    this.ws = socket('/kiosk/visit', protocol)
    this.ws.onopen = () => this.send({ type: 'begin', begin })
    this.ws.onmessage = (event: MessageEvent<unknown>) => {
      if (this.over) return
      if (event.data instanceof Blob) return on({ at: 'picture', picture: event.data })
      if (typeof event.data !== 'string') return
      const visit = readMessage(event.data)
      if (visit === null) return
      this.over = visit.at === 'outcome' || visit.at === 'problem'
      on(visit)
    }
    this.ws.onclose = () => {
      if (!this.over) on({ at: 'problem', problem: problemOf('unavailable') })
      this.over = true
    }
  }

  zone(zone: string) {
    this.send({ type: 'zone', zone: { zone } })
  }

  /** The number of the document of an applicant, and whether a scanner typed it. */
  number(number: string, scanned: boolean) {
    this.send({ type: 'applicant', applicant: { number, scanned } })
  }

  /** What the person touched where the program offers a choice. */
  choose(choice: 'none' | 'start' | 'use' | 'again' | 'skip') {
    this.send({ type: 'choice', choice: { choice } })
  }

  /** A capture, and then its pieces, byte for byte. */
  taken(n: number, { pieces, ...taken }: Taken) {
    this.send({ type: 'taken', taken: { n, ...taken, artefacts: pieces.map(({ kind, format, bytes }) => ({ kind, format, bytes: bytes.size })) } })
    for (const { bytes } of pieces) this.ws.send(bytes)
  }

  close() {
    this.over = true
    this.ws.close()
  }

  private send(message: unknown) {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(message))
  }
}
