import type { Outline } from './api'
import { Clock, evened, Heard, steer, type Seconds } from './clock'
import { Feeder, type Fetch } from './feeder'

const beat = 100 // milliseconds
const pictureWait = 1500 // for which everybody waits for a picture

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
  failed: boolean
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
  private waiting = false
  private even = true
  private since = 0 // when a picture began to be waited for

  constructor(
    private outline: Outline,
    private readonly fetch: (lane: number, ...span: Parameters<Fetch>) => ReturnType<Fetch>,
    private readonly tell: (state: State) => void,
  ) {
    this.clock = new Clock(() => this.length)
    this.grow()
    this.timer = setInterval(() => this.step(), beat)
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
    const feeder = new Feeder(kind === 'audio' ? 'audio/webm; codecs="opus"' : 'video/webm; codecs="vp8"', (...span) => this.fetch(lane, ...span), () => ({ at: this.length, sure: this.outline.done }))
    element.preload = 'auto'
    if (element instanceof HTMLVideoElement) {
      element.muted = true
      element.playsInline = true
    }
    element.src = feeder.address
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
    if (on && this.clock.now() >= this.length) this.seek(0)
    if (on && this.clock.now() === 0) this.clock.seek(this.begin())
    this.wanted = on
    if (on) this.listen()
    this.step()
  }

  /** Where the first track has something: nobody waits through the time before the recording. */
  private begin(): Seconds {
    const { from, lanes } = this.outline
    const starts = lanes.map((l) => l.holes.find((h) => h.from <= from && from < h.to)?.to ?? from)
    return starts.length === 0 ? 0 : (Math.min(...starts) - from) / 1e6
  }

  seek(to: Seconds) {
    this.clock.seek(to)
    this.since = 0
    this.step()
  }

  setRate(rate: number) {
    this.clock.rate = rate
    this.step()
  }

  /** Whether a track has nothing at that moment, and why. */
  hole(lane: number, at: Seconds): string | null {
    const t = this.outline.from + at * 1e6
    return this.outline.lanes[lane]?.holes.find((h) => t >= h.from && t < h.to)?.cause ?? null
  }

  private step() {
    const at = this.clock.now()
    let waiting = false
    let picture = false
    for (const t of this.tracks) {
      const hole = this.hole(t.lane, at)
      if (t.kind === 'audio' || hole === null) t.feeder.want(at)
      const ready = t.feeder.has(at) && t.element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA
      if (ready) continue
      if (t.kind === 'audio') waiting ||= t.feeder.failure === null
      else if (hole === null && !t.feeder.empty(at) && t.feeder.failure === null) picture = true
      if (t.feeder.has(at) && !t.element.seeking && Math.abs(t.element.currentTime - at) > 0.2) t.element.currentTime = at
    }
    if (!picture) this.since = 0
    else if (this.since === 0) this.since = performance.now()
    waiting ||= picture && performance.now() - this.since < pictureWait
    if (at >= this.length && this.outline.done) this.wanted = false
    this.waiting = this.wanted && waiting
    const run = this.wanted && !waiting
    this.clock.run(run)
    for (const t of this.tracks) this.follow(t, at, run)
    this.heard.at(run ? at : null)
    this.tell({ at, playing: this.wanted, waiting: this.waiting, failed: this.tracks.some((t) => t.feeder.failure !== null) })
  }

  private follow(t: Track, at: Seconds, run: boolean) {
    const { element } = t
    if (!run || !t.feeder.has(at)) {
      if (!element.paused) element.pause()
      if (!run && t.feeder.has(at) && !element.seeking && Math.abs(element.currentTime - at) > 0.05) element.currentTime = at
      return
    }
    const s = steer(at, element.currentTime, this.clock.rate)
    if (s.seek) {
      if (!element.seeking) element.currentTime = at
    } else if (Math.abs(element.playbackRate - s.rate) > 0.005) {
      element.playbackRate = s.rate
    }
    if (element.paused) void element.play().catch(() => undefined) // the next beat tries again
  }

  /** Where each track is, against the clock: for tests and for who wonders. */
  drift(): Seconds[] {
    return this.tracks.filter((t) => !t.element.paused).map((t) => t.element.currentTime - this.clock.now())
  }

  /** How loud each sound is now around a frequency: for tests. */
  context(): AudioContext | null {
    return this.audio
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
