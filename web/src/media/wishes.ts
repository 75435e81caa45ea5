import type * as words from '../api/words'
import type { Slot, SlotWish } from '../api/wire'

/** Heights are told in steps, so that a window being resized is not told of pixel by pixel. */
const steps = [90, 180, 270, 360, 540, 720, 1080, 2160, 4320]

export function stepOf(pixels: number): number {
  return steps.find((s) => s >= pixels) ?? 4320
}

/** What this page makes of each picture that it receives. */
export interface Shown {
  /** Pixels of the screen of each tile, by track; a track without a tile is not shown. */
  heights: ReadonlyMap<words.TrackID, number>
  /** Tracks that have just come: their tiles may not be laid out yet. */
  fresh: ReadonlySet<words.TrackID>
  /** Members who speak, the latest first. */
  speakers: readonly words.MemberID[]
  /** The voices that the listener chose to hear alone; none: all of them. */
  followed: readonly words.TrackID[]
}

/**
 * The whole wish for the tracks on the slots: pictures by the size of their
 * tiles, the largest first, then who speaks; voices as the door ranks them by
 * role, unless the listener follows some: then the rest is not sent. Of pictures that have no tile yet
 * nothing is said, so that the first of them is not held back.
 */
export function wishOf(slots: readonly Slot[], { heights, fresh, speakers, followed }: Shown): SlotWish[] {
  const pictures = slots.filter((s) => s.source !== 'audio' && (heights.has(s.track) || !fresh.has(s.track)))
  const height = (s: Slot) => heights.get(s.track) ?? 0
  const turn = (s: Slot) => {
    const at = speakers.indexOf(s.member)
    return at < 0 ? speakers.length : at
  }
  // A face that is shown large stands before who speaks: the applicant's is never given up for a small tile.
  const largest = Math.max(0, ...pictures.map(height))
  const large = (s: Slot) => (height(s) > 0 && height(s) * 1.5 >= largest ? 0 : 1)
  const order = [...pictures].sort((a, b) => large(a) - large(b) || turn(a) - turn(b) || height(b) - height(a))
  const voices = slots.filter((s) => s.source === 'audio')
  const follows = followed.length > 0 && voices.some((v) => followed.includes(v.track))
  return [
    ...order.map((s, rank): SlotWish => ({ track: s.track, rank, height: height(s) === 0 ? 0 : stepOf(height(s)), off: height(s) === 0 })),
    ...(follows ? voices.map((v): SlotWish => ({ track: v.track, rank: followed.includes(v.track) ? 0 : 8, height: 0, off: !followed.includes(v.track) })) : []),
  ].slice(0, 32)
}

/** Lets through what changed, at most once a while; the newest always comes last. */
export class Pace<T> {
  private last = ''
  private at = -Infinity
  private timer: ReturnType<typeof setTimeout> | undefined
  private next: T | null = null
  private readonly every: number
  private readonly send: (value: T) => void
  private readonly now: () => number

  constructor(every: number, send: (value: T) => void, now: () => number = () => performance.now()) {
    this.every = every
    this.send = send
    this.now = now
  }

  offer(value: T) {
    this.next = value
    this.timer ??= setTimeout(() => this.flush(), Math.max(0, this.at + this.every - this.now()))
  }

  /** What was sent before counts for nothing: say it again. */
  forget() {
    this.last = ''
  }

  stop() {
    clearTimeout(this.timer)
    this.timer = undefined
    this.next = null
  }

  private flush() {
    this.timer = undefined
    if (this.next === null) return
    const text = JSON.stringify(this.next)
    if (text === this.last) return
    this.last = text
    this.at = this.now()
    this.send(this.next)
  }
}
