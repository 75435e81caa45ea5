package app

import (
	"slices"
	"testing"

	"kuule/interview"
	"kuule/interview/quality"
)

// M4: what was lost is told by who sat where, over all legs of their device.
func TestLostMinutesAreToldByPeople(t *testing.T) {
	t.Parallel()
	desk, room, stranger := interview.NewDeviceID(), interview.NewDeviceID(), interview.NewDeviceID()
	who := func(role interview.Role, name string, at interview.DeviceID) (interview.Participant, interview.Seat) {
		p := interview.Participant{ID: interview.NewParticipantID(), Role: role, Name: name}
		return p, interview.Seat{Participant: p.ID, Device: at}
	}
	h := &interview.Hearing{}
	for _, x := range []struct {
		role interview.Role
		name string
		at   interview.DeviceID
	}{{interview.RoleInterviewer, "Aino", desk}, {interview.RoleApplicant, "Samir", room}, {interview.RoleInterpreter, "Layla", room}} {
		p, s := who(x.role, x.name, x.at)
		h.Participants, h.Seats = append(h.Participants, p), append(h.Seats, s)
	}
	got := byPeople(h, []quality.Leg{
		{Device: room, Lasted: 10, Lost: 3, Causes: map[quality.Cause]int64{quality.CauseLoss: 3}},
		{Device: desk, Lasted: 20, Poor: 1},
		{Device: room, Lasted: 5, Lost: 4, Causes: map[quality.Cause]int64{quality.CauseLoss: 1, quality.CauseNarrow: 3}},
		{Device: stranger, Lasted: 1},
	})
	if len(got) != 3 || !slices.Equal(got[0].Names, []string{"Samir", "Layla"}) || !slices.Equal(got[1].Names, []string{"Aino"}) || len(got[2].Names) != 0 {
		t.Fatalf("%+v", got)
	}
	if p := got[0]; p.Lasted != 15 || p.Lost != 7 || p.Causes[quality.CauseLoss] != 4 || p.Causes[quality.CauseNarrow] != 3 {
		t.Errorf("%+v", p)
	}
}
