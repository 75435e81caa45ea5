import { readDocument, problemOf, Problem } from '../api/problem'
import { socket } from '../api/session'
import type { Bodies, MessageType } from '../api/wire'

type Message = { [T in MessageType]: { type: T; id?: number; re?: number; body: Bodies[T] } }[MessageType]

/** Any message from the door, its body typed by its type. */
export type Incoming = Message

const answerTime = 10_000
/** A door that says nothing at all for so long after a question is not there. */
const silentTime = 5_000
const delays = [300, 600, 1200, 2500, 5000]

/** How long to wait before the n-th attempt, with a spread so that a room does not come back in one instant. */
export function delayOf(attempt: number, spread = Math.random()): number {
  return delays[Math.min(attempt, delays.length - 1)] * (0.75 + spread / 2)
}

interface Waiting {
  resolve: (message: Incoming) => void
  reject: (problem: Problem) => void
  timer: ReturnType<typeof setTimeout>
}

/**
 * The WebSocket to the door. It comes back by itself until closed; what was
 * asked when it broke is answered with the problem "unavailable".
 */
export class RoomSocket {
  private ws: WebSocket | null = null
  private next = 1
  private attempt = 0
  private closed = false
  private timer: ReturnType<typeof setTimeout> | undefined
  private heard = 0
  private readonly waiting = new Map<number, Waiting>()
  private readonly path: string
  private readonly on: { open: () => void; lost: (attempt: number) => void; message: (message: Incoming) => void }

  constructor(path: string, on: { open: () => void; lost: (attempt: number) => void; message: (message: Incoming) => void }) {
    this.path = path
    this.on = on
  }

  connect() {
    if (this.closed) return
    const ws = socket(this.path)
    this.ws = ws
    ws.onopen = () => {
      this.attempt = 0
      this.on.open()
    }
    ws.onmessage = (event) => {
      if (typeof event.data === 'string') this.receive(event.data)
    }
    ws.onclose = () => {
      if (this.ws === ws) this.lose()
    }
  }

  get open(): boolean {
    return this.ws?.readyState === WebSocket.OPEN
  }

  /** A close that is not answered either would keep the next attempt waiting. */
  private giveUp(ws: WebSocket) {
    ws.onclose = null
    ws.onmessage = null
    ws.close()
    this.lose()
  }

  private lose() {
    this.ws = null
    for (const w of this.waiting.values()) {
      clearTimeout(w.timer)
      w.reject(new Problem(problemOf('unavailable')))
    }
    this.waiting.clear()
    if (this.closed) return
    const attempt = this.attempt++
    this.on.lost(attempt)
    this.timer = setTimeout(() => this.connect(), delayOf(attempt))
  }

  private receive(text: string) {
    this.heard = performance.now()
    let message: Incoming
    try {
      message = JSON.parse(text) as Incoming
    } catch {
      return
    }
    const waiting = message.re === undefined ? undefined : this.waiting.get(message.re)
    if (waiting === undefined || message.re === undefined) {
      this.on.message(message)
      return
    }
    clearTimeout(waiting.timer)
    this.waiting.delete(message.re)
    if (message.type === 'problem' || message.type === 'refused') waiting.reject(new Problem(readDocument(message.body)))
    else waiting.resolve(message)
  }

  /** Asks and waits for the answer; throws Problem. */
  ask<T extends MessageType>(type: T, body: Bodies[T]): Promise<Incoming> {
    const ws = this.ws
    if (ws?.readyState !== WebSocket.OPEN) return Promise.reject(new Problem(problemOf('unavailable')))
    const id = this.next++
    return new Promise((resolve, reject) => {
      const asked = performance.now()
      const doubt = setTimeout(() => {
        // Not a word since then: the way to the door is cut, and a new one may not be.
        if (this.ws === ws && this.heard < asked) this.giveUp(ws)
      }, silentTime)
      const timer = setTimeout(() => {
        this.waiting.delete(id)
        reject(new Problem(problemOf('unavailable')))
      }, answerTime)
      const done = <A extends unknown[]>(settle: (...args: A) => void) => (...args: A) => {
        clearTimeout(doubt)
        settle(...args)
      }
      this.waiting.set(id, { resolve: done(resolve), reject: done(reject), timer })
      ws.send(JSON.stringify({ type, id, body }))
    })
  }

  close() {
    this.closed = true
    clearTimeout(this.timer)
    this.ws?.close(1000)
    this.ws = null
    for (const w of this.waiting.values()) clearTimeout(w.timer)
    this.waiting.clear()
  }
}
