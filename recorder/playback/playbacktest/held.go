package playbacktest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// Telling has each second tell its last digit: by a tone that is so many times
	// 50 Hz higher, and by four fields on top of the picture, one for each bit from
	// the lowest on, white for one. The picture is then 640 × 360 with a key frame
	// every ten seconds, as recorders ask for them.
	Telling bool
	// Alter may change, or take out, the i-th packet of a track ("applicant audio").
	Alter func(track string, i int, p Packet) (Packet, bool)
	Also  []journal.Entry
}

// picture is what everybody's camera sends, as ffmpeg makes it.
func (s Scene) picture() []string {
	if !s.Telling {
		return []string{"-i", "testsrc=size=320x180:rate=15", "-g", "15", "-b:v", "200k"}
	}
	film := "testsrc=size=640x360:rate=15,drawbox=w=iw:h=80:t=fill:color=black"
	for bit := range 4 {
		film += fmt.Sprintf(",drawbox=x=%d:w=160:h=80:t=fill:color=white:enable='mod(floor(mod(t,10)/%d),2)'", 160*bit, 1<<bit)
	}
	return []string{"-i", film, "-g", "150", "-b:v", "500k"}
}

// voice is the sound of who has that place.
func (s Scene) voice(place int) []string {
	tone := 440 * (place + 1)
	if s.Tones != nil {
		tone = s.Tones[place]
	}
	sound := fmt.Sprintf("sine=frequency=%d:sample_rate=48000", tone)
	if s.Telling {
		sound = fmt.Sprintf("aevalsrc='0.2*sin(2*PI*t*(%d+50*mod(floor(t),10)))':s=48000", tone)
	}
	return []string{"-i", sound, "-c:a", "libopus", "-vbr", "off", "-b:a", "32k", "-ac", "1"}
}

var (
	encoding sync.Mutex
	encoded  = map[string][]Packet{}
)

// packets has ffmpeg make one track and takes the codec frames out. It skips
// the test where ffmpeg is missing. What was made once is given again: it is
// not to be changed.
func (s Scene) packets(t testing.TB, track []string) []Packet {
	t.Helper()
	encoding.Lock()
	defer encoding.Unlock()
	name := fmt.Sprint(s.Seconds, track)
	if encoded[name] == nil {
		encoded[name] = encode(t, s.Seconds, track)
	}
	return encoded[name]
}

func encode(t testing.TB, seconds int, track []string) (out []Packet) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	path := filepath.Join(t.TempDir(), "in.webm")
	var errs bytes.Buffer
	c := exec.Command("ffmpeg", slices.Concat([]string{"-v", "error", "-f", "lavfi"}, track, []string{"-t", strconv.Itoa(seconds), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", path})...)
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
			out = append(out, Packet{interview.Micros(max(0, int64(c.Timecode)+int64(b.Timecode))) * 1000, b.Keyframe, b.Data[0]})
		}
	}
	if len(out) < 10*seconds {
		t.Fatalf("%d frames in %d s", len(out), seconds)
	}
	return out
}

// Held is the folder of a journal of people who speak all at once, from second
// 1 of the hearing on.
func Held(t testing.TB, w *journaltest.World, s Scene) string {
	t.Helper()
	if s.Roles == nil {
		s.Roles = []interview.Role{interview.RoleInterviewer, interview.RoleApplicant}
	}
	// Made before the journal begins, which follows the clock of the machine.
	video := s.packets(t, s.picture())
	voices := make([][]Packet, len(s.Roles))
	for place := range s.Roles {
		voices[place] = s.packets(t, s.voice(place))
	}
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
	for place, role := range s.Roles {
		m := w.Member(role)
		e, err := journal.NewSigned(journal.EntryAdmission, 1, m.Admission)
		must(t, err)
		must(t, j.AddEntry(e))
		for number, track := range []struct {
			source interview.Source
			frames []Packet
		}{{interview.SourceAudio, voices[place]}, {interview.SourceVideo, video}} {
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
