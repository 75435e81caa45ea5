package journal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/interview/sealing"
)

// EntryType names what an entry says. The type decides in which section of a
// block it stands and how its body reads.
type EntryType string

// Types of entry. Bodies are canonical JSON, or one compact JWS where noted.
const (
	EntryOpened    EntryType = "opened"     // Opened: first entry of the first block, and only there
	EntryStatement EntryType = "statement"  // JWS of a member's statement
	EntryAdmission EntryType = "admission"  // JWS of a member's admission
	EntryRoster    EntryType = "roster"     // JWS of a roster
	EntryOrigin    EntryType = "origin"     // JWS of a sender's origin list
	EntryPhase     EntryType = "phase"      // Phase
	EntryAnchor    EntryType = "anchor"     // Anchor
	EntryGap       EntryType = "gap"        // Gap
	EntryClosed    EntryType = "closed"     // Closed: last entry of the last block
	EntrySenderKey EntryType = "sender-key" // SenderKey; the one type inside the data key's seal
)

// sections says where each type stands; a type that is not listed is refused.
var sections = map[EntryType]struct{ sealed, signed bool }{
	EntryOpened: {}, EntryPhase: {}, EntryAnchor: {}, EntryGap: {}, EntryClosed: {},
	EntryStatement: {signed: true}, EntryAdmission: {signed: true}, EntryRoster: {signed: true}, EntryOrigin: {signed: true},
	EntrySenderKey: {sealed: true},
}

// Entry is one entry of a block.
type Entry struct {
	Type EntryType
	At   interview.Micros // when the recorder took it in, on the hearing clock
	Body []byte
	list *List // of an origin list that was read
}

// NewEntry makes an entry with a canonical JSON body.
func NewEntry(t EntryType, at interview.Micros, body any) (Entry, error) {
	if s, ok := sections[t]; !ok || s.signed {
		return Entry{}, fmt.Errorf("entry type %q has no JSON body", t)
	}
	b, err := canon.Marshal(body)
	if err != nil {
		return Entry{}, fmt.Errorf("entry %s: %w", t, err)
	}
	return Entry{Type: t, At: at, Body: b}, nil
}

// NewSigned makes an entry that keeps a signed message as it came.
func NewSigned(t EntryType, at interview.Micros, message string) (Entry, error) {
	if s, ok := sections[t]; !ok || !s.signed {
		return Entry{}, fmt.Errorf("entry type %q keeps no signed message", t)
	}
	if message == "" || len(message) > MaxEntry {
		return Entry{}, fmt.Errorf("entry %s: message of %d bytes, want 1 to %d", t, len(message), MaxEntry)
	}
	return Entry{Type: t, At: at, Body: []byte(message)}, nil
}

// Read reads a JSON body strictly.
func (e Entry) Read(v any) error {
	if err := canon.Unmarshal(e.Body, v); err != nil {
		return fmt.Errorf("entry %s: %w", e.Type, err)
	}
	return nil
}

// Opened says whose journal this is and under which keys.
type Opened struct {
	V         int                   `json:"v"` // 1
	Case      interview.CaseID      `json:"case"`
	Hearing   interview.HearingID   `json:"hearing"`
	Group     interview.GroupID     `json:"group"`
	Member    interview.MemberID    `json:"member"` // the recorder
	Recording interview.RecordingID `json:"recording"`
	Statement string                `json:"statement"` // JWS: its sign_key signs the blocks
	Wrapped   string                `json:"wrapped"`   // base64url, data key wrapped under WrapContext
	Anchor    Anchor                `json:"anchor"`
	After     *After                `json:"after"` // the recording that this one goes on from, or null
}

// After is how a recorder's new life names what its former one left.
type After struct {
	Recording interview.RecordingID `json:"recording"`
	Seq       int64                 `json:"seq"`  // its last whole block, -1: none
	Head      string                `json:"head"` // hash of that block
	To        interview.Micros      `json:"to"`   // until when it is whole
	Torn      int64                 `json:"torn"` // bytes of a torn last write that were cut off
	Cause     Cause                 `json:"cause"`
}

// Anchor ties the hearing clock to other clocks (row H8).
type Anchor struct {
	Hearing   interview.Micros `json:"hearing"`
	Wall      int64            `json:"wall"`      // Unix microseconds
	Monotonic int64            `json:"monotonic"` // microseconds since the process started
	Lease     int64            `json:"lease"`     // epoch of the room's lease, 0 where unknown
	Reason    string           `json:"reason"`    // opened, resumed, restarted
}

// Phase is a phase of the hearing without the words in which it was asked for:
// those are personal content and stay in the records.
type Phase struct {
	Phase interview.Phase         `json:"phase"`
	Cause interview.Cause         `json:"cause"`
	Since interview.Micros        `json:"since"`
	By    interview.ParticipantID `json:"by"`
}

// Cause says why something is missing.
type Cause string

// Causes of gaps.
const (
	CauseRestarted    Cause = "recorder-restarted" // the process ended without closing
	CauseQueueFull    Cause = "queue-full"         // the disk did not follow
	CauseUnauthentic  Cause = "unauthentic"        // frames that did not open
	CauseNoKey        Cause = "no-key"             // frames under a key that never came
	CauseNotReceived  Cause = "not-received"       // counters that never came
	CausePaused       Cause = "paused"             // outside the key group
	CauseConsultation Cause = "consultation"       // outside the key group
	CauseDisconnected Cause = "disconnected"       // the recorder was out of the room
	CauseDiskFailed   Cause = "disk-failed"        // a write or sync failed
)

// Gap says what is missing, of whom and why. Frames counts what is known to be
// lost; Member and Track are empty where the gap concerns everybody.
type Gap struct {
	Cause  Cause              `json:"cause"`
	From   interview.Micros   `json:"from"`
	To     interview.Micros   `json:"to"`
	Member interview.MemberID `json:"member"`
	Track  interview.TrackID  `json:"track"`
	Frames int64              `json:"frames"`
}

// Closed ends a journal that was not cut off.
type Closed struct {
	Reason string `json:"reason"`
	Frames int64  `json:"frames"` // frames in the whole journal
}

// SenderKey is one sender's key for one track and epoch. It is written only
// inside the data key's seal and cannot be printed.
type SenderKey struct {
	Group  interview.GroupID
	Epoch  int64
	Member interview.MemberID
	Track  interview.TrackID
	Source interview.Source
	KID    int64
	Key    []byte
}

type senderKeyBody struct {
	Group  interview.GroupID  `json:"group"`
	Epoch  int64              `json:"epoch"`
	Member interview.MemberID `json:"member"`
	Track  interview.TrackID  `json:"track"`
	Source interview.Source   `json:"source"`
	KID    int64              `json:"kid"`
	Key    string             `json:"key"` // base64url, 32 bytes
}

// NewSenderKeyEntry makes the sealed entry of a sender key.
func NewSenderKeyEntry(at interview.Micros, k SenderKey) (Entry, error) {
	if len(k.Key) != sealing.SenderKeyBytes {
		return Entry{}, fmt.Errorf("sender key has %d bytes, want %d", len(k.Key), sealing.SenderKeyBytes)
	}
	return NewEntry(EntrySenderKey, at, senderKeyBody{k.Group, k.Epoch, k.Member, k.Track, k.Source, k.KID, base64.RawURLEncoding.EncodeToString(k.Key)})
}

// SenderKey reads the entry of a sender key.
func (e Entry) SenderKey() (SenderKey, error) {
	var b senderKeyBody
	if e.Type != EntrySenderKey {
		return SenderKey{}, fmt.Errorf("entry %s is no sender key", e.Type)
	}
	// What canon says of a text that does not read may quote it: not here.
	if err := exact(e.Body, &b); err != nil {
		return SenderKey{}, errors.New("entry sender-key: malformed")
	}
	key, err := base64.RawURLEncoding.DecodeString(b.Key)
	if err != nil || len(key) != sealing.SenderKeyBytes {
		return SenderKey{}, errors.New("entry sender-key: malformed key")
	}
	return SenderKey{b.Group, b.Epoch, b.Member, b.Track, b.Source, b.KID, key}, nil
}

// String and its siblings keep the key out of every output.
func (k SenderKey) String() string { return fmt.Sprintf("sender key %d (redacted)", k.KID) }

// GoString is String.
func (k SenderKey) GoString() string { return k.String() }

// LogValue is String.
func (k SenderKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON always fails: NewSenderKeyEntry is the one way out.
func (k SenderKey) MarshalJSON() ([]byte, error) { return nil, ErrKeyRefused }
