package app

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kuule/attestation"
	"kuule/internal/durable"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/agreement"
)

// shelf is authority's own copy of the signed agreements. The door hands them
// over; the office's signature decides, and a revision once seen is never
// replaced by an older one.
type shelf struct {
	dir    string
	office crypto.PublicKey

	mu   sync.Mutex
	docs map[interview.AgreementID]*agreement.Document
	off  map[interview.AgreementID]bool // suspended or ended: told by the door, which can only take away
}

func openShelf(dir string, office crypto.PublicKey) (*shelf, error) {
	s := &shelf{dir: dir, office: office, docs: map[interview.AgreementID]*agreement.Document{}, off: map[interview.AgreementID]bool{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.jws"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		d, err := agreement.Verify(strings.TrimSpace(string(text)), office)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		s.docs[d.ID] = d
		if _, err := os.Stat(s.offPath(d.ID)); err == nil {
			s.off[d.ID] = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return s, nil
}

// put takes a signed agreement.
func (s *shelf) put(signed string, off bool) error {
	d, err := agreement.Verify(signed, s.office)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.docs[d.ID]; have != nil && have.Revision > d.Revision {
		return problem.New(problem.CodeConflict, "agreement %s: revision %d is here already", d.ID, have.Revision)
	}
	if err := s.keep(d.ID, signed, off); err != nil {
		return fmt.Errorf("keep agreement %s: %w", d.ID, err)
	}
	s.docs[d.ID], s.off[d.ID] = d, off
	return nil
}

// offPath is a file that is there while the agreement is suspended or ended.
func (s *shelf) offPath(id interview.AgreementID) string {
	return filepath.Join(s.dir, id.String()+".off")
}

// keep writes to the disk, in an order that never leaves an agreement in force
// that is not.
func (s *shelf) keep(id interview.AgreementID, signed string, off bool) error {
	if off {
		if err := durable.WriteFile(s.offPath(id), nil, 0o600); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(filepath.Join(s.dir, id.String()+".jws"), []byte(signed), 0o600); err != nil || off {
		return err
	}
	if err := os.Remove(s.offPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncFolder(s.dir)
}

// ForDevice implements attestation.Agreements.
func (s *shelf) ForDevice(_ context.Context, permanentIdentifier string) (attestation.Named, error) {
	d, device, err := s.find(func(v agreement.Device) bool { return v.PermanentIdentifier == permanentIdentifier })
	if err != nil {
		return attestation.Named{}, err
	}
	return attestation.Named{DeviceID: device.ID, AgreementID: d.ID, Premises: device.Premises, Until: d.Until()}, nil
}

// covering returns the agreement in force that names the device.
func (s *shelf) covering(id interview.DeviceID) (*agreement.Document, error) {
	d, _, err := s.find(func(v agreement.Device) bool { return v.ID == id })
	return d, err
}

func (s *shelf) find(match func(agreement.Device) bool) (*agreement.Document, agreement.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for id, d := range s.docs {
		if s.off[id] || !d.Valid(now) {
			continue
		}
		for _, v := range d.Devices {
			if match(v) {
				return d, v, nil
			}
		}
	}
	return nil, agreement.Device{}, attestation.ErrNotNamed
}
