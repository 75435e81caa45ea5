import type * as words from '../../api/words'
import { Backup, Largest, type Chunk } from './backup'
import { mutedLevel, type Heard } from '../sealing'
import { bounds } from './messages'
import type { Bytes } from './encoding'
import { SealError } from './errors'
import { noLevel, type FrameHeader } from './frames'
import { Group, hearingRules, type RosterReason } from './group'
import type { Pinned } from './members'
import { tryRoots } from './certs'
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
export type Part = { side: 'seal'; track: words.TrackID; source: words.Source; number: number } | { side: 'open'; slot: number; picture: boolean }

/** An encoded frame (https://www.w3.org/TR/webrtc-encoded-transform/), as far as it is used here. */
export interface EncodedFrame {
  data: ArrayBuffer
  type?: string // of a picture: key, delta
  getMetadata?(): { mimeType?: string; synchronizationSource?: number; width?: number }
}

/**
 * Milliseconds for which pictures wait for the key under which they were sealed:
 * keys go by the door and media does not, so either may be first. A key frame
 * that was thrown away would cost another; sound that comes late is of no use.
 */
const keyPatience = 400

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
  private expecting: (() => void)[] = [] // who waits for a key
  private readonly pictures = new Map<words.TrackID, AskKeyFrame>() // own ones
  private keyed = 0 // epoch of the own keys
  private readonly count: Counts = { sealed: 0, opened: 0, refused: 0, held: 0 }

  readonly calls: { [C in keyof Calls]: (...args: Parameters<Calls[C]>) => Promise<ReturnType<Calls[C]>> } = {
    start: async ({ hearing, member, pinned }) => {
      if (this.identity !== null) throw new SealError('member', 'this worker has its member')
      this.identity = await makeIdentity(member)
      this.setup = { hearing, pinned }
      void tryRoots(pinned.device_roots)
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
    wraps: async () => {
      const group = this.inGroup()
      const wraps = await group.wraps()
      const epoch = group.roster()?.roster.epoch ?? 0
      // Who came with this epoch can decode only from a key frame on: it is to be the first under the new key.
      if (epoch !== this.keyed) for (const ask of this.pictures.values()) setTimeout(ask, bounds.pictureGrace)
      this.keyed = epoch
      return wraps
    },
    acceptWrap: async (wrap) => {
      await this.inGroup().acceptWrap(wrap)
      for (const go of this.expecting.splice(0)) go()
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
    if (part.side === 'open') return this.opening(part, ask)
    // A connection opened anew brings the same tracks.
    if (!this.declared.some((t) => t.track === part.track)) this.declared.push({ track: part.track, source: part.source, number: part.number })
    this.group?.addTrack(part.track, part.source, part.number)
    return this.sealing(part.track, part.source, ask)
  }

  private sealing(track: words.TrackID, source: words.Source, ask: AskKeyFrame) {
    let last = 0
    const largest = new Largest()
    if (source !== 'audio') this.pictures.set(track, ask)
    return async (frame: EncodedFrame, forward: (frame: EncodedFrame) => void) => {
      try {
        const { sealed, epoch } = await this.inGroup().seal(track, this.header(track, source, frame), new Uint8Array(frame.data), source === 'audio' || kept(largest, frame))
        frame.data = sealed.buffer
        this.count.sealed++
        forward(frame)
        if (epoch !== last && source !== 'audio' && frame.type !== 'key') ask()
        last = epoch
      } catch {
        this.count.held++
        last = 0
      }
    }
  }

  private opening({ slot, picture }: Part & { side: 'open' }, ask: AskKeyFrame) {
    let broken = false
    let patient = picture // one wait is enough for who is outside the keys
    return async (frame: EncodedFrame, forward: (frame: EncodedFrame) => void) => {
      const from = this.slots.get(slot)
      try {
        if (from === undefined) throw new SealError('track', 'slot is not assigned')
        const sealed = new Uint8Array(frame.data)
        if (patient && this.group?.awaits(sealed) === true) patient = await this.unlocked(this.group, sealed, performance.now() + keyPatience)
        const opened = await this.inGroup().open(from.member, from.track, sealed)
        patient = picture
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

  /** Waits until the key of a frame has come, or until the time is over: then it is false. */
  private async unlocked(group: Group, sealed: Bytes, until: number): Promise<boolean> {
    for (let left = keyPatience; group.awaits(sealed); left = until - performance.now()) {
      if (left <= 0) return false
      await new Promise<void>((resolve) => {
        this.expecting.push(resolve)
        setTimeout(resolve, left)
      })
    }
    return true
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

/** Whether a picture's frame is of the layer that a terminal's back-up takes. */
function kept(largest: Largest, frame: EncodedFrame): boolean {
  const { synchronizationSource: from = 0, width = 0 } = frame.getMetadata?.() ?? {}
  return largest.keeps({ source: from, width, key: frame.type === 'key' }, performance.now())
}

const none = Promise.resolve(undefined)
