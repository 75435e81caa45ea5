package intake

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// Into is who takes in, and where it goes.
type Into struct {
	Grant     string // as authority signed it
	Member    interview.MemberID
	Statement string // of the member: its sign_key signs
	Admission string // under the grant
	Signer    crypto.Signer
	Keys      journal.KeyWrapper
	Disk      func(interview.RecordingID) (journal.Disk, error)
	Now       func() time.Time
}

const (
	// blockEvery is how much of the hearing goes into one block.
	blockEvery = interview.Micros(500_000)
	// bridge is how far apart two packets of sound may be captured with nothing
	// missing between them: packets are 20 or 60 ms.
	bridge = interview.Micros(100_000)
	// durableWithin is how long a block may take.
	durableWithin = 30 * time.Second
)

// Collect is a take for Read that keeps what counts, bounded, for Write.
func (e *Evidence) Collect(into *[]Frame) func(Frame) error {
	held := 0
	return func(f Frame) error {
		if held += len(f.Sealed) + len(f.Codec); held > maxHeld {
			return fmt.Errorf("%w: %d bytes", ErrLong, held)
		}
		*into = append(*into, f)
		return nil
	}
}

// maxJournals bounds what one taking in may become.
const maxJournals = 1024

// Write makes a journal for each granted span and each member whose frames came of
// it, durably, and gives the signed word on it: of whom something was taken in, and
// what even that back-up does not have, each journal says in clear. Nothing is known
// to a recorder before that is kept. Its times are those of the hearing: a frame
// stands where it was captured.
func (e *Evidence) Write(ctx context.Context, in Into, r Report, frames []Frame) (backup.Taken, string, error) {
	if in.Now == nil {
		in.Now = time.Now
	}
	taken := backup.Taken{
		V: 1, Hearing: e.grant.Hearing, Grant: jws.Hash(in.Grant), Member: in.Member, Recordings: []interview.RecordingID{},
		Chunks: r.Chunks, Frames: r.Frames, Kept: r.Taken, Had: r.Had, Unproved: r.Unsure, At: in.Now().Unix(),
	}
	parts := e.parts(frames)
	if len(parts) > maxJournals {
		return backup.Taken{}, "", fmt.Errorf("%w: %d journals", ErrLong, len(parts))
	}
	for _, p := range parts {
		id, err := e.span(ctx, in, p.span, p.frames)
		if err != nil {
			return backup.Taken{}, "", fmt.Errorf("take in from %d µs on: %w", p.span.From, err)
		}
		taken.Recordings = append(taken.Recordings, id)
	}
	text, err := jws.Sign(taken, backup.TypeTaken, in.Signer)
	return taken, text, err
}

// part is what one journal is made of: frames of one member in one span, in the
// order of their capture.
type part struct {
	span   backup.Span
	member interview.MemberID
	frames []Frame
}

func (e *Evidence) parts(frames []Frame) []part {
	slices.SortStableFunc(frames, func(a, b Frame) int { return cmp.Compare(a.Capture, b.Capture) })
	var out []part
	for _, s := range e.grant.Spans {
		from, _ := slices.BinarySearchFunc(frames, s.From, func(f Frame, t interview.Micros) int { return cmp.Compare(f.Capture, t) })
		to, _ := slices.BinarySearchFunc(frames, s.To, func(f Frame, t interview.Micros) int { return cmp.Compare(f.Capture, t) })
		first := len(out)
		for _, f := range frames[from:to] {
			i := slices.IndexFunc(out[first:], func(p part) bool { return p.member == f.Member })
			if i < 0 {
				i = len(out) - first
				out = append(out, part{span: s, member: f.Member})
			}
			p := &out[first+i]
			p.frames = append(p.frames, f)
		}
	}
	return out
}

// span writes one journal.
func (e *Evidence) span(ctx context.Context, in Into, s backup.Span, frames []Frame) (interview.RecordingID, error) {
	id := interview.NewRecordingID()
	group, err := e.groupOf(frames)
	if err != nil {
		return id, err
	}
	key, err := journal.NewDataKey()
	if err != nil {
		return id, err
	}
	wrapped, err := key.Wrap(ctx, in.Keys, e.grant.Case, e.grant.Hearing, id)
	if err != nil {
		return id, err
	}
	disk, err := in.Disk(id)
	if err != nil {
		return id, err
	}
	w, err := begin(journal.Config{
		Disk: disk, Key: key, Signer: in.Signer, Interval: time.Hour, // blocks are asked for, by the hearing's time
		Opened: journal.Opened{
			V: 1, Case: e.grant.Case, Hearing: e.grant.Hearing, Group: group, Member: in.Member, Recording: id, Statement: in.Statement,
			Wrapped: journal.EncodeWrapped(wrapped), Anchor: journal.Anchor{Hearing: s.From, Wall: in.Now().UnixMicro(), Reason: "opened"},
		},
	})
	if err != nil {
		return id, err
	}
	err = e.fill(ctx, w, in, s, frames)
	return id, errors.Join(err, w.close())
}

// fill writes what frames need, then the frames, block by block.
func (e *Evidence) fill(ctx context.Context, w *stepped, in Into, s backup.Span, frames []Frame) error {
	add := func(entry journal.Entry, err error) error {
		if err != nil {
			return err
		}
		return w.AddEntry(entry)
	}
	if err := errors.Join(
		add(journal.NewSigned(journal.EntryStatement, s.From, in.Statement)),
		add(journal.NewSigned(journal.EntryAdmission, s.From, in.Admission)),
	); err != nil {
		return err
	}
	for _, g := range holes(s, frames) {
		if err := add(journal.NewEntry(journal.EntryGap, s.From, g)); err != nil {
			return err
		}
	}
	known := map[uint64]bool{}
	rosters := map[string]bool{}
	lists := map[interview.TrackID]listHead{}
	last := map[interview.TrackID]Frame{}
	next := s.From + blockEvery
	for _, f := range frames {
		for ; f.Capture >= next; next += blockEvery {
			if err := w.to(ctx, next); err != nil {
				return err
			}
		}
		if k := f.key; !known[f.KID] {
			known[f.KID] = true
			epoch, _, _ := sealing.PlaceOf(int64(f.KID))
			at := epochOf{w.group, epoch}
			if text := e.rosters[at]; !rosters[text] {
				rosters[text] = true
				if err := add(journal.NewSigned(journal.EntryRoster, f.Capture, text)); err != nil {
					return err
				}
			}
			if err := add(journal.NewSenderKeyEntry(f.Capture, journal.SenderKey{
				Group: w.group, Epoch: epoch, Member: f.Member, Track: f.Track, Source: k.of.Source, KID: k.of.KID, Key: k.raw,
			})); err != nil {
				return err
			}
		}
		// Its sender's list stands beside it, in the order in which they were made.
		if text := e.texts[listed{f.Member, f.Track, f.KID, f.Counter}]; text != lists[f.Track].text {
			var o sealing.Origin
			if err := jws.Peek(text, sealing.TypeOrigin, &o); err != nil { // verified when it was read
				return err
			}
			if before := lists[f.Track]; before.text == "" || o.Seq > before.seq {
				lists[f.Track] = listHead{text, o.Seq}
				if err := add(journal.NewSigned(journal.EntryOrigin, f.Capture, text)); err != nil {
					return err
				}
			}
		}
		if err := w.Append(entered(f, last[f.Track])); err != nil {
			return err
		}
		last[f.Track] = f
	}
	return w.to(ctx, s.To)
}

// listHead is the newest list of a track that was written.
type listHead struct {
	text string
	seq  int64
}

// entered is a frame as a journal keeps it. It arrived when it was captured.
func entered(f, before Frame) journal.Frame {
	out := journal.Frame{
		Member: f.Member, Track: f.Track, Source: f.Source, KID: f.KID, Counter: f.Counter, Arrival: f.Capture, Capture: f.Capture, Sealed: f.Sealed,
	}
	if f.Source == interview.SourceAudio {
		out.RTPTime = uint32(f.Capture * 48 / 1000)
		if before.KID == f.KID && f.Counter > before.Counter+1 {
			out.Lost = uint32(min(f.Counter-before.Counter-1, 1<<16))
		}
		return out
	}
	out.RTPTime = uint32(f.Capture * 90 / 1000)
	out.Key = len(f.Codec) > 0 && f.Codec[0]&1 == 0 // RFC 6386 section 9.1
	return out
}

// holes are the stretches of a span in which no sound of the member was taken in:
// they stay missing.
func holes(s backup.Span, frames []Frame) []journal.Gap {
	var out []journal.Gap
	at := s.From
	gap := func(to interview.Micros) {
		if to-at > bridge {
			out = append(out, journal.Gap{Cause: journal.CauseNotReceived, From: at, To: to})
		}
	}
	for _, f := range frames {
		if f.Source == interview.SourceAudio {
			gap(f.Capture)
			at = f.Capture
		}
	}
	gap(s.To)
	return out
}

// groupOf is the group whose rosters the frames' keys are of.
func (e *Evidence) groupOf(frames []Frame) (interview.GroupID, error) {
	epoch, _, _ := sealing.PlaceOf(int64(frames[0].KID))
	for at := range e.rosters {
		if at.epoch == epoch {
			return at.group, nil
		}
	}
	return interview.GroupID{}, ErrStranger
}
