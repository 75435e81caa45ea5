package evidence_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"reflect"
	"testing"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

// sealedAs gives a manifest that was made elsewhere, whatever it is asked to seal.
type sealedAs func(evidence.Manifest) (string, error)

func (s sealedAs) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) { return s(m) }

// A manifest that nobody trusted signed, or that is another bundle's, and a
// bundle of another installation are refused by name; no report is given.
func TestAForgedManifestIsRefused(t *testing.T) {
	t.Parallel()
	h, other := hold(t), hold(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	made := func(h *hearing, as sealedAs) []byte {
		var b bytes.Buffer
		must(t, evidence.Build(context.Background(), &b, h.content, as))
		return b.Bytes()
	}
	before, err := evidence.SignedManifest(bytes.NewReader(h.build(t)))
	must(t, err)
	later := *h
	later.content.Phases = append([]journal.Phase{}, h.content.Phases...)
	later.content.Phases = append(later.content.Phases, journal.Phase{Phase: interview.PhasePaused, Cause: interview.CauseInterviewer, Since: 700_000})
	for name, c := range map[string]struct {
		bundle []byte
		sealed bool // whether the signature itself holds
	}{
		"signed by a stranger": {made(h, func(m evidence.Manifest) (string, error) { return jws.Sign(m, evidence.TypeEvidence, stranger) }), false},
		"signed as something else": {made(h, func(m evidence.Manifest) (string, error) {
			return jws.Sign(m, "kuule-record+jws", h.Sealing)
		}), false},
		"of another installation": {other.build(t), false},
		"of an earlier bundle":    {made(&later, func(evidence.Manifest) (string, error) { return before, nil }), true},
		"that leaves a file out": {made(h, func(m evidence.Manifest) (string, error) {
			m.Files = m.Files[:len(m.Files)-1]
			return jws.Sign(m, evidence.TypeEvidence, h.Sealing)
		}), true},
		"that names a block further": {made(h, func(m evidence.Manifest) (string, error) {
			m.Recordings = append([]evidence.Recording{}, m.Recordings...)
			m.Recordings[0].Blocks++
			return jws.Sign(m, evidence.TypeEvidence, h.Sealing)
		}), true},
	} {
		r, err := verify(c.bundle, h.Trust(), h.options())
		var place *evidence.PlaceError
		if err == nil || !errors.As(err, &place) || c.sealed == errors.Is(err, evidence.ErrNotSealed) {
			t.Errorf("a manifest %s: %v", name, err)
		}
		if !reflect.DeepEqual(r, evidence.Report{}) {
			t.Errorf("a manifest %s: a report was given", name)
		}
	}
}

// shortly is a disk that gives less than was asked for, and now and then says
// that something is wrong with it.
type shortly struct {
	in    *bytes.Reader
	fails int64 // an offset that cannot be read; -1: none
	ends  bool  // as if the file ended there
}

func (s shortly) ReadAt(p []byte, off int64) (int, error) {
	if s.fails >= 0 && off <= s.fails && s.fails < off+int64(len(p)) {
		n, _ := s.in.ReadAt(p[:s.fails-off], off)
		if s.ends {
			return n, io.EOF
		}
		return n, errors.New("input/output error")
	}
	if len(p) < 2 {
		return s.in.ReadAt(p, off)
	}
	n, err := s.in.ReadAt(p[:len(p)/2], off)
	if err == nil {
		m, err := s.in.ReadAt(p[n:], off+int64(n))
		return n + m, err
	}
	return n, err
}

// A disk that reads in pieces changes no verdict; one that does not read a place
// is said to have failed there, and never makes a bundle hold or a report of half.
func TestADiskThatReadsShortIsSaid(t *testing.T) {
	t.Parallel()
	h := hold(t)
	b := h.build(t)
	want, err := verify(b, h.Trust(), h.options())
	must(t, err)
	got, err := evidence.Verify(shortly{in: bytes.NewReader(b), fails: -1}, int64(len(b)), h.Trust(), h.options())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("in pieces: %+v, %v", got, err)
	}
	for at := int64(0); at < int64(len(b)); at += max(1, int64(len(b))/47) {
		for _, ends := range []bool{false, true} {
			r, err := evidence.Verify(shortly{bytes.NewReader(b), at, ends}, int64(len(b)), h.Trust(), h.options())
			if err == nil || !reflect.DeepEqual(r, evidence.Report{}) {
				t.Fatalf("byte %d cannot be read (it ends: %t), and the bundle holds", at, ends)
			}
		}
	}
	if _, err := verify(b[:len(b)/2], h.Trust(), h.options()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("half a bundle: %v", err)
	}
}
