import type { Span } from './api'

/** What a teller asks of the server. `after` is how many spans were told before these. */
export interface Listener {
  heard: (after: number, spans: Span[]) => Promise<unknown>
  close: (after: number, spans: Span[], over: boolean) => Promise<unknown>
  /** Like close, for a page that goes away now and waits for no answer. */
  leave: (after: number, spans: Span[]) => void
}

const most = 64 // spans of one report

/**
 * Tells the server what was heard (H6): one report after the other, each span
 * counted once, and the last of them with the farewell, so that nothing of it
 * can come after the end.
 */
export class Teller {
  private after = 0 // spans that the server has for certain
  private waiting: Span[] = [] // that it may not have
  private before: Promise<unknown> = Promise.resolve()
  private queued = false // a report that has not begun yet
  private ending: Promise<void> | null = null

  constructor(
    private readonly listener: Listener,
    private readonly take: () => Span[],
  ) {}

  /** Tells what is new; also that the page is still there. */
  tell(): Promise<unknown> {
    if (this.ending !== null) return this.ending
    if (this.queued) return this.before
    this.queued = true
    this.before = this.before.then(() => {
      this.queued = false
      return this.report()
    })
    return this.before
  }

  /** Tells the last of it and ends the viewing; over: for good. */
  end(over = false): Promise<void> {
    this.ending ??= this.before.then(async () => {
      let goes = true
      while (goes && this.collect().length > most) goes = await this.report()
      await this.listener.close(this.after, this.waiting.slice(0, most), over).catch(() => undefined) // it ends by itself too
    })
    return this.ending
  }

  /** The page goes: what was told without an answer goes once more. */
  leave() {
    if (this.ending !== null) return
    this.ending = Promise.resolve()
    this.listener.leave(this.after, this.collect().slice(0, most))
  }

  private collect(): Span[] {
    this.waiting.push(...this.take())
    return this.waiting
  }

  private async report(): Promise<boolean> {
    const spans = this.collect().slice(0, most)
    try {
      await this.listener.heard(this.after, spans)
    } catch {
      return false // they go with the next report
    }
    this.after += spans.length
    this.waiting.splice(0, spans.length)
    return true
  }
}
