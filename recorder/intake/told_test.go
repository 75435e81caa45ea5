package intake_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/evidence"
)

// H5: a journal that was taken in says so itself, so that a player that has it alone
// tells it apart; one that does not is no evidence.
func TestAJournalSaysThatItWasTakenIn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	x := s.takeIn(s.said(0, 0)...)
	file, next := s.w.Life(t, x.member, nil, 1_600_000, 2_000_000)
	said := x.taken
	said.Recordings = append(slices.Clone(said.Recordings), next.Recording)
	text, err := jws.Sign(said, backup.TypeTaken, x.member.Signer())
	must(t, err)
	c := s.with(x)
	c.Taken = []string{text}
	c.Journals = append(c.Journals, blobs(t, file))
	b := s.bundle(c)
	if _, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{}); !errors.Is(err, evidence.ErrBackup) {
		t.Errorf("a journal that does not say that it was taken in: %v", err)
	}
}

// H5: each page's sound is a journal of its own, whose holes are that page's: one
// person's sound does not stand for another's.
func TestEachPagesSoundIsAJournalOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	theirs := s.chunk(s.roster)
	theirs.Member, theirs.Statement = s.chair.Member(), s.chair.Statement
	voice := s.w.Sender(s.chair, 1, 0, 0, interview.SourceAudio)
	key, err := theirs.SealKey(s.to, backup.Key{Track: voice.Track, Source: voice.Source, KID: voice.KID}, voice.Key)
	must(t, err)
	theirs.Keys = append(theirs.Keys, key)
	for n := range interview.Micros(105) { // it ends in the middle
		add(theirs, voice.Seal(n*20_000, false, []byte{0xf8, 0xff, 0xfe}))
	}
	theirs.Origins = append(theirs.Origins, voice.Origin())
	x := s.takeIn(append(s.said(0, 0), theirs)...)
	b := s.bundle(s.with(x))
	r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{})
	must(t, err)
	if len(x.taken.Recordings) != 2 || r.Coverage.Missing != 0 {
		t.Fatalf("%+v, %d missing", x.taken, r.Coverage.Missing)
	}
	holes := map[interview.MemberID]interview.Micros{}
	for _, rec := range r.Recordings {
		if rec.Backup == nil {
			continue
		}
		if len(rec.Backup.Members) != 1 {
			t.Fatalf("of %v", rec.Backup.Members)
		}
		holes[rec.Backup.Members[0]] = 0
		for _, g := range rec.Gaps {
			holes[rec.Backup.Members[0]] += g.To - g.From
		}
	}
	if want := map[interview.MemberID]interview.Micros{s.speaker.Member(): 0, s.chair.Member(): 3_400_000 - 2_080_000}; len(holes) != 2 || holes[s.speaker.Member()] != want[s.speaker.Member()] || holes[s.chair.Member()] != want[s.chair.Member()] {
		t.Errorf("%v, want %v", holes, want)
	}
	// Who was in the room, from which device, since when.
	var devices []interview.DeviceID
	for _, m := range []string{s.chair.Statement, s.speaker.Statement} {
		var st sealing.Statement
		must(t, jws.Peek(m, sealing.TypeStatement, &st))
		devices = append(devices, st.Device)
	}
	if len(r.Pages) != 2 || r.Pages[0].Device != devices[0] || r.Pages[1].Device != devices[1] || r.Pages[0].Member != s.chair.Member() || r.Pages[1].Since != 1 {
		t.Errorf("%+v", r.Pages)
	}
}
