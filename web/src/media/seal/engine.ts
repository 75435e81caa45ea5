import type * as words from '../../api/words'
import { Backup, type Chunk } from './backup'
import { mutedLevel, type Heard } from '../sealing'
import { SealError } from './errors'
import { noLevel, type FrameHeader } from './frames'
import { Group, hearingRules, type RosterReason } from './group'
import type { Pinned } from './members'
import { makeIdentity, type Identity } from './wraps'

/** What the page asks of its sealing worker; each call is answered by its number. */
export interface Calls {
  start(setup: { hearing: words.HearingID; member: words.MemberID; pinned: Pinned }): { hpke: string; sign: string }
  begin(group: words.GroupID): undefined
  addMember(statement: string, admission: string): Known
  forget(member: words.MemberID): undefined
  applyRoster(roster: string): RosterView
  signRoster(members: words.MemberID[], reason: RosterReason, at: words.Micros): { roster: string; inForce: RosterView }
  wraps(): string[]
  acceptWrap(wrap: string): undefined
  acceptHeartbeat(heartbeat: string): Awaited<ReturnType<Group['acceptHeartbeat']>>
  origins(): string[]
  backup(): Chunk[]
  assign(slot: number, from: { member: words.MemberID; track: words.TrackID } | null): undefined
  setClock(offset: number): undefined
  setLevel(track: words.TrackID, level: number): undefined
  levels(): Heard[]
  counts(): Counts
}

export interface Known {
  member: words.MemberID
  recorder: boolean
  seats: { seat: words.SeatID; participant: words.ParticipantID; role: words.Role; name: string }[]
}

export interface RosterView {
  epoch: number
  chair: words.MemberID
  members: words.MemberID[]
  sas: string
}

/** Frames: sealed, opened, refused on arrival, and held back because there was no key. */
export interface Counts {
  sealed: number
  opened: number
  refused: number
  held: number
}

/** What a transform is for. */
export type Part = { side: 'seal'; track: words.TrackID; source: words.Source; number: number } | { side: 'open'; slot: number }

/** An encoded frame (https://www.w3.org/TR/webrtc-encoded-transform/), as far as it is used here. */
export interface EncodedFrame {
  data: ArrayBuffer
  getMetadata?(): { mimeType?: string }
}

/** Asks the codec for a key frame, after frames were lost to a missing key. */
export type AskKeyFrame = () => void

/**
 * Everything that holds keys, in one place apart from the page: the group, and
 * the transforms through which every frame passes. Nothing passes in clear: a
 * frame that cannot be sealed or opened is dropped.
 */
export class Engine {
  private identity: Identity | null = null
  private setup: { hearing: words.HearingID; pinned: Pinned } | null = null
  private group: Group | null = null
  private backup: Backup | null = null
  private readonly declared: { track: words.TrackID; source: words.Source; number: number }[] = []
  private readonly slots = new Map<number, { member: words.MemberID; track: words.TrackID }>()
  private offset = 0
  private readonly level = new Map<words.TrackID, number>()
  private heard = new Map<words.TrackID, Heard>()
  private readonly count: Counts = { sealed: 0, opened: 0, refused: 0, held: 0 }

  readonly calls: { [C in keyof Calls]: (...args: Parameters<Calls[C]>) => Promise<ReturnType<Calls[C]>> } = {
    start: async ({ hearing, member, pinned }) => {
      if (this.identity !== null) throw new SealError('member', 'this worker has its member')
      this.identity = await makeIdentity(member)
      this.setup = { hearing, pinned }
      return this.identity.keys
    },
    begin: (group) => {
      if (this.identity === null || this.setup === null) throw new SealError('member', 'not started')
      const { hearing, pinned } = this.setup
      this.backup = pinned.backup_key === undefined ? null : new Backup(pinned.backup_key, { hearing, group, member: this.identity.member })
      this.group = new Group({ ...this.setup, self: this.identity, group, rules: hearingRules, ...(this.backup === null ? {} : { backup: this.backup }) })
      for (const t of this.declared) this.group.addTrack(t.track, t.source, t.number)
      return none
    },
    addMember: async (statement, admission) => {
      const m = await this.inGroup().addMember(statement, admission)
      return { member: m.id, recorder: m.recorder, seats: m.admission.seats ?? [] }
    },
    forget: async (member) => {
      await this.inGroup().forget(member)
      return undefined
    },
    applyRoster: async (roster) => {
      await this.inGroup().applyRoster(roster)
      return this.view()
    },
    signRoster: async (members, reason, at) => {
      const roster = await this.inGroup().signRoster(members, reason, Math.max(0, Math.round(at)))
      return { roster, inForce: await this.view() }
    },
    wraps: () => this.inGroup().wraps(),
    acceptWrap: async (wrap) => {
      await this.inGroup().acceptWrap(wrap)
      return undefined
    },
    acceptHeartbeat: (heartbeat) => this.inGroup().acceptHeartbeat(heartbeat),
    backup: () => Promise.resolve(this.backup?.take() ?? []),
    origins: () => (this.group === null ? Promise.resolve([]) : this.group.origins()),
    assign: (slot, from) => {
      if (from === null) this.slots.delete(slot)
      else this.slots.set(slot, from)
      return none
    },
    setClock: (offset) => {
      this.offset = offset
      return none
    },
    setLevel: (track, level) => {
      const known = Number.isInteger(level) && ((level >= 0 && level <= 127) || level === mutedLevel)
      this.level.set(track, known ? level : noLevel)
      return none
    },
    levels: () => {
      const heard = [...this.heard.values()]
      this.heard = new Map()
      return Promise.resolve(heard)
    },
    counts: () => Promise.resolve({ ...this.count }),
  }

  /** The transform of one track or slot. */
  transform(part: Part, ask: AskKeyFrame): (frame: EncodedFrame, forward: (frame: EncodedFrame) => void) => Promise<void> {
    if (part.side === 'open') return this.opening(part.slot, ask)
    // A connection opened anew brings the same tracks.
    if (!this.declared.some((t) => t.track === part.track)) this.declared.push({ track: part.track, source: part.source, number: part.number })
    this.group?.addTrack(part.track, part.source, part.number)
    return this.sealing(part.track, part.source, ask)
  }

  private sealing(track: words.TrackID, source: words.Source, ask: AskKeyFrame) {
    let last = 0
    return async (frame: EncodedFrame, forward: (frame: EncodedFrame) => void) => {
      try {
        const { sealed, epoch } = await this.inGroup().seal(track, this.header(track, source, frame), new Uint8Array(frame.data))
        frame.data = sealed.buffer
        this.count.sealed++
        forward(frame)
        // Who came with this epoch can decode only from a key frame on.
        if (epoch !== last && source !== 'audio') ask()
        last = epoch
      } catch {
        this.count.held++
        last = 0
      }
    }
  }

  private opening(slot: number, ask: AskKeyFrame) {
    let broken = false
    return async (frame: EncodedFrame, forward: (frame: EncodedFrame) => void) => {
      const from = this.slots.get(slot)
      try {
        if (from === undefined) throw new SealError('track', 'slot is not assigned')
        const opened = await this.inGroup().open(from.member, from.track, new Uint8Array(frame.data))
        frame.data = opened.frame.slice().buffer
        this.count.opened++
        this.hear(from, opened.header.level)
        forward(frame)
        if (broken && opened.header.source !== 'audio') ask()
        broken = false
      } catch {
        this.count.refused++
        broken = true
      }
    }
  }

  private hear({ member, track }: { member: words.MemberID; track: words.TrackID }, level: number) {
    if (level > 127 && level !== mutedLevel) return
    // Of muting only the newest word counts; of sound the loudest.
    const last = this.heard.get(track)?.level ?? mutedLevel
    this.heard.set(track, { member, track, level: level === mutedLevel ? level : Math.min(level, last) })
  }

  private header(track: words.TrackID, source: words.Source, frame: EncodedFrame): FrameHeader {
    const now = (performance.timeOrigin + performance.now()) * 1000 + this.offset
    const header: FrameHeader = { source, capture: Math.max(0, Math.round(now)), level: source === 'audio' ? (this.level.get(track) ?? noLevel) : noLevel }
    // Chromium packs sound twice before it comes here; who opens it elsewhere must know.
    if (frame.getMetadata?.().mimeType === 'audio/red') header.redundant = true
    return header
  }

  private inGroup(): Group {
    if (this.group === null) throw new SealError('no-key', 'no group yet')
    return this.group
  }

  private async view(): Promise<RosterView> {
    const group = this.inGroup()
    const now = group.roster()
    if (now === null) throw new SealError('roster', 'none is in force')
    const { epoch, chair, members } = now.roster
    return { epoch, chair, members: (members ?? []).map((m) => m.member), sas: await group.sas() }
  }
}

const none = Promise.resolve(undefined)
