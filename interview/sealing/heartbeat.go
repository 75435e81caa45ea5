package sealing

import (
	"fmt"
	"slices"

	"kuule/internal/jws"
	"kuule/interview"
)

// MaxHeartbeat bounds one signed heartbeat in bytes.
const MaxHeartbeat = 64 << 10

var recorderStates = []interview.RecorderState{
	interview.RecorderStarting, interview.RecorderRecording, interview.RecorderBehind, interview.RecorderFailed, interview.RecorderStopped,
}

// SignHeartbeat signs a heartbeat with the recorder's own page key. V, Member
// are set here.
func (i *Identity) SignHeartbeat(h Heartbeat) (string, error) {
	h.V, h.Member = 1, i.member
	if h.Tracks == nil {
		h.Tracks = []TrackDurable{}
	}
	return jws.Sign(h, TypeHeartbeat, i.sign)
}

// VerifyHeartbeat checks that a heartbeat is this recorder's own. Whether it
// is newer than the last is the caller's to know: see Group.AcceptHeartbeat.
func (m *Member) VerifyHeartbeat(message string) (Heartbeat, error) {
	var h Heartbeat
	if len(message) > MaxHeartbeat || !m.Recorder() {
		return Heartbeat{}, fmt.Errorf("%w: too long, or not from a recorder", ErrHeartbeat)
	}
	if err := jws.Verify(message, TypeHeartbeat, m.sign, &h); err != nil {
		return Heartbeat{}, fmt.Errorf("%w: %w", ErrHeartbeat, err)
	}
	switch {
	case h.V != 1 || h.Member != m.Statement.Member || h.Hearing != m.Statement.Hearing:
		return Heartbeat{}, fmt.Errorf("%w: it is of another version, member or hearing", ErrHeartbeat)
	case h.Seq < 0 || h.Durable < 0 || h.Now < 0 || h.Recording.IsZero() || !slices.Contains(recorderStates, h.State):
		return Heartbeat{}, fmt.Errorf("%w: a value is out of bounds", ErrHeartbeat)
	case len(h.Tracks) > MaxMembers*MaxTracks:
		return Heartbeat{}, fmt.Errorf("%w: too many tracks", ErrHeartbeat)
	}
	return h, nil
}

// AcceptHeartbeat verifies a heartbeat of a known recorder, on the roster or
// not (in a pause it is outside), newer than its last.
func (g *Group) AcceptHeartbeat(message string) (Heartbeat, error) {
	var peek Heartbeat
	if len(message) > MaxHeartbeat {
		return Heartbeat{}, fmt.Errorf("%w: longer than %d bytes", ErrHeartbeat, MaxHeartbeat)
	}
	if err := jws.Peek(message, TypeHeartbeat, &peek); err != nil {
		return Heartbeat{}, fmt.Errorf("%w: %w", ErrHeartbeat, err)
	}
	m := g.Member(peek.Member)
	if m == nil {
		return Heartbeat{}, fmt.Errorf("%w: %s", ErrUnknownMember, peek.Member)
	}
	h, err := m.VerifyHeartbeat(message)
	if err != nil {
		return Heartbeat{}, err
	}
	if h.Group != g.c.Group {
		return Heartbeat{}, fmt.Errorf("%w: it is of another group", ErrHeartbeat)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.beats[h.Member]; ok && h.Seq <= last {
		return Heartbeat{}, fmt.Errorf("%w: heartbeat %d of %s", ErrReplay, h.Seq, h.Member)
	}
	g.beats[h.Member] = h.Seq
	return h, nil
}
