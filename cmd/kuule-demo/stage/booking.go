package stage

import (
	"context"
	"net/http"
	"time"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/interview"
)

// Justification is why the demonstration's hearing is held remotely.
const Justification = "Hakija asuu 230 km:n päässä virastosta, ja kieliparin tulkkeja on vain paikkakunnalla. Etäkuuleminen lyhentää odotusta; hakija on suostunut siihen."

// Booking is the demonstration's hearing as the interviewer books it.
func (s *Stage) Booking(c interview.CaseID, justification string) interview.Booking {
	now := time.Now()
	at := func(name string) (interview.DeviceID, interview.PremisesID) {
		d := s.Device(name)
		return d.ID, d.Premises
	}
	b := interview.Booking{
		Case: c, Language: "ar", Mode: interview.ModeRemote, Justification: justification,
		Opens: now.Add(-time.Minute).UTC().Truncate(time.Second), Closes: now.Add(10 * time.Hour).UTC().Truncate(time.Second),
	}
	for _, p := range []struct {
		role                  interview.Role
		name, subject, device string
	}{
		{interview.RoleInterviewer, NameInterviewer, SubjectInterviewer, DeviceInterviewer},
		{interview.RoleApplicant, NameApplicant, "", DeviceApplicant},
		{interview.RoleInterpreter, NameInterpreter, SubjectInterpreter, DeviceApplicant},
		{interview.RoleCounsel, NameCounsel, SubjectCounsel, DeviceCounsel},
	} {
		device, premises := at(p.device)
		b.Participants = append(b.Participants, interview.BookingParticipant{Role: p.role, Name: p.name, Subject: p.subject, Device: device, Premises: premises})
	}
	return b
}

// CreateCase makes the case over a page at which the interviewer signed in.
func CreateCase(ctx context.Context, page *gatewaytest.Page) (interview.Case, error) {
	var c interview.Case
	err := page.Call(ctx, http.MethodPost, "/api/cases", map[string]string{
		"diary": "DEMO-" + time.Now().Format("2006-150405"), "lodged": time.Now().AddDate(0, -3, 0).Format(time.DateOnly), "language": "ar",
	}, &c)
	return c, err
}

// Book books the hearing over a page at which the interviewer signed in.
func (s *Stage) Book(ctx context.Context, page *gatewaytest.Page, b interview.Booking) (*interview.Hearing, error) {
	var h interview.Hearing
	if err := page.Call(ctx, http.MethodPost, "/api/hearings", b, &h); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hearing = &h
	return &h, nil
}

// Hearing is the newest one that was booked.
func (s *Stage) Hearing() *interview.Hearing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hearing
}

// bookOne signs the interviewer in and books a hearing.
func (s *Stage) bookOne(ctx context.Context) error {
	page, err := s.Page(ctx, DeviceInterviewer)
	if err != nil {
		return err
	}
	defer page.Close()
	if err := page.SignIn(ctx, s.Provider, SubjectInterviewer); err != nil {
		return err
	}
	c, err := CreateCase(ctx, page)
	if err != nil {
		return err
	}
	_, err = s.Book(ctx, page, s.Booking(c.ID, Justification))
	return err
}
