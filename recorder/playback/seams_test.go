package playback_test

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
)

// kept writes a journal of one block, as a recorder's or as one that was taken in.
func kept(t *testing.T, w *journaltest.World, by, page *journaltest.Member, from, to interview.Micros, s *journaltest.Sender, frames ...journal.Frame) string {
	t.Helper()
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	var now atomic.Int64
	now.Store(int64(from))
	cfg := w.Config(disk)
	cfg.Interval, cfg.Clock = time.Hour, func() interview.Micros { return interview.Micros(now.Load()) }
	cfg.Signer, cfg.Opened.Member, cfg.Opened.Statement, cfg.Opened.Recording = by.Signer(), by.Member(), by.Statement, interview.NewRecordingID()
	cfg.Opened.Anchor.Hearing = from
	j, err := journal.Create(cfg)
	must(t, err)
	for _, admission := range []string{by.Admission, page.Admission} {
		e, err := journal.NewSigned(journal.EntryAdmission, from, admission)
		must(t, err)
		must(t, j.AddEntry(e))
	}
	e, err := journal.NewSenderKeyEntry(from, s.SenderKey())
	must(t, err)
	must(t, j.AddEntry(e))
	for _, f := range frames {
		must(t, j.Append(f))
	}
	now.Store(int64(to))
	must(t, j.Close("ended"))
	return path
}

// takerOf admits somebody to take in.
func takerOf(t *testing.T, w *journaltest.World) *journaltest.Member {
	t.Helper()
	m := w.Taker()
	var a sealing.Admission
	must(t, jws.Peek(m.Admission, sealing.TypeAdmission, &a))
	a.Rule = "backup-grant.x"
	var err error
	m.Admission, err = jws.Sign(a, sealing.TypeAdmission, w.StatementKey)
	must(t, err)
	return m
}

// H5, H4: a picture that was taken in from a back-up goes on from a recorder's where
// both have frames in common before it. Else what it builds on came to nobody: until
// its next key frame it is a gap, in the player and in a copy, and its cause is said.
func TestAPictureFromABackupBeginsWhereItIsOne(t *testing.T) {
	t.Parallel()
	const step = interview.Micros(100_000)
	// Frame n is captured at n·100 ms; the recorder began with a key frame.
	for name, c := range map[string]struct {
		first, second [2]int // of the recorder's two lives, frames from…to
		backup        [2]int
		keys          []int
		gap           [2]int // frames; none: 0, 0
	}{
		"what a recorder has goes on":             {[2]int{10, 20}, [2]int{31, 40}, [2]int{15, 30}, []int{10, 31}, [2]int{}},
		"the last of it is enough":                {[2]int{10, 20}, [2]int{31, 40}, [2]int{19, 30}, []int{10, 31}, [2]int{}},
		"nothing in common, a key frame in it":    {[2]int{10, 18}, [2]int{31, 40}, [2]int{20, 30}, []int{10, 25, 31}, [2]int{20, 25}},
		"nothing in common, no key frame":         {[2]int{10, 18}, [2]int{31, 40}, [2]int{20, 30}, []int{10, 31}, [2]int{20, 30}},
		"it begins with a key frame":              {[2]int{10, 18}, [2]int{31, 40}, [2]int{20, 30}, []int{10, 20, 31}, [2]int{}},
		"in common with what came after it alone": {[2]int{10, 18}, [2]int{28, 40}, [2]int{20, 30}, []int{10, 28}, [2]int{20, 28}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := journaltest.New(t)
			page := w.Member(interview.RoleApplicant)
			s := w.Sender(page, 1, 1, 1, interview.SourceVideo)
			var frames []journal.Frame
			for n := range 40 {
				key := slices.Contains(c.keys, n)
				f := s.Seal(interview.Micros(n)*step, key, shown(n, 320, 180, key))
				f.Arrival = f.Capture // of a back-up, which has no other
				frames = append(frames, f)
			}
			at := func(n int) interview.Micros { return interview.Micros(n) * step }
			paths := []string{
				kept(t, w, w.Recorder, page, at(c.first[0]), at(c.first[1]), s, frames[c.first[0]:c.first[1]]...),
				kept(t, w, takerOf(t, w), page, at(c.backup[0]), at(c.backup[1]), s, frames[c.backup[0]:c.backup[1]]...),
				kept(t, w, w.Member(""), page, at(c.second[0]), at(c.second[1]), s, frames[c.second[0]:c.second[1]]...),
			}
			var recordings []playback.Recording
			var journals []playback.Journal
			for _, p := range paths {
				recordings, journals = append(recordings, recording(t, p, w.Key)), append(journals, playback.Folder(p, w.Key))
			}
			hidden := func(n int) bool { return c.gap[0] <= n && n < c.gap[1] }
			there := func(n int) bool {
				return c.first[0] <= n && n < c.first[1] || c.backup[0] <= n && n < c.backup[1] || c.second[0] <= n && n < c.second[1]
			}
			want, dropped := int64(0), int64(0)
			for n := range frames {
				switch {
				case there(n) && hidden(n):
					dropped++
				case there(n):
					want++
				}
			}
			p, o := session(t, recordings...)
			if len(o.Lanes) != 1 || o.Lanes[0].Frames != want+dropped {
				t.Fatalf("%+v", o.Lanes)
			}
			var named []playback.Span
			for _, h := range o.Lanes[0].Holes {
				if h.Cause == journal.CauseNotReceived {
					named = append(named, playback.Span{From: h.From, To: h.To})
				}
			}
			if gap := (playback.Span{From: at(c.gap[0]), To: at(c.gap[1])}); gap.From < gap.To {
				// The last frame stands alone where no key frame follows within.
				if len(named) != 1 || named[0].From != gap.From || named[0].To > gap.To || named[0].To <= gap.To-step {
					t.Errorf("gaps %v, want %v", named, gap)
				}
			} else if len(named) != 0 {
				t.Errorf("gaps %v", named)
			}
			seg, err := p.Segment(t.Context(), 0, at(c.first[0]), at(40), true)
			must(t, err)
			if int64(seg.Frames) != want {
				t.Errorf("the player shows %d frames, want %d", seg.Frames, want)
			}
			overview, err := p.Overview(t.Context())
			must(t, err)
			for known, options := range map[string]playback.Options{"surveyed": {}, "known": {Known: &overview}} {
				var file bytes.Buffer
				r, err := playback.Stream(context.Background(), &file, options, journals...)
				must(t, err)
				if r.Written != want || r.Dropped != dropped {
					t.Errorf("%s: a copy has %d frames, %d dropped; want %d and %d", known, r.Written, r.Dropped, want, dropped)
				}
			}
		})
	}
}
