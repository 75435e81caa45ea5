package journal_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// summary is what testdata/reader.mjs prints of a journal that it finds whole.
type summary struct {
	Hearing   interview.HearingID   `json:"hearing"`
	Recording interview.RecordingID `json:"recording"`
	Files     int                   `json:"files"`
	Blocks    int                   `json:"blocks"`
	Head      string                `json:"head"`
	To        interview.Micros      `json:"to"`
	Frames    int64                 `json:"frames"`
	Entries   map[string]int        `json:"entries"`
	Closed    *journal.Closed       `json:"closed"`
	After     *journal.After        `json:"after"`
	Gaps      []journal.Gap         `json:"gaps"`
	Origins   *originSummary        `json:"origins,omitempty"` // with the data key alone
	Tracks    []*trackSummary       `json:"tracks,omitempty"`
}

type originSummary struct {
	Lists    int  `json:"lists"`
	Unsigned int  `json:"unsigned"` // not by a key of a statement in the journal
	Broken   int  `json:"broken"`   // do not quote the list before
	Hashes   int  `json:"hashes"`
	Matched  int  `json:"matched"`
	Absent   int  `json:"absent"` // of frames that the journal does not hold
	Differ   int  `json:"differ"` // of other frames than the journal holds
	Hold     bool `json:"hold"`
}

type trackSummary struct {
	Member    interview.MemberID `json:"member"`
	Track     interview.TrackID  `json:"track"`
	Source    interview.Source   `json:"source"`
	Rid       string             `json:"rid"`
	Frames    int                `json:"frames"`
	KeyFrames int                `json:"key_frames"`
	Lost      int                `json:"lost"`
	Listed    int                `json:"listed"`
	First     interview.Micros   `json:"first"`
	Last      interview.Micros   `json:"last"`
	Content   string             `json:"content"` // hash of capture, length and codec frame of each
}

// contents gathers what a summary says of the frames.
type contents struct {
	tracks map[string]*trackSummary
	bytes  map[string][]byte
}

func (c *contents) add(member interview.MemberID, track interview.TrackID, source interview.Source, rid string, key bool, lost int, listed bool, capture interview.Micros, codec []byte) {
	if c.tracks == nil {
		c.tracks, c.bytes = map[string]*trackSummary{}, map[string][]byte{}
	}
	name := track.String() + " " + rid
	t := c.tracks[name]
	if t == nil {
		t = &trackSummary{Member: member, Track: track, Source: source, Rid: rid, First: capture, Last: capture}
		c.tracks[name] = t
	}
	t.Frames++
	t.Lost += lost
	t.First, t.Last = min(t.First, capture), max(t.Last, capture)
	if key {
		t.KeyFrames++
	}
	if listed {
		t.Listed++
	}
	b := binary.BigEndian.AppendUint64(c.bytes[name], uint64(capture))
	b = binary.BigEndian.AppendUint32(b, uint32(len(codec)))
	c.bytes[name] = append(b, codec...)
}

func (c *contents) summary() []*trackSummary {
	for name, t := range c.tracks {
		sum := sha256.Sum256(c.bytes[name])
		t.Content = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return slices.SortedFunc(maps.Values(c.tracks), func(a, b *trackSummary) int {
		return cmp.Or(strings.Compare(a.Track.String(), b.Track.String()), strings.Compare(a.Rid, b.Rid))
	})
}

// noKey is said where frames cannot be opened, which comes after all blocks
// were found whole.
const noKey = "a frame is of a sender key that the journal does not hold"

// wrongPlace is where the other reader stops.
type wrongPlace struct {
	File   int    `json:"file"` // from 1
	Offset int64  `json:"offset"`
	Block  int64  `json:"block"`
	Reason string `json:"reason"`
}

// otherReader runs testdata/reader.mjs, which shares no code with this package,
// and gives a line for each journal. Without raw it reads without data key.
func otherReader(t *testing.T, raw []byte, paths ...string) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: the second reader of docs/recording-format.md did not run")
	}
	key := "-"
	if raw != nil {
		key = filepath.Join(t.TempDir(), "data.key")
		must(t, os.WriteFile(key, []byte(base64.RawURLEncoding.EncodeToString(raw)+"\n"), 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, node, append([]string{"testdata/reader.mjs", key}, paths...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || stderr.Len() > 0) {
		t.Fatalf("reader.mjs: %v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(paths) {
		t.Fatalf("reader.mjs printed %d lines for %d journals", len(lines), len(paths))
	}
	if wrong := strings.Contains(string(out), `{"wrong":`); wrong != (err != nil) {
		t.Fatalf("reader.mjs ended with %v and printed\n%s", err, out)
	}
	return lines
}

// runReader runs testdata/reader.mjs in one of its other ways and gives its line.
func runReader(t *testing.T, args ...string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: the second reader of docs/recording-format.md did not run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, append([]string{"testdata/reader.mjs"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("reader.mjs: %v\n%s", err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func refusal(t *testing.T, line string) wrongPlace {
	t.Helper()
	var out struct{ Wrong *wrongPlace }
	must(t, json.Unmarshal([]byte(line), &out))
	if out.Wrong == nil {
		t.Fatalf("a wrong journal was read: %s", line)
	}
	return *out.Wrong
}

func mustSummary(t *testing.T, line string, want summary) {
	t.Helper()
	text, err := canon.Marshal(want)
	must(t, err)
	if line != string(text) {
		t.Fatalf("the other reader says\n%s\nand not\n%s", line, text)
	}
}

func readVector(t *testing.T) (vector, []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/vector.json")
	must(t, err)
	var v vector
	must(t, json.Unmarshal(text, &v))
	raw, err := hex.DecodeString(v.DataKey)
	must(t, err)
	return v, raw
}

// H2: a stranger with docs/recording-format.md alone reads what vector.json says.
func TestAnotherReaderReadsTheVector(t *testing.T) {
	t.Parallel()
	v, raw := readVector(t)
	last := v.Blocks[len(v.Blocks)-1]
	want := summary{
		Hearing: last.Head.Hearing, Recording: last.Head.Recording, Files: 1, Blocks: len(v.Blocks), Head: last.Hash, To: last.Head.To,
		Entries: map[string]int{}, Gaps: []journal.Gap{},
	}
	var frames contents
	for _, b := range v.Blocks {
		want.Frames += b.Head.Frames
		for _, e := range b.Entries {
			want.Entries[string(e.Type)]++
			body := []byte(e.Body)
			switch e.Type {
			case journal.EntryOpened:
				var o journal.Opened
				must(t, canon.Unmarshal(body, &o))
				want.After = o.After
			case journal.EntryGap:
				var g journal.Gap
				must(t, canon.Unmarshal(body, &g))
				want.Gaps = append(want.Gaps, g)
			case journal.EntryClosed:
				want.Closed = new(journal.Closed)
				must(t, canon.Unmarshal(body, want.Closed))
			}
		}
	}
	mustSummary(t, otherReader(t, nil, "testdata/000001.kj")[0], want)

	for _, b := range v.Blocks {
		for _, e := range b.Sealed {
			want.Entries[string(e.Type)]++
		}
		for _, f := range b.Frames {
			codec, err := hex.DecodeString(f.Codec)
			must(t, err)
			// The one origin list is of the audio track.
			frames.add(f.Member, f.Track, f.Source, f.Rid, f.Key, int(f.Lost), f.Source == interview.SourceAudio, f.Capture, codec)
		}
	}
	want.Tracks = frames.summary()
	want.Origins = &originSummary{Lists: 1, Hashes: 3, Matched: 2, Absent: 1, Hold: true} // counter 1 never came
	mustSummary(t, otherReader(t, raw, "testdata/000001.kj")[0], want)
}

// written is a journal of several files, as the writer of today makes it.
type written struct {
	path string
	w    *journaltest.World
	want summary
}

// fault is what somebody other than the recorder did wrong.
type fault int

const (
	honest      fault = iota
	forgedFrame       // a frame by another holder of the sender key
	foreignList       // an origin list that another member signed
	noStatement       // a sender whose statement is not in the journal
	wrongTrack        // a frame that is kept under another track than it was sealed for
	brokenChain       // a list that quotes another list than the one before
	noSenderKey       // a sender key that is not in the journal
)

func write(t *testing.T, f fault) written {
	t.Helper()
	w := journaltest.New(t)
	path, disk := folder(t)
	var now atomic.Int64
	cfg := w.Config(disk)
	cfg.Interval, cfg.RotateAt = time.Hour, 8<<10
	cfg.Clock = func() interview.Micros { return interview.Micros(now.Load()) }
	cfg.Opened.After = &journal.After{Recording: interview.NewRecordingID(), Seq: -1, To: 0, Cause: journal.CauseDiskFailed}
	j, err := journal.Create(cfg)
	must(t, err)
	count := map[string]int{"opened": 1, "gap": 1, "closed": 1} // the writer's own
	add := func(e journal.Entry, err error) {
		must(t, err)
		must(t, j.AddEntry(e))
		count[string(e.Type)]++
	}
	chair, counsel := w.Member(interview.RoleInterviewer), w.Member(interview.RoleCounsel)
	for _, m := range []*journaltest.Member{chair, counsel} {
		if f == noStatement && m == counsel {
			continue
		}
		add(journal.NewSigned(journal.EntryStatement, 1, m.Statement))
		add(journal.NewSigned(journal.EntryAdmission, 1, m.Admission))
	}
	add(journal.NewSigned(journal.EntryRoster, 2, w.Roster(chair, 2, chair, counsel, w.Recorder)))
	add(journal.NewEntry(journal.EntryAnchor, 3, journal.Anchor{Hearing: 3, Wall: w.Now.UnixMicro(), Monotonic: 3, Lease: 2, Reason: "jälleen <&> \u2028 \x7f 😀 \"\\"}))
	// The epoch makes key ids of four bytes, counters pass one byte.
	const epoch = 40_000
	senders := []*journaltest.Sender{
		w.Sender(chair, epoch, 0, 0, interview.SourceAudio), w.Sender(chair, epoch, 0, 1, interview.SourceVideo),
		w.Sender(counsel, epoch, 1, 0, interview.SourceAudio), w.Sender(counsel, epoch, 1, 2, interview.SourceScreen),
	}
	for i, s := range senders {
		if f != noSenderKey || i != 0 {
			add(journal.NewSenderKeyEntry(4, s.SenderKey()))
		}
	}
	want := summary{Hearing: w.Hearing, Recording: w.Recording, After: cfg.Opened.After, Origins: &originSummary{}}
	var frames contents
	const blocks, each = 5, 80
	for b := range blocks {
		for i := range each {
			for n, s := range senders {
				capture := interview.Micros(now.Load()) + interview.Micros(i*6_000+n)
				codec := bytes.Repeat([]byte{byte(i), byte(n)}, i%7*n) // some are empty
				key := n == 1 && i == 0
				frame := s.Seal(capture, key, codec)
				bad := b == 1 && i == 7 && n == 0
				switch {
				case bad && f == forgedFrame:
					forger := journaltest.Copy(s)
					for range frame.Counter {
						forger.Seal(capture, key, nil)
					}
					codec = []byte("never said")
					frame = forger.Seal(capture, key, codec)
				case bad && f == wrongTrack:
					frame.Track = interview.NewTrackID()
				}
				forged := bad && f == forgedFrame
				unsigned := (f == noStatement || f == foreignList) && s.Member == counsel
				if want.Origins.Hashes++; unsigned {
					want.Origins.Hashes--
				}
				if b == 2 && i == 3 && n == 2 { // never reached the recorder
					want.Origins.Absent++
					continue
				}
				if b == 2 && i == 4 && n == 2 {
					frame.Lost = 1
				}
				must(t, j.Append(frame))
				want.Frames++
				frames.add(frame.Member, frame.Track, frame.Source, "", key, int(frame.Lost), !forged && !unsigned, capture, codec)
			}
		}
		for _, s := range senders {
			list := s.Origin()
			if f == foreignList && s.Member == counsel {
				list = resign(t, list, chair, func(*sealing.Origin) {})
			}
			if f == brokenChain && s == senders[0] && b == 2 {
				list = resign(t, list, chair, func(o *sealing.Origin) { o.Prev = jws.Hash("another list") })
			}
			add(journal.NewSigned(journal.EntryOrigin, interview.Micros(now.Load()), list))
		}
		seq := j.Durable().Seq
		now.Add(500_000)
		j.Flush()
		until(t, "block on disk", func() bool { return j.Durable().Seq > seq })
	}
	gap := journal.Gap{Cause: journal.CauseNotReceived, From: 1_018_002, To: 1_024_002, Member: counsel.Member(), Track: senders[2].Track, Frames: 1}
	add(journal.NewEntry(journal.EntryGap, interview.Micros(now.Load()), gap))
	now.Add(1)
	must(t, j.Close("ended"))

	want.Entries, want.Closed, want.Tracks = count, &journal.Closed{Reason: "ended", Frames: want.Frames}, frames.summary()
	// The writer's own gap says that nothing is known of the recording before.
	want.Gaps = []journal.Gap{{Cause: journal.CauseDiskFailed}, gap}
	names, err := filepath.Glob(path + "/*.kj")
	must(t, err)
	progress := j.Durable()
	want.Files, want.Blocks, want.Head, want.To = len(names), int(progress.Seq)+1, progress.Head, interview.Micros(now.Load())
	for _, tr := range want.Tracks {
		want.Origins.Matched += tr.Listed
	}
	want.Origins.Lists = blocks * len(senders)
	switch f {
	case forgedFrame:
		want.Origins.Differ = 1
	case brokenChain: // neither it nor the next list quotes the one before
		want.Origins.Broken = 2
	case noStatement, foreignList:
		want.Origins.Unsigned, want.Origins.Absent = blocks*2, 0
	}
	want.Origins.Hold = want.Origins.Differ+want.Origins.Unsigned+want.Origins.Broken == 0
	return written{path, w, want}
}

// resign has a member sign what a list says, changed.
func resign(t *testing.T, list string, by *journaltest.Member, change func(*sealing.Origin)) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(list, ".")[1])
	must(t, err)
	var o sealing.Origin
	must(t, canon.Unmarshal(payload, &o))
	change(&o)
	text, err := jws.Sign(o, sealing.TypeOrigin, by.Signer())
	must(t, err)
	return text
}

// H2, H4: what the writer writes today, a reader made from the document reads:
// every frame, gap and list. What a sender did not sign, it tells apart.
func TestAnotherReaderAgreesWithTheWriter(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"honest": honest, "forged frame": forgedFrame, "foreign list": foreignList, "no statement": noStatement, "broken chain": brokenChain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := write(t, f)
			if j.want.Files < 3 {
				t.Fatalf("the journal has %d files; it is to be of several", j.want.Files)
			}
			mustSummary(t, otherReader(t, j.w.Raw, j.path)[0], j.want)
		})
	}
}

// A frame that cannot be its track's sender's stops the other reader at its block.
func TestAnotherReaderRefusesFramesOfNoSender(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  fault
		block  int64
		reason string
	}{
		"wrong track":   {wrongTrack, 2, noKey},
		"no sender key": {noSenderKey, 1, noKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := write(t, c.fault)
			if p := refusal(t, otherReader(t, j.w.Raw, j.path)[0]); p.Block != c.block || p.Reason != c.reason {
				t.Fatalf("refused at %+v", p)
			}
		})
	}
}

// H2: bytes of the vector are changed one at a time, all over it; the other
// reader names the block of each.
func TestAnotherReaderNamesEveryFlippedByte(t *testing.T) {
	t.Parallel()
	v, raw := readVector(t)
	file, err := os.ReadFile("testdata/000001.kj")
	must(t, err)
	dir := t.TempDir()
	var paths []string
	var want []vectorBlock
	for at := range file {
		n := slices.IndexFunc(v.Blocks, func(b vectorBlock) bool { return int64(at) < b.Offset+b.Size })
		b := v.Blocks[n]
		// Every byte of the magics and lengths, and of the rest one in five.
		if int64(at) >= b.Offset+16 && at%5 != 0 {
			continue
		}
		flipped := bytes.Clone(file)
		flipped[at] ^= 1 << (at % 8)
		path := filepath.Join(dir, fmt.Sprint(at))
		must(t, os.WriteFile(path, flipped, 0o600))
		paths, want = append(paths, path), append(want, b)
	}
	// Without the data key first: then nothing but hashes and signatures helps.
	lines := append(otherReader(t, nil, paths...), otherReader(t, raw, paths...)...)
	paths, want = append(paths, paths...), append(want, want...)
	for i, line := range lines {
		p := refusal(t, line)
		offset := want[i].Offset
		if filepath.Base(paths[i]) == fmt.Sprint(i%(len(paths)/2)) && i%(len(paths)/2) < 8 {
			offset = 0 // the file's own magic
		}
		if p.File != 1 || p.Block != want[i].Head.Seq || p.Offset != offset || p.Reason == "" {
			t.Errorf("byte %s: refused at %+v, it is in block %d at %d", filepath.Base(paths[i]), p, want[i].Head.Seq, offset)
		}
	}
}

// A journal that somebody took files or blocks from, put them elsewhere or cut
// is refused where it is wrong.
func TestAnotherReaderRefusesChangedJournals(t *testing.T) {
	t.Parallel()
	j := write(t, honest)
	names, err := filepath.Glob(j.path + "/*.kj")
	must(t, err)
	var files [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		must(t, err)
		files = append(files, b)
	}
	readers := make([]io.ReaderAt, len(files))
	for i, b := range files {
		readers[i] = bytes.NewReader(b)
	}
	x, err := journal.NewIndex(readers...)
	must(t, err)
	first := func(file int) int64 { // number of the first block in a file
		for i := range int64(x.Len()) {
			if p, _ := x.Position(i); p.File == file {
				return i
			}
		}
		return -1
	}
	last := len(files) - 1
	inLast, _ := x.Position(int64(x.Len() - 1))
	// A block that would follow, but for the closing before it.
	more := rewrite(t, j.w, files[last], inLast, func(b *block) {
		b.head.Seq, b.head.Prev, b.head.From = b.head.Seq+1, j.want.Head, b.head.To
		b.clear = nil
	})[inLast.Offset:]
	cases := []struct {
		name  string
		files [][]byte
		file  int
		block int64
	}{
		{"a file is missing", append(slices.Clone(files[:1]), files[2:]...), 2, first(1)},
		{"the first file is missing", files[1:], 1, 0},
		{"two files changed places", append([][]byte{files[0], files[2], files[1]}, files[3:]...), 2, first(1)},
		{"the last write is torn", append(slices.Clone(files[:last]), files[last][:len(files[last])-1]), last + 1, inLast.Seq},
		{"zeros stand at the end", append(slices.Clone(files[:last]), append(slices.Clone(files[last]), make([]byte, 512)...)), last + 1, int64(x.Len())},
		{"the last block stands twice", append(slices.Clone(files[:last]), append(slices.Clone(files[last]), files[last][inLast.Offset:]...)), last + 1, int64(x.Len())},
		{"a block stands after the closing", append(slices.Clone(files[:last]), append(slices.Clone(files[last]), more...)), last + 1, int64(x.Len())},
		{"a file is empty", append(slices.Clone(files[:last]), nil), last + 1, first(last)},
	}
	var paths []string
	for _, c := range cases {
		dir := filepath.Join(t.TempDir(), "changed")
		must(t, os.Mkdir(dir, 0o700))
		for i, b := range c.files {
			must(t, os.WriteFile(filepath.Join(dir, journal.FileName(int64(i+1))), b, 0o600))
		}
		paths = append(paths, dir)
	}
	for i, line := range otherReader(t, j.w.Raw, paths...) {
		if p := refusal(t, line); p.File != cases[i].file || p.Block != cases[i].block {
			t.Errorf("%s: refused at %+v, not in file %d, block %d", cases[i].name, p, cases[i].file, cases[i].block)
		}
	}

	// Whole files less at the end are no damage: the journal was cut off there,
	// and only what pins its head elsewhere (the audit log) shows it.
	var cut summary
	dir := filepath.Join(t.TempDir(), "cut")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, journal.FileName(1)), files[0], 0o600))
	must(t, json.Unmarshal([]byte(otherReader(t, nil, dir)[0]), &cut))
	if cut.Closed != nil || cut.Files != 1 {
		t.Errorf("a journal without its end reads as %+v", cut)
	}

	stranger := bytes.Repeat([]byte{1}, journal.DataKeyBytes)
	if p := refusal(t, otherReader(t, stranger, j.path)[0]); p.Block != 0 || p.Reason != "the data key does not open the sealed section" {
		t.Errorf("another data key: refused at %+v", p)
	}
}

// block is the parts of a block that a dishonest recorder could write anew.
type block struct {
	head   journal.Head
	clear  []byte
	plain  []byte              // of the sealed section
	spell  func(string) string // of the signed head
	signer *journaltest.Member // nil: the recorder
}

// rewrite has the recorder sign a changed block in place of one of its own.
func rewrite(t *testing.T, w *journaltest.World, file []byte, p journal.Position, change func(*block)) []byte {
	t.Helper()
	old := file[p.Offset : p.Offset+p.Size]
	n := func(i int) int { return int(binary.BigEndian.Uint32(old[4+4*i:])) }
	head, clear, sealed := old[16:16+n(0)], old[16+n(0):16+n(0)+n(1)], old[16+n(0)+n(1):]
	var b block
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(head), ".")[1])
	must(t, err)
	must(t, canon.Unmarshal(payload, &b.head))
	b.clear = bytes.Clone(clear)
	c, err := aes.NewCipher(w.Raw)
	must(t, err)
	gcm, err := cipher.NewGCM(c)
	must(t, err)
	data := func() []byte { return fmt.Appendf(nil, "%s|%d", b.head.Recording, b.head.Seq) }
	b.plain, err = gcm.Open(nil, sealed[:12], sealed[12:], data())
	must(t, err)
	hash := func(b []byte) string {
		sum := sha256.Sum256(b)
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	wasClear, wasPlain := hash(b.clear), hash(append(data(), b.plain...))
	change(&b)
	if hash(append(data(), b.plain...)) != wasPlain {
		sealed = gcm.Seal(bytes.Clone(sealed[:12]), sealed[:12], b.plain, data())
		b.head.Sealed = hash(sealed)
	}
	if hash(b.clear) != wasClear {
		b.head.Clear = hash(b.clear)
	}
	signer := w.Recorder
	if b.signer != nil {
		signer = b.signer
	}
	text, err := jws.Sign(b.head, journal.TypeJournal, signer.Signer())
	must(t, err)
	if b.spell != nil {
		text = b.spell(text)
	}
	out := append(bytes.Clone(file[:p.Offset]), "KJB1"...)
	for _, size := range []int{len(text), len(b.clear), len(sealed)} {
		out = binary.BigEndian.AppendUint32(out, uint32(size))
	}
	out = append(append(append(out, text...), b.clear...), sealed...)
	return append(out, file[p.Offset+p.Size:]...)
}

// entryRecord is an entry as the document lays it out.
func entryRecord(kind string, at int64, body string) []byte {
	b := append([]byte{3, byte(len(kind))}, kind...)
	b = binary.AppendVarint(b, at)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// originRecord is the record of a list of that many frames, which nobody signed.
func originRecord(frames int, rid string) []byte {
	b := []byte{4, 18}
	for _, s := range []string{interview.NewMemberID().String(), interview.NewTrackID().String(), rid} {
		b = append(append(b, byte(len(s))), s...)
	}
	b = append(b, 0, 7, 9, byte(frames))
	return append(b, make([]byte, 16*frames+64)...)
}

// verdict is what a rewritten block should meet.
type verdict int

const (
	refused verdict = iota // by both readers
	taken                  // nothing is wrong: rewriting alone breaks nothing
)

// H2: each rule of a block is broken alone, by a recorder that signs the rest.
// Both readers refuse it and name the block.
func TestBothReadersRefuseEachBrokenRule(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, heads := small(t, w)
	stranger := w.Member("")
	track := func(source string) []byte {
		b := []byte{1}
		for _, s := range []string{w.Recorder.Member().String(), interview.NewTrackID().String(), source, ""} {
			b = append(append(b, byte(len(s))), s...)
		}
		return b
	}
	gap := `{"cause":"paused","frames":0,"from":5,"member":"","to":9,"track":""}`
	inClear := func(record []byte) func(*block) {
		return func(b *block) { b.clear = append(record, b.clear...) }
	}
	inSealed := func(records ...[]byte) func(*block) {
		return func(b *block) { b.plain = append(b.plain, bytes.Join(records, nil)...) }
	}
	cases := []struct {
		name   string
		change func(*block)
		want   verdict
	}{
		{"signed again as it was", func(*block) {}, taken},
		{"one more gap", inClear(entryRecord("gap", 9, gap)), taken},
		{"one more track without frames", inSealed(track("audio")), taken},
		{"another version", func(b *block) { b.head.V = 1 }, refused},
		{"another hearing", func(b *block) { b.head.Hearing = interview.NewHearingID() }, refused},
		{"another recording", func(b *block) { b.head.Recording = interview.NewRecordingID() }, refused},
		{"another number", func(b *block) { b.head.Seq++ }, refused},
		{"another file", func(b *block) { b.head.File++ }, refused},
		{"another block before", func(b *block) { b.head.Prev = b.head.Clear }, refused},
		{"no block before", func(b *block) { b.head.Prev = "" }, refused},
		{"a hole in time", func(b *block) { b.head.From++ }, refused},
		{"an overlap in time", func(b *block) { b.head.From-- }, refused},
		{"an end before its beginning", func(b *block) { b.head.To = b.head.From - 1 }, refused},
		{"more frames than there are", func(b *block) {
			b.head.Frames++
			b.clear = bytes.Replace(b.clear, []byte(`{"frames":12,`), []byte(`{"frames":13,`), 1)
		}, refused},
		{"another clear section", func(b *block) { b.head.Clear = b.head.Sealed }, refused},
		{"another sealed section", func(b *block) { b.head.Sealed = b.head.Clear }, refused},
		{"another recorder's signature", func(b *block) { b.signer = stranger }, refused},
		{"a second spelling", func(b *block) {
			b.spell = func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]+1) } // 4 unused bits are 0
		}, refused},
		{"a line break in the head", func(b *block) { b.spell = func(s string) string { return s + "\n" } }, refused},
		{"an unknown type", inClear(entryRecord("note", 9, gap)), refused},
		{"a sealed type in clear", inClear(entryRecord("sender-key", 9, gap)), refused},
		{"an unknown kind in clear", inClear([]byte{5}), refused},
		{"an origin list that ends too early", inClear([]byte{4, 0}), refused},
		{"an origin list as an entry", inClear(entryRecord("origin", 9, gap)), refused},
		{"an origin list of nothing", inClear(originRecord(0, "")), refused},
		{"an origin list", inClear(originRecord(2, "hi")), taken},
		{"an origin list whose rid would be escaped", inClear(originRecord(2, `"`)), refused},
		{"a track in clear", inClear(track("audio")), refused},
		{"an unknown cause", inClear(entryRecord("gap", 9, strings.Replace(gap, "paused", "boredom", 1))), refused},
		{"a gap that ends before it begins", inClear(entryRecord("gap", 9, strings.Replace(gap, ":5", ":10", 1))), refused},
		{"an unknown field", inClear(entryRecord("gap", 9, strings.Replace(gap, "{", `{"a":1,`, 1))), refused},
		{"a field less", inClear(entryRecord("gap", 9, strings.Replace(gap, `,"track":""`, "", 1))), refused},
		{"a body that is not canonical", inClear(entryRecord("gap", 9, gap+" ")), refused},
		{"a second opening", inClear(entryRecord("opened", 9, "{}")), refused},
		{"something after the closing", inClear(entryRecord("closed", 9, `{"frames":12,"reason":"ended"}`)), refused},
		{"a closing that counts other frames", func(b *block) {
			b.clear = bytes.Replace(b.clear, []byte(`{"frames":12,`), []byte(`{"frames":13,`), 1)
		}, refused},
		{"a roster that is no JWS", inClear(entryRecord("roster", 9, gap)), refused},
		{"a record that passes the end", func(b *block) { b.clear = append(b.clear, 3, 3, 'g') }, refused},
		{"an unknown kind in the seal", inSealed([]byte{0}), refused},
		{"a clear type in the seal", inSealed(entryRecord("gap", 9, gap)), refused},
		{"an unknown source", inSealed(track("smell")), refused},
		{"a frame of no track", func(b *block) { b.head.Frames++; b.plain = append(b.plain, 2, 99, 0, 0, 0, 0, 2, 0x11, 0) }, refused},
		{"an unknown flag", func(b *block) {
			b.head.Frames++
			b.plain = append(append(b.plain, track("audio")...), 2, 1, 2, 0, 0, 0, 2, 0x11, 0)
		}, refused},
		{"a frame whose header does not read", func(b *block) {
			b.head.Frames++
			b.plain = append(append(b.plain, track("audio")...), 2, 1, 0, 0, 0, 0, 1, 0x88)
		}, refused},
		{"an RTP time over 32 bits", func(b *block) {
			b.head.Frames++
			b.plain = append(append(b.plain, track("audio")...), 2, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x20, 0, 0, 2, 0x11, 0)
		}, refused},
		{"a number over 64 bits", inSealed(append([]byte{3}, bytes.Repeat([]byte{255}, 300)...)), refused},
	}
	last := len(heads) - 1
	p := heads[last]
	var paths []string
	both := make([][][]byte, len(cases))
	for i, c := range cases {
		both[i] = slices.Clone(files)
		both[i][p.File] = rewrite(t, w, files[p.File], p, c.change)
		dir := filepath.Join(t.TempDir(), "rec")
		must(t, os.Mkdir(dir, 0o700))
		for n, b := range both[i] {
			must(t, os.WriteFile(filepath.Join(dir, journal.FileName(int64(n+1))), b, 0o600))
		}
		paths = append(paths, dir)
	}
	for i, line := range otherReader(t, w.Raw, paths...) {
		c := cases[i]
		err := scan(both[i], &w.Key)
		if c.want == taken {
			if err != nil || strings.HasPrefix(line, `{"wrong":`) && refusal(t, line).Reason != noKey {
				t.Errorf("%s: %v; the other reader says %s", c.name, err, line)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: the Go reader says %v", c.name, err)
		}
		if r := refusal(t, line); r.Block != p.Seq || r.File != p.File+1 || r.Offset != p.Offset {
			t.Errorf("%s: the other reader refuses at %+v, not in block %d", c.name, r, p.Seq)
		}
	}
}
