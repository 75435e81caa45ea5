import type { Outline } from './api'
import { Clock, evened, Heard, steer, type Seconds } from './clock'
import { Feeder, type Fetch } from './feeder'

const beat = 100 // milliseconds
const ahead: Seconds = 15 // of media at hand while it plays
const pictureWait = 250 // for which everybody waits for a picture; it catches up

/** One track on the page: its element, its media and how loud it is. */
export interface Track {
  lane: number
  kind: 'audio' | 'video'
  element: HTMLMediaElement
  feeder: Feeder
  gain: GainNode | null
  even: number
  muted: boolean
}

export interface State {
  at: Seconds
  playing: boolean // wanted
  waiting: boolean // for data
  failure: Feeder['failure'] // of any track
}

/**
 * Plays all tracks of a recording together: one media element each, kept in
 * step by one clock. Sound goes through a gain of its own, which evens loudness
 * and mutes, and a limiter.
 */
export class Engine {
  readonly tracks: Track[] = []
  readonly clock: Clock
  readonly heard = new Heard()
  private readonly timer: ReturnType<typeof setInterval>
  private audio: AudioContext | null = null
  private master: AudioNode | null = null
  private wanted = false
  private even = true
  private since = 0 // when a picture began to be waited for
  private sought = 0 // when a moment was asked for last
  private said = ''

  constructor(
    private outline: Outline,
    private readonly fetch: (lane: number, ...span: Parameters<Fetch>) => ReturnType<Fetch>,
    private readonly tell: (state: State) => void,
  ) {
    this.clock = new Clock(() => this.length)
    this.grow()
    this.timer = setInterval(() => this.beat(), beat)
  }

  /** The whole view's length. */
  get length(): Seconds {
    return (this.outline.to - this.outline.from) / 1e6
  }

  /** While the recording is still looked through, lanes come one after the other. */
  private grow() {
    for (let lane = this.tracks.length; lane < this.outline.lanes.length; lane++) this.add(lane, this.outline.lanes[lane].source === 'audio' ? 'audio' : 'video')
  }

  private add(lane: number, kind: Track['kind']) {
    const element = document.createElement(kind)
    const feeder = new Feeder(kind === 'audio' ? 'audio/webm; codecs="opus"' : 'video/webm; codecs="vp8"', (...span) => this.fetch(lane, ...span), () => ({ at: this.length, sure: this.outline.done }), this.step)
    element.preload = 'auto'
    if (element instanceof HTMLVideoElement) {
      element.muted = true
      element.playsInline = true
    }
    element.src = feeder.address
    for (const event of ['loadedmetadata', 'canplay', 'seeked']) element.addEventListener(event, this.step)
    const track: Track = { lane, kind, element, feeder, gain: null, even: 1, muted: false }
    this.tracks.push(track)
    this.attach(track)
  }

  /** Takes a newer outline: more loudness is known, perhaps a later end. */
  update(outline: Outline) {
    this.outline = outline
    this.grow()
    for (const t of this.tracks) t.even = evened(levels(outline, t.lane))
    this.mix()
  }

  close() {
    clearInterval(this.timer)
    for (const t of this.tracks) {
      t.element.pause()
      t.element.removeAttribute('src')
      t.element.load()
      t.feeder.close()
    }
    void this.audio?.close()
  }

  /** Sound may only begin when a person asked for it. */
  private listen() {
    if (this.audio !== null) {
      void this.audio.resume()
      return
    }
    this.audio = new AudioContext()
    const limiter = new DynamicsCompressorNode(this.audio, { threshold: -12, ratio: 12, attack: 0.003, release: 0.25 })
    limiter.connect(this.audio.destination)
    this.master = limiter
    for (const t of this.tracks) this.attach(t)
    this.mix()
  }

  /** Puts a sound into the mix, once there is one. */
  private attach(t: Track) {
    if (t.kind !== 'audio' || t.gain !== null || this.audio === null || this.master === null) return
    t.gain = new GainNode(this.audio)
    this.audio.createMediaElementSource(t.element).connect(t.gain).connect(this.master)
  }

  private mix() {
    for (const t of this.tracks) if (t.gain !== null) t.gain.gain.value = t.muted ? 0 : this.even ? t.even : 1
  }

  mute(lane: number, muted: boolean) {
    for (const t of this.tracks) if (t.lane === lane) t.muted = muted
    this.mix()
  }

  evenOut(on: boolean) {
    this.even = on
    this.mix()
  }

  play(on: boolean) {
    if (on && this.clock.now() >= this.length) this.clock.seek(0)
    if (on && this.clock.now() === 0) this.clock.seek(this.begin())
    this.wanted = on
    if (on) this.listen()
    this.beat()
  }

  /** Where the first track has something: nobody waits through the time before the recording. */
  private begin(): Seconds {
    const { from, lanes } = this.outline
    const starts = lanes.map((l) => l.holes.find((h) => h.from <= from && from < h.to)?.to ?? from)
    return starts.length === 0 ? 0 : (Math.min(...starts) - from) / 1e6
  }

  /** Goes to a moment at once; a slider that is dragged is followed with the beat. */
  seek(to: Seconds) {
    const now = performance.now()
    const dragged = now - this.sought < beat
    this.sought = now
    this.since = 0
    this.heard.at(null)
    this.clock.seek(to)
    if (!dragged) {
      this.halt() // else the clock would run away from tracks that are still on their way
      this.step()
    }
    this.say()
  }

  move(by: Seconds) {
    this.seek(this.clock.now() + by)
  }

  setRate(rate: number) {
    this.clock.rate = rate
    this.beat()
  }

  /** Whether a track has nothing at that moment, and why. */
  hole(lane: number, at: Seconds): string | null {
    const t = this.outline.from + at * 1e6
    return this.outline.lanes[lane]?.holes.find((h) => t >= h.from && t < h.to)?.cause ?? null
  }

  private beat() {
    this.step()
    this.say()
  }

  /** Tells what can be seen of it, once for each second and change: the page is drawn anew each time. */
  private say() {
    const at = this.clock.now()
    const rest = { playing: this.wanted, waiting: this.wanted && !this.clock.running, failure: this.ended() ? ('ended' as const) : (this.tracks.find((t) => t.feeder.failure !== null)?.feeder.failure ?? null) }
    const seen = JSON.stringify([Math.floor(at), rest, this.tracks.map((t) => this.hole(t.lane, at))])
    if (seen === this.said) return
    this.said = seen
    this.tell({ at, ...rest })
  }

  /** Whether the server gives nothing more for this viewing. */
  private ended(): boolean {
    return this.tracks.some((t) => t.feeder.failure === 'ended')
  }

  /** Lets all tracks run once each has what it needs; called at whatever brings that nearer. */
  private readonly step = () => {
    const at = this.clock.now()
    if ((at >= this.length && this.outline.done) || this.ended()) this.wanted = false
    let waiting = false
    let picture = false
    for (const t of this.tracks) {
      const there = t.kind === 'audio' || this.hole(t.lane, at) === null
      // What is needed to begin comes first, the rest once everybody plays.
      if (there) t.feeder.want(at, this.clock.running ? ahead : 1)
      if (t.feeder.failure !== null || this.ready(t, at)) continue
      if (t.kind === 'audio') waiting = true
      else if (there && !t.feeder.empty(at)) picture = true
    }
    if (!picture) this.since = 0
    else if (this.since === 0) this.since = performance.now()
    const run = this.wanted && !waiting && !(picture && performance.now() - this.since < pictureWait)
    this.clock.run(run)
    for (const t of this.tracks) this.follow(t, at, run)
    this.heard.at(run ? at : null)
  }

  /** Stops everybody at the clock's moment. */
  private halt() {
    this.clock.run(false)
    const at = this.clock.now()
    for (const t of this.tracks) this.follow(t, at, false)
  }

  private ready({ element, feeder }: Track, at: Seconds): boolean {
    return feeder.has(at) && !element.seeking && element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA
  }

  private follow(t: Track, at: Seconds, run: boolean) {
    const { element, feeder } = t
    if (!run || !feeder.has(at)) {
      if (!element.paused) element.pause()
      // Already before its media has come: the element then begins by itself.
      if (!run && Math.abs(element.currentTime - at) > 0.05) this.place(t, at)
      return
    }
    const s = steer(at, element.currentTime, this.clock.rate, t.kind === 'video')
    if (s.seek) this.place(t, at)
    else if (Math.abs(element.playbackRate - s.rate) > 0.005) element.playbackRate = s.rate
    if (element.paused) void element.play().catch(() => undefined) // the next beat tries again
  }

  /** Sends an element to a moment, unless it is on its way to one that it can reach. */
  private place({ element, feeder }: Track, at: Seconds) {
    if (element.seeking && feeder.has(element.currentTime) && Math.abs(element.currentTime - at) < 1) return
    element.currentTime = at
  }
}

const known = new WeakMap<Outline, Map<number, Uint8Array>>()

/** The loudness of a lane, decoded once. */
export function levels(outline: Outline, lane: number): Uint8Array {
  let of = known.get(outline)
  if (of === undefined) {
    of = new Map()
    known.set(outline, of)
  }
  let level = of.get(lane)
  if (level === undefined) {
    level = Uint8Array.from(atob(outline.lanes[lane]?.level ?? ''), (c) => c.charCodeAt(0))
    of.set(lane, level)
  }
  return level
}
