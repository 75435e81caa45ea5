package wire

import (
	"encoding/json"

	"kuule/internal/canon"
	"kuule/internal/problem"
)

// Protocol is the WebSocket subprotocol's name.
const Protocol = "kuule.v1"

// MaxSize bounds one message in bytes.
const MaxSize = 256 << 10

// Type names a message.
type Type string

// Messages to the door.
const (
	TypeJoin      Type = "join"      // Join -> Welcome, later Admitted or Refused
	TypeAdmit     Type = "admit"     // Admit (chair)
	TypeDecline   Type = "decline"   // Decline (chair)
	TypeRemove    Type = "remove"    // Remove (chair): a member leaves the room
	TypeRoster    Type = "roster"    // Roster (chair); also sent on to every member
	TypeWraps     Type = "wraps"     // Wraps; sent on to their recipients
	TypeOrigin    Type = "origin"    // Origin; sent on to recorders
	TypeOffer     Type = "offer"     // Offer -> Answer
	TypeWish      Type = "wish"      // Wish: what the member makes of what it is sent
	TypeShare     Type = "share"     // Share: a screen is shown, or no more
	TypePhase     Type = "phase"     // AskPhase (chair)
	TypeRaise     Type = "raise"     // Raise: ask for a break or to speak
	TypeHeartbeat Type = "heartbeat" // Heartbeat (recorder); sent on to every member
	TypeLeave     Type = "leave"     // Leave
	TypeSync      Type = "sync"      // Sync -> Clock
)

// Messages from the door.
const (
	TypeOK         Type = "ok"         // answer without content
	TypeProblem    Type = "problem"    // problem.Document
	TypeWelcome    Type = "welcome"    // Welcome: you are in the waiting room
	TypeKnock      Type = "knock"      // Knock (to the chair)
	TypeKnockGone  Type = "knock-gone" // KnockGone
	TypeAdmitted   Type = "admitted"   // Admitted: you are in
	TypeRefused    Type = "refused"    // problem.Document: you are not; the way still open is in it
	TypeMembers    Type = "members"    // Members: everyone admitted now
	TypeAnswer     Type = "answer"     // Answer
	TypeSlots      Type = "slots"      // Slots: which track comes on which mid
	TypeSendHint   Type = "send-hint"  // SendHint: how to send a track from now on
	TypePhaseNow   Type = "phase-now"  // PhaseNow
	TypeRaised     Type = "raised"     // Raised
	TypeClock      Type = "clock"      // Clock
	TypeSuperseded Type = "superseded" // another page of this device took the seat
)

// Message is the envelope.
type Message struct {
	Type Type            `json:"type"`
	ID   int64           `json:"id,omitempty"`
	Re   int64           `json:"re,omitempty"`
	Body json.RawMessage `json:"body,omitempty"`
}

// New makes a message around body, which may be nil.
func New(t Type, body any) (Message, error) {
	if body == nil {
		return Message{Type: t}, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return Message{}, err
	}
	return Message{Type: t, Body: b}, nil
}

// Parse reads an envelope strictly.
func Parse(text []byte) (Message, error) {
	if len(text) > MaxSize {
		return Message{}, problem.New(problem.CodeTooLarge, "message of %d bytes, at most %d", len(text), MaxSize)
	}
	var m Message
	if err := canon.Strict(text, &m); err != nil {
		return Message{}, problem.New(problem.CodeMalformed, "message: %w", err)
	}
	return m, nil
}

// Read reads the body strictly into v.
func (m Message) Read(v any) error {
	if err := canon.Strict(m.Body, v); err != nil {
		return problem.New(problem.CodeMalformed, "body of %s: %w", m.Type, err)
	}
	return nil
}
