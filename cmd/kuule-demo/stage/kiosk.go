package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// Visit lays the applicant's test passport on the kiosk's reader and runs the
// kiosk's own program.
func (s *Stage) Visit(ctx context.Context, who interview.ParticipantID) (tunnel.Outcome, error) {
	s.kiosk.Lock() // one person at a time
	defer s.kiosk.Unlock()
	passport, err := s.state.Issue(emrtdtest.Person{
		Surname: "HADDAD", GivenNames: "SAMIR", DocumentNumber: "KD4711002", DateOfBirth: "880314", Sex: "M",
	}, emrtdtest.Genuine)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	socket := s.in("card.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return tunnel.Outcome{}, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	var reader sync.WaitGroup
	reader.Go(func() { _ = emrtdtest.ServeCard(l, passport.Card()) }) // ends with its listener
	defer reader.Wait()
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := s.Device(DeviceKiosk)
	// The zone goes by standard input: a command line is everybody's to read.
	text, err := call(ctx, passport.Printed+"\n", s.program("kuule-kiosk"), "visit", "--state", d.state, "--tpm", d.tpm.Socket(),
		"--card", "unix:"+socket, "--reference", string(interview.ReferenceOf(who)), "--json")
	if err != nil {
		return tunnel.Outcome{}, err
	}
	var out tunnel.Outcome
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return tunnel.Outcome{}, fmt.Errorf("kiosk said %q: %w", text, err)
	}
	return out, nil
}
