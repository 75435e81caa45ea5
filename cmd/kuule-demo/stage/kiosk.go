package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

// Sockets of the kiosk's two readers.
const (
	cardSocket   = "card.sock"
	opticsSocket = "optics.sock"
)

// layPassport makes the applicant's test passport and lays it on the kiosk's
// readers, where it stays: the open page on the optical one, the chip on the
// other.
func (s *Stage) layPassport() error {
	passport, err := s.state.Issue(emrtdtest.Person{
		Surname: "HADDAD", GivenNames: "SAMIR", DocumentNumber: "KD4711002", DateOfBirth: "880314", Sex: "M",
	}, emrtdtest.WithAll)
	if err != nil {
		return err
	}
	for _, reader := range []struct {
		socket string
		serve  func(net.Listener)
	}{
		{cardSocket, func(l net.Listener) { _ = emrtdtest.ServeCard(l, passport.Card()) }},
		{opticsSocket, func(l net.Listener) { serveZone(l, passport.Printed) }},
	} {
		path := s.in(reader.socket)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		s.readers = append(s.readers, l)
		s.reading.Go(func() { reader.serve(l) }) // ends with its listener
	}
	return nil
}

// serveZone is an optical reader on which an open passport lies.
func serveZone(l net.Listener, zone string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write([]byte(zone))
		_ = conn.Close()
	}
}

// Visit holds a visit at the kiosk as its page does: with the code on the
// participant's invitation, and the passport that lies there.
func (s *Stage) Visit(ctx context.Context, who interview.ParticipantID) (tunnel.Outcome, error) {
	s.kiosk.Lock()
	defer s.kiosk.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	page, err := s.Page(ctx, DeviceKiosk)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	defer page.Close()
	conn, err := page.SocketOf(ctx, "/kiosk/visit", kiosk.ScreenProtocol)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	begin := kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: string(interview.ReferenceOf(who))}}
	if err := conn.WriteJSON(begin); err != nil {
		return tunnel.Outcome{}, fmt.Errorf("kiosk: %w", err)
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return tunnel.Outcome{}, fmt.Errorf("kiosk: %w", err)
		}
		var m kiosk.ScreenMessage
		if err := json.Unmarshal(text, &m); err != nil {
			return tunnel.Outcome{}, fmt.Errorf("kiosk said %q: %w", text, err)
		}
		switch {
		case m.Outcome != nil:
			return m.Outcome.Outcome, nil
		case m.Problem != nil:
			return tunnel.Outcome{}, m.Problem.Err()
		case m.Step == nil:
			return tunnel.Outcome{}, errors.New("kiosk said nothing that is known")
		case m.Step.Step == kiosk.StepPayment || m.Step.Step == kiosk.StepPrint:
			skip := kiosk.ScreenMessage{Type: "choice", Choice: &kiosk.ScreenChoice{Choice: kiosk.ChoiceSkip}}
			if err := conn.WriteJSON(skip); err != nil {
				return tunnel.Outcome{}, fmt.Errorf("kiosk: %w", err)
			}
		}
	}
}
