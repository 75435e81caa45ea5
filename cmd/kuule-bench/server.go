package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
)

// order is one line on the server's standard input.
type order struct {
	ID      int64          `json:"id"`
	Open    *media.OpenLeg `json:"open,omitempty"`
	Forward *media.Table   `json:"forward,omitempty"`
	Usage   bool           `json:"usage,omitempty"`
	Profile bool           `json:"profile,omitempty"` // with usage: begin to profile
	Memory  bool           `json:"memory,omitempty"`  // with usage: collect and count memory too
}

// report is one line on its standard output.
type report struct {
	ID     int64            `json:"id"`
	Opened *media.LegOpened `json:"opened,omitempty"`
	Usage  *usage           `json:"usage,omitempty"`
	Lost   *interview.LegID `json:"lost,omitempty"` // asked by nobody: the node noticed that this leg's path is away
	Error  string           `json:"error,omitempty"`
}

// usage is what the server's process has used.
type usage struct {
	CPU         time.Duration `json:"cpu"` // user and system, since the start
	Allocations uint64        `json:"allocations"`
	Memory      int64         `json:"memory"`
}

// What a server's process runs.
const (
	modeNode  = "node"  // the media node
	modeRelay = "relay" // the yardstick: pion's PeerConnection and nothing around it
)

type serverCommand struct {
	Mode  string `default:"node" enum:"node,relay"`
	Pprof string
}

// forwarder is what a server serves: *sfu.Node or the yardstick.
type forwarder interface {
	OpenLeg(ctx context.Context, req media.OpenLeg) (media.LegOpened, error)
	Forward(t media.Table) error
	Close()
}

// Run serves until standard input ends.
func (c serverCommand) Run(ctx context.Context) error { return c.serve(ctx, os.Stdin, os.Stdout) }

func (c serverCommand) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	address := netip.MustParseAddrPort("127.0.0.1:0")
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	tell := func(r report) {
		mu.Lock()
		defer mu.Unlock()
		_ = encoder.Encode(r) // who does not read any more has ended
	}
	var node forwarder
	var err error
	if c.Mode == modeRelay {
		node, err = newRelay(address)
	} else {
		node, err = sfu.New(sfu.Config{Addresses: []netip.AddrPort{address}, OnEvent: func(ev media.Event) {
			if ev.State == media.LegDisconnected {
				tell(report{Lost: &ev.Leg})
			}
		}})
	}
	if err != nil {
		return err
	}
	defer node.Close()
	profile := profiler{folder: c.Pprof, name: c.Mode}
	defer profile.stop()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	orders := bufio.NewScanner(in)
	orders.Buffer(nil, 2*sfu.MaxOfferBytes)
	for orders.Scan() {
		var o order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			return fmt.Errorf("order: %w", err)
		}
		tasks.Go(func() {
			if o.Usage && o.Memory {
				profile.stop()
			}
			r := obey(ctx, node, o)
			if o.Profile && r.Error == "" {
				if err := profile.start(); err != nil {
					r.Error = err.Error()
				}
			}
			tell(r)
		})
	}
	return orders.Err()
}

func obey(ctx context.Context, node forwarder, o order) report {
	r := report{ID: o.ID}
	var err error
	switch {
	case o.Open != nil:
		var opened media.LegOpened
		opened, err = node.OpenLeg(ctx, *o.Open)
		r.Opened = &opened
	case o.Forward != nil:
		err = node.Forward(*o.Forward)
	case o.Usage:
		r.Usage, err = used(o.Memory)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// used reads processor time first, and only then collects to see what memory is
// held.
func used(memory bool) (*usage, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return nil, err
	}
	u := &usage{CPU: time.Duration(ru.Utime.Nano() + ru.Stime.Nano())}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.Allocations = m.Mallocs
	if !memory {
		return u, nil
	}
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm") // pages: size, resident, ...
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return nil, errors.New("/proc/self/statm is not as expected")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return nil, err
	}
	u.Memory = pages * int64(os.Getpagesize())
	return u, nil
}

// server is the media node's process, seen from the load generator.
type server struct {
	process *exec.Cmd
	in      io.WriteCloser
	readers sync.WaitGroup

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan report // nil once the process has ended
	lost    map[interview.LegID]time.Time
}

// noticed says when the node noticed that a leg's path is away, and forgets it.
func (s *server) noticed(leg interview.LegID) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, is := s.lost[leg]
	delete(s.lost, leg)
	return at, is
}

// startServer starts this program once more, as the media node or the yardstick.
func startServer(ctx context.Context, mode string, cpu int, profiles string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{process: exec.CommandContext(ctx, self, "server", "--mode="+mode, "--pprof="+profiles), waiting: map[int64]chan report{}, lost: map[interview.LegID]time.Time{}}
	s.process.Stderr = os.Stderr
	if s.in, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(s.process, cpu); err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	s.readers.Go(func() { s.read(out) })
	return s, nil
}

func (s *server) read(out io.Reader) {
	d := json.NewDecoder(out)
	for {
		var r report
		err := d.Decode(&r)
		s.mu.Lock()
		if err != nil {
			for _, ch := range s.waiting {
				close(ch)
			}
			s.waiting = nil
			s.mu.Unlock()
			return
		}
		if r.Lost != nil {
			s.lost[*r.Lost] = time.Now()
		}
		if ch := s.waiting[r.ID]; ch != nil {
			ch <- r
			delete(s.waiting, r.ID)
		}
		s.mu.Unlock()
	}
}

var errServerEnded = errors.New("the media node's process ended")

func (s *server) ask(ctx context.Context, o order) (report, error) {
	ch := make(chan report, 1)
	s.mu.Lock()
	if s.waiting == nil {
		s.mu.Unlock()
		return report{}, errServerEnded
	}
	s.next++
	o.ID = s.next
	s.waiting[o.ID] = ch
	text, err := json.Marshal(o)
	if err == nil {
		_, err = s.in.Write(append(text, '\n'))
	}
	s.mu.Unlock()
	if err != nil {
		return report{}, fmt.Errorf("media node: %w", err)
	}
	select {
	case r, open := <-ch:
		if !open {
			return report{}, errServerEnded
		}
		if r.Error != "" {
			return report{}, fmt.Errorf("media node: %s", r.Error)
		}
		return r, nil
	case <-ctx.Done():
		return report{}, ctx.Err()
	}
}

// stop ends the process and waits for it.
func (s *server) stop() {
	_ = s.in.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = s.process.Process.Kill() })
	defer kill.Stop()
	s.readers.Wait()
	_ = s.process.Wait()
}
