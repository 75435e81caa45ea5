package tunnel

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

const (
	// Protocol is the WebSocket subprotocol.
	Protocol = "kuule-kiosk.v1"
	// MaxMessage bounds one message in bytes: the longest APDU in base64 and room.
	MaxMessage = 96 << 10
	// MaxZone bounds the optical zone as text.
	MaxZone = 128
	// MaxReference bounds a booking reference.
	MaxReference = 64
)

// Types of messages.
const (
	TypeHello    = "hello"
	TypeVisit    = "visit"
	TypeBegin    = "begin"
	TypeAsk      = "ask"
	TypeTaken    = "taken"
	TypeAPDU     = "apdu"
	TypeAnswer   = "answer"
	TypeFinish   = "finish"
	TypeJournal  = "journal"
	TypeEvidence = "evidence"
	TypeVouch    = "vouch"
	TypeOutcome  = "outcome"
	TypeProblem  = "problem"
)

// Hello opens the conversation.
type Hello struct {
	V       int               `json:"v"`
	Program string            `json:"program"`          // name and version, for the log
	Offers  []ticket.StepName `json:"offers,omitempty"` // steps for which the kiosk has parts
	At      int64             `json:"at"`               // milliseconds on the kiosk's stopwatch
	Wall    int64             `json:"wall"`             // the kiosk's clock, Unix milliseconds; nothing stands on it
}

// Visit begins a visit.
type Visit struct {
	Visit   interview.VisitID  `json:"visit"`
	Nonce   string             `json:"nonce"` // base64url, 32 bytes
	Kiosk   interview.DeviceID `json:"kiosk"` // as the bridge knows it
	Seconds int                `json:"seconds"`
	Policy  string             `json:"policy"` // version of the rules by which it is judged
}

// APDU is one command for the chip.
type APDU struct {
	N       int    `json:"n"`
	Command string `json:"command"` // base64
}

// Answer is the chip's response to command N. Silent says that none came.
type Answer struct {
	N        int    `json:"n"`
	Response string `json:"response,omitempty"` // base64
	Silent   bool   `json:"silent,omitempty"`
}

// Evidence is the canonical text of ticket.Evidence.
type Evidence struct {
	Evidence string `json:"evidence"`
}

// Vouch is the kiosk's signature over the evidence (kuule-kiosk-visit+jws).
type Vouch struct {
	Visit string `json:"visit"`
}

// Result is where the person goes from here.
type Result string

// Results of a visit.
const (
	ResultJoin  Result = "join"  // a ticket waits at the room terminal
	ResultDesk  Result = "desk"  // a person at the desk takes over
	ResultAgain Result = "again" // place the document once more
	ResultDone  Result = "done"  // nothing more is needed: it was no ticket that the person came for
)

// Outcome ends a visit. It tells the kiosk no verdicts: those go to staff.
type Outcome struct {
	Result   Result              `json:"result"`
	Way      problem.Way         `json:"way"`
	Ticket   interview.TicketID  `json:"ticket,omitzero"`
	Hearing  interview.HearingID `json:"hearing,omitzero"`
	Terminal interview.DeviceID  `json:"terminal,omitzero"`
	Place    string              `json:"place,omitempty"`   // the terminal's room, for people
	Expires  int64               `json:"expires,omitempty"` // seconds since 1970

	// Because is what the person is told of why the desk, where there is a word for
	// it that is no verdict: [BecauseFingers]. Empty: no more than that staff help.
	Because string `json:"because,omitempty"`

	// Handover is for the desk, as a picture or typed: what the kiosk has done is
	// not done again there. It can be used once, for minutes.
	Handover string `json:"handover,omitempty"`

	// Visit is filled in by the kiosk, which has known it since the greeting.
	Visit interview.VisitID `json:"visit,omitzero"`
}

// BecauseFingers says that the register's finger could not be taken.
const BecauseFingers = "fingers"

// ErrMessage says that a message cannot be read or is not the one that belongs
// there.
var ErrMessage = errors.New("unexpected message in the kiosk's tunnel")

// ErrLarge says that an artefact is larger than its kind may be.
var ErrLarge = errors.New("artefact is too large")

type envelope struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// Encode writes a message.
func Encode(typ string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", typ, err)
	}
	out, err := json.Marshal(envelope{typ, b})
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", typ, err)
	}
	if len(out) > MaxMessage {
		return nil, fmt.Errorf("%w: %s of %d bytes, at most %d", ErrMessage, typ, len(out), MaxMessage)
	}
	return out, nil
}

// Decode reads a message that must be of type typ. A problem message in its
// place becomes its error.
func Decode(text []byte, typ string, body any) error {
	if len(text) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMessage, len(text), MaxMessage)
	}
	var e envelope
	if err := canon.Strict(text, &e); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if e.Type == TypeProblem && typ != TypeProblem {
		var d problem.Document
		if err := canon.Strict(e.Body, &d); err != nil {
			return fmt.Errorf("%w: %w", ErrMessage, err)
		}
		return d.Err()
	}
	if e.Type != typ {
		return fmt.Errorf("%w: a message of another type where %s belongs", ErrMessage, typ)
	}
	if err := canon.Strict(e.Body, body); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMessage, typ, err)
	}
	return nil
}

// Peek reads a message's type only.
func Peek(text []byte) (string, error) {
	if len(text) > MaxMessage {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrMessage, len(text), MaxMessage)
	}
	var e envelope
	if err := canon.Strict(text, &e); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return e.Type, nil
}

// Transcript is the running hash of the APDUs of a visit, kept at both ends:
// the kiosk vouches only for what went through its own hands. It is not safe
// for concurrent use.
type Transcript struct{ h hash.Hash }

// NewTranscript begins one for a visit.
func NewTranscript(visit interview.VisitID) *Transcript {
	t := &Transcript{sha256.New()}
	t.write([]byte("kuule-kiosk-apdu"))
	t.write([]byte(visit.String()))
	return t
}

// Add takes a command and its response; a nil response is a chip's silence.
func (t *Transcript) Add(command, response []byte) {
	t.write(command)
	if response == nil {
		t.h.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF})
		return
	}
	t.write(response)
}

// Sum is SHA-256 in base64url, as evidence carries it.
func (t *Transcript) Sum() string { return base64.RawURLEncoding.EncodeToString(t.h.Sum(nil)) }

func (t *Transcript) write(b []byte) {
	t.h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	t.h.Write(b)
}
