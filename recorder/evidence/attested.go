package evidence

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

type openKey struct {
	sender journal.SenderKey
	key    *sealing.FrameKey
}

func newOpenKey(k journal.SenderKey) (*openKey, error) {
	fk, err := sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key)
	return &openKey{k, fk}, err
}

func (j *recordingCheck) takeKey(k journal.SenderKey) error {
	if old := j.keys[k.KID]; old != nil {
		if !bytes.Equal(old.sender.Key, k.Key) {
			return fmt.Errorf("key id %d has two keys", k.KID)
		}
		return nil
	}
	if _, err := j.v.placed(k.Group, k.KID, k.Member); err != nil {
		return err
	}
	key, err := newOpenKey(k)
	if err != nil {
		return err
	}
	j.keys[k.KID] = key
	j.again = j.again || j.early[k.KID]
	return nil
}

// frame opens a frame and holds it against its sender's list.
func (j *recordingCheck) frame(f *journal.Frame) error {
	k := j.keys[int64(f.KID)]
	if k == nil {
		j.early[int64(f.KID)] = true
		j.report.Keyless++
		return nil
	}
	if k.sender.Member != f.Member || k.sender.Track != f.Track {
		return fmt.Errorf("%w: it is sealed with the key of another track", ErrOrigin)
	}
	if cap(j.inside) < len(f.Sealed) {
		j.inside = make([]byte, 0, 2*len(f.Sealed))
	}
	head, _, err := k.key.Open(j.inside[:0], f.Sealed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	if err := j.within(head.Capture); err != nil {
		return err
	}
	return j.attested.frame(f, &j.report)
}

// attested holds frames against lists, whichever comes first. What has met is
// let go, so that it takes memory for what is not on both sides alone.
type attested struct {
	now, before generation
	since       int64          // block with which now began
	block       *journal.Block // that is read, without its content
}

// generationBlocks is how long a frame waits for its list, or a list for its
// frames: four minutes of blocks at least, eight at most. A page gives its lists
// every second.
const generationBlocks = 480

// errNotSigned says that a frame and its sender's list differ.
var errNotSigned = fmt.Errorf("%w: it is not the frame that its sender signed for", ErrOrigin)

type generation struct {
	frames map[named]seen
	lists  map[listed]frameSum
}

// named is a frame's name in a recording.
type named struct {
	member  interview.MemberID
	track   interview.TrackID
	kid     int64
	counter uint64
}

type listed struct {
	named
	rid string
}

type frameSum [sealing.OriginHashBytes]byte

type seen struct {
	sum   frameSum
	rid   string
	block *journal.Block // without its content
}

// turn goes to the next block, and lets go of what waited too long.
func (a *attested) turn(b *journal.Block, r *RecordingReport) {
	a.block = &journal.Block{Head: journal.Head{Seq: b.Head.Seq}, File: b.File, Offset: b.Offset}
	if b.Head.Seq-a.since < generationBlocks {
		return
	}
	r.Unattested += int64(len(a.before.frames))
	a.before, a.now, a.since = a.now, generation{}, b.Head.Seq
}

// unmatched counts the frames that wait for a list.
func (a *attested) unmatched() int64 { return int64(len(a.before.frames) + len(a.now.frames)) }

func (a *attested) frame(f *journal.Frame, r *RecordingReport) error {
	sum := sha256.Sum256(f.Sealed)
	s := seen{frameSum(sum[:sealing.OriginHashBytes]), f.Rid, a.block}
	name := named{f.Member, f.Track, int64(f.KID), f.Counter}
	for _, g := range []*generation{&a.now, &a.before} {
		for _, rid := range []string{f.Rid, ""} { // a list of its own, or one of all layers
			want, ok := g.lists[listed{name, rid}]
			if !ok {
				continue
			}
			if want != s.sum {
				return errNotSigned
			}
			delete(g.lists, listed{name, rid})
			r.Attested++
			return nil
		}
	}
	if a.now.frames == nil {
		a.now.frames = map[named]seen{}
	}
	a.now.frames[name] = s
	return nil
}

// list holds what came before against a list. Where a frame differs, wrong is
// the block that it stands in.
func (a *attested) list(l *journal.List, r *RecordingReport) (wrong *journal.Block, err error) {
	for i := range len(l.Hashes) / sealing.OriginHashBytes {
		sum := frameSum(l.Hashes[i*sealing.OriginHashBytes:])
		name := named{l.Member, l.Track, l.KID, uint64(l.First) + uint64(i)}
		g := &a.now
		f, ok := g.frames[name]
		if !ok {
			g = &a.before
			f, ok = g.frames[name]
		}
		switch {
		case !ok || l.Rid != "" && l.Rid != f.rid:
			if a.now.lists == nil {
				a.now.lists = map[listed]frameSum{}
			}
			a.now.lists[listed{name, l.Rid}] = sum
		case f.sum != sum:
			return f.block, fmt.Errorf("frame %d of %s: %w", name.counter, l.Track, errNotSigned)
		default:
			delete(g.frames, name)
			r.Attested++
		}
	}
	return nil, nil
}
