package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

// counter is a kiosk's two readers, on which a person lays a document: the open
// page on the optical one, then the closed document on the chip's.
type counter struct {
	slot string // address of the chip's reader

	mu    sync.Mutex
	zone  string        // of the page that lies open
	laid  chan struct{} // closed when a page is laid
	taken func()        // takes the chip off

	finger chan uint16 // whose finger is laid on the scanner
}

// cardKiosk is the kiosk that takes what a residence card needs; papers lie on
// SANE's test scanner.
const cardKiosk = 2

// openReaders makes every kiosk's readers and gives the program's words for them.
func (s *Stage) openReaders(ctx context.Context) (map[string][]string, error) {
	if s.o.Kiosks == 0 {
		card, err := s.listen("card.sock")
		if err != nil {
			return nil, err
		}
		passport, err := s.Issue(emrtdtest.Person{
			Surname: "HADDAD", GivenNames: "SAMIR", DocumentNumber: "KD4711002", DateOfBirth: "880314", Sex: "M",
		}, emrtdtest.WithAll)
		if err != nil {
			return nil, err
		}
		s.reading.Go(func() { _ = emrtdtest.ServeCard(card, passport.Card()) }) // ends with its listener
		optics, err := s.openCounter(DeviceKiosk, "")
		if err != nil {
			return nil, err
		}
		s.passport = passport
		s.LayPassport()
		args := []string{"--card", "unix:" + card.Addr().String(), "--optics", optics}
		if s.o.Register != nil {
			scanner, err := s.scanner(DeviceKiosk)
			if err != nil {
				return nil, err
			}
			args = append(args, "--fingers", scanner)
		}
		return map[string][]string{DeviceKiosk: args}, nil
	}
	var err error
	if s.pcsc, err = emrtdtest.StartService(ctx); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for n := 1; n <= s.o.Kiosks; n++ {
		slot := emrtdtest.Slots[n-1]
		optics, err := s.openCounter(Kiosk(n), slot.Address)
		if err != nil {
			return nil, err
		}
		out[Kiosk(n)] = []string{"--card", "pcsc:" + slot.Name, "--optics", optics}
		if n == cardKiosk {
			out[Kiosk(n)] = append(out[Kiosk(n)], "--services", "interview,identity,card", "--scanner", "test:0")
		}
		if s.o.Register == nil {
			continue
		}
		scanner, err := s.scanner(Kiosk(n))
		if err != nil {
			return nil, err
		}
		out[Kiosk(n)] = append(out[Kiosk(n)], "--fingers", scanner)
	}
	return out, nil
}

func (s *Stage) openCounter(kiosk, slot string) (socket string, err error) {
	l, err := s.listen(kiosk + "-optics.sock")
	if err != nil {
		return "", err
	}
	c := &counter{slot: slot, laid: make(chan struct{}), finger: make(chan uint16, 1)}
	s.counter[kiosk] = c
	s.reading.Go(func() { c.serveZone(l) }) // ends with its listener
	return l.Addr().String(), nil
}

// listen makes a reader's socket, which ends with the stage.
func (s *Stage) listen(name string) (net.Listener, error) {
	path := s.in(name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		s.readers = append(s.readers, l)
	}
	return l, err
}

// Issue makes a travel document of the state whose authority is on the trust
// list. It is for one goroutine.
func (s *Stage) Issue(who emrtdtest.Person, v emrtdtest.Variant) (*emrtdtest.Passport, error) {
	return s.state.Issue(who, v)
}

// LayOpen lays a document's open page on a kiosk's optical reader.
func (s *Stage) LayOpen(kiosk string, p *emrtdtest.Passport) {
	c := s.counter[kiosk]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zone == "" {
		close(c.laid)
	}
	c.zone = p.Printed
}

// LayPassport lays the applicant's open passport on the one kiosk's reader, where
// it stays until it is taken away.
func (s *Stage) LayPassport() { s.LayOpen(DeviceKiosk, s.passport) }

// LayClosed lays the closed document on the chip's reader.
func (s *Stage) LayClosed(ctx context.Context, kiosk string, p *emrtdtest.Passport) error {
	c := s.counter[kiosk]
	taken, err := emrtdtest.PlugIn(ctx, c.slot, p.Card())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = taken
	return nil
}

// TakeAway leaves nothing on a kiosk's readers.
func (s *Stage) TakeAway(kiosk string) { s.counter[kiosk].clear() }

func (c *counter) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zone != "" {
		c.zone, c.laid = "", make(chan struct{})
	}
	if c.taken != nil {
		c.taken()
		c.taken = nil
	}
}

// serveZone is the optical reader: it answers when a page lies there.
func (c *counter) serveZone(l net.Listener) {
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		readers.Go(func() {
			defer conn.Close() // its answer was all there is
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = conn.Read(make([]byte, 1)) // nobody writes: it ends with the connection
			}()
			c.mu.Lock()
			laid := c.laid
			c.mu.Unlock()
			select {
			case <-laid:
			case <-gone:
				return
			case <-ctx.Done():
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			_, _ = conn.Write([]byte(c.zone))
		})
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
