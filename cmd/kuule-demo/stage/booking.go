package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/internal/idptest"
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
		booked := interview.BookingParticipant{Role: p.role, Name: p.name, Subject: p.subject, Device: device, Premises: premises}
		if p.role == interview.RoleApplicant {
			booked.Born, booked.Card = BornApplicant, CardApplicant
		}
		b.Participants = append(b.Participants, booked)
	}
	return b
}

// CreateCase makes the case over a page at which the interviewer signed in.
func CreateCase(ctx context.Context, page *gatewaytest.Page) (interview.Case, error) {
	return NewCase(ctx, page, "DEMO-"+time.Now().Format("2006-150405"))
}

// NewCase makes a case under a diary number.
func NewCase(ctx context.Context, page *gatewaytest.Page, diary string) (interview.Case, error) {
	var c interview.Case
	err := page.Call(ctx, http.MethodPost, "/api/cases", map[string]string{
		"diary": diary, "lodged": time.Now().AddDate(0, -3, 0).Format(time.DateOnly), "language": "ar",
	}, &c)
	return c, err
}

// Book books the hearing over a page at which the interviewer signed in.
func (s *Stage) Book(ctx context.Context, page *gatewaytest.Page, b interview.Booking) (*interview.Hearing, error) {
	h, err := book(ctx, page, b)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hearing = h
	return h, nil
}

func book(ctx context.Context, page *gatewaytest.Page, b interview.Booking) (*interview.Hearing, error) {
	var h interview.Hearing
	return &h, page.Call(ctx, http.MethodPost, "/api/hearings", b, &h)
}

// Hearing is the newest one that was booked.
func (s *Stage) Hearing() *interview.Hearing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hearing
}

// Errand is a booking that a process of the browser's user makes: agents answer
// to no other.
type Errand struct {
	Link    string            `json:"link"`
	Issuer  string            `json:"issuer"`
	Booking interview.Booking `json:"booking"` // its case is made on the way
}

// Do signs the interviewer in and books.
func (e Errand) Do(ctx context.Context) (*interview.Hearing, error) {
	page, err := gatewaytest.Open(ctx, e.Link)
	if err != nil {
		return nil, err
	}
	defer page.Close()
	if err := page.SignIn(ctx, idptest.Visitor(e.Issuer), SubjectInterviewer); err != nil {
		return nil, err
	}
	c, err := CreateCase(ctx, page)
	if err != nil {
		return nil, err
	}
	e.Booking.Case = c.ID
	return book(ctx, page, e.Booking)
}

// bookOne has the interviewer book the demonstration's hearing.
func (s *Stage) bookOne(ctx context.Context) error {
	link, err := s.StartLink(ctx, DeviceInterviewer)
	if err != nil {
		return err
	}
	e := Errand{Link: link, Issuer: s.Provider.Issuer(), Booking: s.Booking(interview.CaseID{}, Justification)}
	var h *interview.Hearing
	if s.o.BrowserUID == os.Geteuid() {
		h, err = e.Do(ctx)
	} else {
		h, err = s.send(ctx, e)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hearing = h
	return nil
}

// send has a process of the browser's user run the errand.
func (s *Stage) send(ctx context.Context, e Errand) (*interview.Hearing, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "book")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Credential: Credential(s.o.BrowserUID)}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("booking as user %d: %w", s.o.BrowserUID, err)
	}
	var h interview.Hearing
	return &h, json.Unmarshal(out, &h)
}

// Credential is that of another user, for processes started by root; nil for
// the own user, or where this is not root.
func Credential(uid int) *syscall.Credential {
	if uid == os.Geteuid() || os.Geteuid() != 0 {
		return nil
	}
	group := uid
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if gid, err := strconv.Atoi(u.Gid); err == nil {
			group = gid
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(group)}
}
