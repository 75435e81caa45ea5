package recorder

import (
	"context"
	"crypto"
	"time"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder/journal"
)

// Hearing is what a recorder has to know to record one.
type Hearing struct {
	Case    interview.CaseID    `json:"case"`
	Hearing interview.HearingID `json:"hearing"`
}

// Frame is a whole frame as it came, not yet opened.
type Frame struct {
	Member  interview.MemberID // whose the door says it is; Room.Open checks
	Track   interview.TrackID
	Source  interview.Source
	Rid     string
	RTPTime uint32
	Arrival time.Time
	// Lost is how many packets the connection missed right before, and no repair
	// brought.
	Lost   int
	Sealed []byte
}

// Joiner brings a recorder into a hearing's room as a new member.
type Joiner interface {
	// Join returns when the recorder is welcome. Events may be called before it
	// does and until Done is closed.
	Join(ctx context.Context, h Hearing, on Events) (Room, error)
}

// Events are what a room tells. Frame is called from several goroutines and
// its bytes belong to the recorder; none of them blocks.
type Events struct {
	Frame   func(Frame)
	Keep    func(journal.SenderKey) error // the sender key is not used if it fails; it calls nothing of Room
	Wrap    func()                        // a sender key that was kept can be used
	Members func([]wire.MemberView)       // verified
	Roster  func(text string)             // verified, in force
	Origin  func(lists []string)          // not yet verified
	Phase   func(wire.PhaseNow)
}

// Room is a recorder's place in one room.
type Room interface {
	Member() interview.MemberID
	Group() interview.GroupID
	Statement() string
	Signer() crypto.Signer // of the statement's sign_key
	Now() interview.Micros
	// Open authenticates a frame as coming from its member and track. What was
	// inside is appended to dst.
	Open(dst []byte, f Frame) (sealing.FrameHeader, []byte, error)
	// AcceptOrigin verifies an origin list.
	AcceptOrigin(list string) error
	// Heartbeat signs and sends; V, Hearing, Group and Member are filled in.
	Heartbeat(sealing.Heartbeat) error
	// Done is closed when the room is lost or left.
	Done() <-chan struct{}
	Close()
}
