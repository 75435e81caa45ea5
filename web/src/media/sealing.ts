import type { Trust } from '../api/http'
import type * as signed from '../api/signed'
import type * as words from '../api/words'
import type { Chunk } from './seal/backup'

/** What a page needs of the sealing, whatever makes it. */
export interface Sealing {
  /** This page instance's public keys, base64url of uncompressed P-256 points. */
  readonly keys: { hpke: string; sign: string }

  /** Begins a group. Before it, nothing can be verified or sealed. */
  begin(group: words.GroupID): Promise<void>

  /** Checks statement and admission against the pinned roots; throws when they do not hold. */
  addMember(statement: string, admission: string): Promise<KnownMember>
  forget(member: words.MemberID): Promise<void>

  /** Checks a roster and puts it in force. */
  applyRoster(roster: string): Promise<InForce>
  /** Signs the next roster and puts it in force. Only the chair's page can. */
  signRoster(members: words.MemberID[], reason: RosterReason, at: words.Micros): Promise<{ roster: string; inForce: InForce }>

  /** Own keys for everyone on the roster in force, one wrap per recipient and track. */
  wraps(): Promise<string[]>
  acceptWrap(wrap: string): Promise<void>
  acceptHeartbeat(heartbeat: string): Promise<signed.Heartbeat>
  /** Signed lists of the frames sealed since the last call. */
  origins(): Promise<string[]>
  /** What a room terminal's agent is to keep of what was sealed on record since the last call; nothing elsewhere. */
  backup(): Promise<Chunk[]>

  /** Seals all that the sender sends; set before the local description is. */
  seal(sender: RTCRtpSender, track: words.TrackID, source: words.Source, number: number): void
  /** Opens what comes on a slot, once it is assigned. */
  open(receiver: RTCRtpReceiver, slot: number): void
  assign(slot: number, from: { member: words.MemberID; track: words.TrackID } | null): void

  /** The hearing clock: hearing time = performance time + offset, in microseconds. */
  setClock(offset: words.Micros): void
  /** Level of an own microphone for its frame headers, in -dBov, or `mutedLevel`. */
  setLevel(track: words.TrackID, level: number): void
  /** The loudest level of each voice since the last call, in -dBov or `mutedLevel`, as it came inside the seal. */
  levels(): Promise<Heard[]>
  counts(): Promise<FrameCounts>
  close(): void
}

/** In place of a level: whose microphone it is has turned it off. */
export const mutedLevel = 254

export interface Heard {
  member: words.MemberID
  track: words.TrackID
  level: number
}

export type RosterReason = 'join' | 'leave' | 'pause' | 'resume' | 'chair' | 'revoked'

export interface KnownMember {
  member: words.MemberID
  recorder: boolean
  /** How many seats authority admitted: a list that shows fewer hides somebody. */
  seats: number
  /** Whether a name and salt are what authority admitted for the seat. */
  nameIs(seat: words.SeatID, salt: string, name: string): Promise<boolean>
}

export interface InForce {
  epoch: number
  chair: words.MemberID
  members: words.MemberID[]
  /** Short authentication string, six digits. */
  sas: string
}

export interface FrameCounts {
  sealed: number
  opened: number
  refused: number
}

export interface SealingSetup {
  hearing: words.HearingID
  member: words.MemberID
  trust: Trust
}

export type MakeSealing = (setup: SealingSetup) => Promise<Sealing>
