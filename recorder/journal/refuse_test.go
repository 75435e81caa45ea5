package journal_test

import (
	"errors"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// H4: what no reader takes the writer does not take either: one such entry or frame
// would make the whole block unreadable. What it takes after that is read.
func TestTheWriterRefusesWhatAReaderWouldRefuse(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	j, err := journal.Create(w.Config(disk))
	must(t, err)
	gap := func(change func(*journal.Gap)) (journal.Entry, error) {
		g := journal.Gap{Cause: journal.CauseNotReceived, From: 10, To: 20, Frames: 1}
		change(&g)
		return journal.NewEntry(journal.EntryGap, 30, g)
	}
	for name, make := range map[string]func() (journal.Entry, error){
		"a gap that ends before it begins": func() (journal.Entry, error) { return gap(func(g *journal.Gap) { g.To = 9 }) },
		"a gap without a cause":            func() (journal.Entry, error) { return gap(func(g *journal.Gap) { g.Cause = "" }) },
		"a gap of an unknown cause":        func() (journal.Entry, error) { return gap(func(g *journal.Gap) { g.Cause = "boredom" }) },
		"a gap that is no gap": func() (journal.Entry, error) {
			return journal.NewEntry(journal.EntryGap, 30, journal.Anchor{Reason: "opened"})
		},
		"a roster that is no signed message": func() (journal.Entry, error) { return journal.NewSigned(journal.EntryRoster, 30, "roster") },
	} {
		e, err := make()
		must(t, err)
		if err := j.AddEntry(e); !errors.Is(err, journal.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	strange := w.Numbered(interview.NewMemberID(), interview.NewTrackID(), 0)
	strange.Source = "smell"
	if err := j.Append(strange); err == nil {
		t.Error("a frame of an unknown source was taken")
	}
	for _, change := range []func(*journal.Gap){func(*journal.Gap) {}, func(g *journal.Gap) { g.To = g.From }} {
		e, err := gap(change)
		must(t, err)
		must(t, j.AddEntry(e))
	}
	must(t, j.Append(w.Numbered(interview.NewMemberID(), interview.NewTrackID(), 0)))
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	if len(c.frames) != 1 || len(c.entries) != 4 || c.closed == nil { // opened, two gaps, closed
		t.Errorf("%d frames, %d entries, closed %v", len(c.frames), len(c.entries), c.closed)
	}
}

// A reader takes MaxTracks tracks in a block: the writer gives it no more, and
// marks what it leaves out as any frame that it drops.
func TestABlockSpeaksOfNoMoreTracksThanAReaderTakes(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	cfg := w.Config(disk)
	cfg.Interval = time.Hour
	j, err := journal.Create(cfg)
	must(t, err)
	m := interview.NewMemberID()
	for n := range uint64(journal.MaxTracks) {
		must(t, j.Append(w.Numbered(m, interview.NewTrackID(), n)))
	}
	late := interview.NewTrackID()
	if err := j.Append(w.Numbered(m, late, journal.MaxTracks)); !errors.Is(err, journal.ErrFull) {
		t.Fatalf("one track more: %v", err)
	}
	j.Flush()
	until(t, "a block is durable", func() bool { return j.Durable().Frames == journal.MaxTracks })
	must(t, j.Append(w.Numbered(m, late, journal.MaxTracks+1))) // the next block has room again
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	var lost []journal.Gap
	for _, e := range c.entries {
		if e.Type == journal.EntryGap {
			var g journal.Gap
			must(t, e.Read(&g))
			lost = append(lost, g)
		}
	}
	if len(c.frames) != journal.MaxTracks+1 || len(lost) != 1 || lost[0].Track != late || lost[0].Frames != 1 || lost[0].Cause != journal.CauseQueueFull {
		t.Errorf("%d frames, gaps %+v", len(c.frames), lost)
	}
}
