package app_test

import (
	"testing"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/signaling"
)

// forgetHeard has a member count anew.
func (s *someone) forgetHeard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.heard)
}

// D6: a media node that is started again finds its rooms: the members come back
// by themselves, under the same keys, and so does what is recorded.
func TestAMediaNodeThatIsStartedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"), interview.SourceAudio, interview.SourceVideo)
	h.admitted(chair)
	applicant := h.join(h.world.Person(interview.RoleApplicant, "Amal"), interview.SourceAudio, interview.SourceVideo)
	h.admit(chair, applicant)
	recorder := h.recorder()
	h.admitted(recorder)
	if err := chair.IncludeRecorder(true); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	everybody := []*someone{chair, applicant}
	for _, s := range everybody {
		go s.talk(stop)
	}
	hear := func() {
		t.Helper()
		h.hears(chair, applicant)
		h.hears(applicant, chair)
		h.hears(recorder, everybody...)
	}
	hear()
	epoch, _, _ := chair.Group().Roster()
	h.media.node.Load().Close()
	h.startNode()
	h.hub.LegEvent(media.Event{State: media.NodeStarted}) // what the new process says first
	for _, s := range []*someone{chair, applicant, recorder} {
		s.forgetHeard()
	}
	hear()
	if after, _, _ := chair.Group().Roster(); after.Epoch != epoch.Epoch {
		t.Errorf("epoch %d became %d", epoch.Epoch, after.Epoch)
	}
}
