package media

import "kuule/interview"

// DependencyDescriptorURI names the header extension that tells key frames and
// frame numbers in clear (AV1 RTP specification, appendix A).
const DependencyDescriptorURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// OpenLeg opens one member's media connection, or moves the one it had to
// another path: an offer that comes from the very connection that Before names
// (an ICE restart, RFC 8445 section 9) keeps that leg with its keys, numbers and
// slots. Otherwise Before is closed and Leg is opened in its place.
type OpenLeg struct {
	Room        interview.GroupID `json:"room"`
	Leg         interview.LegID   `json:"leg"`
	Before      interview.LegID   `json:"before,omitzero"`
	Offer       string            `json:"offer"`       // SDP
	Fingerprint string            `json:"fingerprint"` // of the statement: the offer must carry no other
	Tracks      []Publish         `json:"tracks"`
}

// Publish names one track that the leg sends, by its mid.
type Publish struct {
	Mid    string            `json:"mid"`
	Track  interview.TrackID `json:"track"`
	Source interview.Source  `json:"source"`
}

// LegOpened is the node's answer: which leg it is now, the SDP answer, the mids
// on which the leg can receive. A leg that is new is told how each of its tracks is
// to be sent from the start; for one that moved, what was advised before holds.
type LegOpened struct {
	Leg    interview.LegID `json:"leg,omitzero"`
	Answer string          `json:"answer"`
	Slots  []Slot          `json:"slots"`
	Advice []TrackAdvice   `json:"advice,omitempty"`
}

// TrackAdvice is the advice for one track of a leg.
type TrackAdvice struct {
	Track interview.TrackID `json:"track"`
	Advice
}

// Slot is one receiving mid of a leg. Kind is audio or video.
type Slot struct {
	Mid  string `json:"mid"`
	Kind string `json:"kind"`
}

// CloseLeg ends a leg.
type CloseLeg struct {
	Room interview.GroupID `json:"room"`
	Leg  interview.LegID   `json:"leg"`
}

// Table is everything that a room forwards, replacing what was before.
type Table struct {
	Room       interview.GroupID `json:"room"`
	Generation int64             `json:"generation"` // growing; a smaller one is refused
	Routes     []Route           `json:"routes"`
}

// Route sends one leg's track to a slot of another leg.
//
// Rank and Height say what the receiver makes of it when its link does not carry
// everything. Every voice goes before every picture; within a kind the smaller
// rank goes first, and the last voice kept is the one of the smallest rank.
type Route struct {
	From  interview.LegID   `json:"from"`
	Track interview.TrackID `json:"track"`
	To    interview.LegID   `json:"to"`
	Mid   string            `json:"mid"`
	Rank  int               `json:"rank"` // 0 to MaxRank
	// Height is that of the tile in pixels: no layer is sent that is larger than
	// the tile needs. 0: as large as it comes.
	Height int  `json:"height,omitempty"`
	Off    bool `json:"off,omitempty"` // assigned, but nothing is to be sent now
}

// Bounds of a route.
const (
	MaxRank   = 63
	MaxHeight = 4320
)

// Event tells how a leg fares.
type Event struct {
	Room  interview.GroupID `json:"room"`
	Leg   interview.LegID   `json:"leg"`
	State LegState          `json:"state"`
}

// LegState is the state of a leg's connection.
type LegState string

// States of a leg.
const (
	LegConnected    LegState = "connected"
	LegDisconnected LegState = "disconnected" // no packet for a while; may return by itself
	LegClosed       LegState = "closed"       // gone: a new offer is needed
	NodeStarted     LegState = "started"      // of no leg: the node knows none, all of before are gone
)
