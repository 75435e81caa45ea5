package playback

import (
	"context"
	"fmt"
	"slices"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

const (
	warmUp = interview.Micros(1_000_000) // of audio before a segment, for the same times on both sides of a cut
	reach  = interview.Micros(400_000)   // a frame of sound brings packets that began so long before it was sealed, copies among them
	hold   = 1000                        // milliseconds that a picture stands at most until the next
)

// Segment is media of one lane that a page appends to its source buffer.
type Segment struct {
	Data   []byte           // WebM: an initialisation segment where one begins, then clusters
	From   interview.Micros // of the first frame; earlier than asked where a picture needs its key frame
	Silent int              // packets of silence in it
	Frames int
}

// Segment gives what one lane holds of a span of the hearing clock. Its frames
// stand in milliseconds since Outline.From. begin asks for everything that a
// decoder needs to begin here: an initialisation segment, and the frames from
// the key frame before or, of Opus, 80 ms more (RFC 7845 section 4.6); without
// it the segment goes on from the one before. Where the size of the picture
// changes a new initialisation segment stands before its key frame. Audio has
// silence where nothing was recorded, so that it always fills its span. It
// waits until the span is surveyed.
func (s *Session) Segment(ctx context.Context, lane int, from, to interview.Micros, begin bool) (Segment, error) {
	if to <= from || to-from > MaxSegment {
		return Segment{}, fmt.Errorf("%w: %d to %d", ErrRange, from, to)
	}
	if err := s.until(ctx, to+lateFrames); err != nil {
		return Segment{}, err
	}
	s.mu.Lock()
	if lane < 0 || lane >= len(s.lanes) {
		s.mu.Unlock()
		return Segment{}, fmt.Errorf("%w: %d", ErrNoLane, lane)
	}
	l := s.lanes[lane]
	of, base, end := l.lane, s.base, s.scan.overview.To
	of.broken = s.scan.seams.broken(of.key)
	keys := slices.Clone(l.keys)
	s.mu.Unlock()
	if from < base || from >= end {
		return Segment{}, fmt.Errorf("%w: %d to %d", ErrRange, from, to)
	}
	to = min(to, end)
	if of.Source == interview.SourceAudio {
		return s.sound(ctx, of, base, from, to, begin)
	}
	return s.picture(ctx, of, keys, base, from, to, begin)
}

// frames opens the lane's frames that were captured in a span, in order.
func (s *Session) frames(ctx context.Context, lane Lane, from, to interview.Micros) ([]taken, error) {
	s.mu.Lock()
	var at []int
	for i, b := range s.blocks {
		if b.first < to+reach && b.last >= from {
			at = append(at, i)
		}
	}
	s.mu.Unlock()
	keys := map[string]*sealing.FrameKey{}
	var once journal.Once
	var out []taken
	for len(at) > 0 {
		n := 1
		for n < len(at) && at[n] == at[0]+n {
			n++
		}
		blocks, err := s.opened(ctx, at[0], at[0]+n)
		if err != nil {
			return nil, err
		}
		at = at[n:]
		for _, frames := range blocks {
			for _, f := range frames {
				if f.Source != lane.Source || !once.First(f) {
					continue
				}
				t, err := s.pick(lane, keys, f)
				if err != nil {
					return nil, err
				}
				for _, x := range t {
					if x.at >= from && x.at < to {
						out = append(out, x)
					}
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b taken) int { return compare(a.order(), b.order()) })
	return out, nil
}

// pick opens a frame if it is the lane's. Keys are made anew for each segment,
// since one opens each frame once.
func (s *Session) pick(lane Lane, keys map[string]*sealing.FrameKey, f journal.Frame) ([]taken, error) {
	name := keyName(f.Member, f.Track, int64(f.KID))
	k, known := keys[name]
	if !known {
		s.mu.Lock()
		raw, have := s.raw[name]
		seat := s.scan.seats[f.Member].key
		s.mu.Unlock()
		if seat == "" {
			seat = f.Member.String()
		}
		if have && laneKey(seat, f) == lane.key {
			var err error
			if k, err = sealing.NewFrameKey(raw.wrap, raw.key); err != nil {
				return nil, err
			}
		}
		keys[name] = k
	}
	if k == nil {
		return nil, nil
	}
	head, codec, err := k.Open(nil, f.Sealed)
	if err != nil || len(codec) == 0 {
		return nil, nil //nolint:nilerr // counted by the survey; the view has a hole there
	}
	return unpack(f, head, codec), nil
}

// sound lays packets end to end and follows the capture times slowly, so that
// their jitter is not heard. Where nothing is, silence is.
func (s *Session) sound(ctx context.Context, lane Lane, base, from, to interview.Micros, begin bool) (Segment, error) {
	start := from
	if begin {
		start = max(base, from-interview.Micros(opusRoll/1000))
	}
	packets, err := s.frames(ctx, lane, start-warmUp, to)
	if err != nil {
		return Segment{}, err
	}
	seg := Segment{From: start}
	var out []timed
	silent := opusDuration(silence)
	next := int64(start - base)
	laid := false
	put := func(at, length int64, codec []byte) {
		ms := max(0, at/1000)
		if n := len(out); n > 0 {
			ms = max(ms, out[n-1].at+1)
			out[n-1].length = ms - out[n-1].at
		}
		out = append(out, timed{at: ms, length: max(1, length/1000), key: true, codec: codec})
	}
	fill := func(until int64) {
		for until-next >= silent {
			put(next, silent, silence)
			seg.Silent++
			next += silent
		}
	}
	var seen copies
	var before sealedAs
	var lasted int64
	for _, p := range packets {
		if !seen.first(p) {
			continue
		}
		at, length := int64(p.at-base), opusDuration(p.codec)
		inside := p.at >= start
		missing, known := p.of.missing(before, lasted, at-next)
		switch {
		case laid && known:
			until := next + missing
			if inside && missing > gapAfter {
				next = max(next, int64(start-base))
				fill(until)
			}
			next = max(next, until)
			at = next + (at-next)/32
		case laid && at-next <= gapAfter && at-next > -gapAfter:
			at = next + (at-next)/32
		case laid && at < next: // two of the same moment
			continue
		case inside:
			next = max(next, int64(start-base))
			fill(at)
			at = max(at, next)
		}
		if inside {
			put(at, length, p.codec)
			seg.Frames++
		}
		next, laid = at+length, true
		before, lasted = p.of, length
	}
	next = max(next, int64(start-base))
	fill(int64(to - base))
	if begin {
		seg.Data = beginning(lane, 0, 0)
	}
	seg.Data = clusters(seg.Data, out)
	return seg, nil
}

func (s *Session) picture(ctx context.Context, lane Lane, keys []keyFrame, base, from, to interview.Micros, begin bool) (Segment, error) {
	start := from
	if i, exact := slices.BinarySearchFunc(keys, from, func(k keyFrame, t interview.Micros) int { return compare(k.at, t) }); begin && !exact && i > 0 {
		start = keys[i-1].at
	}
	// One frame more tells how long the last one stands.
	frames, err := s.frames(ctx, lane, start, to+hold*1000)
	if err != nil {
		return Segment{}, err
	}
	seg := Segment{From: start}
	var out []timed
	flush := func() {
		seg.Data = clusters(seg.Data, out)
		out = nil
	}
	begun := !begin
	frames = slices.DeleteFunc(frames, func(f taken) bool { return !lane.shows(f.at) })
	for i, f := range frames {
		if f.at >= to {
			break
		}
		key := f.codec[0]&1 == 0 // RFC 6386 section 9.1
		if w, h := dimensions(f.codec); key && w > 0 {
			if before := sizeAt(keys, f.at); !begun || before != (keyFrame{}) && (before.width != w || before.height != h) {
				flush()
				seg.Data = append(seg.Data, beginning(lane, w, h)...)
			}
			begun = true
		}
		if !begun {
			continue
		}
		at := int64(f.at-base) / 1000
		length := int64(hold)
		if i+1 < len(frames) {
			length = min(hold, max(1, int64(frames[i+1].at-base)/1000-at))
		}
		if n := len(out); n > 0 && at <= out[n-1].at {
			at = out[n-1].at + 1
		}
		out = append(out, timed{at: at, length: length, key: key, codec: f.codec})
		seg.Frames++
	}
	flush()
	return seg, nil
}

// sizeAt is the key frame before a moment.
func sizeAt(keys []keyFrame, at interview.Micros) keyFrame {
	i, _ := slices.BinarySearchFunc(keys, at, func(k keyFrame, t interview.Micros) int { return compare(k.at, t) })
	if i == 0 {
		return keyFrame{}
	}
	return keys[i-1]
}
