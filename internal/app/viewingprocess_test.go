package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
	"kuule/recorder/playback/playbacktest"
)

// watching makes the inside of a playback process over a journal in a folder.
func watchingFolder(t *testing.T, path string, key journal.DataKey) *viewer {
	t.Helper()
	f, err := journal.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	rec := playback.Recording{Key: key}
	names, err := filepath.Glob(filepath.Join(path, "*.kj"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		file, err := os.Open(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		st, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		rec.Files = append(rec.Files, playback.File{Name: filepath.Base(n), Size: st.Size(), ReaderAt: file})
	}
	v := &viewer{ctx: t.Context(), opened: make(chan struct{}), session: playback.NewSession(rec), journals: []playback.Journal{playback.Folder(path, key)}}
	close(v.opened)
	if err := v.session.Survey(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// whole asks for a segment until its last piece.
func (v *viewer) whole(ctx context.Context, q viewSegment) ([]byte, error) {
	var out []byte
	for {
		p, err := v.segment(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Data...)
		if p.End {
			return out, nil
		}
		q.Offset += int64(len(p.Data))
	}
}

// exported names the tracks of a lane's file.
func exported(t *testing.T, v *viewer, lane int) (names []string) {
	t.Helper()
	q := viewExport{Form: formLane, Lane: lane}
	var file bytes.Buffer
	for {
		p, err := v.export(q)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Ready {
			time.Sleep(time.Millisecond)
			continue
		}
		file.Write(p.Data)
		if q.Offset += int64(len(p.Data)); p.End {
			break
		}
	}
	var doc struct {
		Segment struct {
			Tracks webm.Tracks `ebml:"Tracks"`
		} `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(&file, &doc, ebml.WithIgnoreUnknown(true)); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	for _, x := range doc.Segment.Tracks.TrackEntry {
		names = append(names, x.Name)
	}
	return names
}

// The pages' journey plays a recording of three people that this test writes:
// KUULE_PLAYER names the folder; without it the recording is only held.
func TestThePlayersRecording(t *testing.T) {
	t.Parallel()
	const seconds = 24
	w := journaltest.New(t)
	gap := func(track string, _ int, p playbacktest.Packet) (playbacktest.Packet, bool) {
		return p, p.At < 12_000_000 || p.At >= 15_000_000 // a break
	}
	phase := func(at interview.Micros, name interview.Phase, cause interview.Cause) journal.Entry {
		e, err := journal.NewEntry(journal.EntryPhase, at, journal.Phase{Phase: name, Cause: cause, Since: at})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	path := playbacktest.Held(t, w, playbacktest.Scene{
		Seconds: seconds, Roles: []interview.Role{interview.RoleInterviewer, interview.RoleApplicant, interview.RoleInterpreter}, Tones: []int{310, 430, 550}, Alter: gap,
		Also: []journal.Entry{phase(0, interview.PhaseOnRecord, "interviewer"), phase(12_000_000, interview.PhasePaused, "requested"), phase(15_000_000, interview.PhaseOnRecord, "interviewer")},
	})
	v := watchingFolder(t, path, w.Key)
	o, err := v.outline(t.Context())
	if err != nil || len(o.Lanes) != 6 || !o.Done || len(o.Phases) != 3 {
		t.Fatalf("%+v %v", o, err)
	}
	for i, l := range o.Lanes {
		var paused bool
		for _, h := range l.Holes {
			paused = paused || h.Cause == "paused" && h.From >= 11_900_000 && h.To <= 15_100_000
		}
		if !paused {
			t.Errorf("%s: no hole for the break: %+v", l.Name, l.Holes)
		}
		a, err := v.whole(t.Context(), viewSegment{Lane: i, From: o.From, To: o.From + 5_000_000, Begin: true})
		if err != nil || len(a) == 0 {
			t.Errorf("%s: %d bytes, %v", l.Name, len(a), err)
		}
	}
	// What is exported as a lane is what stands at its place in the outline, not
	// another person's track.
	for i, l := range o.Lanes {
		if names := exported(t, v, i); len(names) != 1 || names[0] != l.Name {
			t.Errorf("lane %d is %s, its file holds %q", i, l.Name, names)
		}
	}
	for _, n := range []int{-1, len(o.Lanes)} {
		if _, err := v.lane(n); !errors.Is(err, playback.ErrNoLane) {
			t.Errorf("lane %d: %v", n, err)
		}
	}
	folder := os.Getenv("KUULE_PLAYER")
	if folder == "" {
		return
	}
	keepPlayed(t, folder, v, o)
	// Of a long one: what tells its seconds, of which the page's server makes hours.
	path = playbacktest.Held(t, w, playbacktest.Scene{
		Seconds: seconds, Roles: []interview.Role{interview.RoleInterviewer, interview.RoleApplicant, interview.RoleInterpreter}, Tones: []int{400, 1200, 2000}, Telling: true,
		Also: []journal.Entry{phase(0, interview.PhaseOnRecord, "interviewer")},
	})
	v = watchingFolder(t, path, w.Key)
	if o, err = v.outline(t.Context()); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(folder, "long")
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	keepPlayed(t, long, v, o)
}

// keepPlayed writes what a page asks of a viewing.
func keepPlayed(t *testing.T, folder string, v *viewer, o viewOutline) {
	t.Helper()
	keep := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	keep("outline.json", text)
	for i := range o.Lanes {
		for at := o.From; at < o.To; at += 5_000_000 {
			for _, begin := range []bool{true, false} {
				b, err := v.whole(t.Context(), viewSegment{Lane: i, From: at, To: min(o.To, at+5_000_000), Begin: begin})
				if err != nil {
					t.Fatal(err)
				}
				keep(fmt.Sprintf("%d-%d-%t.webm", i, int64(at), begin), b)
			}
		}
	}
}
