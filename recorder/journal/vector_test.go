package journal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// vector is testdata/vector.json: what testdata/000001.kj holds, for whoever
// writes another reader from docs/recording-format.md.
type vector struct {
	DataKey string        `json:"data_key"` // hex
	Blocks  []vectorBlock `json:"blocks"`
}

type vectorBlock struct {
	Offset  int64         `json:"offset"`
	Size    int64         `json:"size"`
	Hash    string        `json:"hash"`
	Head    journal.Head  `json:"head"`
	Entries []vectorEntry `json:"entries"`
	Sealed  []vectorEntry `json:"sealed_entries"`
	Frames  []vectorFrame `json:"frames"`
}

type vectorEntry struct {
	Type journal.EntryType `json:"type"`
	At   interview.Micros  `json:"at"`
	Body string            `json:"body"`
}

type vectorFrame struct {
	Member  interview.MemberID `json:"member"`
	Track   interview.TrackID  `json:"track"`
	Source  interview.Source   `json:"source"`
	Rid     string             `json:"rid"`
	KID     uint64             `json:"kid"`
	Counter uint64             `json:"counter"`
	RTPTime uint32             `json:"rtp_time"`
	Arrival interview.Micros   `json:"arrival"`
	Key     bool               `json:"key"`
	Lost    uint32             `json:"lost"`
	Sealed  string             `json:"sealed"`  // hex
	Capture interview.Micros   `json:"capture"` // from inside the frame's seal
	Codec   string             `json:"codec"`   // hex, the opened codec frame
}

func decodeVector(t *testing.T, file []byte, raw []byte) vector {
	t.Helper()
	key, err := journal.ParseDataKey(raw)
	must(t, err)
	v := vector{DataKey: hex.EncodeToString(raw)}
	keys := map[int64]*sealing.FrameKey{}
	r := journal.NewReader(journal.Source{Name: journal.FileName(1), Reader: bytes.NewReader(file)})
	entries := func(in []journal.Entry) []vectorEntry {
		out := []vectorEntry{}
		for _, e := range in {
			out = append(out, vectorEntry{e.Type, e.At, string(e.Body)})
		}
		return out
	}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return v
		}
		must(t, err)
		frames, sealed, err := b.Open(key)
		must(t, err)
		x := vectorBlock{Offset: b.Offset, Size: b.Size, Hash: b.Hash, Head: b.Head, Entries: entries(b.Entries), Sealed: entries(sealed), Frames: []vectorFrame{}}
		for _, e := range sealed {
			k, err := e.SenderKey()
			must(t, err)
			keys[k.KID], err = sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key)
			must(t, err)
		}
		for _, f := range frames {
			h, codec, err := keys[int64(f.KID)].Open(nil, f.Sealed)
			must(t, err)
			x.Frames = append(x.Frames, vectorFrame{
				f.Member, f.Track, f.Source, f.Rid, f.KID, f.Counter, f.RTPTime, f.Arrival, f.Key, f.Lost,
				hex.EncodeToString(f.Sealed), h.Capture, hex.EncodeToString(codec),
			})
		}
		v.Blocks = append(v.Blocks, x)
	}
}

// The vector was written once and is never written again for this version of
// the format; KUULE_WRITE_VECTOR=1 makes the first one of a new version.
func TestVector(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUULE_WRITE_VECTOR") != "" {
		writeVector(t)
	}
	file, err := os.ReadFile("testdata/000001.kj")
	must(t, err)
	text, err := os.ReadFile("testdata/vector.json")
	must(t, err)
	var want vector
	must(t, json.Unmarshal(text, &want))
	raw, err := hex.DecodeString(want.DataKey)
	must(t, err)
	got, err := json.MarshalIndent(decodeVector(t, file, raw), "", "  ")
	must(t, err)
	if string(got)+"\n" != string(text) {
		t.Fatalf("the vector reads as\n%s", got)
	}
}

func writeVector(t *testing.T) {
	w := journaltest.New(t)
	path, disk := folder(t)
	cfg := w.Config(disk)
	now := interview.Micros(1_000_000)
	cfg.Interval, cfg.Clock = time.Hour, func() interview.Micros { return now }
	cfg.Opened.Anchor = journal.Anchor{Hearing: now, Wall: w.Now.UnixMicro(), Monotonic: 7, Lease: 1, Reason: "restarted"}
	cfg.Opened.After = &journal.After{Recording: interview.NewRecordingID(), Seq: 41, Head: strings.Repeat("A", 43), To: 400_000, Torn: 17, Cause: journal.CauseRestarted}
	j, err := journal.Create(cfg)
	must(t, err)
	now = 1_500_000
	m := w.Member(interview.RoleInterviewer)
	add := func(e journal.Entry, err error) {
		must(t, err)
		must(t, j.AddEntry(e))
	}
	audio, video := w.Sender(m, 1, 0, 0, interview.SourceAudio), w.Sender(m, 1, 0, 1, interview.SourceVideo)
	add(journal.NewSigned(journal.EntryStatement, 1_100_000, m.Statement))
	add(journal.NewSigned(journal.EntryAdmission, 1_100_000, m.Admission))
	add(journal.NewSigned(journal.EntryRoster, 1_200_000, w.Roster(m, 1_200_000, m, w.Recorder)))
	add(journal.NewEntry(journal.EntryPhase, 1_200_000, journal.Phase{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1_200_000, By: m.Seat.Participant}))
	add(journal.NewSenderKeyEntry(1_200_000, audio.SenderKey()))
	add(journal.NewSenderKeyEntry(1_200_000, video.SenderKey()))
	must(t, j.Append(audio.Seal(1_210_000, false, []byte{0xf8, 0xff, 0xfe})))
	must(t, j.Append(video.Seal(1_215_000, true, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00})))
	_ = audio.Seal(1_230_000, false, []byte{0xf8})
	last := audio.Seal(1_250_000, false, []byte{0xf8, 0xff, 0xfe})
	last.Lost = 1
	must(t, j.Append(last))
	add(journal.NewSigned(journal.EntryOrigin, 1_400_000, audio.Origin()))
	add(journal.NewEntry(journal.EntryGap, 1_400_000, journal.Gap{Cause: journal.CauseNotReceived, From: 1_230_000, To: 1_250_000, Member: m.Member(), Track: audio.Track, Frames: 1}))
	must(t, j.Close("ended"))
	file, err := os.ReadFile(filepath.Join(path, journal.FileName(1)))
	must(t, err)
	must(t, os.WriteFile("testdata/000001.kj", file, 0o644))
	text, err := json.MarshalIndent(decodeVector(t, file, w.Raw), "", "  ")
	must(t, err)
	must(t, os.WriteFile("testdata/vector.json", append(text, '\n'), 0o644))
}

// docs/recording-format.md speaks of every type, cause and bound of the code.
func TestFormatDocumentIsTrue(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/recording-format.md")
	must(t, err)
	doc := string(b)
	for _, e := range []journal.EntryType{
		journal.EntryOpened, journal.EntryStatement, journal.EntryAdmission, journal.EntryRoster, journal.EntryOrigin,
		journal.EntryPhase, journal.EntryAnchor, journal.EntryGap, journal.EntryClosed, journal.EntrySenderKey,
	} {
		if !strings.Contains(doc, "| `"+string(e)+"` |") {
			t.Errorf("entry type %s is missing", e)
		}
	}
	for _, c := range []journal.Cause{
		journal.CauseRestarted, journal.CauseQueueFull, journal.CauseUnauthentic, journal.CauseNotReceived, journal.CausePaused,
		journal.CauseConsultation, journal.CauseDisconnected, journal.CauseDiskFailed,
	} {
		if !strings.Contains(doc, "`"+string(c)+"`") {
			t.Errorf("cause %s is missing", c)
		}
	}
	for name, n := range map[string]int{
		"head": journal.MaxHead, "clear": journal.MaxClear, "sealed": journal.MaxSealed, "entry body": journal.MaxEntry,
		"frame": journal.MaxFrame, "tracks of a block": journal.MaxTracks, "files": journal.MaxFiles,
	} {
		if !strings.Contains(doc, "| "+name+" | "+strconv.Itoa(n)+" |") {
			t.Errorf("bound of %s is not %d there", name, n)
		}
	}
}
