// Made from the Go source by web/gen. Do not edit: run `go run ./web/gen`.

import type * as words from './words'

export const redacted = 'page keys (redacted)'
export const typeStatement = 'kuule-statement+jws'
export const typeAdmission = 'kuule-admission+jws'
export const typeRoster = 'kuule-roster+jws'
export const typeWrap = 'kuule-wrap+jws'
export const typeOrigin = 'kuule-origin+jws'
export const typeHeartbeat = 'kuule-heartbeat+jws'
export const kindPage = 'page'
export const kindRecorder = 'recorder'
export const noConnection = '00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00'
export const recorderUnit = 'recorder'

/** wrapInfo is a Wrap without what HPKE makes: the HPKE info. */
export interface wrapInfo {
  v: number
  hearing: words.HearingID
  group: words.GroupID
  epoch: number
  sender: words.MemberID
  recipient: words.MemberID
  track: words.TrackID
  source: words.Source
  kid: number
  roster: string
}

/** Statement is what a page or a recorder says of itself at join, signed by the
 * device key (x5c: the device certificate) or, for a recorder, by the key of
 * the certificate that authority gave it. */
export interface Statement {
  /** 1 */
  v: number
  kind: string
  hearing: words.HearingID
  /** made by the page, new at every load */
  member: words.MemberID
  device: words.DeviceID
  /** seats on this device; none for a recorder */
  seats: words.SeatID[] | null
  /** base64url, 65 bytes, uncompressed P-256 point */
  hpke_key: string
  /** the same, for ES256 */
  sign_key: string
  /** SHA-256 fingerprint of the leg's certificate, AA:BB:… */
  dtls: string
  /** Unix seconds */
  iat: number
  /** Unix seconds */
  exp: number
}

/** Admission is authority's countersignature over a statement. */
export interface Admission {
  /** 1 */
  v: number
  kind: string
  hearing: words.HearingID
  member: words.MemberID
  /** jws.Hash of the statement */
  statement: string
  seats: AdmittedSeat[] | null
  /** id of the rule that admitted */
  rule: string
  iat: number
  exp: number
}

/** AdmittedSeat names who sits on a seat. The name itself is not in it: pages
 * get name and salt apart and check Name = base64url SHA-256(salt || 0x00 || name). */
export interface AdmittedSeat {
  seat: words.SeatID
  participant: words.ParticipantID
  role: words.Role
  name: string
}

/** Roster lists the members of a group in one epoch, signed by the page of the
 * member who chairs. A member's place in the list is part of its key ids. */
export interface Roster {
  /** 1 */
  v: number
  hearing: words.HearingID
  group: words.GroupID
  /** from 1, always growing */
  epoch: number
  chair: words.MemberID
  members: RosterMember[] | null
  /** jws.Hash of the roster before, or "" */
  prev: string
  /** join, leave, pause, resume, chair, revoked */
  reason: string
  at: words.Micros
}

/** RosterMember binds a member to the admission that let it in. */
export interface RosterMember {
  member: words.MemberID
  /** jws.Hash of the admission */
  admission: string
}

/** Wrap carries one sender key to one member, signed by the sender's page. The
 * HPKE info is the canonical form of the same values without Enc and CT. */
export interface Wrap {
  /** 1 */
  v: number
  hearing: words.HearingID
  group: words.GroupID
  epoch: number
  sender: words.MemberID
  recipient: words.MemberID
  track: words.TrackID
  source: words.Source
  kid: number
  /** jws.Hash of the epoch's roster */
  roster: string
  /** base64url, HPKE encapsulated key */
  enc: string
  /** base64url, sealed sender key */
  ct: string
}

/** Origin is a sender's signed list of the frames it sealed on one track and
 * rid, about one second of them. */
export interface Origin {
  /** 1 */
  v: number
  hearing: words.HearingID
  group: words.GroupID
  member: words.MemberID
  track: words.TrackID
  rid: string
  /** from 0 per track and rid */
  seq: number
  /** jws.Hash of the list before, or "" */
  prev: string
  kid: number
  /** SFrame counter of the first frame */
  first: number
  /** base64url of OriginHashBytes each, consecutive counters */
  hashes: string
}

/** Heartbeat is a recorder's word on what is durable, twice a second, signed by
 * the key of its statement. */
export interface Heartbeat {
  /** 1 */
  v: number
  hearing: words.HearingID
  group: words.GroupID
  member: words.MemberID
  recording: words.RecordingID
  state: words.RecorderState
  /** of heartbeats, growing */
  seq: number
  /** everything up to here is on disk */
  durable: words.Micros
  now: words.Micros
  tracks: TrackDurable[] | null
  /** base64url hash of the journal's chain */
  head: string
}

/** TrackDurable is the last capture time of one track that is on disk. */
export interface TrackDurable {
  track: words.TrackID
  durable: words.Micros
}

