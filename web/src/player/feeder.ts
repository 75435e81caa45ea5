import { Problem } from '../api/problem'
import type { Seconds } from './clock'

/** One segment's length; all tracks are cut on the same grid. */
export const segment: Seconds = 5

const longest: Seconds = 24 * 3600
const kept: Seconds = 60 // before and after the clock
const patience = 1000 // milliseconds until a failed request is made again

/** Gives bytes for a span of one track; begin asks for all that a decoder needs to begin there. */
export type Fetch = (from: Seconds, to: Seconds, begin: boolean, signal: AbortSignal) => Promise<ArrayBuffer>

/**
 * Feeds one media element by Media Source Extensions: segment by segment ahead
 * of the clock, anew after a seek, and forgets what was played.
 */
export class Feeder {
  readonly address: string
  private readonly source = new MediaSource()
  private buffer: SourceBuffer | null = null
  private next: number | null = null // number of the segment to come
  private begin = true
  private stop = new AbortController()
  private busy = false
  private waitUntil = 0
  private readonly came = new Set<number>() // segments that were taken in, and not forgotten
  /** Why nothing more comes: the browser cannot play it, or the viewing is over. */
  failure: 'unplayable' | 'ended' | null = null

  constructor(
    private readonly mime: string,
    private readonly fetch: Fetch,
    private readonly end: () => { at: Seconds; sure: boolean }, // a recording that is still surveyed grows
    private readonly changed: () => void, // something came, or can be asked for
  ) {
    this.address = URL.createObjectURL(this.source)
    this.source.addEventListener('sourceopen', () => {
      this.source.duration = longest // else only what has come can be sought
      this.buffer ??= this.source.addSourceBuffer(this.mime)
      this.changed()
    })
  }

  close() {
    this.stop.abort()
    this.buffer = null
    URL.revokeObjectURL(this.address)
  }

  /** Whether there is media at that moment. */
  has(at: Seconds): boolean {
    return this.rangeAt(at) !== null
  }

  /** Whether the segment of that moment came and holds nothing there. */
  empty(at: Seconds): boolean {
    return this.came.has(Math.floor(at / segment)) && !this.has(at)
  }

  private rangeAt(at: Seconds): { from: Seconds; to: Seconds } | null {
    const ranges = this.buffer?.buffered
    for (let i = 0; i < (ranges?.length ?? 0); i++) {
      const from = ranges?.start(i) ?? 0
      const to = ranges?.end(i) ?? 0
      if (at >= from - 0.1 && at < to) return { from, to }
    }
    return null
  }

  /** Sees to it that there is media of that length from that moment on; called again and again. */
  want(at: Seconds, length: Seconds, now: number = performance.now()) {
    if (this.buffer === null || this.failure !== null) return
    const range = this.rangeAt(at)
    // What is missing first: this moment's segment, or the one after what is there.
    const missing = Math.floor((range?.to ?? at) / segment)
    if (missing !== this.next && !this.came.has(missing) && (range === null || range.to < at + segment)) this.restart(missing)
    if (this.busy || now < this.waitUntil || this.next === null) return
    const { at: end, sure } = this.end()
    const from = this.next * segment
    if (from >= Math.min(end, at + length) || (!sure && from + segment > end)) return
    void this.step(this.buffer, this.next, at, end)
  }

  private restart(number: number) {
    this.stop.abort()
    this.stop = new AbortController()
    this.next = number
    this.begin = true
  }

  private async step(buffer: SourceBuffer, number: number, at: Seconds, end: Seconds) {
    const { signal } = this.stop
    const { begin } = this
    this.busy = true
    try {
      const from = number * segment
      const data = await this.fetch(from, Math.min(from + segment, end), begin, signal)
      if (signal.aborted) return
      if (data.byteLength > 0) {
        if (begin) buffer.abort() // the parser begins anew
        await updated(buffer, () => buffer.appendBuffer(data))
      }
      this.came.add(number)
      if (this.next !== number) return // another moment is wanted meanwhile
      // A picture that had no key frame yet begins with a later segment.
      if (data.byteLength > 0 || !begin) this.begin = false
      this.next = number + 1
      this.changed()
      await this.forget(buffer, at)
    } catch (thrown) {
      if (signal.aborted) return
      this.waitUntil = performance.now() + patience
      if (thrown instanceof DOMException) this.failure = 'unplayable'
      else if (thrown instanceof Problem && thrown.document.status >= 400 && thrown.document.status < 500) this.failure = 'ended'
    } finally {
      this.busy = false
      this.changed()
    }
  }

  /** Removes what is far behind or far ahead. */
  private async forget(buffer: SourceBuffer, at: Seconds) {
    for (const [from, to] of [
      [0, at - kept],
      [at + kept, Infinity],
    ] as const) {
      if (to <= from || !inside(buffer.buffered, from, to)) continue
      await updated(buffer, () => buffer.remove(from, to))
      for (const n of this.came) if (n * segment < to && (n + 1) * segment > from) this.came.delete(n)
    }
  }
}

function inside(ranges: TimeRanges, from: Seconds, to: Seconds): boolean {
  for (let i = 0; i < ranges.length; i++) if (ranges.start(i) < to && ranges.end(i) > from) return true
  return false
}

/** Has a buffer do something, and is done when it has. */
function updated(buffer: SourceBuffer, work: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    buffer.addEventListener('updateend', () => resolve(), { once: true })
    buffer.addEventListener('error', () => reject(new DOMException('the media could not be read')), { once: true })
    work()
  })
}
