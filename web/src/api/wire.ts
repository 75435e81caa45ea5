// Made from the Go source by web/gen. Do not edit: run `go run ./web/gen`.

import type * as words from './words'

/** Join asks to be let in with a device-signed statement. Proof carries what
 * the person's side brings: it is given by the agent, not by the page. */
export interface Join {
  hearing: words.HearingID
  statement: string
  proof: Proof
  admission?: string
}

/** Proof is what shows who sits at the device: a sign-in, join tickets, or both
 * (an interpreter signed in beside an applicant who came through the kiosk). */
export interface Proof {
  /** of the person signed in */
  id_token?: string
  /** base64url, what the token's nonce was made of */
  nonce?: string
  /** redeemed by this device */
  tickets?: words.TicketID[] | null
}

/** Welcome says that the join is understood and its maker waits. */
export interface Welcome {
  member: words.MemberID
  /** this device's seats */
  seats: SeatView[] | null
  phase: PhaseNow
  clock: Clock
  group: words.GroupID
  chair: boolean
  hearing: HearingView
}

/** HearingView is what a page shows of the hearing. */
export interface HearingView {
  hearing: words.HearingID
  case: words.CaseID
  /** diary number */
  diary: string
  language: string
  mode: words.Mode
}

/** SeatView is a seat with the person on it. Salt and Name match the
 * commitment in the admission. */
export interface SeatView {
  seat: words.SeatID
  participant: words.ParticipantID
  role: words.Role
  name: string
  /** base64url */
  salt: string
  place: string
}

/** Knock tells the chair who waits: names, roles, place, device and what was
 * checked. Nobody enters without Admit. */
export interface Knock {
  member: words.MemberID
  device: words.DeviceID
  /** the device's name in the register */
  label: string
  seats: SeatView[] | null
  checks: words.Check[] | null
  rule: string
  since: words.Micros
}

/** KnockGone says that a waiting member left. */
export interface KnockGone {
  member: words.MemberID
}

/** Admit lets a waiting member in. Seats repeats whom the interviewer saw: an
 * admission counts only for exactly those (row D1). */
export interface Admit {
  member: words.MemberID
  seats: words.SeatID[] | null
}

/** Decline keeps a waiting member out, with a reason. */
export interface Decline {
  member: words.MemberID
  reason: string
}

/** Remove takes a member out of the room. */
export interface Remove {
  member: words.MemberID
  reason: string
}

/** Admitted tells a member that it is in: the admission to check, and the leg
 * that the room still knows of it. A page whose leg is another offers anew. */
export interface Admitted {
  admission: string
  leg?: words.LegID
}

/** Members is everyone admitted now, with all that a page needs to check them. */
export interface Members {
  members: MemberView[] | null
}

/** MemberView is one member. */
export interface MemberView {
  member: words.MemberID
  kind: string
  statement: string
  admission: string
  seats: SeatView[] | null
  connected: boolean
}

/** Roster carries a signed roster. */
export interface Roster {
  roster: string
}

/** Wraps carries signed wraps. */
export interface Wraps {
  wraps: string[] | null
}

/** Origin carries signed origin lists. */
export interface Origin {
  lists: string[] | null
}

/** Offer opens or renews the member's leg: one peer connection, offered by the
 * member, with its own tracks sendonly and slots recvonly for the others'. */
export interface Offer {
  sdp: string
  tracks: OfferTrack[] | null
}

/** OfferTrack is one published track. */
export interface OfferTrack {
  track: words.TrackID
  source: words.Source
  /** 0..15, unique per member */
  number: number
  mid: string
  /** whose microphone it is, where a device has several */
  seat?: words.SeatID
}

/** Share says that a screen or document is shown on a track of the offer, or no
 * more. Until then the track is nobody's to receive and no recorder's to keep. */
export interface Share {
  track: words.TrackID
  on: boolean
}

/** Answer is the media server's answer. Where the leg is new, no hint of before
 * holds, and Hints say how each track is to be sent from the start: who comes back
 * into a room that loses sounds sends them twice from the first packet on. */
export interface Answer {
  sdp: string
  leg: words.LegID
  hints?: SendHint[] | null
}

/** Slots is the whole assignment of a member's receiving mids. */
export interface Slots {
  slots: Slot[] | null
}

/** Slot says whose track comes on a mid. */
export interface Slot {
  mid: string
  member: words.MemberID
  track: words.TrackID
  source: words.Source
  number: number
  /** as offered; for showing alone, nobody signs it */
  seat?: words.SeatID
}

/** Wish says how a member shows what it receives, so that a link which does not
 * carry everything carries what matters. It is the whole wish and replaces the
 * one before; for a track that it does not name the door decides by role. It is
 * about tracks, not mids: a wish outlives a renewed leg. Whoever wishes often is
 * heard, but not at once: the newest wish takes effect within 300 ms. */
export interface Wish {
  /** at most MaxWishes */
  slots: SlotWish[] | null
}

/** SlotWish is the wish for one track. Every voice goes before every picture;
 * within a kind the smaller rank goes first, and the voice that matters most is
 * the one of the smallest rank. */
export interface SlotWish {
  track: words.TrackID
  /** 0 to 63 */
  rank: number
  /** of the tile, in pixels of the screen, to 4320; 0: as large as it comes */
  height: number
  /** not heard or shown now: not sent either */
  off: boolean
}

/** SendHint tells a member how to send one track, for the sake of those who
 * receive it. It is the whole advice for that track and replaces the one before;
 * what it leaves out is as the member likes. */
export interface SendHint {
  track: words.TrackID
  /** audio: duration of a packet, 20 or 60 */
  packet_ms?: number
  /** bit/s of the codec, at most */
  bitrate?: number
  /** audio: send redundantly (RFC 2198) */
  red?: boolean
  /** rids that nobody receives now */
  unneeded?: string[] | null
}

/** AskPhase asks for a transition. */
export interface AskPhase {
  to: words.Phase
  /** who asked and why, in the interviewer's words */
  reason: string
}

/** PhaseNow is the phase and why it began. */
export interface PhaseNow {
  phase: words.Phase
  cause: words.Cause
  since: words.Micros
  by: words.ParticipantID
  reason: string
}

/** Raise asks the interviewer for a break or to speak, or tells at the start
 * whether the recording was understood. */
export interface Raise {
  /** one of Raisable */
  what: string
}

/** Raised tells who asked for what. */
export interface Raised {
  member: words.MemberID
  what: string
  at: words.Micros
}

/** Heartbeat carries a recorder's signed heartbeat. */
export interface Heartbeat {
  heartbeat: string
}

/** Leave says goodbye. */
export interface Leave {
  reason: string
}

/** Sync asks for the hearing clock. */
export interface Sync {
  /** the asker's own clock, returned as it was */
  sent: number
}

/** Clock is the hearing clock now. */
export interface Clock {
  now: words.Micros
  /** Unix microseconds at the server */
  wall: number
  sent: number
}

/** The body of every message by its type; null has none. */
export interface Bodies {
  'join': Join
  'admit': Admit
  'decline': Decline
  'remove': Remove
  'roster': Roster
  'wraps': Wraps
  'origin': Origin
  'offer': Offer
  'wish': Wish
  'share': Share
  'phase': AskPhase
  'raise': Raise
  'heartbeat': Heartbeat
  'leave': Leave
  'sync': Sync
  'ok': null
  'problem': words.Document
  'welcome': Welcome
  'knock': Knock
  'knock-gone': KnockGone
  'admitted': Admitted
  'refused': words.Document
  'members': Members
  'answer': Answer
  'slots': Slots
  'send-hint': SendHint
  'phase-now': PhaseNow
  'raised': Raised
  'clock': Clock
  'superseded': null
}

export type MessageType = keyof Bodies

/** The WebSocket subprotocol's name. */
export const protocol = 'kuule.v1'
