package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

const (
	joinTimeout   = 20 * time.Second
	wrapTimeout   = 5 * time.Second
	retryMost     = 2 * time.Second
	beatEvery     = 500 * time.Millisecond
	pinEvery      = time.Minute
	reasonEnded   = "ended"
	reasonStopped = "stopped"
)

// session records one hearing over as many lives as it takes.
type session struct {
	r    *Recorder
	log  *slog.Logger
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	state state
	now   *life
	ended bool
	over  bool // nothing is written any more
}

func newSession(r *Recorder, s state) *session {
	x := &session{r: r, log: r.cfg.Log.With("hearing", s.Hearing.Hearing), done: make(chan struct{}), state: s}
	x.ctx, x.stop = context.WithCancel(r.ctx)
	return x
}

func (s *session) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.stop()
}

func (s *session) status() Status {
	s.mu.Lock()
	st := Status{Hearing: s.state.Hearing, State: interview.RecorderFailed, Lives: len(s.state.Recordings)}
	l := s.now
	s.mu.Unlock()
	if l != nil {
		p := l.journal.Durable()
		st.Recording, st.State, st.Durable = l.recording, p.State, p.Durable
	}
	return st
}

// remember changes the state on disk, then here.
func (s *session) remember(change func(*state)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.state
	next.Recordings = append([]interview.RecordingID{}, s.state.Recordings...)
	change(&next)
	if err := s.r.writeState(next); err != nil {
		return err
	}
	s.state = next
	return nil
}

// run lives again until the hearing ends. The first life of a process comes
// after another process's end; the later ones after what ended the one before.
func (s *session) run() {
	defer close(s.done)
	defer func() {
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.r.completed()
	}()
	cause := journal.CauseRestarted
	wait := s.r.cfg.Retry
	for s.ctx.Err() == nil {
		begun := time.Now()
		next, err := s.live(cause)
		if s.ctx.Err() != nil {
			return
		}
		if next != "" {
			cause = next
		}
		s.log.Warn("out of the room; joining again", "cause", cause, "err", err)
		if time.Since(begun) > 10*retryMost {
			wait = s.r.cfg.Retry
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
		}
		wait = min(2*wait, retryMost)
	}
}

// live is one membership with one recording. It returns why it ended, or ""
// where it had not begun to record.
func (s *session) live(cause journal.Cause) (journal.Cause, error) {
	ctx, cancel := context.WithTimeout(s.ctx, joinTimeout)
	defer cancel()
	l := newLife(s)
	room, err := s.r.cfg.Joiner.Join(ctx, s.state.Hearing, l.events())
	if err != nil {
		return "", err
	}
	defer room.Close()
	stop := l.announce(room)
	err = l.begin(s.ctx, room, cause)
	stop()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.now = l
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now = nil
		s.mu.Unlock()
	}()
	s.log.Info("recording", "recording", l.recording, "member", room.Member())

	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			s.mu.Lock()
			reason := reasonStopped
			if s.ended {
				reason = reasonEnded
			}
			s.mu.Unlock()
			l.flush()
			err := l.journal.Close(reason)
			l.pin(true)
			l.beat()
			return "", err
		case <-room.Done():
			l.flush()
			err := l.journal.Close(string(journal.CauseDisconnected))
			l.pin(true)
			return journal.CauseDisconnected, err
		case <-tick.C:
			l.flush()
			l.clocks()
			l.pin(false)
			if l.beat() == interview.RecorderFailed {
				err := l.journal.Durable().Err
				return journal.CauseDiskFailed, errors.Join(err, l.journal.Close(string(journal.CauseDiskFailed)))
			}
		}
	}
}

// announce says that this life is starting, until it is told to stop: wrapping
// the data key and the first block may take their time, and everybody sees who
// is in the room.
func (l *life) announce(room Room) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			l.beats++
			now := room.Now()
			if err := room.Heartbeat(sealing.Heartbeat{Recording: l.recording, State: interview.RecorderStarting, Seq: l.beats, Now: now}); err != nil {
				l.session.log.Warn("heartbeat was not sent", "err", err)
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// begin opens the journal of this life.
func (l *life) begin(ctx context.Context, room Room, cause journal.Cause) error {
	s := l.session
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	if len(st.Recordings) >= maxRecordings {
		return fmt.Errorf("the hearing has had %d recordings; look at the disk", maxRecordings)
	}
	after, err := s.r.after(st, cause)
	if err != nil {
		s.log.Error("the recording before cannot be read; it is left as it is", "err", err)
	}
	key, err := journal.NewDataKey()
	if err != nil {
		return err
	}
	wrapped, err := l.wrap(ctx, room, key, st.Hearing)
	if err != nil {
		return err
	}
	// Remembered first: a journal that nobody knows of would be lost.
	if err := s.remember(func(st *state) { st.Recordings = append(st.Recordings, l.recording) }); err != nil {
		return err
	}
	disk, err := s.r.cfg.Disk(s.r.journalFolder(st.Hearing.Hearing, l.recording))
	if err != nil {
		return err
	}
	reason := "opened"
	if after != nil {
		reason = "restarted"
	}
	l.anchored = s.r.anchor(room.Now(), reason)
	j, err := journal.Create(journal.Config{
		Disk: disk, Key: key, Signer: room.Signer(), Clock: room.Now,
		Opened: journal.Opened{
			V: 1, Case: st.Hearing.Case, Hearing: st.Hearing.Hearing, Group: room.Group(), Member: room.Member(), Recording: l.recording,
			Statement: room.Statement(), Wrapped: journal.EncodeWrapped(wrapped), Anchor: l.anchored, After: after,
		},
		OnRotated: func(string) { s.r.completed() },
		OnAlarm: func(p journal.Progress) {
			s.log.Error("nothing became durable for 1.5 s", "recording", l.recording, "durable", p.Durable, "state", p.State)
		},
	})
	if err != nil {
		return err
	}
	l.ready(room, j)
	return nil
}

// wrap has the data key wrapped. A keyring that is away is waited for in the
// room, where everybody sees that this recorder is starting: once it is back,
// recording begins at once.
func (l *life) wrap(ctx context.Context, room Room, key journal.DataKey, h Hearing) ([]byte, error) {
	wait := l.session.r.cfg.Retry
	for {
		asking, cancel := context.WithTimeout(ctx, wrapTimeout)
		wrapped, err := key.Wrap(asking, l.session.r.cfg.Keys, h.Case, h.Hearing, l.recording)
		cancel()
		if err == nil {
			return wrapped, nil
		}
		l.session.log.Error("the keyring does not wrap the data key; trying again", "recording", l.recording, "err", err)
		select {
		case <-time.After(wait):
		case <-room.Done():
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
		wait = min(2*wait, retryMost)
	}
}

var processStart = time.Now()

// Bounds of how the clocks are watched (row H8).
const (
	anchorEvery = time.Minute
	clockStep   = 100 * time.Millisecond // of the wall clock against the monotonic one
)

func (r *Recorder) anchor(now interview.Micros, reason string) journal.Anchor {
	return journal.Anchor{Hearing: now, Wall: r.cfg.Wall().UnixMicro(), Monotonic: time.Since(processStart).Microseconds(), Reason: reason}
}

// clocks writes an anchor every minute, and at once when the wall clock jumped:
// the two clocks are kept beside each other, whatever happens to one.
func (l *life) clocks() {
	at := l.now()
	now := l.session.r.anchor(at, "minute")
	l.mu.Lock()
	last := l.anchored
	l.mu.Unlock()
	passed := now.Monotonic - last.Monotonic
	if off := now.Wall - last.Wall - passed; max(off, -off) > clockStep.Microseconds() {
		now.Reason = "stepped"
		l.session.log.Warn("the wall clock jumped", "by", time.Duration(off)*time.Microsecond)
	} else if passed < anchorEvery.Microseconds() {
		return
	}
	l.anchor(now)
}

// anchor keeps an anchor.
func (l *life) anchor(a journal.Anchor) {
	l.mu.Lock()
	l.anchored = a
	l.mu.Unlock()
	l.note(journal.NewEntry(journal.EntryAnchor, a.Hearing, a))
}

// pin tells where the chain stands, where it is time to.
func (l *life) pin(end bool) {
	tell := l.session.r.cfg.Checkpoint
	p := l.journal.Durable()
	l.mu.Lock()
	due := end || l.pinned.IsZero() || time.Since(l.pinned) > pinEvery || l.turned && p.Durable >= l.phase.Since
	if due {
		l.pinned, l.turned = time.Now(), false
	}
	l.mu.Unlock()
	if due && tell != nil && p.Seq >= 0 {
		tell(Checkpoint{l.session.state.Hearing.Hearing, l.recording, p.Seq, p.Head, p.Durable})
	}
}

// beat signs and sends what is durable and returns the state that it said.
func (l *life) beat() interview.RecorderState {
	p := l.journal.Durable()
	l.beats++
	err := l.room.Heartbeat(sealing.Heartbeat{
		Recording: l.recording, State: p.State, Seq: l.beats, Durable: p.Durable, Now: p.Now, Tracks: p.Tracks, Head: p.Head,
	})
	if err != nil {
		l.session.log.Warn("heartbeat was not sent", "err", err)
	}
	return p.State
}
