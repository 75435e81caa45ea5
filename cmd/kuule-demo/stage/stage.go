package stage

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"kuule/attestation/attestationtest"
	"kuule/internal/idptest"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// Options say where and for whom a stage is.
type Options struct {
	Dir        string // everything lies in it
	Keep       bool   // go on with what is there; else it is made anew
	Bin        string // folder of the other programs
	Web        string // folder of the built pages
	PortBase   int    // 0 finds free ports
	BrowserUID int    // whose browser may connect; -1: the own user's
	Database   string // "postgres://..."; empty: SQLite in Dir
	Outsiders  bool   // also make two devices that are refused
	Kiosks     int    // with a slot of the virtual PC/SC reader each, on which nothing lies; 0: one, with the applicant's passport on its readers
	Rooms      int    // room terminals besides the applicant's

	// Register is who the agency's register knows; with one, prints are compared
	// and every kiosk has a scanner for fingers. Nil: there is none.
	Register []vendorporttest.Registered
	// FaceEngine is the folder of the reference engine that compares faces, "none"
	// for none; empty: the folder beside the server's program, if it is there.
	FaceEngine string
	// Finger is who has a finger ready whenever a scanner asks for one; 0: fingers are
	// laid by LayFinger.
	Finger uint16
}

// Stage is a whole installation with its devices.
type Stage struct {
	Provider *idptest.Provider
	Trust    *trust.File

	o        Options
	maker    *attestationtest.Manufacturer
	office   crypto.Signer
	state    *emrtdtest.State
	devices  []*Device
	serving  *process
	kiosk    sync.Mutex     // one person at a time
	readers  []net.Listener // the kiosk's, with the passport on them
	reading  sync.WaitGroup
	counter  map[string]*counter // kiosks' readers, by device
	passport *emrtdtest.Passport // the applicant's, at the one kiosk
	pcsc     func()              // ends the PC/SC service

	mu        sync.Mutex
	processes []*process
	hearing   *interview.Hearing
}

// kept is what a stage remembers for --keep.
type kept struct {
	PortBase int                   `json:"port_base"`
	Devices  map[string]keptDevice `json:"devices"`
}

type keptDevice struct {
	ID       interview.DeviceID   `json:"device"`
	Premises interview.PremisesID `json:"premises"`
}

const keptFile = "stage.json"

// mark shows that a folder is a stage's and may be made anew.
const mark = "KUULE-DEMONSTRATION"

// New prepares a stage in its folder.
func New(o Options) (*Stage, error) {
	if o.BrowserUID < 0 {
		o.BrowserUID = os.Getuid()
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	for _, name := range []string{"kuule", "kuule-agent", "kuule-kiosk"} {
		if _, err := os.Stat(filepath.Join(o.Bin, name)); err != nil {
			return nil, fmt.Errorf("%s is not built (make build): %w", name, err)
		}
	}
	if o.Kiosks > len(emrtdtest.Slots) || o.Kiosks+o.Rooms > portRoom {
		return nil, fmt.Errorf("a stage has at most %d kiosks with virtual readers, and %d kiosks and rooms", len(emrtdtest.Slots), portRoom)
	}
	s := &Stage{o: o, counter: map[string]*counter{}}
	k, err := s.prepareFolder()
	if err != nil {
		return nil, err
	}
	if k != nil {
		s.o.PortBase = k.PortBase
	}
	if s.o.PortBase, err = freePorts(s.o.PortBase, portCount+o.Kiosks+o.Rooms); err != nil {
		return nil, err
	}
	s.makeDevices()
	if k != nil {
		for _, d := range s.devices {
			d.ID, d.Premises = k.Devices[d.Name].ID, k.Devices[d.Name].Premises
		}
	}
	return s, nil
}

// prepareFolder empties the stage's folder, or reads what is to be kept of it.
func (s *Stage) prepareFolder() (*kept, error) {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(s.in(mark)); err != nil {
			return nil, fmt.Errorf("%s is not empty and is no demonstration's: choose another folder", s.o.Dir)
		}
		if s.o.Keep {
			text, err := os.ReadFile(s.in(keptFile))
			if err == nil {
				var k kept
				return &k, json.Unmarshal(text, &k)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		for _, e := range entries {
			if err := os.RemoveAll(s.in(e.Name())); err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(os.MkdirAll(s.o.Dir, 0o700), os.MkdirAll(s.logs(), 0o700)); err != nil {
		return nil, err
	}
	return nil, os.WriteFile(s.in(mark), []byte("Made by kuule-demo, which empties this folder at its next start.\n"), 0o600)
}

// remember writes what --keep needs.
func (s *Stage) remember() error {
	k := kept{PortBase: s.o.PortBase, Devices: map[string]keptDevice{}}
	for _, d := range s.devices {
		k.Devices[d.Name] = keptDevice{d.ID, d.Premises}
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.in(keptFile), text, 0o600)
}

// Up brings everything up and tells of each step before it is made.
func (s *Stage) Up(ctx context.Context, tell func(string)) error {
	_, err := os.Stat(s.in(keptFile))
	again := err == nil
	steps := []struct {
		what string
		skip bool
		do   func(context.Context) error
	}{
		{"software TPMs, keys, passport factory, signed pages", false, s.Install},
		{"server: door, authority, media, recorder", false, s.Serve},
		{"security agreements, signed by the demonstration's office", again, s.Agree},
		{"enrolment: each device proves its TPM", false, s.EnrolAll},
		{"agents: posture and loopback gateways", false, s.RunAgents},
		{"case and remote hearing, booked by the interviewer", false, s.bookOne},
	}
	for _, step := range steps {
		if step.skip {
			continue
		}
		tell(step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return s.remember()
}

// Part is one running part and how it does, for people.
type Part struct {
	Name  string `json:"name"`
	Runs  bool   `json:"runs"`
	State string `json:"state"`
}

// Parts tells how everything does.
func (s *Stage) Parts() []Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Part
	for _, p := range s.processes {
		part := Part{Name: p.name, Runs: p.running(), State: "runs"}
		if !part.Runs {
			part.State = "ended: see " + p.log
		}
		out = append(out, part)
	}
	return out
}

// LauncherPort is where the launcher's page belongs.
func (s *Stage) LauncherPort() int { return s.port(portLauncher) }

// BrowserUID is whose browser may connect.
func (s *Stage) BrowserUID() int { return s.o.BrowserUID }

// Devices lists the devices that have a browser.
func (s *Stage) Devices() []*Device {
	var out []*Device
	for _, d := range s.devices {
		if d.Port != 0 {
			out = append(out, d)
		}
	}
	return out
}

// Close ends everything that was started: programs first, so that agents can
// still use their TPMs, then TPMs in order.
func (s *Stage) Close() error {
	s.mu.Lock()
	processes := s.processes
	s.processes = nil
	s.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range processes {
		wait.Go(p.stop)
	}
	wait.Wait()
	var errs []error
	for _, c := range s.counter {
		c.clear()
	}
	for _, l := range s.readers {
		errs = append(errs, l.Close())
	}
	s.reading.Wait()
	if s.pcsc != nil {
		s.pcsc()
	}
	if s.Provider != nil {
		errs = append(errs, s.Provider.Close())
		s.Provider = nil
	}
	for _, d := range s.devices {
		if d.tpm != nil {
			errs = append(errs, d.tpm.Stop())
		}
	}
	return errors.Join(errs...)
}
