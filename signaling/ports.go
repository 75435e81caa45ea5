package signaling

import (
	"context"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/wire"
)

// Peer is who is at the other end of a connection, as the transport proved it.
type Peer struct {
	Device      interview.DeviceID
	Certificate []byte // DER, of the device or the recorder
	Recorder    bool
	Instance    string // of a recorder: which one it is, where there are several
}

// Conn is one end of a connection. Send never blocks: it queues or fails.
type Conn interface {
	Send(wire.Message) error
	Close(reason error)
}

// Judgement is what the admission rules say of a join.
type Judgement struct {
	Seats  []wire.SeatView // the device's seats that may be taken, with their persons
	Checks []interview.Check
	Label  string // the device's name in the register
	Rule   string // id of the rule that decided
	Chair  bool   // admitted by rule, and signs the rosters
	Facts  []byte // what authority needs to countersign, opaque here
}

// Admission judges joins and has them countersigned.
type Admission interface {
	// Judge decides on a join. A refusal is a *problem.Error with its rule.
	Judge(ctx context.Context, peer Peer, join wire.Join) (Judgement, error)
	// Countersign returns authority's admission of the statement for the seats.
	Countersign(ctx context.Context, join wire.Join, j Judgement) (string, error)
	// Returning checks an admission given before: still valid, for this very
	// statement and device. It returns who sits there.
	Returning(ctx context.Context, peer Peer, join wire.Join) (Judgement, error)
}

// Hearings is the hearing itself: what it is, its clock and its phases.
type Hearings interface {
	Open(ctx context.Context, h interview.HearingID) (Opened, error)
	Phase(ctx context.Context, h interview.HearingID) (wire.PhaseNow, error)
	Ask(ctx context.Context, h interview.HearingID, ask PhaseRequest) (wire.PhaseNow, error)
}

// Opened is a hearing whose room is open.
type Opened struct {
	View  wire.HearingView
	Group interview.GroupID
	Clock func() interview.Micros
}

// PhaseRequest is a wish for a transition with all that decides it.
type PhaseRequest struct {
	To      interview.Phase
	Cause   interview.Cause
	By      interview.ParticipantID // zero: the system
	Reason  string
	Durable bool // a recorder proves durable data of every publisher
	Members []interview.MemberID
}

// Media is the media node that serves the room.
type Media interface {
	OpenLeg(ctx context.Context, req media.OpenLeg) (media.LegOpened, error)
	CloseLeg(ctx context.Context, req media.CloseLeg) error
	Forward(ctx context.Context, t media.Table) error
}

// Recorders are asked to come to a room that opens.
type Recorders interface {
	Invite(ctx context.Context, h interview.HearingID, group interview.GroupID) error
}

// Journal takes what has to be kept of a room beside the media: statements,
// admissions, rosters. It must not block.
type Journal interface {
	Keep(h interview.HearingID, kind, message string)
}

// Audit takes events for the audit log. It must not block.
type Audit interface {
	Joined(h interview.HearingID, peer Peer, rule string, err error)
}

// Limits of a room. The zero value is not usable; see Defaults.
type Limits struct {
	MessagesPerSecond int
	BytesPerSecond    int           // of one connection, at least wire.MaxSize
	RarePerSecond     int           // joins, offers, shared screens and raised hands of one device
	Connections       int           // of one device at the same time
	Queue             int           // messages that may wait for a slow socket
	QueueBytes        int           // and their size together
	HeartbeatLost     time.Duration // without a durable heartbeat, on record ends
	ChairLost         time.Duration // without the chair's page, the hearing pauses
	SeatKept          time.Duration // an admitted seat may reload without a new knock
	RecorderSilent    time.Duration // a recorder that says nothing for so long is gone
	MaxMembers        int
}

// Defaults are the limits of production.
var Defaults = Limits{
	MessagesPerSecond: 100,
	BytesPerSecond:    1 << 20,
	RarePerSecond:     2,
	Connections:       8,
	Queue:             512,
	QueueBytes:        16 << 20,
	HeartbeatLost:     1500 * time.Millisecond,
	ChairLost:         30 * time.Second,
	SeatKept:          10 * time.Minute,
	RecorderSilent:    5 * time.Second,
	MaxMembers:        64,
}
