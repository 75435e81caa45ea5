import { gateway, type PersonProof, type Trust } from '../api/http'
import { newID } from '../api/ids'
import { Problem, problemOf, readDocument } from '../api/problem'
import type * as words from '../api/words'
import type { Bodies, HearingView, Knock, MemberView, PhaseNow, Proof, Raised, SeatView } from '../api/wire'
import { Connection, unknownHealth, type Health } from './connection'
import { LevelMeter, MutedTalk } from './level'
import { isInterpreter, type Mix, type Voice } from './mix'
import { ownTracks, wantedCipher, type OwnTrack } from './peer'
import { screen } from './publishing'
import { counts, durable, recorderState, signOf, type Beat, type ShownRecorder, type Sign } from './record'
import { mutedLevel, type InForce, type KnownMember, type MakeSealing, type RosterReason, type Sealing } from './sealing'
import { RoomSocket, type Incoming } from './socket'
import type { Grade } from './stats'
import { endStay, keepStay, lastStay } from './stay'
import { Turns } from './turns'

/** Where this page stands with the room. `again`: it must begin anew, as another member, and does so by itself. */
export type Stage = 'joining' | 'waiting' | 'in' | 'refused' | 'superseded' | 'left' | 'again'

/** A picture as it comes, by its track. */
export interface Picture {
  track: words.TrackID
  media: MediaStreamTrack
}

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
  voices: Voice[]
  video: Picture | null
  screen: Picture | null
  speaking: boolean
  /** Has turned its microphone off itself, as it says inside the seal. */
  muted: boolean
  grade: Grade
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
  muted: boolean
  dark: boolean // the own camera is off
  mutedTalk: boolean // speaks while muted
  failed: 'microphone' | 'camera' | null // an own device that stopped by itself
  screen: MediaStreamTrack | null // what this page shows
  lost: boolean // no media comes
  mix: Mix
  starting: boolean // waits for the recorder before going on record
}

export interface RoomSetup {
  hearing: words.HearingID
  seats: { seat: words.SeatID; role: words.Role }[]
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
/** How often levels are asked for: ducking follows the interpreter's first syllable. */
const listenEvery = 120
const mostUnsent = 64
const statementSeconds = 10 * 3600
const startPatience = 8_000
/**
 * What passes by itself is asked again for so long by a page that was let in: after
 * a restart of the door a page may be back before its device has proved its state.
 */
const passing: ReadonlySet<string> = new Set(['posture-stale', 'unavailable', 'too-fast'])
const rejoinPatience = 60_000
const rejoinEvery = 1_000
/** How long a recorder has for the first picture of a screen, as the door has it. */
const screenGrace = 5_000
/** From this level on somebody is shown as speaking, in -dBov. */
const audible = 50

const before: PhaseNow = { phase: 'waiting', cause: 'opened', since: 0, by: 'par_', reason: '' }

const micros = () => Math.round((performance.timeOrigin + performance.now()) * 1000)

const same = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>) => a.size === b.size && [...a].every((x) => b.has(x))

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
  private telling: ReturnType<typeof setTimeout> | undefined
  private readonly setup: RoomSetup
  private readonly member = newID('mem')
  private readonly socket: RoomSocket
  private sealing: Sealing | null = null
  private statement = ''
  private proof: PersonProof | undefined
  private admission = ''
  private group: words.GroupID | null = null
  private connection: Connection | null = null
  private readonly tracks: OwnTrack[]
  private views: MemberView[] = []
  private inForce: InForce | null = null
  private verified: ReadonlySet<words.MemberID> = new Set()
  private speaking: ReadonlySet<words.TrackID> = new Set()
  private speakers: words.MemberID[] = []
  private mutedTracks: ReadonlySet<words.TrackID> = new Set()
  private readonly mutedTalk = new MutedTalk()
  private health: Health = unknownHealth
  private readonly heights = new Map<words.TrackID, number>()
  /** Rosters that the door has not confirmed, oldest first, and the newest that it has. */
  private unposted: string[] = []
  private posted = ''
  private sharedSince = Infinity
  private readonly beats = new Map<words.MemberID, Beat>()
  /** Own origin lists that the door has not got yet, as while the line is broken. */
  private readonly unsent: string[] = []
  private offset = 0
  private rejoining: { until: number; timer: ReturnType<typeof setTimeout> } | null = null
  private recorderWanted = false
  /** Messages of the room, and what follows from them. The media connection has its own: neither waits for the other. */
  private readonly turns = new Turns((thrown) => this.tell(thrown))
  private timers: ReturnType<typeof setInterval>[] = []
  private readonly meters: { own: OwnTrack; meter: LevelMeter }[]

  constructor(setup: RoomSetup) {
    this.setup = setup
    this.tracks = ownTracks(setup.media, setup.seats)
    this.meters = this.tracks.filter((t) => t.source === 'audio').map((own) => ({ own, meter: new LevelMeter(own.media) }))
    const stay = lastStay()
    const earlier = stay?.hearing === setup.hearing ? stay : { muted: false, dark: false }
    this.state = {
      stage: 'joining', online: false, problem: null, hearing: null, chair: false, seats: [], phase: before, sign: 'off',
      people: [], knocks: [], raised: [], sas: '', epoch: 0, cipher: '', frames: { sealed: 0, opened: 0, refused: 0 },
      media: setup.media, muted: earlier.muted, dark: earlier.dark, mutedTalk: false, failed: null, screen: null, lost: false, mix: 'both', starting: false,
    }
    this.enable()
    this.socket = new RoomSocket('/ws/room', {
      open: () => {
        clearTimeout(this.rejoining?.timer)
        void this.turns.run(() => this.join())
      },
      lost: (attempt) => {
        this.set({ online: false })
        if (attempt === 1) void this.checkSession()
      },
      message: (message) => this.take(message),
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
      const [certificate, sealing] = await Promise.all([RTCPeerConnection.generateCertificate(curve), makeSealing({ hearing, member: this.member, trust })])
      const dtls = certificate.getFingerprints().find((f) => f.algorithm === 'sha-256')?.value?.toUpperCase() ?? ''
      const { hpke, sign } = sealing.keys
      const exp = Math.floor(Date.now() / 1000) + statementSeconds
      const asked = gateway.statement({ hearing, member: this.member, seats: seats.map((s) => s.seat), hpke_key: hpke, sign_key: sign, dtls, exp })
      this.sealing = sealing
      this.connection = new Connection({
        certificate, tracks: this.tracks, sealing, socket: this.socket,
        opened: () => void this.turns.run(() => this.giveKeys()),
        changed: (health) => this.takeHealth(health),
        failed: (thrown) => this.tell(thrown),
      })
      // While the device signs, and long before anybody is let in.
      this.connection.prepare()
      const answer = await asked
      this.statement = answer.statement
      this.proof = answer.proof
      this.socket.connect()
      for (const t of this.tracks) if (t.media !== null) this.attend(t, t.media)
      this.timers = [
        setInterval(() => this.tick(), tick), setInterval(() => this.turns.run(() => this.everySecond()), 1000),
        setInterval(() => void this.ignoring(() => this.listen()), listenEvery),
      ]
    } catch (thrown) {
      this.refuse(Problem.of(thrown))
    }
  }

  /** Leaves for good: keys of this page instance are never used again. */
  leave() {
    void this.socket.ask('leave', { reason: 'left' }).catch(() => undefined)
    endStay()
    this.end({ stage: 'left' })
  }

  close() {
    this.end({})
  }

  private end(change: Partial<RoomState>) {
    for (const t of this.timers) clearInterval(t)
    this.timers = []
    clearTimeout(this.rejoining?.timer)
    // A message that is on its way out leaves before the socket does.
    setTimeout(() => this.socket.close(), 50)
    this.connection?.close()
    this.sealing?.close()
    for (const { meter } of this.meters) meter.close()
    this.state.screen?.stop()
    this.set({ ...change, sign: 'off', screen: null })
  }

  // What the person turns on and off.

  /** The own microphones, on or off; the others see it, and a reload keeps it. */
  mute(muted: boolean) {
    this.mutedTalk.forget()
    this.set({ muted, mutedTalk: false })
    this.enable()
  }

  darken(dark: boolean) {
    this.set({ dark })
    this.enable()
  }

  /** What of the room is heard: G2. */
  listenTo(mix: Mix) {
    this.set({ mix })
    this.tellShown()
  }

  private enable() {
    for (const t of this.tracks) {
      if (t.media === null || t.source === 'screen') continue
      t.media.enabled = t.source === 'audio' ? !this.state.muted : !this.state.dark
    }
    keepStay({ hearing: this.setup.hearing, muted: this.state.muted, dark: this.state.dark })
  }

  get mayShare(): boolean {
    return this.tracks.some((t) => t.source === 'screen')
  }

  /** Shows a screen or window that the person chooses; it is sealed and kept like everything else. */
  async share(): Promise<void> {
    const own = this.tracks.find((t) => t.source === 'screen')
    if (own === undefined || this.connection === null) return
    let chosen: MediaStreamTrack
    try {
      const media = await navigator.mediaDevices.getDisplayMedia({ video: screen.capture, audio: false })
      chosen = media.getVideoTracks()[0]
    } catch {
      return // The person changed their mind.
    }
    chosen.contentHint = 'detail'
    chosen.onended = () => void this.unshare()
    this.sharedSince = performance.now()
    this.set({ screen: chosen })
    await this.connection.share(own, chosen)
  }

  async unshare(): Promise<void> {
    const own = this.tracks.find((t) => t.source === 'screen')
    const shown = this.state.screen
    if (own === undefined || shown === null) return
    shown.stop()
    this.sharedSince = Infinity
    this.set({ screen: null })
    await this.connection?.share(own, null)
  }

  /** Tells when an own device stops, and takes the usual one in its place when devices change. */
  private attend(own: OwnTrack, media: MediaStreamTrack) {
    media.addEventListener('ended', () => {
      if (own.media === media) this.set({ failed: own.source === 'audio' ? 'microphone' : 'camera' })
    })
  }

  /** After a device failed: the one that the system has now. */
  async mend(): Promise<void> {
    const { failed } = this.state
    const kind = failed === 'microphone' ? 'audio' : 'video'
    const own = this.tracks.find((t) => t.source === kind && t.media?.readyState === 'ended')
    if (failed === null || own === undefined) return
    try {
      const media = await navigator.mediaDevices.getUserMedia({ [kind]: true })
      const track = kind === 'audio' ? media.getAudioTracks()[0] : media.getVideoTracks()[0]
      own.media = track
      this.enable() // before anything of it is sent: who was muted stays so
      await this.connection?.replace(own, track)
      const at = this.meters.findIndex((m) => m.own === own)
      if (at >= 0) {
        this.meters[at].meter.close()
        this.meters[at] = { own, meter: new LevelMeter(track) }
      }
      this.attend(own, track)
      this.set({ failed: null, media: new MediaStream(this.tracks.flatMap((t) => (t.media === null || t.source === 'screen' ? [] : [t.media]))) })
    } catch {
      // It stays said that the device failed.
    }
  }

  /** A tile's height in pixels of the screen; 0 when it is gone. */
  showAt(track: words.TrackID, height: number) {
    if (height > 0) this.heights.set(track, height)
    else this.heights.delete(track)
    this.tellShown()
  }

  private tellShown() {
    const voices = this.state.people.flatMap((p) => p.voices)
    const followed = this.state.mix === 'both' ? [] : voices.filter((v) => v.interpreter === (this.state.mix === 'interpreter')).map((v) => v.track)
    this.connection?.show({ heights: this.heights, speakers: this.speakers, followed })
  }

  /** For support: numbers without names. */
  numbers() {
    return this.connection?.numbers() ?? Promise.resolve(null)
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
      await this.turns.run(() => this.signRoster('resume'))
      await this.askOnRecord(reason, this.now(), performance.now() + startPatience)
    } catch (thrown) {
      this.recorderWanted = false
      await this.turns.run(() => this.signRoster('pause'))
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
      this.rejoining = null
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
      if (!this.rejoin(problem)) this.refuse(problem)
    }
  }

  /** Asks to come back again in a moment, where what keeps this page out passes by itself; not for ever. */
  private rejoin(problem: Problem): boolean {
    const { code } = problem.document
    if (code === 'unavailable' && !this.socket.open) return true // a new connection joins by itself
    if (!passing.has(code) || (this.admission === '' && code !== 'unavailable')) return false
    const until = this.rejoining?.until ?? performance.now() + rejoinPatience
    if (performance.now() > until) return false
    const timer = setTimeout(() => {
      if (this.socket.open) void this.turns.run(() => this.join())
    }, rejoinEvery)
    this.rejoining = { until, timer }
    return true
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
    endStay()
    this.end({ stage: 'refused', problem: problem.document })
  }

  // Messages.

  /** What is the media connection's alone waits for nothing: who comes in sees somebody the sooner. */
  private take(message: Incoming) {
    switch (message.type) {
      case 'admitted':
        void this.connection?.admitted(message.body.leg)
        break
      case 'slots':
        this.connection?.assign(message.body.slots ?? [])
        break
      case 'send-hint':
        void this.connection?.follow(message.body)
        return
    }
    void this.turns.run(() => this.receive(message))
  }

  private async receive(message: Incoming) {
    switch (message.type) {
      case 'admitted':
        this.admission = message.body.admission
        this.set({ stage: 'in' })
        keepStay({ hearing: this.setup.hearing, muted: this.state.muted, dark: this.state.dark })
        return this.postAgain()
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
    await Promise.all(
      views.map((view) =>
        this.ignoring(async () => {
          const known = await sealing.addMember(view.statement, view.admission)
          if (await asSigned(view, known)) verified.add(view.member)
        }),
      ),
    )
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
    this.unposted.push(signed.roster)
    await this.post()
    await this.giveKeys()
    this.show()
  }

  /** Hands the door what it has not confirmed, in order: a later roster holds only after the one before. */
  private async post() {
    while (this.unposted.length > 0) {
      try {
        await this.socket.ask('roster', { roster: this.unposted[0] })
      } catch (thrown) {
        // The door has a chain that this page is not part of: nothing signed here can follow it.
        if (Problem.of(thrown).document.code === 'roster-invalid') return this.beginAgain()
        throw thrown
      }
      this.posted = this.unposted.shift() ?? ''
    }
  }

  /** After a broken connection, or a door that began anew and knows no roster. */
  private async postAgain() {
    if (!this.state.chair || (this.posted === '' && this.unposted.length === 0)) return
    if (this.posted !== '' && this.inForce?.chair === this.member) {
      await this.socket.ask('roster', { roster: this.posted }).catch(() => undefined)
    }
    await this.post()
    await this.giveKeys()
  }

  private beginAgain() {
    this.end({ stage: 'again' })
  }

  private async takeRoster(roster: string) {
    try {
      if (this.sealing === null) return
      const inForce = await this.sealing.applyRoster(roster)
      const renewed = inForce.epoch !== this.inForce?.epoch
      this.inForce = inForce
      if (renewed) await this.giveKeys()
    } catch (thrown) {
      // A roster that does not hold is dropped. One that does not follow what this
      // page has would be dropped for ever: only another instance can go on from it.
      if (thrown instanceof Error && thrown.message.startsWith('fork')) return this.beginAgain()
    }
    this.show()
  }

  private async giveKeys() {
    if (this.sealing === null || this.inForce?.members.includes(this.member) !== true) return
    const wraps = await this.sealing.wraps()
    // They go out in order; what comes meanwhile does not wait until they have come.
    if (wraps.length > 0) void this.socket.ask('wraps', { wraps }).catch((thrown: unknown) => this.tell(thrown))
  }

  private async takePhase(phase: PhaseNow) {
    this.set({ phase })
    if (phase.phase === 'ended') endStay()
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
    // A screen that was just opened is not waited for (the door gives it as long).
    const screenCounts = performance.now() - this.sharedSince > screenGrace
    const own = this.tracks.filter((t) => t.source !== 'screen' || screenCounts).map((t) => t.track)
    return [...this.beats.values()].filter((b) => counts(b.heartbeat, this.inForce?.members ?? [], own))
  }

  private isKeyed(member: words.MemberID): boolean {
    return this.inForce?.members.includes(member) ?? false
  }

  // Media.

  private takeHealth(health: Health) {
    const earlier = this.health
    this.health = health
    const lost = health.lostAt !== null
    const bad = health.cipher !== '' && health.cipher !== wantedCipher
    if (health.cipher !== this.state.cipher || lost !== this.state.lost || bad) {
      this.set({ cipher: health.cipher, lost, ...(bad ? { problem: problemOf('media-refused') } : {}) })
    }
    if (health.grades !== earlier.grades || health.own !== earlier.own) this.show()
  }

  private async everySecond() {
    if (this.sealing === null) return
    if (this.state.stage === 'in') this.unsent.push(...(await this.sealing.origins()))
    this.unsent.splice(0, this.unsent.length - mostUnsent)
    // The agent is on this machine: it takes what was sent last, also when the server
    // is away. A full or broken disk of the terminal costs the back-up, not the hearing.
    for (const chunk of await this.sealing.backup()) await gateway.backup(chunk).catch(() => undefined)
    if (!this.state.online) return
    const lists = this.unsent.splice(0)
    if (lists.length > 0) await this.socket.ask('origin', { lists })
    this.set({ frames: await this.sealing.counts() })
    if (Math.floor(performance.now() / 1000) % 10 === 0) {
      const asked = micros()
      const answer = await this.socket.ask('sync', { sent: asked })
      // Half the way there and back is the best that one exchange can say.
      if (answer.type === 'clock') this.setClock(answer.body.now + (micros() - asked) / 2)
    }
  }

  private tick() {
    const now = { performance: micros(), hearing: this.now() }
    const sign = signOf(this.state.phase.phase, this.keeping(), now)
    const moved = this.state.people.some((p) => p.recorder && p.recorderState !== this.shownRecorder(p, now))
    if (sign !== this.state.sign || moved) {
      this.set({ sign })
      this.show()
    }
  }

  /** Who speaks, by the levels inside the sealed frames; the media server never learns them. */
  private async listen() {
    const own = this.meters.map(({ own: { track }, meter }) => ({ member: this.member, track, level: meter.dBov() }))
    for (const { track, level } of own) this.sealing?.setLevel(track, this.state.muted ? mutedLevel : level)
    const mutedTalk = this.mutedTalk.see(this.state.muted && own.some((o) => o.level < audible))
    if (mutedTalk !== this.state.mutedTalk) this.set({ mutedTalk })
    if (this.state.stage !== 'in') return
    const heard = [...((await this.sealing?.levels()) ?? []), ...(this.state.muted ? [] : own)]
    const loud = heard.filter((h) => h.level < audible)
    const speaking = new Set(loud.map((h) => h.track))
    const quiet = heard.filter((h) => h.level !== mutedLevel).map((h) => h.track)
    const muted = new Set([...this.mutedTracks].filter((t) => !quiet.includes(t)).concat(heard.filter((h) => h.level === mutedLevel).map((h) => h.track)))
    if (same(speaking, this.speaking) && same(muted, this.mutedTracks)) return
    this.speaking = speaking
    this.mutedTracks = muted
    this.speakers = [...new Set([...loud.map((h) => h.member), ...this.speakers])].slice(0, 16)
    this.show()
    this.tellShown()
  }

  // State.

  private show() {
    const streams = this.connection?.streams() ?? []
    const now = { performance: micros() }
    // Who has left is listed without names.
    const here = this.views.filter((v) => v.connected || (v.seats ?? []).length > 0 || v.kind === 'recorder')
    const people = here.map((v): Person => {
      const recorder = v.kind === 'recorder'
      const verified = this.verified.has(v.member)
      const self = v.member === this.member
      const from = verified ? streams.filter((s) => s.slot.member === v.member) : []
      const seats = v.seats ?? []
      const voices = from
        .filter((s) => s.slot.source === 'audio')
        .map(({ slot, media }) => ({ track: slot.track, member: v.member, interpreter: isInterpreter(slot, seats), media, speaking: this.speaking.has(slot.track) }))
      const picture = (source: words.Source) => {
        const found = from.find((s) => s.slot.source === source)
        return found === undefined ? null : { track: found.slot.track, media: found.media }
      }
      const own = this.tracks.map((t) => t.track)
      const tracks = self ? own : voices.map((t) => t.track)
      return {
        member: v.member, recorder, verified, connected: v.connected, self, seats,
        keyed: this.isKeyed(v.member),
        speaking: verified && tracks.some((t) => this.speaking.has(t)),
        muted: self ? this.state.muted : tracks.length > 0 && tracks.every((t) => this.mutedTracks.has(t)),
        voices,
        video: picture('video'),
        screen: picture('screen'),
        grade: self ? this.health.own : (this.health.grades.get(v.member) ?? 'none'),
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
    // Much changes at once when somebody comes or goes, and drawing it takes long.
    this.telling ??= setTimeout(() => {
      this.telling = undefined
      for (const l of this.listeners) l()
    })
  }

  /** Shows what failed; what is asked again by itself is not spoken of. */
  private tell(thrown: unknown) {
    const problem = Problem.of(thrown)
    if (problem.document.code !== 'unavailable') this.set({ problem: problem.document })
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
