package sealing

import (
	"kuule/interview"
)

// Types of the signed messages (the JWS "typ" header).
const (
	TypeStatement = "kuule-statement+jws"
	TypeAdmission = "kuule-admission+jws"
	TypeRoster    = "kuule-roster+jws"
	TypeWrap      = "kuule-wrap+jws"
	TypeOrigin    = "kuule-origin+jws"
	TypeHeartbeat = "kuule-heartbeat+jws"
)

// Kinds of member.
const (
	KindPage     = "page"
	KindRecorder = "recorder"
)

// NoConnection is the dtls of a statement whose member has no leg: of a recorder
// that takes in a back-up, and of nobody else. No certificate has it.
const NoConnection = "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"

// Bounds of a group.
const (
	MaxMembers        = 64
	MaxTracks         = 16  // per member; the track's number is 0..15
	MaxStatementHours = 12  // a statement's life
	OriginHashBytes   = 16  // SHA-256 truncated, per frame
	MaxOriginFrames   = 400 // per list: 1 s of the fastest track, with room
	SenderKeyBytes    = 32
)

// Statement is what a page or a recorder says of itself at join, signed by the
// device key (x5c: the device certificate) or, for a recorder, by the key of
// the certificate that authority gave it.
type Statement struct {
	V         int                 `json:"v"` // 1
	Kind      string              `json:"kind"`
	Hearing   interview.HearingID `json:"hearing"`
	Member    interview.MemberID  `json:"member"` // made by the page, new at every load
	Device    interview.DeviceID  `json:"device"`
	Seats     []interview.SeatID  `json:"seats"`    // seats on this device; none for a recorder
	HPKEKey   string              `json:"hpke_key"` // base64url, 65 bytes, uncompressed P-256 point
	SignKey   string              `json:"sign_key"` // the same, for ES256
	DTLS      string              `json:"dtls"`     // SHA-256 fingerprint of the leg's certificate, AA:BB:…
	IssuedAt  int64               `json:"iat"`      // Unix seconds
	ExpiresAt int64               `json:"exp"`      // Unix seconds
}

// Admission is authority's countersignature over a statement.
type Admission struct {
	V         int                 `json:"v"` // 1
	Kind      string              `json:"kind"`
	Hearing   interview.HearingID `json:"hearing"`
	Member    interview.MemberID  `json:"member"`
	Statement string              `json:"statement"` // jws.Hash of the statement
	Seats     []AdmittedSeat      `json:"seats"`
	Rule      string              `json:"rule"` // id of the rule that admitted
	IssuedAt  int64               `json:"iat"`
	ExpiresAt int64               `json:"exp"`
}

// AdmittedSeat names who sits on a seat. The name itself is not in it: pages
// get name and salt apart and check Name = base64url SHA-256(salt || 0x00 || name).
type AdmittedSeat struct {
	Seat        interview.SeatID        `json:"seat"`
	Participant interview.ParticipantID `json:"participant"`
	Role        interview.Role          `json:"role"`
	Name        string                  `json:"name"`
}

// Roster lists the members of a group in one epoch, signed by the page of the
// member who chairs. A member's place in the list is part of its key ids.
type Roster struct {
	V       int                 `json:"v"` // 1
	Hearing interview.HearingID `json:"hearing"`
	Group   interview.GroupID   `json:"group"`
	Epoch   int64               `json:"epoch"` // from 1, always growing
	Chair   interview.MemberID  `json:"chair"`
	Members []RosterMember      `json:"members"`
	Prev    string              `json:"prev"`   // jws.Hash of the roster before, or ""
	Reason  string              `json:"reason"` // join, leave, pause, resume, chair, revoked
	At      interview.Micros    `json:"at"`
}

// RosterMember binds a member to the admission that let it in.
type RosterMember struct {
	Member    interview.MemberID `json:"member"`
	Admission string             `json:"admission"` // jws.Hash of the admission
}

// Wrap carries one sender key to one member, signed by the sender's page. The
// HPKE info is the canonical form of the same values without Enc and CT.
type Wrap struct {
	V         int                 `json:"v"` // 1
	Hearing   interview.HearingID `json:"hearing"`
	Group     interview.GroupID   `json:"group"`
	Epoch     int64               `json:"epoch"`
	Sender    interview.MemberID  `json:"sender"`
	Recipient interview.MemberID  `json:"recipient"`
	Track     interview.TrackID   `json:"track"`
	Source    interview.Source    `json:"source"`
	KID       int64               `json:"kid"`
	Roster    string              `json:"roster"` // jws.Hash of the epoch's roster
	Enc       string              `json:"enc"`    // base64url, HPKE encapsulated key
	CT        string              `json:"ct"`     // base64url, sealed sender key
}

// KID is the SFrame key id of a sender's track in an epoch: the epoch, the
// member's place on the roster and the track's number, so that a key id
// belongs to exactly one member and track.
func KID(epoch int64, place, number int) int64 {
	return epoch<<10 | int64(place)<<4 | int64(number)
}

// Origin is a sender's signed list of the frames it sealed on one track and
// rid, about one second of them.
type Origin struct {
	V       int                 `json:"v"` // 1
	Hearing interview.HearingID `json:"hearing"`
	Group   interview.GroupID   `json:"group"`
	Member  interview.MemberID  `json:"member"`
	Track   interview.TrackID   `json:"track"`
	Rid     string              `json:"rid"`
	Seq     int64               `json:"seq"`  // from 0 per track and rid
	Prev    string              `json:"prev"` // jws.Hash of the list before, or ""
	KID     int64               `json:"kid"`
	First   int64               `json:"first"`  // SFrame counter of the first frame
	Hashes  string              `json:"hashes"` // base64url of OriginHashBytes each, consecutive counters
}

// Heartbeat is a recorder's word on what is durable, twice a second, signed by
// the key of its statement.
type Heartbeat struct {
	V         int                     `json:"v"` // 1
	Hearing   interview.HearingID     `json:"hearing"`
	Group     interview.GroupID       `json:"group"`
	Member    interview.MemberID      `json:"member"`
	Recording interview.RecordingID   `json:"recording"`
	State     interview.RecorderState `json:"state"`
	Seq       int64                   `json:"seq"`     // of heartbeats, growing
	Durable   interview.Micros        `json:"durable"` // everything up to here is on disk
	Now       interview.Micros        `json:"now"`
	Tracks    []TrackDurable          `json:"tracks"`
	Head      string                  `json:"head"` // base64url hash of the journal's chain
}

// TrackDurable is the last capture time of one track that is on disk.
type TrackDurable struct {
	Track   interview.TrackID `json:"track"`
	Durable interview.Micros  `json:"durable"`
}

// FrameHeader stands inside the seal, before the frame itself: ten bytes,
// version and source in the first, capture time (uint64, big endian,
// microseconds on the hearing clock), audio level in -dBov (0 loud … 127
// silent; 255: none).
type FrameHeader struct {
	Source  interview.Source
	Capture interview.Micros
	Level   uint8
	// Redundant says that the frame is sound packed twice: a payload of package
	// opusred.
	Redundant bool
}

// FrameHeaderBytes is the length of an encoded FrameHeader.
const FrameHeaderBytes = 10
