package stage

import (
	"net/http"
	"time"

	"kuule/internal/config"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// The finger that is laid on a kiosk's scanner waits so long for a person.
const fingerPatience = 20 * time.Second

// A finger that is always ready comes after so long: the screen can be read.
const readyAfter = 2 * time.Second

// playParts plays the makers' parts that the installation asks, where the stage
// has a register, and gives their places for the configuration.
func (s *Stage) playParts() ([]config.Part, error) {
	if s.o.Register == nil {
		return nil, nil
	}
	matcher := vendorporttest.Fingers(func(int, int) vendorport.Captured { return vendorporttest.NoFinger() })
	// The simulator compares marks that it made itself, so it is never wrong.
	matcher.Description.Measured = "a play, which knows its own fingers"
	var out []config.Part
	for _, p := range []struct {
		port   vendorport.Port
		socket string
		part   http.Handler
	}{
		{vendorport.PortRegister, "register.sock", vendorporttest.Register(s.o.Register...)},
		{vendorport.PortFingerprint, "matcher.sock", matcher},
	} {
		url, err := s.play(p.socket, p.part)
		if err != nil {
			return nil, err
		}
		out = append(out, config.Part{Port: string(p.port), URL: url})
	}
	return out, nil
}

// play serves a part at a unix socket until the stage ends.
func (s *Stage) play(socket string, part http.Handler) (url string, err error) {
	l, err := s.listen(socket)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: part, ReadHeaderTimeout: 10 * time.Second}
	s.reading.Go(func() { _ = server.Serve(l) }) // ends with its listener
	return "unix:" + l.Addr().String(), nil
}

// scanner plays a kiosk's scanner of fingers: it waits for somebody's.
func (s *Stage) scanner(kiosk string) (url string, err error) {
	laid := s.counter[kiosk].finger
	return s.play(kiosk+"-scanner.sock", vendorporttest.Fingers(func(finger, _ int) vendorport.Captured {
		if s.o.Finger != 0 {
			time.Sleep(readyAfter)
			return vendorporttest.Finger(s.o.Finger, finger, goodPrint)
		}
		select {
		case person := <-laid:
			return vendorporttest.Finger(person, finger, goodPrint)
		case <-time.After(fingerPatience):
			return vendorporttest.NoFinger()
		}
	}))
}

const goodPrint = 80 // of a hundred

// LayFinger lays the asked finger of a person on a kiosk's scanner.
func (s *Stage) LayFinger(kiosk string, person uint16) {
	s.counter[kiosk].finger <- person
}
