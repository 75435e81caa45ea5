package wire

import (
	"kuule/interview"
)

// Join asks to be let in with a device-signed statement. Proof carries what
// the person's side brings: it is given by the agent, not by the page.
type Join struct {
	Hearing   interview.HearingID `json:"hearing"`
	Statement string              `json:"statement"`
	Proof     Proof               `json:"proof"`
	// Admission is what this same member was given before its connection broke:
	// authority's word is enough to come back, also to a door that restarted.
	Admission string `json:"admission,omitempty"`
}

// Proof is what shows who sits at the device: a sign-in, join tickets, or both
// (an interpreter signed in beside an applicant who came through the kiosk).
type Proof struct {
	IDToken string               `json:"id_token,omitempty"` // of the person signed in
	Nonce   string               `json:"nonce,omitempty"`    // base64url, what the token's nonce was made of
	Tickets []interview.TicketID `json:"tickets,omitempty"`  // redeemed by this device
}

// Welcome says that the join is understood and its maker waits.
type Welcome struct {
	Member  interview.MemberID `json:"member"`
	Seats   []SeatView         `json:"seats"` // this device's seats
	Phase   PhaseNow           `json:"phase"`
	Clock   Clock              `json:"clock"`
	Group   interview.GroupID  `json:"group"`
	Chair   bool               `json:"chair"`
	Subject HearingView        `json:"hearing"`
}

// HearingView is what a page shows of the hearing.
type HearingView struct {
	Hearing  interview.HearingID `json:"hearing"`
	Case     interview.CaseID    `json:"case"`
	Diary    string              `json:"diary"` // diary number
	Language string              `json:"language"`
	Mode     interview.Mode      `json:"mode"`
}

// SeatView is a seat with the person on it. Salt and Name match the
// commitment in the admission.
type SeatView struct {
	Seat        interview.SeatID        `json:"seat"`
	Participant interview.ParticipantID `json:"participant"`
	Role        interview.Role          `json:"role"`
	Name        string                  `json:"name"`
	Salt        string                  `json:"salt"` // base64url
	Place       string                  `json:"place"`
}

// Knock tells the chair who waits: names, roles, place, device and what was
// checked. Nobody enters without Admit.
type Knock struct {
	Member  interview.MemberID `json:"member"`
	Device  interview.DeviceID `json:"device"`
	Label   string             `json:"label"` // the device's name in the register
	Seats   []SeatView         `json:"seats"`
	Checks  []interview.Check  `json:"checks"`
	Rule    string             `json:"rule"`
	Waiting interview.Micros   `json:"since"`
}

// KnockGone says that a waiting member left.
type KnockGone struct {
	Member interview.MemberID `json:"member"`
}

// Admit lets a waiting member in. Seats repeats whom the interviewer saw: an
// admission counts only for exactly those (row D1).
type Admit struct {
	Member interview.MemberID `json:"member"`
	Seats  []interview.SeatID `json:"seats"`
}

// Decline keeps a waiting member out, with a reason.
type Decline struct {
	Member interview.MemberID `json:"member"`
	Reason string             `json:"reason"`
}

// Remove takes a member out of the room.
type Remove struct {
	Member interview.MemberID `json:"member"`
	Reason string             `json:"reason"`
}

// Admitted tells a member that it is in: the admission to check, and the leg
// that the room still knows of it. A page whose leg is another offers anew.
type Admitted struct {
	Admission string          `json:"admission"`
	Leg       interview.LegID `json:"leg,omitzero"`
}

// Members is everyone admitted now, with all that a page needs to check them.
type Members struct {
	Members []MemberView `json:"members"`
}

// MemberView is one member.
type MemberView struct {
	Member    interview.MemberID `json:"member"`
	Kind      string             `json:"kind"`
	Statement string             `json:"statement"`
	Admission string             `json:"admission"`
	Seats     []SeatView         `json:"seats"`
	Connected bool               `json:"connected"`
}

// Roster carries a signed roster.
type Roster struct {
	Roster string `json:"roster"`
}

// Wraps carries signed wraps.
type Wraps struct {
	Wraps []string `json:"wraps"`
}

// Origin carries signed origin lists.
type Origin struct {
	Lists []string `json:"lists"`
}

// Offer opens or renews the member's leg: one peer connection, offered by the
// member, with its own tracks sendonly and slots recvonly for the others'.
type Offer struct {
	SDP    string       `json:"sdp"`
	Tracks []OfferTrack `json:"tracks"`
}

// OfferTrack is one published track.
type OfferTrack struct {
	Track  interview.TrackID `json:"track"`
	Source interview.Source  `json:"source"`
	Number int               `json:"number"` // 0..15, unique per member
	Mid    string            `json:"mid"`
	Seat   interview.SeatID  `json:"seat,omitzero"` // whose microphone it is, where a device has several
}

// Share says that a screen or document is shown on a track of the offer, or no
// more. Until then the track is nobody's to receive and no recorder's to keep.
type Share struct {
	Track interview.TrackID `json:"track"`
	On    bool              `json:"on"`
}

// Answer is the media server's answer. Where the leg is new, no hint of before
// holds, and Hints say how each track is to be sent from the start: who comes back
// into a room that loses sounds sends them twice from the first packet on.
type Answer struct {
	SDP   string          `json:"sdp"`
	Leg   interview.LegID `json:"leg"`
	Hints []SendHint      `json:"hints,omitempty"`
}

// Slots is the whole assignment of a member's receiving mids.
type Slots struct {
	Slots []Slot `json:"slots"`
}

// Slot says whose track comes on a mid.
type Slot struct {
	Mid    string             `json:"mid"`
	Member interview.MemberID `json:"member"`
	Track  interview.TrackID  `json:"track"`
	Source interview.Source   `json:"source"`
	Number int                `json:"number"`
	Seat   interview.SeatID   `json:"seat,omitzero"` // as offered; for showing alone, nobody signs it
}

// Wish says how a member shows what it receives, so that a link which does not
// carry everything carries what matters. It is the whole wish and replaces the
// one before; for a track that it does not name the door decides by role. It is
// about tracks, not mids: a wish outlives a renewed leg. Whoever wishes often is
// heard, but not at once: the newest wish takes effect within 300 ms.
type Wish struct {
	Slots []SlotWish `json:"slots"` // at most MaxWishes
}

// MaxWishes bounds a wish.
const MaxWishes = 32

// SlotWish is the wish for one track. Every voice goes before every picture;
// within a kind the smaller rank goes first, and the voice that matters most is
// the one of the smallest rank.
type SlotWish struct {
	Track  interview.TrackID `json:"track"`
	Rank   int               `json:"rank"`   // 0 to 63
	Height int               `json:"height"` // of the tile, in pixels of the screen, to 4320; 0: as large as it comes
	Off    bool              `json:"off"`    // not heard or shown now: not sent either
}

// SendHint tells a member how to send one track, for the sake of those who
// receive it. It is the whole advice for that track and replaces the one before;
// what it leaves out is as the member likes.
type SendHint struct {
	Track    interview.TrackID `json:"track"`
	PacketMS int               `json:"packet_ms,omitempty"` // audio: duration of a packet, 20 or 60
	Bitrate  int               `json:"bitrate,omitempty"`   // bit/s of the codec, at most
	Red      bool              `json:"red,omitempty"`       // audio: send redundantly (RFC 2198)
	Unneeded []string          `json:"unneeded,omitempty"`  // rids that nobody receives now
}

// AskPhase asks for a transition.
type AskPhase struct {
	To     interview.Phase `json:"to"`
	Reason string          `json:"reason"` // who asked and why, in the interviewer's words
}

// PhaseNow is the phase and why it began.
type PhaseNow struct {
	Phase  interview.Phase         `json:"phase"`
	Cause  interview.Cause         `json:"cause"`
	Since  interview.Micros        `json:"since"`
	By     interview.ParticipantID `json:"by"`
	Reason string                  `json:"reason"`
}

// Raise asks the interviewer for a break or to speak, or tells at the start
// whether the recording was understood.
type Raise struct {
	What string `json:"what"` // one of Raisable
}

// Raisable lists what can be raised.
var Raisable = []string{"break", "speak", "recording-acknowledged", "recording-refused"}

// Raised tells who asked for what.
type Raised struct {
	Member interview.MemberID `json:"member"`
	What   string             `json:"what"`
	At     interview.Micros   `json:"at"`
}

// Heartbeat carries a recorder's signed heartbeat.
type Heartbeat struct {
	Heartbeat string `json:"heartbeat"`
}

// Leave says goodbye.
type Leave struct {
	Reason string `json:"reason"`
}

// Sync asks for the hearing clock.
type Sync struct {
	Sent int64 `json:"sent"` // the asker's own clock, returned as it was
}

// Clock is the hearing clock now.
type Clock struct {
	Now  interview.Micros `json:"now"`
	Wall int64            `json:"wall"` // Unix microseconds at the server
	Sent int64            `json:"sent"`
}
