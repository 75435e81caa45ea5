/** Seconds of the recording's view, from 0 to its end. */
export type Seconds = number

/**
 * The one clock that every track follows. It runs on the machine's monotonic
 * time, so that no track has to be the master of another, and stands while a
 * track waits for its data.
 */
export class Clock {
  private at: Seconds = 0
  private since: number | null = null
  private speed = 1

  constructor(
    private readonly end: () => Seconds,
    private readonly monotonic: () => number = () => performance.now(),
  ) {}

  now(): Seconds {
    const run = this.since === null ? 0 : ((this.monotonic() - this.since) / 1000) * this.speed
    return Math.min(this.at + run, this.end())
  }

  get running(): boolean {
    return this.since !== null
  }

  get rate(): number {
    return this.speed
  }

  set rate(speed: number) {
    this.settle()
    this.speed = speed
  }

  run(on: boolean) {
    if (on === this.running) return
    this.settle()
    this.since = on ? this.monotonic() : null
  }

  seek(to: Seconds) {
    this.at = Math.max(0, Math.min(to, this.end()))
    if (this.since !== null) this.since = this.monotonic()
  }

  private settle() {
    this.at = this.now()
    if (this.since !== null) this.since = this.monotonic()
  }
}

/** What to do with a track that should be at one moment and is at another. */
export type Steering = { seek: true } | { seek: false; rate: number }

const jump = 0.4 // seconds off from which a seek is less heard than a bend
const late = 3 // behind, from which a picture is sent on; a seek would have it decoded from its key frame again
const loose = 0.03 // not heard or seen at all

/**
 * Brings a track back to the clock: by a bend of at most 6 %, or by a jump. A
 * picture that is behind is played twice as fast until it has caught up: nobody
 * hears it.
 */
export function steer(should: Seconds, is: Seconds, rate: number, picture = false): Steering {
  const off = is - should
  if (picture && off < -0.1 && off > -late * Math.max(1, rate)) return { seek: false, rate: 2 * rate }
  if (Math.abs(off) > jump * Math.max(1, rate)) return { seek: true }
  if (Math.abs(off) < loose) return { seek: false, rate }
  return { seek: false, rate: rate * (1 - Math.max(-0.06, Math.min(0.06, off))) }
}

/** Spans that were played, put together until they are told. */
export class Heard {
  private spans: { from: Seconds; to: Seconds }[] = []
  private last: Seconds | null = null

  /** Notes where the play head is; null while nothing plays. */
  at(now: Seconds | null) {
    if (now === null || this.last === null || now < this.last || now - this.last > 2) {
      if (now !== null) this.spans.push({ from: now, to: now })
    } else {
      const open = this.spans.at(-1)
      if (open === undefined) this.spans.push({ from: this.last, to: now })
      else open.to = now
    }
    this.last = now
  }

  take(): { from: Seconds; to: Seconds }[] {
    const told = this.spans.filter((s) => s.to > s.from)
    this.spans = []
    return told
  }
}

/** By how much a track is made louder so that everybody is heard alike: from the loudness of its speech (−dBov). */
export function evened(level: Uint8Array): number {
  const spoken = [...level].filter((l) => l > 0 && l < 56).sort((a, b) => a - b) // louder than −55 dBov
  const middle = spoken.at(Math.floor(spoken.length / 2))
  if (middle === undefined) return 1
  const decibels = Math.max(-12, Math.min(12, middle - 1 - 24))
  return 10 ** (decibels / 20)
}
