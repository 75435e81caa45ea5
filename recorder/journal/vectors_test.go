package journal_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// testdata/two holds the journals of two recorders of one hearing with their
// index files, testdata/backup.kb a room terminal's back-up; two.json and
// backup.json say what is in them. Like the first vector they are never written
// again for this version of the format.

// twoVector is testdata/two.json.
type twoVector struct {
	Keys []string `json:"keys"` // data keys in hex, of two/a and two/b
	Says twoSays  `json:"says"`
}

// twoSays is what testdata/reader.mjs prints of them.
type twoSays struct {
	Again     int              `json:"again"`  // frames that both have
	Frames    int              `json:"frames"` // of both together
	Holes     []journal.Hole   `json:"holes"`
	Index     [][][5]int64     `json:"index"` // of each: number, offset, size, from, to of its blocks
	From      interview.Micros `json:"from"`
	To        interview.Micros `json:"to"`
	Recorded  interview.Micros `json:"recorded"`
	OffRecord interview.Micros `json:"off_record"`
	Missing   interview.Micros `json:"missing"`
	Lacks     []lack           `json:"lacks"`
}

type lack struct {
	Cause journal.Cause    `json:"cause"`
	From  interview.Micros `json:"from"`
	To    interview.Micros `json:"to"`
}

func readTwo(t *testing.T, keys []string) twoSays {
	t.Helper()
	says := twoSays{Holes: []journal.Hole{}, Lacks: []lack{}}
	var parts []journal.Part
	var lives []coverage.Life
	phases := map[interview.Micros]journal.Phase{}
	for i, name := range []string{"a", "b"} {
		path := filepath.Join("testdata/two", name)
		raw, err := hex.DecodeString(keys[i])
		must(t, err)
		key, err := journal.ParseDataKey(raw)
		must(t, err)
		f, err := journal.OpenFolder(path)
		must(t, err)
		life := coverage.Life{}
		var places [][5]int64
		for {
			b, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			life.Recording = b.Head.Recording
			places = append(places, [5]int64{b.Head.Seq, b.Offset, b.Size, int64(b.Head.From), int64(b.Head.To)})
			for _, e := range b.Entries {
				switch e.Type {
				case journal.EntryGap:
					var g journal.Gap
					must(t, e.Read(&g))
					life.Gaps = append(life.Gaps, g)
				case journal.EntryPhase:
					var p journal.Phase
					must(t, e.Read(&p))
					phases[p.Since] = p
				}
			}
		}
		life.From, life.To = f.Covers()
		must(t, f.Close())
		lives, says.Index = append(lives, life), append(says.Index, places)
		again, err := journal.OpenFolder(path)
		must(t, err)
		defer again.Close()
		parts = append(parts, journal.Part{Reader: again.Reader, Key: key})
	}
	var once journal.Once
	for m := journal.NewMerge(parts...); ; {
		x, err := m.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		says.Again += len(x.Twice)
		for _, f := range x.Frames {
			says.Frames++
			once.First(f)
		}
	}
	says.Holes = append(says.Holes, once.Holes()...)
	var order []journal.Phase
	for at := interview.Micros(0); at < 10_000_000; at += 100_000 {
		if p, ok := phases[at]; ok {
			order = append(order, p)
		}
	}
	c := coverage.Of(order, lives)
	says.From, says.To, says.Recorded, says.OffRecord, says.Missing = c.From, c.To, c.Recorded, c.OffRecord, c.Missing
	for _, s := range c.Spans {
		if s.State == coverage.Missing {
			says.Lacks = append(says.Lacks, lack{s.Cause, s.From, s.To})
		}
	}
	return says
}

// H2, H5: both readers find in the journals of two recorders the same frames,
// the same holes, the same time line, and the same places in the index files.
func TestVectorOfTwoRecorders(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUULE_WRITE_VECTOR") != "" {
		writeTwo(t)
	}
	text, err := os.ReadFile("testdata/two.json")
	must(t, err)
	var v twoVector
	must(t, json.Unmarshal(text, &v))
	want, err := canon.Marshal(v.Says)
	must(t, err)
	got, err := canon.Marshal(readTwo(t, v.Keys))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("the vector reads as\n%s, not\n%s", got, want)
	}
	for _, name := range []string{"a", "b"} {
		x, err := journal.OpenIndex(filepath.Join("testdata/two", name))
		must(t, err)
		must(t, x.Close())
	}
	if v.Says.Frames != 9 || v.Says.Again != 7 || len(v.Says.Holes) != 1 || v.Says.Missing != 200_000 {
		t.Fatalf("the vector shows too little: %+v", v.Says)
	}
	keys := make([]string, 2)
	for i, k := range v.Keys {
		raw, err := hex.DecodeString(k)
		must(t, err)
		keys[i] = filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(keys[i], []byte(base64.RawURLEncoding.EncodeToString(raw)), 0o600))
	}
	if line := runReader(t, "--two", keys[0], "testdata/two/a", keys[1], "testdata/two/b"); line != string(want) {
		t.Fatalf("the other reader says\n%s, not\n%s", line, want)
	}
}

func writeTwo(t *testing.T) {
	w := journaltest.New(t)
	m := w.Member(interview.RoleApplicant)
	s := w.Sender(m, 1, 0, 0, interview.SourceAudio)
	var frames []journal.Frame
	for i := range 10 {
		frames = append(frames, s.Seal(1_600_000+interview.Micros(i)*20_000, true, []byte{0xf8, byte(i)}))
	}
	list := s.Origin()
	v := twoVector{}
	for i, r := range []struct {
		name     string
		from, to interview.Micros
		lost     map[int]bool
		away     bool
	}{
		{"a", 1_000_000, 3_000_000, map[int]bool{3: true, 4: true}, false},
		{"b", 1_200_000, 4_000_000, map[int]bool{4: true, 5: true}, true},
	} {
		path := filepath.Join("testdata/two", r.name)
		must(t, os.RemoveAll(path))
		disk, err := journal.Directory(path)
		must(t, err)
		recorder := w.Member("")
		cfg := w.Config(disk)
		raw := make([]byte, journal.DataKeyBytes)
		_, err = rand.Read(raw)
		must(t, err)
		v.Keys = append(v.Keys, hex.EncodeToString(raw))
		cfg.Key, err = journal.ParseDataKey(raw)
		must(t, err)
		cfg.Signer = recorder.Signer()
		cfg.Opened.Recording, cfg.Opened.Member, cfg.Opened.Statement = interview.NewRecordingID(), recorder.Member(), recorder.Statement
		cfg.Opened.Anchor.Hearing = r.from
		now := r.from
		cfg.Interval, cfg.Clock = time.Hour, func() interview.Micros { return now }
		j, err := journal.Create(cfg)
		must(t, err)
		add := func(e journal.Entry, err error) {
			must(t, err)
			must(t, j.AddEntry(e))
		}
		add(journal.NewSigned(journal.EntryStatement, r.from, m.Statement))
		add(journal.NewSigned(journal.EntryAdmission, r.from, m.Admission))
		add(journal.NewSenderKeyEntry(r.from, s.SenderKey()))
		add(journal.NewEntry(journal.EntryPhase, 1_500_000, journal.Phase{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1_500_000}))
		lost := uint32(0)
		for n, f := range frames {
			if r.lost[n] {
				lost++
				continue
			}
			f.Lost, lost = lost, 0
			f.Arrival += interview.Micros(i) * 1_000
			must(t, j.Append(f))
		}
		add(journal.NewSigned(journal.EntryOrigin, 2_000_000, list))
		at := 1_600_000 + 20_000*interview.Micros(2+i)
		add(journal.NewEntry(journal.EntryGap, 2_000_000, journal.Gap{Cause: journal.CauseNotReceived, From: at, To: at + 60_000, Member: m.Member(), Track: s.Track, Frames: 2}))
		if r.away {
			add(journal.NewEntry(journal.EntryGap, 3_300_000, journal.Gap{Cause: journal.CauseQueueFull, From: 3_100_000, To: 3_300_000}))
			add(journal.NewEntry(journal.EntryPhase, 3_800_000, journal.Phase{Phase: interview.PhasePaused, Cause: interview.CauseInterviewer, Since: 3_800_000}))
		}
		now = r.to
		must(t, j.Close("ended"))
	}
	v.Says = readTwo(t, v.Keys)
	text, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	must(t, os.WriteFile("testdata/two.json", append(text, '\n'), 0o644))
}

// backupVector is testdata/backup.json.
type backupVector struct {
	Key     string              `json:"key"` // private key, 32 bytes in hex
	Hearing interview.HearingID `json:"hearing"`
	Says    backupSays          `json:"says"`
}

// backupSays is what testdata/reader.mjs prints of it.
type backupSays struct {
	Chunks []chunkSays `json:"chunks"`
}

type chunkSays struct {
	Member  interview.MemberID `json:"member"`
	Epoch   int64              `json:"epoch"`
	Keys    []string           `json:"keys"`    // opened, hex
	Frames  []string           `json:"frames"`  // codec frames, opened, hex
	Origins int                `json:"origins"` // lists
}

func (v backupVector) private(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	raw, err := hex.DecodeString(v.Key)
	must(t, err)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	must(t, err)
	return k
}

func readBackup(t *testing.T, v backupVector) backupSays {
	t.Helper()
	f, err := os.Open("testdata/backup.kb")
	must(t, err)
	defer f.Close()
	own, err := backup.PrivateKey(v.private(t))
	must(t, err)
	out := backupSays{}
	keys := map[interview.TrackID]*sealing.FrameKey{}
	must(t, backup.Read(f, v.Hearing, own, func(c *backup.Chunk) error {
		x := chunkSays{Member: c.Member, Epoch: c.Epoch, Keys: []string{}, Frames: []string{}, Origins: len(c.Origins)}
		for _, k := range c.Keys {
			raw, err := c.OpenKey(own, k)
			if err != nil {
				return err
			}
			x.Keys = append(x.Keys, hex.EncodeToString(raw))
			if keys[k.Track], err = sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, raw); err != nil {
				return err
			}
		}
		for _, f := range c.Frames {
			sealed, err := f.Bytes()
			if err != nil {
				return err
			}
			_, codec, err := keys[f.Track].Open(nil, sealed)
			if err != nil {
				return err
			}
			x.Frames = append(x.Frames, hex.EncodeToString(codec))
		}
		out.Chunks = append(out.Chunks, x)
		return nil
	}))
	return out
}

// H2, H5: both readers open a room terminal's back-up in the same way.
func TestVectorOfABackup(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUULE_WRITE_VECTOR") != "" {
		writeBackup(t)
	}
	text, err := os.ReadFile("testdata/backup.json")
	must(t, err)
	var v backupVector
	must(t, json.Unmarshal(text, &v))
	want, err := canon.Marshal(v.Says)
	must(t, err)
	got, err := canon.Marshal(readBackup(t, v))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("the vector reads as\n%s, not\n%s", got, want)
	}
	raw, err := hex.DecodeString(v.Key)
	must(t, err)
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte(base64.RawURLEncoding.EncodeToString(raw)), 0o600))
	if line := runReader(t, "--backup", key, v.Hearing.String(), "testdata/backup.kb"); line != string(want) {
		t.Fatalf("the other reader says\n%s, not\n%s", line, want)
	}
}

func writeBackup(t *testing.T) {
	w := journaltest.New(t)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	raw, err := own.Bytes()
	must(t, err)
	v := backupVector{Key: hex.EncodeToString(raw), Hearing: w.Hearing}
	file := w.Trust()
	file.BackupKey, err = trust.EncodeKey(own.Public())
	must(t, err)
	to, err := backup.Recipient(file)
	must(t, err)
	chair, m := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	s := w.Sender(m, 1, 1, 0, interview.SourceAudio)
	roster := w.Roster(chair, 1, chair, m, w.Recorder)
	out := backup.Magic()
	for n := range 2 {
		c := &backup.Chunk{
			V: 1, Hearing: w.Hearing, Group: w.Group, Member: m.Member(), Epoch: 1, Statement: m.Statement, Roster: roster, Recorder: w.Recorder.Admission,
			Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
		}
		if n == 0 {
			k, err := c.SealKey(to, backup.Key{Track: s.Track, Source: s.Source, KID: s.KID}, s.Key)
			must(t, err)
			c.Keys = append(c.Keys, k)
		}
		for i := range 2 {
			f := s.Seal(interview.Micros(2*n+i)*20_000, true, []byte{0xf8, byte(2*n + i)})
			c.Frames = append(c.Frames, backup.Frame{Track: s.Track, At: f.Capture, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
		}
		c.Origins = append(c.Origins, s.Origin())
		must(t, c.Check(file))
		sealed, err := c.Seal(to, int64(n))
		must(t, err)
		out = append(out, sealed...)
	}
	must(t, os.WriteFile("testdata/backup.kb", out, 0o644))
	v.Says = readBackup(t, v)
	text, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	must(t, os.WriteFile("testdata/backup.json", append(text, '\n'), 0o644))
}
