package intake

import (
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

// Write makes a journal for each granted span and each member whose frames came of
// it, durably, and gives the signed word on it: of whom something was taken in, and
// what even that back-up does not have, each journal says in clear. Nothing is known
// to a recorder before that is kept. Its times are those of the hearing: a frame
// stands where it was captured.
func (e *Evidence) Write(ctx context.Context, in Into, r Report, kept *Kept) (backup.Taken, string, error) {
	if in.Now == nil {
		in.Now = time.Now
	}
	taken := backup.Taken{
		V: 1, Hearing: e.grant.Hearing, Grant: jws.Hash(in.Grant), Member: in.Member, Recordings: []interview.RecordingID{},
		Chunks: r.Chunks, Frames: r.Frames, Kept: r.Taken, Had: r.Had, Unproved: r.Unsure, At: in.Now().Unix(),
	}
	parts, err := e.parts(kept)
	if err != nil {
		return backup.Taken{}, "", err
	}
	for _, p := range parts {
		id, err := e.span(ctx, in, p)
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
	kept   *Kept
	places []int32
}

func (e *Evidence) parts(kept *Kept) ([]part, error) {
	if err := kept.order(); err != nil {
		return nil, err
	}
	var out []part
	for _, s := range e.grant.Spans {
		from, to := kept.between(s.From, s.To)
		first := len(out)
		for n := from; n < to; n++ {
			member := kept.places[n].key.member
			i := slices.IndexFunc(out[first:], func(p part) bool { return p.member == member })
			if i < 0 {
				if len(out) >= e.Limits.Journals {
					return nil, fmt.Errorf("%w: more than %d journals", ErrLong, e.Limits.Journals)
				}
				i = len(out) - first
				out = append(out, part{span: s, member: member, kept: kept})
			}
			p := &out[first+i]
			p.places = append(p.places, int32(n))
		}
	}
	return out, nil
}

// each gives the places in order.
func (p *part) each(do func(*place) error) error {
	for _, n := range p.places {
		if err := do(&p.kept.places[n]); err != nil {
			return err
		}
	}
	return nil
}

// span writes one journal.
func (e *Evidence) span(ctx context.Context, in Into, p part) (interview.RecordingID, error) {
	id, s := interview.NewRecordingID(), p.span
	group, err := e.groupOf(p)
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
	err = e.fill(ctx, w, in, p)
	return id, errors.Join(err, w.close())
}

// fill writes what frames need, then the frames, block by block.
func (e *Evidence) fill(ctx context.Context, w *stepped, in Into, p part) error {
	x := &filling{e: e, ctx: ctx, w: w, known: map[uint64]bool{}, rosters: map[string]bool{}, lists: map[interview.TrackID]list{}, last: map[interview.TrackID]sent{}}
	s := p.span
	x.at, x.next, x.sound = s.From, s.From+blockEvery, s.From
	if err := errors.Join(
		x.add(journal.NewSigned(journal.EntryStatement, s.From, in.Statement)),
		x.add(journal.NewSigned(journal.EntryAdmission, s.From, in.Admission)),
	); err != nil {
		return err
	}
	if err := p.each(func(at *place) error { return x.frame(p.kept, at) }); err != nil {
		return err
	}
	if err := x.hole(s.To); err != nil {
		return err
	}
	return w.to(ctx, s.To)
}

// filling is a journal that is being written, in the order of capture.
type filling struct {
	e   *Evidence
	ctx context.Context
	w   *stepped

	at, next interview.Micros // now, and where the next block begins
	sound    interview.Micros // the last sound that was taken in
	known    map[uint64]bool  // sender keys
	rosters  map[string]bool
	lists    map[interview.TrackID]list // the newest
	last     map[interview.TrackID]sent
}

// sent names a sender's last frame of a track.
type sent struct{ kid, counter uint64 }

// give gives the journal something; where as much waits as may, after a block.
func (x *filling) give(what func() error) error {
	err := what()
	if errors.Is(err, journal.ErrFull) {
		if err := x.w.to(x.ctx, x.at); err != nil {
			return err
		}
		err = what()
	}
	return err
}

func (x *filling) add(entry journal.Entry, err error) error {
	if err != nil {
		return err
	}
	return x.give(func() error { return x.w.AddEntry(entry) })
}

// hole marks the stretch without sound that ends here: it stays missing.
func (x *filling) hole(to interview.Micros) error {
	if to-x.sound <= bridge {
		return nil
	}
	return x.add(journal.NewEntry(journal.EntryGap, to, journal.Gap{Cause: journal.CauseNotReceived, From: x.sound, To: to}))
}

func (x *filling) frame(kept *Kept, p *place) error {
	for ; p.capture >= x.next; x.next += blockEvery {
		if err := x.w.to(x.ctx, x.next); err != nil {
			return err
		}
	}
	x.at = p.capture
	if err := x.key(p.key); err != nil {
		return err
	}
	if err := x.list(p); err != nil {
		return err
	}
	k := p.key.of
	if k.Source == interview.SourceAudio {
		if err := x.hole(p.capture); err != nil {
			return err
		}
		x.sound = p.capture
	}
	sealed, err := kept.sealed(p)
	if err != nil {
		return err
	}
	f := entered(p, x.last[k.Track], sealed)
	x.last[k.Track] = sent{f.KID, f.Counter}
	return x.give(func() error { return x.w.Append(f) })
}

// key writes the key that opened a frame, and the roster of its epoch, before it.
func (x *filling) key(k *heldKey) error {
	if x.known[uint64(k.of.KID)] {
		return nil
	}
	x.known[uint64(k.of.KID)] = true
	epoch, _, _ := sealing.PlaceOf(k.of.KID)
	if text := x.e.rosters[epochOf{x.w.group, epoch}]; !x.rosters[text] {
		x.rosters[text] = true
		if err := x.add(journal.NewSigned(journal.EntryRoster, x.at, text)); err != nil {
			return err
		}
	}
	return x.add(journal.NewSenderKeyEntry(x.at, journal.SenderKey{
		Group: x.w.group, Epoch: epoch, Member: k.member, Track: k.of.Track, Source: k.of.Source, KID: k.of.KID, Key: k.raw,
	}))
}

// list writes its sender's list beside a frame, in the order in which they were
// made.
func (x *filling) list(p *place) error {
	k := p.key.of
	l := x.e.listOf(sentUnder{p.key.member, k.Track, uint64(k.KID)}, p.counter)
	if before, some := x.lists[k.Track]; l == nil || some && l.seq <= before.seq {
		return nil
	}
	x.lists[k.Track] = *l
	return x.add(journal.NewSigned(journal.EntryOrigin, x.at, l.text))
}

// entered is a frame as a journal keeps it. It arrived when it was captured.
func entered(p *place, before sent, sealed []byte) journal.Frame {
	k := p.key.of
	out := journal.Frame{
		Member: p.key.member, Track: k.Track, Source: k.Source, KID: uint64(k.KID), Counter: p.counter, Arrival: p.capture, Capture: p.capture, Sealed: sealed,
	}
	if k.Source == interview.SourceAudio {
		out.RTPTime = uint32(p.capture * 48 / 1000)
		if before.kid == out.KID && p.counter > before.counter+1 {
			out.Lost = uint32(min(p.counter-before.counter-1, 1<<16))
		}
		return out
	}
	out.RTPTime = uint32(p.capture * 90 / 1000)
	out.Key = p.first
	return out
}

// groupOf is the group whose rosters the frames' keys are of.
func (e *Evidence) groupOf(p part) (interview.GroupID, error) {
	epoch, _, _ := sealing.PlaceOf(p.kept.places[p.places[0]].key.of.KID)
	for at := range e.rosters {
		if at.epoch == epoch {
			return at.group, nil
		}
	}
	return interview.GroupID{}, ErrStranger
}
