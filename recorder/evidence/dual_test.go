package evidence_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// keeper is one recorder of a hearing with its journal.
type keeper struct {
	t    testing.TB
	me   *journaltest.Member
	rec  interview.RecordingID
	key  journal.DataKey
	path string
	j    *journal.Writer
	now  interview.Micros
}

func newKeeper(t testing.TB, w *journaltest.World, after *journal.After, at interview.Micros) *keeper {
	t.Helper()
	k := &keeper{t: t, me: w.Member(""), rec: interview.NewRecordingID(), path: t.TempDir() + "/rec", now: at}
	var err error
	k.key, err = journal.NewDataKey()
	must(t, err)
	disk, err := journal.Directory(k.path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.Interval, cfg.Key, cfg.Signer = time.Hour, k.key, k.me.Signer()
	cfg.Clock = func() interview.Micros { return k.now }
	cfg.Opened.Recording, cfg.Opened.Member, cfg.Opened.Statement = k.rec, k.me.Member(), k.me.Statement
	cfg.Opened.Anchor.Hearing, cfg.Opened.After = at, after
	k.j, err = journal.Create(cfg)
	must(t, err)
	return k
}

// block writes what was given as one block that ends at a moment.
func (k *keeper) block(to interview.Micros) {
	k.t.Helper()
	k.now = to
	seq := k.j.Durable().Seq
	k.j.Flush()
	for end := time.Now().Add(30 * time.Second); k.j.Durable().Seq == seq; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			k.t.Fatal("no block")
		}
	}
}

func (k *keeper) add(e journal.Entry, err error) {
	k.t.Helper()
	must(k.t, err)
	must(k.t, k.j.AddEntry(e))
}

// short is the journal without its last block.
func (k *keeper) short() []evidence.Blob {
	k.t.Helper()
	blob := k.blobs()[0]
	in, err := blob.Open()
	must(k.t, err)
	b, err := io.ReadAll(in)
	must(k.t, errors.Join(err, in.Close()))
	r, last := journal.NewReader(journal.Source{Name: blob.Name, Reader: bytes.NewReader(b)}), int64(0)
	for {
		x, err := r.Next()
		if errors.Is(err, io.EOF) {
			return []evidence.Blob{evidence.Bytes(blob.Name, b[:last])}
		}
		must(k.t, err)
		last = x.Offset
	}
}

func (k *keeper) blobs() []evidence.Blob {
	names, err := filepath.Glob(k.path + "/*.kj")
	must(k.t, err)
	var files []evidence.Blob
	for _, n := range names {
		files = append(files, evidence.Blob{Name: filepath.Base(n), Open: func() (io.ReadCloser, error) { return os.Open(n) }})
	}
	return files
}

// H5, H4: two recorders, one of which was killed and came back; each missed
// other frames. Together they have all but what both missed, which is named,
// and the time line adds up.
func TestTwoRecordersAreVerifiedAsOne(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	chair, speaker := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	one, two := newKeeper(t, w, nil, 0), newKeeper(t, w, nil, 0)
	roster := w.Roster(chair, 10, chair, speaker, one.me, two.me)
	s := w.Sender(speaker, 1, 1, 0, interview.SourceAudio)
	var frames []journal.Frame
	for i := range 100 {
		f := s.Seal(interview.Micros(i)*20_000, false, []byte{byte(i)})
		f.Arrival = f.Capture
		frames = append(frames, f)
	}
	lists := s.Origin()
	missing := map[*keeper][]int{one: {10, 11, 30}, two: {30, 50}} // 30 at both
	give := func(k *keeper, from, to int) {
		for i := from; i < to; i++ {
			if slices.Contains(missing[k], i) {
				k.add(journal.NewEntry(journal.EntryGap, k.now, journal.Gap{
					Cause: journal.CauseNotReceived, From: frames[i-1].Arrival, To: frames[i+1].Arrival, Member: frames[0].Member, Track: frames[0].Track, Frames: 1}))
				continue
			}
			must(t, k.j.Append(frames[i]))
		}
	}
	for _, k := range []*keeper{one, two} {
		for _, m := range []string{chair.Admission, speaker.Admission} {
			k.add(journal.NewSigned(journal.EntryAdmission, 5, m))
		}
		k.add(journal.NewSigned(journal.EntryRoster, 10, roster))
		k.add(journal.NewSenderKeyEntry(11, s.SenderKey()))
		k.block(1)
		give(k, 0, 60)
		k.block(1_200_000)
	}
	// One is killed here: 60 to 79 are in the other alone.
	must(t, one.j.Close("test"))
	tail, err := journal.Recover(one.path)
	must(t, err)
	third := newKeeper(t, w, tail.After(journal.CauseRestarted), 1_600_000)
	third.add(journal.NewSenderKeyEntry(11, s.SenderKey()))
	third.block(1_600_001)
	give(third, 80, 100)
	give(two, 60, 100)
	two.add(journal.NewSigned(journal.EntryOrigin, 2_000_000, lists))
	for _, k := range []*keeper{two, third} {
		k.block(2_000_000)
		must(t, k.j.Close("ended"))
	}

	h := &hearing{World: w, chair: chair, other: speaker}
	h.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now,
		Statements: []string{chair.Statement, speaker.Statement, one.me.Statement, two.me.Statement, third.me.Statement},
		Admissions: []string{chair.Admission, speaker.Admission, one.me.Admission, two.me.Admission, third.me.Admission},
		Rosters:    []string{roster},
		Phases:     []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}, {Phase: interview.PhaseEnded, Since: 2_000_000}},
		Audit:      []evidence.Blob{evidence.Bytes("proofs", []byte("proofs"))},
		Journals:   [][]evidence.Blob{one.blobs(), two.blobs(), third.blobs()},
	}
	h.content.Records = h.records(t, w.Sealing)
	b := h.build(t)
	o := h.options()
	o.Keys = map[interview.RecordingID]journal.DataKey{one.rec: one.key, two.rec: two.key, third.rec: third.key}
	r, err := verify(b, w.Trust(), o)
	must(t, err)
	c := r.Coverage
	if c.Missing != 0 || c.Recorded != 2_000_000 || c.Recorded+c.OffRecord+c.Missing != c.To-c.From {
		t.Fatalf("coverage %+v", c)
	}
	lost := []coverage.Loss{{Member: speaker.Member(), Track: s.Track, From: 580_000, To: 620_000, Cause: journal.CauseNotReceived}}
	if !slices.Equal(c.Losses, lost) {
		t.Fatalf("losses %+v, want %+v", c.Losses, lost)
	}
	hole := []journal.Hole{{Member: speaker.Member(), Track: s.Track, KID: uint64(s.KID), First: 30, Last: 30}}
	if !slices.Equal(r.Holes, hole) {
		t.Fatalf("holes %+v, want %+v", r.Holes, hole)
	}
	if len(r.Silent) != 0 {
		t.Fatalf("silent: %v", r.Silent)
	}
	// A journal that is left out, proofs and all, leaves its recorder on the roster.
	whole := h.content.Journals
	h.content.Journals = whole[1:]
	cut, err := verify(h.build(t), w.Trust(), evidence.Options{})
	must(t, err)
	if !slices.Equal(cut.Silent, []interview.MemberID{one.me.Member()}) || !slices.ContainsFunc(cut.Notes, func(n string) bool { return strings.Contains(n, one.me.Member().String()) }) {
		t.Fatalf("silent: %v, %q", cut.Silent, cut.Notes)
	}
	h.content.Journals = whole
	// Without any key the time line is the same.
	sealed, err := verify(b, w.Trust(), evidence.Options{Log: o.Log})
	must(t, err)
	if !slices.Equal(sealed.Coverage.Losses, lost) || sealed.Coverage.Recorded != c.Recorded || len(sealed.Holes) != 0 {
		t.Fatalf("sealed: %+v", sealed.Coverage)
	}
	// One recorder's journals alone hold too, and say what is missing in them.
	h.content.Journals = [][]evidence.Blob{one.blobs(), third.blobs()}
	alone, err := verify(h.build(t), w.Trust(), evidence.Options{Log: o.Log})
	must(t, err)
	if m := alone.Coverage; m.Missing != 400_000 || m.Spans[1].Cause != journal.CauseRestarted || len(m.Losses) != 2 {
		t.Fatalf("one recorder alone: %+v", m)
	}
	// What was cut off the end of a recording, the one after it knows.
	h.content.Journals = [][]evidence.Blob{one.short(), two.blobs(), third.blobs()}
	var place *evidence.PlaceError
	if _, err := verify(h.build(t), w.Trust(), o); !errors.Is(err, evidence.ErrRecording) || !errors.As(err, &place) || !strings.Contains(place.File, one.rec.String()) {
		t.Fatalf("cut at its end: %v", err)
	}
	// Where none came after it, it is at least said.
	h.content.Journals = [][]evidence.Blob{one.blobs(), two.short(), third.blobs()}
	open, err := verify(h.build(t), w.Trust(), o)
	must(t, err)
	if len(open.Notes) != 1 || !strings.Contains(open.Notes[0], two.rec.String()) || len(r.Notes) != 0 {
		t.Fatalf("not closed: %q, whole: %q", open.Notes, r.Notes)
	}
}
