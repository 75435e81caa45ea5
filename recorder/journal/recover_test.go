package journal_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"crypto/x509"

	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// child is what the process that is to be killed needs.
type child struct {
	Path      string
	Opened    journal.Opened
	Key, Sign []byte
	Member    interview.MemberID
	Track     interview.TrackID
}

func writeUntilKilled() {
	var c child
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	check(json.Unmarshal([]byte(os.Getenv("KUULE_JOURNAL_WRITER")), &c))
	key, err := journal.ParseDataKey(c.Key)
	check(err)
	sign, err := x509.ParseECPrivateKey(c.Sign)
	check(err)
	disk, err := journal.Directory(c.Path)
	check(err)
	begin := time.Now()
	clock := func() interview.Micros { return interview.Micros(time.Since(begin).Microseconds()) }
	j, err := journal.Create(journal.Config{
		Disk: disk, Opened: c.Opened, Key: key, Signer: sign, Clock: clock, Interval: 5 * time.Millisecond, RotateAt: 256 << 10,
		OnDurable: func(p journal.Progress) { fmt.Println(p.Frames, p.Seq) },
	})
	check(err)
	for n := uint64(0); ; n++ {
		check(j.Append(journal.Frame{
			Member: c.Member, Track: c.Track, Source: interview.SourceAudio, KID: 1, Counter: n, Arrival: clock(), Capture: clock(),
			Sealed: binary.BigEndian.AppendUint64(append(make([]byte, 0, 1008), sframe.AppendHeader(nil, 1, n)...)[:1000], n),
		}))
		time.Sleep(200 * time.Microsecond)
	}
}

// H1, promise 10: what a heartbeat could have called durable is there after kill -9.
func TestKilledWriterLosesNothingThatWasDurable(t *testing.T) {
	t.Parallel()
	runs := 20
	if testing.Short() {
		runs = 5
	}
	self, err := os.Executable()
	must(t, err)
	for run := range runs {
		w := journaltest.New(t)
		c := child{Path: t.TempDir() + "/rec", Opened: w.Opened(), Key: w.Raw, Member: interview.NewMemberID(), Track: interview.NewTrackID()}
		c.Sign, err = journaltest.EncodeKey(w.Recorder.Signer())
		must(t, err)
		env, err := json.Marshal(c)
		must(t, err)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "KUULE_JOURNAL_WRITER="+string(env))
		out, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(60+rand.IntN(250))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		var durable, seq int64 = 0, -1
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var d, s int64
			if n, _ := fmt.Sscan(lines.Text(), &d, &s); n == 2 {
				durable, seq = d, s
			}
		}
		kill.Stop()
		_ = cmd.Wait()
		if seq < 1 {
			continue // killed before it had begun
		}
		tail, err := journal.Recover(c.Path)
		must(t, err)
		if tail.Closed || tail.Seq < seq || tail.Seq > seq+1 {
			t.Fatalf("run %d: recovered to block %d, durable was %d", run, tail.Seq, seq)
		}
		got := read(t, c.Path, w.Key)
		if int64(len(got.frames)) < durable {
			t.Fatalf("run %d: %d frames, %d were durable", run, len(got.frames), durable)
		}
		for i, f := range got.frames {
			if f.Counter != uint64(i) {
				t.Fatalf("run %d: frame %d has counter %d", run, i, f.Counter)
			}
		}
		// The next life marks the gap and names where this one ended.
		next := journaltest.New(t)
		cfg := next.Config(mustDisk(t, t.TempDir()+"/next"))
		cfg.Opened.After, cfg.Opened.Anchor.Hearing = tail.After(journal.CauseRestarted), tail.To+1_000_000
		cfg.Clock = func() interview.Micros { return tail.To + 1_000_000 }
		j, err := journal.Create(cfg)
		must(t, err)
		must(t, j.Close("ended"))
	}
}

func mustDisk(t *testing.T, path string) journal.Disk {
	t.Helper()
	d, err := journal.Directory(path)
	must(t, err)
	return d
}

func TestNextLifeMarksTheGap(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	cfg := w.Config(disk)
	cfg.Opened.Anchor.Hearing = 9_000_000
	cfg.Clock = func() interview.Micros { return 9_500_000 }
	cfg.Opened.After = &journal.After{Recording: interview.NewRecordingID(), Seq: 7, Head: "x", To: 4_000_000, Torn: 12, Cause: journal.CauseRestarted}
	j, err := journal.Create(cfg)
	must(t, err)
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	var g journal.Gap
	must(t, c.entries[1].Read(&g))
	if g.Cause != journal.CauseRestarted || g.From != 4_000_000 || g.To != 9_000_000 || *c.opened.After != *cfg.Opened.After {
		t.Fatalf("gap %+v after %+v", g, c.opened.After)
	}
}

func TestTornLastWriteIsCutOffAndNothingElse(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, blocks := small(t, w)
	last := blocks[len(blocks)-1]
	lay := func(t *testing.T, files ...[]byte) string {
		path := t.TempDir()
		for i, f := range files {
			must(t, os.WriteFile(filepath.Join(path, journal.FileName(int64(i)+1)), f, 0o600))
		}
		return path
	}
	end := files[last.File]
	step := int64(1)
	if testing.Short() {
		step = 13
	}
	for n := int64(0); n < last.Size; n += step {
		path := lay(t, append(append([][]byte(nil), files[:last.File]...), end[:last.Offset+n])...)
		tail, err := journal.Recover(path)
		must(t, err)
		if tail.Torn < n || tail.Seq != last.Seq-1 {
			t.Fatalf("%d bytes of the last block left: %+v", n, tail)
		}
		again, err := journal.Recover(path)
		must(t, err)
		if again.Torn != 0 || again.Head != tail.Head {
			t.Fatalf("recovered twice: %+v then %+v", tail, again)
		}
	}

	// A next file was begun and its first block torn: the file goes.
	for _, begun := range []string{"", "kuu", "kuulejr2", "kuulejr2KJB1\x00\x00"} {
		whole := append(append([][]byte(nil), files[:last.File]...), end[:last.Offset])
		path := lay(t, append(whole, []byte(begun))...)
		tail, err := journal.Recover(path)
		must(t, err)
		if names, _ := filepath.Glob(path + "/*.kj"); tail.Seq != last.Seq-1 || tail.Torn != int64(len(begun)) || len(names) != len(whole) {
			t.Fatalf("begun with %q: %+v, files %v", begun, tail, names)
		}
	}

	// The file had grown, the bytes had not come.
	grown := append(append([]byte(nil), end[:last.Offset]...), make([]byte, last.Size)...)
	if tail, err := journal.Recover(lay(t, append(append([][]byte(nil), files[:last.File]...), grown)...)); err != nil || tail.Seq != last.Seq-1 || tail.Torn < last.Size {
		t.Fatalf("zeros at the end: %+v %v", tail, err)
	}

	// A whole block that is wrong, or one with more behind it, was not torn.
	for name, c := range map[string]struct {
		of    journal.Position
		files [][]byte
	}{"last": {last, files}, "with more behind it": {blocks[1], files[:1]}} {
		bad := append([][]byte(nil), c.files...)
		bad[c.of.File] = append([]byte(nil), files[c.of.File]...)
		bad[c.of.File][c.of.Offset+c.of.Size-1] ^= 1
		path := lay(t, bad...)
		if _, err := journal.Recover(path); !errors.Is(err, journal.ErrContent) {
			t.Fatalf("%s: a changed block: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(path, journal.FileName(int64(c.of.File)+1))); err != nil || !bytes.Equal(b, bad[c.of.File]) {
			t.Fatalf("%s: a changed block was cut off", name)
		}
	}
	if o, err := journal.Identify(lay(t, files...)); err != nil || o.Recording != w.Recording {
		t.Fatalf("identify: %+v %v", o, err)
	}
	if _, err := journal.Recover(lay(t, []byte("kuule"))); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing durable: %v", err)
	}
}
