import { Problem, problemOf } from '../api/problem'
import type * as words from '../api/words'
import type { Offer, SendHint, Slot } from '../api/wire'
import { LinkWatch, type Cure } from './link'
import { Networks } from './networks'
import { iceServers } from './paths'
import { Peer, wantedCipher, type OwnTrack } from './peer'
import type { Sealing } from './sealing'
import type { RoomSocket } from './socket'
import { cipherOf, flows, gradeOf, lifeOf, pathOf, type Flow, type Grade, type Path, type Report } from './stats'
import { Steady } from './steady'
import { Turns } from './turns'
import { Pace, wishOf, type Shown } from './wishes'

const lookEvery = 500
const gradeEvery = 2000
const wishEvery = 300
/** How long a picture that comes may take to get its tile; without one it is not sent any more. */
const layoutTime = 3000
/** How long an offer is kept: the ways that were found for it and its credentials grow old. */
const offerLife = 240_000
/** How often it is seen to that ways to the media server are known for a connection that is to be made at once. */
const refreshEvery = 60_000

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
  /** Own tracks have a place at the media server: their keys can be given. */
  opened: () => void
  changed: (health: Health) => void
  failed: (thrown: unknown) => void
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
  /** Made before anybody was let in: its offer goes out when somebody is. */
  private ready: { peer: Peer; offer: Promise<Offer>; at: number } | null = null
  private readonly turns: Turns
  private readonly watch = new LinkWatch(performance.now())
  private slots: Slot[] = []
  private shown: Omit<Shown, 'fresh'> = { heights: new Map(), speakers: [], followed: [] }
  private readonly steadies = new Map<string, Steady>() // by mid
  /** When each track first had a slot. */
  private came = new Map<words.TrackID, number>()
  private readonly hints = new Map<words.TrackID, SendHint>()
  private shared: words.TrackID | null = null
  private last: Report = []
  private graded: { at: number; report: Report } = { at: 0, report: [] }
  private health: Health = unknownHealth
  private readonly wishes: Pace<ReturnType<typeof wishOf>>
  private readonly timers: ReturnType<typeof setInterval>[]
  private networks: Networks | null = null
  /** The machine's network changed, and this connection does not take account of it yet. */
  private moved = false
  /** The last restart asked nobody, and it is not known yet whether it helped. */
  private alone = false
  private curing = false
  private wanted = false
  private closed = false

  constructor(setup: ConnectionSetup) {
    this.setup = setup
    this.wishes = new Pace(wishEvery, (slots) => {
      setup.socket.ask('wish', { slots }).catch(() => this.wishes.forget())
    })
    this.turns = new Turns((thrown) => {
      if (!this.closed) setup.failed(thrown)
    })
    this.timers = [setInterval(() => void this.look(), lookEvery), setInterval(() => void iceServers(), refreshEvery)]
    globalThis.addEventListener('online', this.changed)
    networkOf(navigator)?.addEventListener('change', this.changed)
  }

  /** Does beforehand what takes longest of opening a connection. */
  prepare() {
    const peer = this.make()
    const offer = iceServers().then((servers) => peer.offer(servers))
    offer.catch(() => undefined) // said when it is to go out
    this.ready = { peer, offer, at: performance.now() }
  }

  private make(): Peer {
    const { certificate, tracks, sealing } = this.setup
    const peer = new Peer(certificate, tracks, sealing, () => void this.look())
    this.networks ??= new Networks(this.changed)
    return peer
  }

  /** The door let this page in, perhaps again: it tells which leg it still knows. */
  admitted(leg: words.LegID | undefined): Promise<void> {
    return this.turns.run(async () => {
      this.wanted = true
      this.wishes.forget()
      if (this.peer !== null && leg !== undefined && this.peer.leg === leg && this.health.lostAt === null) {
        this.wish()
        return
      }
      await this.open()
    })
  }

  private async open(): Promise<void> {
    const { ready } = this
    const old = this.peer
    const offered = ready !== null && performance.now() - ready.at < offerLife ? ready.offer : null
    const servers = offered === null ? await iceServers() : []
    if (this.closed) return // nobody would close what is begun now
    const peer = ready?.peer ?? this.make()
    this.ready = null
    this.peer = peer
    this.last = []
    this.watch.began(performance.now(), true)
    try {
      await this.call(peer, offered ?? peer.offer(servers))
    } finally {
      // Only now: the media server would tell the door that the leg is gone, and
      // the door this page, while the next one is on its way.
      old?.close()
    }
  }

  /**
   * Another path to the same leg; keys, slots and counters go on. First without
   * the door, whose own way may have broken as well: the media server answers by
   * the names that it gave before.
   */
  private async restart(): Promise<void> {
    if (this.peer === null) return this.open()
    const alone = !this.alone && this.peer.leg !== null
    this.alone = alone
    this.watch.began(performance.now(), false, alone)
    if (alone && (await this.peer.restart())) return
    await this.call(this.peer, this.peer.offer(await iceServers()))
  }

  private async call(peer: Peer, offer: Promise<Offer>): Promise<void> {
    const answer = await this.setup.socket.ask('offer', await offer)
    if (answer.type !== 'answer') throw new Problem(problemOf('media-refused'))
    if (this.peer !== peer || this.closed) return
    const { sdp, leg, hints } = answer.body
    // The media server has begun anew: what it answers is for a fresh connection.
    if (peer.leg !== null && peer.leg !== leg) return this.open()
    // A fresh one begins as the room sends now, not as it did when this page left.
    for (const hint of hints ?? []) this.hints.set(hint.track, hint)
    await peer.answer(sdp, leg, [...this.hints.values()])
    peer.assign(this.slots)
    this.setup.opened()
    for (const hint of this.hints.values()) await peer.follow(hint)
    if (this.shared !== null) await this.setup.socket.ask('share', { track: this.shared, on: true })
    this.wishes.forget()
    this.wish()
  }

  assign(slots: Slot[]) {
    this.slots = slots
    this.came = new Map(slots.map(({ track }) => [track, this.came.get(track) ?? performance.now()]))
    this.peer?.assign(slots)
    this.wish()
  }

  streams(): { slot: Slot; media: MediaStreamTrack }[] {
    return this.peer?.streams() ?? []
  }

  /** How what comes is shown and heard; told to the door when it changes. */
  show(shown: Omit<Shown, 'fresh'>) {
    this.shown = shown
    this.wish()
  }

  private wish() {
    if (!this.wanted || this.slots.length === 0) return
    const since = performance.now() - layoutTime
    const fresh = new Set([...this.came].filter(([, at]) => at > since).map(([track]) => track))
    this.wishes.offer(wishOf(this.slots, { ...this.shown, fresh }))
  }

  follow(hint: SendHint): Promise<void> {
    this.hints.set(hint.track, hint)
    return this.turns.run(() => this.peer?.follow(hint))
  }

  /** Shows a screen on its own track, or nothing on it any more. */
  share(own: OwnTrack, media: MediaStreamTrack | null): Promise<void> {
    return this.turns.run(async () => {
      own.media = media
      this.shared = media === null ? null : own.track
      await this.peer?.replace(own.track, media)
      await this.setup.socket.ask('share', { track: own.track, on: media !== null })
    })
  }

  async replace(own: OwnTrack, media: MediaStreamTrack): Promise<void> {
    own.media = media
    for (const peer of [this.peer, this.ready?.peer]) await peer?.replace(own.track, media)
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
    if (this.ready !== null) {
      this.ready.peer.close() // its offer knows the networks of before
      this.prepare()
    }
    this.moved = this.peer !== null
    void this.move()
  }

  /** Looks for a path by the network that came, while the one before still carries: a restart keeps it until another works. */
  private async move(): Promise<void> {
    if (!this.moved || this.curing) return
    const cure = this.watch.changed(performance.now())
    if (cure === 'none') return // not up yet, or just restarted: at the next look
    this.moved = false
    await this.cure(cure)
    this.alone = false // it mended nothing: the next may be without the door again
  }

  private async look(): Promise<void> {
    const { peer } = this
    if (peer === null || this.closed) return
    const report = await peer.report()
    if (this.peer !== peer) return
    const at = performance.now()
    const cure = this.watch.see({ at, ...lifeOf(report), connection: peer.state, ice: peer.ice, lively: peer.sends })
    const cipher = cipherOf(report)
    if (this.watch.lostAt === null) this.alone = false
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
      this.wish() // what came a while ago and is not shown is not needed
    }
    this.health = { cipher, lostAt: this.watch.lostAt, own: this.watch.lostAt === null ? own : 'none', grades }
    this.setup.changed(this.health)
    await (cure === 'none' ? this.move() : this.cure(cure))
  }

  private grade(before: Report, now: Report): { own: Grade; grades: Map<words.MemberID, Grade> } {
    const all = flows(before, now)
    const { rtt } = pathOf(now)
    for (const f of all.filter((f) => !f.out && f.kind === 'audio')) {
      const steady = this.steadies.get(f.mid) ?? new Steady()
      this.steadies.set(f.mid, steady)
      this.peer?.hold(f.mid, f.packets > 0 ? steady.see(f.concealed) : 0)
    }
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
      await this.turns.run(() => (cure === 'restart' ? this.restart() : this.open()))
    } finally {
      this.curing = false
    }
  }

  close() {
    this.closed = true
    for (const t of this.timers) clearInterval(t)
    this.wishes.stop()
    this.networks?.close()
    globalThis.removeEventListener('online', this.changed)
    networkOf(navigator)?.removeEventListener('change', this.changed)
    for (const peer of [this.peer, this.ready?.peer]) peer?.close()
  }
}

/** Not in TypeScript's DOM (https://wicg.github.io/netinfo/). */
function networkOf(n: Navigator): EventTarget | undefined {
  return (n as { connection?: EventTarget }).connection
}
