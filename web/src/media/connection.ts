import { Problem, problemOf } from '../api/problem'
import type * as words from '../api/words'
import type { SendHint, Slot } from '../api/wire'
import { LinkWatch, type Cure } from './link'
import { iceServers } from './paths'
import { Peer, wantedCipher, type OwnTrack } from './peer'
import type { Sealing } from './sealing'
import type { RoomSocket } from './socket'
import { cipherOf, flows, gradeOf, pathOf, received, type Flow, type Grade, type Path, type Report } from './stats'
import { Pace, wishOf, type Shown } from './wishes'

const lookEvery = 500
const gradeEvery = 2000
const wishEvery = 300

/** What is known of the connection, for the bars beside people and for support. */
export interface Health {
  cipher: string
  /** Since when no media comes, in milliseconds of the page's clock; null: it comes. */
  lostAt: number | null
  /** How the own link is. */
  own: Grade
  grades: ReadonlyMap<words.MemberID, Grade>
}

export const unknownHealth: Health = { cipher: '', lostAt: null, own: 'none', grades: new Map() }

export interface ConnectionSetup {
  certificate: RTCCertificate
  tracks: OwnTrack[]
  sealing: Sealing
  socket: RoomSocket
  /** Runs work after all that the room does before it. */
  inTurn: (work: () => Promise<void>) => Promise<void>
  /** Own tracks have a place at the media server: their keys can be given. */
  opened: () => Promise<void>
  changed: (health: Health) => void
}

/**
 * This page's media connection through its whole stay: opens it, watches it,
 * moves it to another path when one breaks (an ICE restart, which keeps the old
 * path until the new one works), and begins a fresh one when that does not help
 * or when the media server does not know it any more.
 */
export class Connection {
  private readonly setup: ConnectionSetup
  private peer: Peer | null = null
  private readonly watch = new LinkWatch(performance.now())
  private slots: Slot[] = []
  private shown: Shown = { heights: new Map(), speakers: [], followed: [] }
  private readonly hints = new Map<words.TrackID, SendHint>()
  private shared: words.TrackID | null = null
  private last: Report = []
  private graded: { at: number; report: Report } = { at: 0, report: [] }
  private health: Health = unknownHealth
  private readonly wishes: Pace<ReturnType<typeof wishOf>>
  private readonly timer: ReturnType<typeof setInterval>
  private curing = false
  private wanted = false
  private closed = false

  constructor(setup: ConnectionSetup) {
    this.setup = setup
    this.wishes = new Pace(wishEvery, (slots) => {
      setup.socket.ask('wish', { slots }).catch(() => this.wishes.forget())
    })
    this.timer = setInterval(() => void this.look(), lookEvery)
    globalThis.addEventListener('online', this.changed)
    networkOf(navigator)?.addEventListener('change', this.changed)
  }

  /** The door let this page in, perhaps again: it tells which leg it still knows. */
  async admitted(leg: words.LegID | undefined): Promise<void> {
    this.wanted = true
    this.wishes.forget()
    if (this.peer !== null && leg !== undefined && this.peer.leg === leg && this.health.lostAt === null) {
      this.wish()
      return
    }
    await this.open()
  }

  private async open(): Promise<void> {
    const { certificate, tracks, sealing } = this.setup
    const servers = await iceServers()
    if (this.closed) return // nobody would close what is begun now
    const old = this.peer
    const peer = new Peer(certificate, tracks, sealing, servers, () => void this.look())
    this.peer = peer
    this.last = []
    this.watch.began(performance.now(), true)
    try {
      await this.call(peer)
    } finally {
      // Only now: the media server would tell the door that the leg is gone, and
      // the door this page, while the next one is on its way.
      old?.close()
    }
  }

  /** Another path to the same leg; keys, slots and counters go on. */
  private async restart(): Promise<void> {
    if (this.peer === null) return this.open()
    this.watch.began(performance.now(), false)
    await this.call(this.peer, await iceServers())
  }

  private async call(peer: Peer, servers?: RTCIceServer[]): Promise<void> {
    const offer = await peer.offer(servers)
    const answer = await this.setup.socket.ask('offer', offer)
    if (answer.type !== 'answer') throw new Problem(problemOf('media-refused'))
    if (this.peer !== peer || this.closed) return
    const { sdp, leg } = answer.body
    // The media server has begun anew: what it answers is for a fresh connection.
    if (peer.leg !== null && peer.leg !== leg) return this.open()
    await peer.answer(sdp, leg)
    peer.assign(this.slots)
    for (const hint of this.hints.values()) await peer.follow(hint)
    if (this.shared !== null) await this.setup.socket.ask('share', { track: this.shared, on: true })
    this.wishes.forget()
    this.wish()
    await this.setup.opened()
  }

  assign(slots: Slot[]) {
    this.slots = slots
    this.peer?.assign(slots)
    this.wish()
  }

  streams(): { slot: Slot; media: MediaStreamTrack }[] {
    return this.peer?.streams() ?? []
  }

  /** How what comes is shown and heard; told to the door when it changes. */
  show(shown: Shown) {
    this.shown = shown
    this.wish()
  }

  private wish() {
    if (this.wanted && this.slots.length > 0) this.wishes.offer(wishOf(this.slots, this.shown))
  }

  async follow(hint: SendHint): Promise<void> {
    this.hints.set(hint.track, hint)
    await this.peer?.follow(hint)
  }

  /** Shows a screen on its own track, or nothing on it any more. */
  async share(own: OwnTrack, media: MediaStreamTrack | null): Promise<void> {
    own.media = media
    this.shared = media === null ? null : own.track
    await this.peer?.replace(own.track, media)
    await this.setup.socket.ask('share', { track: own.track, on: media !== null })
  }

  async replace(own: OwnTrack, media: MediaStreamTrack): Promise<void> {
    own.media = media
    await this.peer?.replace(own.track, media)
  }

  /** For the panel of support. */
  async numbers(): Promise<{ path: Path; flows: Flow[]; slots: Slot[]; hints: SendHint[]; health: Health; state: string }> {
    const before = this.last
    const now = (await this.peer?.report()) ?? []
    return {
      path: pathOf(now), flows: flows(before, now), slots: this.slots, hints: [...this.hints.values()], health: this.health,
      state: `${this.peer?.state ?? 'none'} ${this.peer?.ice ?? ''}`.trim(),
    }
  }

  private readonly changed = () => {
    if (this.peer !== null) void this.cure(this.watch.changed(performance.now()))
  }

  private async look(): Promise<void> {
    const { peer } = this
    if (peer === null || this.closed) return
    const report = await peer.report()
    if (this.peer !== peer) return
    const at = performance.now()
    const cure = this.watch.see({ at, received: received(report), connection: peer.state, ice: peer.ice, lively: peer.sends })
    const cipher = cipherOf(report)
    // Less than the agreed cipher is not used for another moment.
    if (cipher !== '' && cipher !== wantedCipher) {
      this.wanted = false
      peer.close()
    }
    let { own, grades } = this.health
    if (at - this.graded.at >= gradeEvery) {
      ;({ own, grades } = this.grade(this.graded.report, report))
      this.graded = { at, report }
      this.last = report
    }
    this.health = { cipher, lostAt: this.watch.lostAt, own: this.watch.lostAt === null ? own : 'none', grades }
    this.setup.changed(this.health)
    await this.cure(cure)
  }

  private grade(before: Report, now: Report): { own: Grade; grades: Map<words.MemberID, Grade> } {
    const all = flows(before, now)
    const { rtt } = pathOf(now)
    const grades = new Map<words.MemberID, Grade>()
    for (const member of new Set(this.slots.map((s) => s.member))) {
      const mids = this.slots.filter((s) => s.member === member && s.source !== 'screen').map((s) => s.mid)
      grades.set(member, gradeOf(all.filter((f) => !f.out && mids.includes(f.mid)), 0))
    }
    return { own: gradeOf(all.filter((f) => f.out && f.active), rtt), grades }
  }

  private async cure(cure: Cure): Promise<void> {
    if (cure === 'none' || this.curing || !this.wanted) return
    this.curing = true
    try {
      await this.setup.inTurn(() => (cure === 'restart' ? this.restart() : this.open()))
    } finally {
      this.curing = false
    }
  }

  close() {
    this.closed = true
    clearInterval(this.timer)
    this.wishes.stop()
    globalThis.removeEventListener('online', this.changed)
    networkOf(navigator)?.removeEventListener('change', this.changed)
    this.peer?.close()
  }
}

/** Not in TypeScript's DOM (https://wicg.github.io/netinfo/). */
function networkOf(n: Navigator): EventTarget | undefined {
  return (n as { connection?: EventTarget }).connection
}
