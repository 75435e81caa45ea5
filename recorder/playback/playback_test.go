package playback_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
	"kuule/recorder/playback/playbacktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed: apt-get install ffmpeg", p)
		}
	}
}

func run(t *testing.T, name string, args ...string) (string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errs.String())
	}
	return out.String(), errs.String()
}

type packet = playbacktest.Packet

func held(t *testing.T, w *journaltest.World, alter func(track string, i int, p packet) (packet, bool)) string {
	t.Helper()
	return playbacktest.Held(t, w, playbacktest.Scene{Seconds: 4, Alter: alter})
}

func export(t *testing.T, w *journaltest.World, path string, o playback.Options) (string, playback.Report) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "playback.webm")
	f, err := os.Create(out)
	must(t, err)
	defer f.Close()
	r, err := playback.Export(context.Background(), f, o, playback.Folder(path, w.Key))
	must(t, err)
	return out, r
}

type probe struct {
	Streams []struct {
		Codec   string `json:"codec_name"`
		Packets string `json:"nb_read_packets"`
		Width   int    `json:"width"`
	} `json:"streams"`
	Format struct {
		Duration string `json:"duration"`
	} `json:"format"`
	Packets []struct {
		Stream int    `json:"stream_index"`
		Time   string `json:"pts_time"`
	} `json:"packets"`
}

func look(t *testing.T, path string) probe {
	t.Helper()
	out, errs := run(t, "ffprobe", "-v", "warning", "-count_packets", "-show_streams", "-show_format", "-show_packets", "-of", "json", path)
	if errs != "" {
		t.Fatalf("ffprobe finds fault: %s", errs)
	}
	var p probe
	must(t, json.Unmarshal([]byte(out), &p))
	return p
}

// tone gives the loudness of one audio track around a frequency, in dB.
func loud(t *testing.T, path string, track, frequency int) float64 {
	t.Helper()
	_, errs := run(t, "ffmpeg", "-v", "info", "-i", path, "-map", "0:"+strconv.Itoa(track), "-af", "bandpass=f="+strconv.Itoa(frequency)+":width_type=h:w=60,volumedetect", "-f", "null", "-")
	m := regexp.MustCompile(`mean_volume: (-?[0-9.]+) dB`).FindStringSubmatch(errs)
	if m == nil {
		t.Fatalf("no volume: %s", errs)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	must(t, err)
	return v
}

// H: what was said is heard, by everybody's own track, in standard programs.
func TestExportHoldsWhatWasSaidAndSeen(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffprobe")
	w := journaltest.New(t)
	path := held(t, w, nil)
	out, r := export(t, w, path, playback.Options{})
	names := make([]string, len(r.Lanes))
	for i, l := range r.Lanes {
		names[i] = l.Name
	}
	if strings.Join(names, "; ") != "applicant audio; applicant video; interviewer audio; interviewer video" || r.Base != 1_000_000 || r.Overview.Failed+r.Overview.Keyless+r.Dropped+r.Silent != 0 {
		t.Fatalf("lanes %v, report %+v", names, r)
	}
	p := look(t, out)
	for i, codec := range []string{"opus", "vp8", "opus", "vp8"} {
		if n, _ := strconv.Atoi(p.Streams[i].Packets); p.Streams[i].Codec != codec || int64(n) != r.Lanes[i].Frames {
			t.Fatalf("stream %d is %+v, lane has %d frames", i, p.Streams[i], r.Lanes[i].Frames)
		}
	}
	if d, _ := strconv.ParseFloat(p.Format.Duration, 64); d < 3.8 || d > 4.2 {
		t.Fatalf("duration %v", p.Format.Duration)
	}
	monotonic(t, p)
	if _, errs := run(t, "ffmpeg", "-v", "warning", "-i", out, "-map", "0", "-f", "null", "-"); errs != "" {
		t.Fatalf("ffmpeg finds fault: %s", errs)
	}
	for track, tones := range map[int][2]int{0: {880, 440}, 2: {440, 880}} {
		own, other := loud(t, out, track, tones[0]), loud(t, out, track, tones[1])
		if own < -35 || own-other < 15 {
			t.Fatalf("track %d: own tone %v dB, the other's %v dB", track, own, other)
		}
	}
}

func monotonic(t *testing.T, p probe) {
	t.Helper()
	last := map[int]float64{}
	for _, x := range p.Packets {
		at, err := strconv.ParseFloat(x.Time, 64)
		must(t, err)
		if before, ok := last[x.Stream]; ok && at <= before {
			t.Fatalf("stream %d goes from %v to %v", x.Stream, before, at)
		}
		last[x.Stream] = at
	}
}

func TestGapsBecomeSilenceAndTimesStayMonotonic(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffprobe")
	w := journaltest.New(t)
	path := held(t, w, func(track string, i int, p packet) (packet, bool) {
		switch track {
		case "applicant audio":
			p.At += interview.Micros(i%5) * 3_000 // jitter of the page's clock
			return p, i < 50 || i >= 100          // one second lost
		case "applicant video":
			return p, i >= 7 // begins between key frames
		}
		return p, true
	})
	out, r := export(t, w, path, playback.Options{Only: func(l playback.Lane) bool { return l.Roles[0] == interview.RoleApplicant }})
	if len(r.Lanes) != 2 || r.Silent < 45 || r.Silent > 55 || r.Dropped != 8 {
		t.Fatalf("%d lanes, %d packets of silence, %d dropped", len(r.Lanes), r.Silent, r.Dropped)
	}
	p := look(t, out)
	monotonic(t, p)
	if d, _ := strconv.ParseFloat(p.Format.Duration, 64); d < 3.8 || d > 4.2 {
		t.Fatalf("duration %v", p.Format.Duration)
	}
	if _, errs := run(t, "ffmpeg", "-v", "warning", "-i", out, "-map", "0", "-f", "null", "-"); errs != "" {
		t.Fatalf("ffmpeg finds fault: %s", errs)
	}
}

func TestExportSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	j, err := journal.Create(w.Config(disk))
	must(t, err)
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	must(t, j.Append(s.Seal(1, false, []byte{0xf8, 0xff, 0xfe}))) // its key is not in the journal
	must(t, j.Close("ended"))
	var b bytes.Buffer
	r, err := playback.Export(context.Background(), &b, playback.Options{}, playback.Folder(path, w.Key))
	if !errors.Is(err, playback.ErrNothing) || r.Overview.Keyless != 1 {
		t.Fatalf("%v %+v", err, r)
	}
	other, err := journal.NewDataKey()
	must(t, err)
	if _, err := playback.Export(context.Background(), &b, playback.Options{}, playback.Folder(path, other)); !errors.Is(err, journal.ErrDataKey) {
		t.Fatal(err)
	}
	if _, err := playback.Export(context.Background(), &b, playback.Options{}, playback.Folder(t.TempDir(), w.Key)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// A sender names any time it likes as a frame's capture: an export that believed
// it would fill years with silence, in memory.
func TestASendersClockFillsNoExport(t *testing.T) {
	t.Parallel()
	for name, wild := range map[string]interview.Micros{"years ahead": 3e13, "long ago": -5e7} {
		w := journaltest.New(t)
		path := t.TempDir() + "/rec"
		disk, err := journal.Directory(path)
		must(t, err)
		j, err := journal.Create(w.Config(disk))
		must(t, err)
		s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
		e, err := journal.NewSenderKeyEntry(1, s.SenderKey())
		must(t, err)
		must(t, j.AddEntry(e))
		for i := range interview.Micros(10) {
			at := 60_000_000 + i*20_000
			f := s.Seal(at, false, []byte{0xf8, 0xff, 0xfe})
			if i == 5 {
				f = s.Seal(at+wild, false, []byte{0xf8, 0xff, 0xfe})
				f.Arrival = at
			}
			must(t, j.Append(f))
		}
		must(t, j.Close("ended"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := playback.Export(ctx, io.Discard, playback.Options{}, playback.Folder(path, w.Key))
		cancel()
		if err != nil || r.Written != 9 || r.Silent != 0 || r.Overview.Failed != 1 {
			t.Errorf("%s: %d frames, %d of silence, %d failed, %v", name, r.Written, r.Silent, r.Overview.Failed, err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFullDiskEndsAnExportWithItsReason(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	j, err := journal.Create(w.Config(disk))
	must(t, err)
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	e, err := journal.NewSenderKeyEntry(1, s.SenderKey())
	must(t, err)
	must(t, j.AddEntry(e))
	for i := range 100 {
		must(t, j.Append(s.Seal(interview.Micros(i)*20_000, false, []byte{0xf8, 0xff, 0xfe})))
	}
	must(t, j.Close("ended"))
	if _, err := playback.Export(context.Background(), full{}, playback.Options{}, playback.Folder(path, w.Key)); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatal(err)
	}
}
