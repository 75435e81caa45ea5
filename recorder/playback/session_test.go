package playback_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
)

// recording gives a journal in a folder as a session reads it.
func recording(t testing.TB, path string, key journal.DataKey) playback.Recording {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(path, "*.kj"))
	must(t, err)
	r := playback.Recording{Key: key}
	for _, n := range names {
		f, err := os.Open(n)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		st, err := f.Stat()
		must(t, err)
		r.Files = append(r.Files, playback.File{Name: filepath.Base(n), Size: st.Size(), ReaderAt: f})
	}
	return r
}

func session(t testing.TB, recordings ...playback.Recording) (*playback.Session, playback.Outline) {
	t.Helper()
	s := playback.NewSession(recordings...)
	must(t, s.Survey(context.Background()))
	o, err := s.Outline()
	must(t, err)
	return s, o
}

func lane(t testing.TB, o playback.Outline, name string) int {
	t.Helper()
	i := slices.IndexFunc(o.Lanes, func(l playback.LaneOutline) bool { return l.Name == name })
	if i < 0 {
		t.Fatalf("no lane %q", name)
	}
	return i
}

// played is what a page's source buffer gets when it plays a span from its
// beginning, in segments of a second.
func played(t testing.TB, s *playback.Session, lane int, from, to interview.Micros) (string, playback.Segment) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "played.webm")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	var all playback.Segment
	for at := from; at < to; at += 1_000_000 {
		x, err := s.Segment(context.Background(), lane, at, min(to, at+1_000_000), at == from)
		must(t, err)
		_, err = f.Write(x.Data)
		must(t, err)
		all.Frames += x.Frames
		all.Silent += x.Silent
		if at == from {
			all.From = x.From
		}
	}
	return path, all
}

// A page that appends segments one after the other plays what was said, from
// the beginning and from any moment.
func TestSegmentsPlayWhatWasSaidFromAnyMoment(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffprobe")
	w := journaltest.New(t)
	s, o := session(t, recording(t, held(t, w, nil), w.Key))
	if len(o.Lanes) != 4 || !o.Done || o.Keyless+o.Failed != 0 || len(o.Faults) != 0 {
		t.Fatalf("%+v", o)
	}
	for _, from := range []interview.Micros{1_000_000, 2_370_000} {
		for _, name := range []string{"applicant audio", "applicant video"} {
			out, all := played(t, s, lane(t, o, name), from, 5_000_000)
			p := look(t, out)
			monotonic(t, p)
			if _, errs := run(t, "ffmpeg", "-v", "warning", "-i", out, "-f", "null", "-"); errs != "" {
				t.Fatalf("%s from %d: ffmpeg finds fault: %s", name, from, errs)
			}
			if all.From > from || all.From < from-1_100_000 {
				t.Fatalf("%s from %d begins at %d", name, from, all.From)
			}
			want := int((5_000_000 - from) / 20_000)
			if name == "applicant video" {
				want = int((5_000_000 - all.From) * 15 / 1_000_000)
			}
			if all.Frames+all.Silent < want-3 || all.Frames+all.Silent > want+8 {
				t.Fatalf("%s from %d: %d frames and %d of silence, %d were expected", name, from, all.Frames, all.Silent, want)
			}
		}
	}
	out, _ := played(t, s, lane(t, o, "applicant audio"), 2_370_000, 5_000_000)
	if own, other := loud(t, out, 0, 880), loud(t, out, 0, 440); own < -35 || own-other < 15 {
		t.Fatalf("own tone %v dB, the other's %v dB", own, other)
	}
}

// H4: a lane's holes and what is there tile the time; silence is in the view only.
func TestHolesAreNamedAndFilledWithSilence(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg")
	w := journaltest.New(t)
	path := held(t, w, func(track string, i int, p packet) (packet, bool) {
		return p, track != "applicant audio" || i < 50 || i >= 100
	})
	s, o := session(t, recording(t, path, w.Key))
	n := lane(t, o, "applicant audio")
	var hole playback.Hole
	for _, h := range o.Lanes[n].Holes {
		if h.From < 2_500_000 && h.To > 2_500_000 {
			hole = h
		}
	}
	if hole.To-hole.From < 800_000 || hole.To-hole.From > 1_100_000 || hole.Cause != playback.Absent {
		t.Fatalf("holes %+v", o.Lanes[n].Holes)
	}
	_, all := played(t, s, n, 1_000_000, 5_000_000)
	if all.Silent < 45 || all.Silent > 60 {
		t.Fatalf("%d packets of silence", all.Silent)
	}
	var present interview.Micros
	for _, l := range o.Lanes[n].Level {
		if l != 0 {
			present += playback.Tick
		}
	}
	for _, h := range o.Lanes[n].Holes {
		present += h.To - h.From
	}
	if d := present - (o.To - o.From); d < -playback.Tick || d > playback.Tick {
		t.Fatalf("holes and sound are %d of %d µs", present, o.To-o.From)
	}
}

// A page shows nothing that was changed since the chain was proved, and a span
// that is not in the recording is refused.
func TestASessionSaysWhatItCannotPlay(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.Interval = 10 * time.Millisecond
	j, err := journal.Create(cfg)
	must(t, err)
	x := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	e, err := journal.NewSenderKeyEntry(1, x.SenderKey())
	must(t, err)
	must(t, j.AddEntry(e))
	for i := range 100 {
		must(t, j.Append(x.Seal(interview.Micros(i)*20_000, true, []byte{0xf8, 0xff, 0xfe})))
	}
	must(t, j.Close("ended"))
	r := recording(t, path, w.Key)

	broken := r
	broken.Files = slices.Clone(r.Files)
	changing := &changeable{ReaderAt: r.Files[0].ReaderAt}
	broken.Files[0].ReaderAt = changing
	s, o := session(t, broken)
	end := o.To
	for _, span := range [][2]interview.Micros{{0, 0}, {5, 4}, {0, playback.MaxSegment + 1}, {end, end + 1}, {-5, 1}} {
		if _, err := s.Segment(context.Background(), 0, span[0], span[1], true); !errors.Is(err, playback.ErrRange) {
			t.Errorf("span %v: %v", span, err)
		}
	}
	if _, err := s.Segment(context.Background(), 7, 0, 1_000_000, true); !errors.Is(err, playback.ErrNoLane) {
		t.Error(err)
	}
	changing.changed = true
	if _, err := s.Segment(context.Background(), 0, 0, min(end, 2_000_000), true); !errors.Is(err, journal.ErrContent) {
		t.Errorf("a changed block plays: %v", err)
	}
	short := r
	short.Files = slices.Clone(r.Files)
	short.Files[0].Size /= 2 // a read that ends early
	if o, err := surveyed(short); err != nil || len(o.Faults) != 1 {
		t.Errorf("half a journal: %v %v", o.Faults, err)
	}
	other, err := journal.NewDataKey()
	must(t, err)
	if _, err := surveyed(playback.Recording{Key: other, Files: r.Files}); !errors.Is(err, journal.ErrDataKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := surveyed(); !errors.Is(err, playback.ErrNothing) {
		t.Errorf("no recording: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := playback.NewSession(r).Survey(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

func surveyed(r ...playback.Recording) (playback.Outline, error) {
	s := playback.NewSession(r...)
	if err := s.Survey(context.Background()); err != nil {
		return playback.Outline{}, err
	}
	return s.Outline()
}

// changeable flips one bit of each read once changed is set.
type changeable struct {
	io.ReaderAt
	changed bool
}

func (c *changeable) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, off)
	if c.changed && n > 0 {
		b[n-1] ^= 1 // a block ends with what is sealed of it
	}
	return n, err
}
