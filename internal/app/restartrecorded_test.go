package app_test

import (
	"context"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/recorder"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/signaling"
)

// kept is what a recorder's journals of a hearing hold.
type kept struct {
	lives  []coverage.Life
	counts map[interview.MemberID]int64 // frames of sound
	holes  map[interview.MemberID]int64 // counters of sound between them that never came
	marked map[interview.MemberID]int64 // frames of sound that gaps say are lost
}

func readKept(t *testing.T, folder string, keys *journaltest.Wrapper, h interview.HearingID) kept {
	t.Helper()
	k := kept{counts: map[interview.MemberID]int64{}, holes: map[interview.MemberID]int64{}, marked: map[interview.MemberID]int64{}}
	var once journal.Once
	sound := map[interview.TrackID]bool{}
	var gaps, life []journal.Gap // of all journals, and of the one that is read
	n := readJournals(t, folder, keys, h, func(clear []journal.Entry, frames []journal.Frame, _ []journal.Entry) {
		for _, f := range frames {
			if f.Source == interview.SourceAudio {
				sound[f.Track] = true
				k.counts[f.Member]++
				once.First(f)
			}
		}
		life = append(life, gapsOf(t, clear)...)
	}, func(r *journal.Folder) {
		from, to := r.Covers()
		k.lives = append(k.lives, coverage.Life{Recording: r.Opened().Recording, From: from, To: to, Gaps: life})
		gaps, life = append(gaps, life...), nil
	})
	if n == 0 {
		t.Fatalf("no journals in %s", folder)
	}
	for _, h := range once.Holes() {
		k.holes[h.Member] += int64(h.Last - h.First + 1)
	}
	for _, g := range gaps {
		if sound[g.Track] && g.Cause == journal.CauseNotReceived {
			k.marked[g.Member] += g.Frames
		}
	}
	return k
}

// D6, H4: a media node dies and another takes its place while a real recorder
// records. The recording goes on in the same journal; what was said meanwhile is
// counted frame by frame and marked, and it is not more than a second.
func TestAMediaNodeThatIsStartedAgainWhileRecorded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	folder, keys := t.TempDir(), &journaltest.Wrapper{}
	rec, err := recorder.New(recorder.Config{
		Folder: folder, Keys: keys,
		Joiner: recorder.Members{
			Connect: func(context.Context, recorder.Hearing) (member.Conn, error) {
				return h.dial("recorder", signaling.Peer{Recorder: true}), nil
			},
			Prove: h.world.ProveRecorder, Trust: h.trust,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rec.Close)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"), interview.SourceAudio, interview.SourceVideo)
	h.admitted(chair)
	applicant := h.join(h.world.Person(interview.RoleApplicant, "Amal"), interview.SourceAudio, interview.SourceVideo)
	h.admit(chair, applicant)
	if err := rec.Open(recorder.Hearing{Case: interview.NewCaseID(), Hearing: h.world.Hearing}); err != nil {
		t.Fatal(err)
	}
	patiently(t, "the recorder is on the roster", func() bool {
		return chair.IncludeRecorder(true) == nil && len(rec.Status()) == 1 && rec.Status()[0].Durable > 0
	})
	stop := make(chan struct{})
	defer close(stop)
	for _, s := range []*someone{chair, applicant} {
		go s.talk(stop)
	}
	patiently(t, "the hearing is on record", func() bool {
		return chair.AskPhase(t.Context(), interview.PhaseOnRecord, "start") == nil
	})
	h.hears(chair, applicant)
	h.hears(applicant, chair)
	began := chair.Now()
	patiently(t, "a second is durable", func() bool { return rec.Status()[0].Durable > began+1_000_000 })

	killed := h.media.node.Load()
	died := chair.Now()
	h.startNode()
	killed.Close()
	h.hub.LegEvent(media.Event{State: media.NodeStarted}) // what the new process says first
	chair.forgetHeard()
	applicant.forgetHeard()
	h.hears(chair, applicant)
	h.hears(applicant, chair)
	back := chair.Now()
	patiently(t, "what came after it is durable", func() bool { return rec.Status()[0].Durable > back+1_500_000 })
	lives := rec.Status()[0].Lives
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := rec.End(ctx, h.world.Hearing); err != nil {
		t.Fatal(err)
	}
	k := readKept(t, folder, keys, h.world.Hearing)
	r := coverage.Of(nil, k.lives)
	if r.Recorded+r.OffRecord+r.Missing != r.To-r.From || r.Missing != 0 {
		t.Fatalf("the time line does not add up: %+v", r)
	}
	for _, s := range []*someone{chair, applicant} {
		lost := k.holes[s.ID()]
		if lost != k.marked[s.ID()] {
			t.Errorf("%d frames of %s never came, gaps mark %d", lost, s.ID(), k.marked[s.ID()])
		}
		if lost > 50 {
			t.Errorf("%d frames of 20 ms of %s were lost", lost, s.ID())
		}
		if k.counts[s.ID()] < 50 {
			t.Errorf("%d frames of %s were kept", k.counts[s.ID()], s.ID())
		}
	}
	t.Logf("%d lives; %d ms until all heard each other again; frames kept %v, lost %v, marked %v", lives, (back-died)/1000, k.counts, k.holes, k.marked)
}

// patiently waits until something holds.
func patiently(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
