import { gateway, type PersonProof, type Trust } from '../api/http'
import { newID } from '../api/ids'
import { Problem, problemOf, readDocument } from '../api/problem'
import type * as words from '../api/words'
import type { Bodies, HearingView, Knock, MemberView, PhaseNow, Proof, Raised, SeatView, Slot } from '../api/wire'
import { LevelMeter } from './level'
import { ownTracks, Peer, wantedCipher, type OwnTrack } from './peer'
import { counts, durable, recorderState, signOf, type Beat, type ShownRecorder, type Sign } from './record'
import type { InForce, KnownMember, MakeSealing, RosterReason, Sealing } from './sealing'
import { RoomSocket, type Incoming } from './socket'

/** Where this page stands with the room. */
export type Stage = 'joining' | 'waiting' | 'in' | 'refused' | 'superseded' | 'left'

/** One member as this page has verified it, with what comes from it. */
export interface Person {
  member: words.MemberID
  recorder: boolean
  /** The device's and authority's signatures hold, and so do the names. */
  verified: boolean
  /** On the roster in force: shares keys with this page. */
  keyed: boolean
  connected: boolean
  self: boolean
  seats: SeatView[]
  audio: MediaStreamTrack | null
  video: MediaStreamTrack | null
  speaking: boolean
  recorderState: ShownRecorder | null
}

/** All that a room's screens show. A new object at every change. */
export interface RoomState {
  stage: Stage
  online: boolean
  problem: words.Document | null // why refused, or what failed last
  hearing: HearingView | null
  chair: boolean
  seats: SeatView[] // own
  phase: PhaseNow
  sign: Sign
  people: Person[]
  knocks: Knock[]
  raised: Raised[]
  sas: string
  epoch: number
  cipher: string
  frames: { sealed: number; opened: number; refused: number }
  media: MediaStream | null // own
  starting: boolean // waits for the recorder before going on record
}

export interface RoomSetup {
  hearing: words.HearingID
  seats: words.SeatID[]
  tickets: words.TicketID[]
  trust: Trust
  media: MediaStream | null
  makeSealing: MakeSealing
}

/** What a member can ask of the interviewer, or tell at once when it is in. */
export type Request = 'break' | 'speak' | 'recording-acknowledged' | 'recording-refused'

type Act = { [T in 'admit' | 'decline' | 'remove' | 'raise' | 'phase']: [T, Bodies[T], (() => void)?] }[
  | 'admit'
  | 'decline'
  | 'remove'
  | 'raise'
  | 'phase'
]

const curve: EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' }
const tick = 250
const statementSeconds = 10 * 3600
const startPatience = 8_000
/** From this level on somebody is shown as speaking, in -dBov. */
const audible = 50

const before: PhaseNow = { phase: 'waiting', cause: 'opened', since: 0, by: 'par_', reason: '' }

const micros = () => Math.round((performance.timeOrigin + performance.now()) * 1000)

/**
 * Whether a member is shown as it was signed: a recorder shown as a page would
 * come into the group in a pause, and a seat left out would hide a person.
 */
async function asSigned(view: MemberView, known: KnownMember): Promise<boolean> {
  const seats = view.seats ?? []
  const names = await Promise.all(seats.map((s) => known.nameIs(s.seat, s.salt, s.name)))
  return known.member === view.member && known.recorder === (view.kind === 'recorder') && (!view.connected || seats.length === known.seats) && names.every(Boolean)
}

/**
 * One page's stay in a room: joins with a device-signed statement, verifies
 * everyone, exchanges keys, connects media, and decides the "on record" sign
 * from heartbeats that it checked itself. Messages are handled one by one, in
 * the order in which they came.
 */
export class RoomClient {
  private state: RoomState
  private readonly listeners = new Set<() => void>()
  private readonly setup: RoomSetup
  private readonly member = newID('mem')
  private readonly socket: RoomSocket
  private sealing: Sealing | null = null
  private certificate: RTCCertificate | null = null
  private statement = ''
  private proof: PersonProof | undefined
  private admission = ''
  private group: words.GroupID | null = null
  private peer: Peer | null = null
  private readonly tracks: OwnTrack[]
  private views: MemberView[] = []
  private slots: Slot[] = []
  private inForce: InForce | null = null
  private verified: ReadonlySet<words.MemberID> = new Set()
  private speaking: ReadonlySet<words.MemberID> = new Set()
  private readonly beats = new Map<words.MemberID, Beat>()
  private offset = 0
  private recorderWanted = false
  private queue: Promise<void> = Promise.resolve()
  private timers: ReturnType<typeof setInterval>[] = []
  private readonly meter: LevelMeter

  constructor(setup: RoomSetup) {
    this.setup = setup
    this.meter = new LevelMeter(setup.media)
    this.tracks = ownTracks(setup.media)
    this.state = {
      stage: 'joining', online: false, problem: null, hearing: null, chair: false, seats: [], phase: before, sign: 'off',
      people: [], knocks: [], raised: [], sas: '', epoch: 0, cipher: '', frames: { sealed: 0, opened: 0, refused: 0 },
      media: setup.media, starting: false,
    }
    this.socket = new RoomSocket('/ws/room', {
      open: () => this.inTurn(() => this.join()),
      lost: (attempt) => {
        this.set({ online: false })
        if (attempt === 1) void this.checkSession()
      },
      message: (message) => this.inTurn(() => this.receive(message)),
    })
  }

  /** For React's useSyncExternalStore. */
  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
  readonly snapshot = () => this.state

  /** The hearing clock now. */
  now(): words.Micros {
    return Math.max(0, micros() + this.offset)
  }

  async start(): Promise<void> {
    try {
      const { hearing, seats, trust, makeSealing } = this.setup
      this.certificate = await RTCPeerConnection.generateCertificate(curve)
      const dtls = this.certificate.getFingerprints().find((f) => f.algorithm === 'sha-256')?.value?.toUpperCase() ?? ''
      this.sealing = await makeSealing({ hearing, member: this.member, trust })
      const { hpke, sign } = this.sealing.keys
      const exp = Math.floor(Date.now() / 1000) + statementSeconds
      const answer = await gateway.statement({ hearing, member: this.member, seats, hpke_key: hpke, sign_key: sign, dtls, exp })
      this.statement = answer.statement
      this.proof = answer.proof
      this.socket.connect()
      this.timers = [setInterval(() => this.tick(), tick), setInterval(() => this.inTurn(() => this.everySecond()), 1000)]
    } catch (thrown) {
      this.refuse(Problem.of(thrown))
    }
  }

  /** Leaves for good: keys of this page instance are never used again. */
  leave() {
    void this.socket.ask('leave', { reason: 'left' }).catch(() => undefined)
    this.end({ stage: 'left' })
  }

  close() {
    this.end({})
  }

  private end(change: Partial<RoomState>) {
    for (const t of this.timers) clearInterval(t)
    this.timers = []
    // A message that is on its way out leaves before the socket does.
    setTimeout(() => this.socket.close(), 50)
    this.peer?.close()
    this.sealing?.close()
    this.meter.close()
    this.set({ ...change, sign: 'off' })
  }

  // The chair's acts.

  admit(knock: Knock): Promise<void> {
    return this.act('admit', { member: knock.member, seats: (knock.seats ?? []).map((s) => s.seat) }, () => this.dropKnock(knock.member))
  }

  decline(knock: Knock, reason: string): Promise<void> {
    return this.act('decline', { member: knock.member, reason }, () => this.dropKnock(knock.member))
  }

  remove(member: words.MemberID, reason: string): Promise<void> {
    return this.act('remove', { member, reason })
  }

  raise(what: Request): Promise<void> {
    return this.act('raise', { what })
  }

  /** Takes a request off the screen; it stays in the log. */
  handled(raised: Raised) {
    this.set({ raised: this.state.raised.filter((r) => r !== raised) })
  }

  /** Takes the recorders into the group, waits until one shows durable data, then goes on record (H1). */
  async goOnRecord(reason: string): Promise<void> {
    this.set({ starting: true, problem: null })
    this.recorderWanted = true
    try {
      await this.inTurn(() => this.signRoster('resume'))
      await this.askOnRecord(reason, this.now(), performance.now() + startPatience)
    } catch (thrown) {
      this.recorderWanted = false
      await this.inTurn(() => this.signRoster('pause'))
      this.set({ problem: Problem.of(thrown).document })
    } finally {
      this.set({ starting: false })
    }
  }

  /**
   * Asks once the recorder keeps what this page sends. The door waits for what
   * everybody sends, a first picture among it, which may take a moment longer:
   * then it is asked again.
   */
  private async askOnRecord(reason: string, since: words.Micros, deadline: number): Promise<void> {
    for (;;) {
      await this.until(() => this.recorderKeeps(since), deadline)
      try {
        await this.socket.ask('phase', { to: 'on-record', reason })
        return
      } catch (thrown) {
        const missing = Problem.of(thrown).document.code === 'recorder-missing'
        if (!missing || performance.now() > deadline) throw thrown
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
  }

  pause(reason: string): Promise<void> {
    return this.act('phase', { to: 'paused', reason })
  }

  finish(reason: string): Promise<void> {
    return this.act('phase', { to: 'ended', reason })
  }

  private async act(...[type, body, then]: Act): Promise<void> {
    try {
      await this.socket.ask(type, body)
      then?.()
      this.set({ problem: null })
    } catch (thrown) {
      this.set({ problem: Problem.of(thrown).document })
    }
  }

  // Joining.

  private async join() {
    const proof: Proof = { ...this.proof, ...(this.setup.tickets.length > 0 ? { tickets: this.setup.tickets } : {}) }
    const join = { hearing: this.setup.hearing, statement: this.statement, proof, ...(this.admission === '' ? {} : { admission: this.admission }) }
    try {
      const answer = await this.socket.ask('join', join)
      if (answer.type !== 'welcome') throw new Problem(problemOf('malformed'))
      const welcome = answer.body
      this.setClock(welcome.clock.now)
      if (this.group !== welcome.group) {
        this.group = welcome.group
        await this.sealing?.begin(welcome.group)
      }
      this.set({
        stage: this.state.stage === 'in' ? 'in' : 'waiting', online: true, problem: null, hearing: welcome.hearing,
        chair: welcome.chair, seats: welcome.seats ?? [], phase: welcome.phase,
      })
    } catch (thrown) {
      const problem = Problem.of(thrown)
      if (problem.document.code !== 'unavailable') this.refuse(problem)
    }
  }

  /** The socket cannot say why it failed; a call can. */
  private async checkSession() {
    try {
      await gateway.device()
    } catch (thrown) {
      const problem = Problem.of(thrown)
      if (problem.document.code === 'bearer') this.refuse(problem)
    }
  }

  private refuse(problem: Problem) {
    this.end({ stage: 'refused', problem: problem.document })
  }

  // Messages.

  private async receive(message: Incoming) {
    switch (message.type) {
      case 'admitted':
        this.admission = message.body.admission
        this.set({ stage: 'in' })
        return this.openLeg()
      case 'refused':
        return this.refuse(new Problem(readDocument(message.body)))
      case 'superseded':
        return this.end({ stage: 'superseded' })
      case 'knock':
        return this.set({ knocks: [...this.state.knocks.filter((k) => k.member !== message.body.member), message.body] })
      case 'knock-gone':
        return this.dropKnock(message.body.member)
      case 'members':
        return this.takeMembers(message.body.members ?? [])
      case 'roster':
        return this.takeRoster(message.body.roster)
      case 'wraps':
        for (const wrap of message.body.wraps ?? []) await this.ignoring(() => this.sealing?.acceptWrap(wrap))
        return
      case 'slots':
        this.slots = message.body.slots ?? []
        this.peer?.assign(this.slots)
        return this.show()
      case 'heartbeat':
        return this.takeHeartbeat(message.body.heartbeat)
      case 'phase-now':
        return this.takePhase(message.body)
      case 'raised':
        return this.set({ raised: [...this.state.raised, message.body].slice(-20) })
      case 'clock':
        return this.setClock(message.body.now)
      case 'problem':
        return this.set({ problem: readDocument(message.body) })
      default:
        return
    }
  }

  private async takeMembers(views: MemberView[]) {
    const { sealing } = this
    if (sealing === null) return
    const verified = new Set<words.MemberID>()
    for (const view of views) {
      await this.ignoring(async () => {
        const known = await sealing.addMember(view.statement, view.admission)
        if (await asSigned(view, known)) verified.add(view.member)
      })
    }
    const left = this.views.filter((v) => !views.some((w) => w.member === v.member))
    for (const view of left) {
      this.beats.delete(view.member)
      await this.ignoring(() => sealing.forget(view.member))
    }
    this.views = views
    this.verified = verified
    if (this.state.chair && this.rosterIsOld()) await this.signRoster(left.length > 0 ? 'leave' : 'join')
    this.show()
  }

  /** Who shares keys: everyone verified and connected; a recorder only while the hearing is on record or about to be. */
  private wantedOnRoster(): words.MemberID[] {
    const wanted = (v: MemberView) => v.member === this.member || (v.connected && (v.kind !== 'recorder' || this.recorderWanted))
    return this.views.filter((v) => this.verified.has(v.member) && wanted(v)).map((v) => v.member)
  }

  private rosterIsOld(): boolean {
    const wanted = this.wantedOnRoster()
    const now = this.inForce?.members ?? []
    return this.inForce?.chair !== this.member || wanted.length !== now.length || wanted.some((m) => !now.includes(m))
  }

  private async signRoster(reason: RosterReason) {
    const members = this.wantedOnRoster()
    if (this.sealing === null || !members.includes(this.member)) return
    const signed = await this.sealing.signRoster(members, this.inForce !== null && this.inForce.chair !== this.member ? 'chair' : reason, this.now())
    this.inForce = signed.inForce
    await this.socket.ask('roster', { roster: signed.roster })
    await this.giveKeys()
    this.show()
  }

  private async takeRoster(roster: string) {
    await this.ignoring(async () => {
      if (this.sealing === null) return
      const inForce = await this.sealing.applyRoster(roster)
      const renewed = inForce.epoch !== this.inForce?.epoch
      this.inForce = inForce
      if (renewed) await this.giveKeys()
    })
    this.show()
  }

  private async giveKeys() {
    if (this.sealing === null || this.inForce?.members.includes(this.member) !== true) return
    const wraps = await this.sealing.wraps()
    if (wraps.length > 0) await this.socket.ask('wraps', { wraps })
  }

  private async takePhase(phase: PhaseNow) {
    this.set({ phase })
    if (!this.state.chair) return this.tick()
    // In a pause, for whatever cause, the recorder is outside the group.
    if (phase.phase === 'on-record') this.recorderWanted = true
    else if (!this.state.starting) this.recorderWanted = false
    if (phase.phase !== 'ended' && this.rosterIsOld()) await this.signRoster(phase.phase === 'on-record' ? 'resume' : 'pause')
    this.tick()
  }

  private async takeHeartbeat(text: string) {
    await this.ignoring(async () => {
      if (this.sealing === null) return
      const heartbeat = await this.sealing.acceptHeartbeat(text)
      if (this.views.some((v) => v.member === heartbeat.member && v.kind === 'recorder' && this.verified.has(v.member))) {
        this.beats.set(heartbeat.member, { heartbeat, arrived: micros() })
      }
    })
    this.tick()
  }

  private recorderKeeps(since: words.Micros): boolean {
    const now = { performance: micros(), hearing: this.now() }
    return this.keeping().some((b) => b.heartbeat.durable > since && durable(b, now))
  }

  private keeping(): Beat[] {
    const own = this.tracks.map((t) => t.track)
    return [...this.beats.values()].filter((b) => counts(b.heartbeat, this.inForce?.members ?? [], own))
  }

  private isKeyed(member: words.MemberID): boolean {
    return this.inForce?.members.includes(member) ?? false
  }

  // Media.

  private async openLeg() {
    if (this.certificate === null || this.sealing === null) return
    if (this.peer?.state === 'connected') return
    this.peer?.close()
    const peer = new Peer(this.certificate, this.tracks, this.sealing, (state) => {
      if (state === 'failed' && this.peer === peer && this.state.stage === 'in') void this.inTurn(() => this.openLeg())
    })
    this.peer = peer
    const offer = await peer.offer()
    const answer = await this.socket.ask('offer', offer)
    if (answer.type !== 'answer') throw new Problem(problemOf('media-refused'))
    await peer.answer(answer.body.sdp)
    peer.assign(this.slots)
    // Our tracks have a place now: everybody gets their keys.
    await this.giveKeys()
    this.show()
  }

  private async everySecond() {
    if (!this.state.online || this.sealing === null) return
    if (this.state.stage === 'in') {
      const lists = await this.sealing.origins()
      if (lists.length > 0) await this.socket.ask('origin', { lists })
    }
    const cipher = (await this.peer?.cipher()) ?? ''
    if (cipher !== '' && cipher !== wantedCipher) {
      this.peer?.close()
      this.set({ problem: problemOf('media-refused') })
    }
    this.set({ cipher, frames: await this.sealing.counts() })
    if (Math.floor(performance.now() / 1000) % 10 === 0) {
      const asked = micros()
      const answer = await this.socket.ask('sync', { sent: asked })
      // Half the way there and back is the best that one exchange can say.
      if (answer.type === 'clock') this.setClock(answer.body.now + (micros() - asked) / 2)
    }
  }

  private tick() {
    const level = this.meter.dBov()
    this.sealing?.setLevel(level)
    if (this.state.stage === 'in') void this.ignoring(() => this.listen(level))
    const now = { performance: micros(), hearing: this.now() }
    const sign = signOf(this.state.phase.phase, this.keeping(), now)
    const moved = this.state.people.some((p) => p.recorder && p.recorderState !== this.shownRecorder(p, now))
    if (sign !== this.state.sign || moved) {
      this.set({ sign })
      this.show()
    }
  }

  /** Who speaks, by the levels inside the sealed frames; the media server never learns them. */
  private async listen(own: number) {
    const levels = (await this.sealing?.levels()) ?? []
    const speaking = new Set([...levels, [this.member, own] as const].filter(([, l]) => l < audible).map(([m]) => m))
    if (speaking.size === this.speaking.size && [...speaking].every((m) => this.speaking.has(m))) return
    this.speaking = speaking
    this.show()
  }

  // State.

  private show() {
    const streams = this.peer?.streams() ?? new Map<words.MemberID, { audio: MediaStreamTrack | null; video: MediaStreamTrack | null }>()
    const now = { performance: micros() }
    // Who has left is listed without names.
    const here = this.views.filter((v) => v.connected || (v.seats ?? []).length > 0 || v.kind === 'recorder')
    const people = here.map((v): Person => {
      const recorder = v.kind === 'recorder'
      const verified = this.verified.has(v.member)
      const from = streams.get(v.member)
      return {
        member: v.member, recorder, verified, connected: v.connected, self: v.member === this.member, seats: v.seats ?? [],
        keyed: this.isKeyed(v.member),
        speaking: verified && this.speaking.has(v.member),
        audio: verified ? (from?.audio ?? null) : null,
        video: verified ? (from?.video ?? null) : null,
        recorderState: recorder ? this.shownRecorder(v, now) : null,
      }
    })
    this.set({ people, sas: this.inForce?.sas ?? '', epoch: this.inForce?.epoch ?? 0 })
  }

  private shownRecorder(recorder: { member: words.MemberID; connected: boolean }, now: { performance: number }): ShownRecorder {
    const state = recorderState(this.beats.get(recorder.member), now)
    const outside = !this.isKeyed(recorder.member) && recorder.connected
    return outside && (state === 'recording' || (state === 'away' && this.state.phase.phase !== 'on-record')) ? 'ready' : state
  }

  private dropKnock(member: words.MemberID) {
    this.set({ knocks: this.state.knocks.filter((k) => k.member !== member) })
  }

  private setClock(now: words.Micros) {
    this.offset = Math.round(now - micros())
    this.sealing?.setClock(this.offset)
  }

  private set(change: Partial<RoomState>) {
    this.state = { ...this.state, ...change }
    for (const l of this.listeners) l()
  }

  /** Runs work after all that came before it; a failure is shown and stops nothing. */
  private inTurn(work: () => Promise<void> | void): Promise<void> {
    const done = this.queue.then(work)
    this.queue = done.catch((thrown: unknown) => {
      const problem = Problem.of(thrown)
      if (problem.document.code !== 'unavailable') this.set({ problem: problem.document })
    })
    return this.queue
  }

  /** What another member sent and does not hold is dropped: it must not stop the rest. */
  private async ignoring(work: () => Promise<void> | undefined) {
    try {
      await work()
    } catch {
      // Nothing to tell a person; the member stays unverified or unheard.
    }
  }

  private async until(holds: () => boolean, deadline: number) {
    while (!holds()) {
      if (performance.now() > deadline) throw new Problem(problemOf('recorder-missing'))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
