package playbacktest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// Packet is one codec frame of a made-up speaker.
type Packet struct {
	At    interview.Micros
	Key   bool
	Codec []byte
}

// Scene is what is held.
type Scene struct {
	Seconds int
	Roles   []interview.Role // nil: interviewer and applicant
	Tones   []int            // in hertz, by role; nil: 440, 880 …
	// Alter may change, or take out, the i-th packet of a track ("applicant audio").
	Alter func(track string, i int, p Packet) (Packet, bool)
	Also  []journal.Entry
}

// Speak makes seconds of a tone and a picture with ffmpeg and takes the codec
// frames out. It skips the test where ffmpeg is missing.
// What was made once is given again: it is not to be changed.
func Speak(t testing.TB, tone, seconds int) (audio, video []Packet) {
	t.Helper()
	speaking.Lock()
	defer speaking.Unlock()
	s, made := spoken[[2]int{tone, seconds}]
	if !made {
		s.audio, s.video = speak(t, tone, seconds)
		spoken[[2]int{tone, seconds}] = s
	}
	return s.audio, s.video
}

type speech struct{ audio, video []Packet }

var (
	speaking sync.Mutex
	spoken   = map[[2]int]speech{}
)

func speak(t testing.TB, tone, seconds int) (audio, video []Packet) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	path := filepath.Join(t.TempDir(), "in.webm")
	var errs bytes.Buffer
	c := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=15", "-f", "lavfi", "-i", "sine=frequency="+strconv.Itoa(tone)+":sample_rate=48000",
		"-t", strconv.Itoa(seconds), "-c:v", "libvpx", "-g", "15", "-b:v", "200k", "-deadline", "realtime", "-c:a", "libopus", "-vbr", "off", "-b:a", "32k", "-ac", "1", path)
	c.Stderr = &errs
	if err := c.Run(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, errs.String())
	}
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	var doc struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment struct {
			Cluster []webm.Cluster `ebml:"Cluster"`
		} `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(f, &doc, ebml.WithIgnoreUnknown(true)); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Fatal(err)
	}
	for _, c := range doc.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			p := Packet{interview.Micros(max(0, int64(c.Timecode)+int64(b.Timecode))) * 1000, b.Keyframe, b.Data[0]}
			if b.TrackNumber == 1 {
				video = append(video, p)
			} else {
				audio = append(audio, p)
			}
		}
	}
	if len(audio) < 40*seconds || len(video) < 10*seconds {
		t.Fatalf("%d audio and %d video frames", len(audio), len(video))
	}
	return audio, video
}

// Held is the folder of a journal of people who speak all at once, from second
// 1 of the hearing on.
func Held(t testing.TB, w *journaltest.World, s Scene) string {
	t.Helper()
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.Interval = 20 * time.Millisecond
	j, err := journal.Create(cfg)
	must(t, err)
	for _, e := range s.Also {
		must(t, j.AddEntry(e))
	}
	if s.Roles == nil {
		s.Roles = []interview.Role{interview.RoleInterviewer, interview.RoleApplicant}
	}
	for place, role := range s.Roles {
		m := w.Member(role)
		e, err := journal.NewSigned(journal.EntryAdmission, 1, m.Admission)
		must(t, err)
		must(t, j.AddEntry(e))
		tone := 440 * (place + 1)
		if s.Tones != nil {
			tone = s.Tones[place]
		}
		audio, video := Speak(t, tone, s.Seconds)
		for number, track := range []struct {
			source interview.Source
			frames []Packet
		}{{interview.SourceAudio, audio}, {interview.SourceVideo, video}} {
			x := w.Sender(m, 1, place, number, track.source)
			e, err := journal.NewSenderKeyEntry(1, x.SenderKey())
			must(t, err)
			must(t, j.AddEntry(e))
			for i, p := range track.frames {
				p.At += 1_000_000
				keep := true
				if s.Alter != nil {
					p, keep = s.Alter(string(role)+" "+string(track.source), i, p)
				}
				f := x.Seal(p.At, p.Key, p.Codec)
				if keep {
					must(t, j.Append(f))
				}
			}
		}
	}
	must(t, j.Close("ended"))
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
