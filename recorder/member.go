package recorder

import (
	"context"
	"crypto"
	"log/slog"
	"slices"
	"time"

	"kuule/interview"
	"kuule/interview/member"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder/journal"
)

// Members is the Joiner of an installation: a member of package
// interview/member, whose connection and certificate the process brings.
type Members struct {
	Connect func(ctx context.Context, h Hearing) (member.Conn, error)
	Prove   member.Prove // signs the statement with a recorder's certificate
	Trust   *sealing.Trust
	Log     *slog.Logger
}

// keyEvery is how far apart the key frames of a picture are at most, so that one
// who looks at a moment of a recording waits for few frames before it. Two
// recorders ask for one between them: what one brings the other has too.
const keyEvery = 10 * time.Second

// Join implements Joiner.
func (j Members) Join(ctx context.Context, h Hearing, on Events) (Room, error) {
	conn, err := j.Connect(ctx, h)
	if err != nil {
		return nil, err
	}
	m, err := member.Join(ctx, conn, member.Config{
		Hearing: h.Hearing, Place: sealing.Place{Kind: sealing.KindRecorder}, Trust: j.Trust, Prove: j.Prove, Log: j.Log, KeyEvery: keyEvery,
		Keep: func(w sealing.Wrap, key []byte) error {
			return on.Keep(journal.SenderKey{
				Group: w.Group, Epoch: w.Epoch, Member: w.Sender, Track: w.Track, Source: w.Source, KID: w.KID, Key: slices.Clone(key),
			})
		},
		On: member.Events{
			Frame: func(f member.Frame) {
				on.Frame(Frame{Member: f.Slot.Member, Track: f.Slot.Track, Source: f.Slot.Source, RTPTime: f.RTPTime, Arrival: f.Arrival, Lost: f.Lost, Sealed: f.Sealed})
			},
			Wrap:    func(sealing.Wrap) { on.Wrap() },
			Members: on.Members,
			Roster:  func(_ sealing.Roster, text string) { on.Roster(text) },
			Origin:  on.Origin,
			Phase:   on.Phase,
		},
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return inRoom{m}, nil
}

// inRoom is a joined member as a Room.
type inRoom struct{ m *member.Member }

func (r inRoom) Member() interview.MemberID { return r.m.ID() }
func (r inRoom) Group() interview.GroupID   { return r.m.GroupID() }
func (r inRoom) Statement() string          { return r.m.Statement() }
func (r inRoom) Signer() crypto.Signer      { return r.m.Identity().Signer() }
func (r inRoom) Now() interview.Micros      { return r.m.Now() }
func (r inRoom) Done() <-chan struct{}      { return r.m.Done() }
func (r inRoom) Close()                     { r.m.Close() }

func (r inRoom) Open(dst []byte, f Frame) (sealing.FrameHeader, []byte, error) {
	return r.m.Open(dst, member.Frame{Slot: wire.Slot{Member: f.Member, Track: f.Track}, Sealed: f.Sealed})
}

func (r inRoom) AcceptOrigin(list string) error {
	_, err := r.m.Group().AcceptOrigin(list)
	return err
}

func (r inRoom) Heartbeat(h sealing.Heartbeat) error { return r.m.Heartbeat(h) }
