package evidence_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp"
	"kuule/internal/audit/stamp/stamptest"
	"kuule/internal/canon"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/recorder/evidence"
)

// logged is a log that events of a hearing are in.
type logged struct {
	t   *testing.T
	h   *hearing
	log *audit.Log
}

func newLogged(t *testing.T) *logged {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log, err := audit.OpenLog(t.TempDir(), "kuule.test/log", key)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	return &logged{t, hold(t), log}
}

// event puts one event into the log and waits until its checkpoint is there.
func (l *logged) event() evidence.LogEntry {
	l.t.Helper()
	leaf := audit.Leaf{ID: interview.NewEventID().String(), Type: "phase.changed", V: 1}
	body, err := canon.Marshal(map[string]any{"id": leaf.ID, "type": leaf.Type, "v": 1, "hearing": l.h.Hearing, "fields": map[string]any{}})
	must(l.t, err)
	salt := make([]byte, 32)
	sum := sha256.Sum256(slices.Concat(salt, body))
	leaf.H = base64.RawURLEncoding.EncodeToString(sum[:])
	at, err := l.log.Append(l.t.Context(), []audit.Leaf{leaf})
	must(l.t, err)
	p, err := l.log.Prove(l.t.Context(), at[0])
	must(l.t, err)
	return evidence.LogEntry{Proof: p, Body: string(body), Salt: base64.RawURLEncoding.EncodeToString(salt)}
}

func (l *logged) size(checkpoint string) uint64 {
	l.t.Helper()
	c, err := audit.VerifyCheckpoint(checkpoint, l.log.Key(), nil)
	must(l.t, err)
	return c.Size
}

// stamped has the log stamped as it is.
func (l *logged) stamped(address string, roots *x509.CertPool, beside ...evidence.LogEntry) evidence.LogStamp {
	l.t.Helper()
	text, err := l.log.Checkpoint(l.t.Context())
	must(l.t, err)
	answer, _, err := stamp.Ask(l.t.Context(), http.DefaultClient, address, []byte(text), roots)
	must(l.t, err)
	s := evidence.LogStamp{Checkpoint: text, Answer: base64.RawURLEncoding.EncodeToString(answer)}
	return l.beside(s, beside...)
}

func (l *logged) beside(s evidence.LogStamp, entries ...evidence.LogEntry) evidence.LogStamp {
	l.t.Helper()
	s.Beside = nil
	own := l.size(s.Checkpoint)
	for _, e := range entries {
		n := l.size(e.Proof.Checkpoint)
		hashes, err := l.log.Consistency(l.t.Context(), min(n, own), max(n, own))
		must(l.t, err)
		s.Beside = append(s.Beside, evidence.LogBeside{Entries: int64(n), Hashes: hashes})
	}
	return s
}

func (l *logged) verify(roots *x509.CertPool, entries []evidence.LogEntry, stamps ...evidence.LogStamp) (evidence.Report, error) {
	l.t.Helper()
	var err error
	l.h.content.Audit, err = evidence.LogFiles(entries, nil, stamps...)
	must(l.t, err)
	file := l.h.Trust()
	file.LogKey = l.log.Key()
	none := func(*trust.File, string) (string, error) { return "", nil }
	return verify(l.h.build(l.t), file, evidence.Options{Log: evidence.StampedLog(none, roots)})
}

// A bundle holds by when its events were in the log, on the word of an authority
// outside: for those before the stamp, whether their proofs are older or newer.
func TestABundleHoldsItsTimeStamps(t *testing.T) {
	t.Parallel()
	authority := stamptest.New(t)
	address := authority.Serve()
	l := newLogged(t)
	before := time.Now().Add(-2 * time.Second)
	first := l.event()
	s := l.stamped(address, authority.Roots)
	second := l.event()
	later := l.stamped(address, authority.Roots)
	entries := []evidence.LogEntry{first, second}
	r, err := l.verify(authority.Roots, entries, l.beside(s, entries...), l.beside(later, entries...))
	must(t, err)
	if len(r.Log.Stamps) != 2 || r.Log.Stamps[0].Entries != 1 || r.Log.Stamps[1].Entries != 2 {
		t.Fatalf("%+v", r.Log.Stamps)
	}
	for _, x := range r.Log.Stamps {
		if !x.Checked || x.At.Before(before) || x.At.After(time.Now().Add(2*time.Second)) || x.Authority != "CN=time of a test" {
			t.Errorf("%+v", x)
		}
	}
	// Without roots nothing is said of a time.
	if r, err = l.verify(nil, entries, l.beside(s, entries...)); err != nil || len(r.Log.Stamps) != 1 || r.Log.Stamps[0] != (evidence.StampReport{Entries: 1}) {
		t.Fatalf("%+v, %v", r.Log.Stamps, err)
	}
	other := newLogged(t)
	other.event()
	for name, c := range map[string]struct {
		roots *x509.CertPool
		stamp func(x *evidence.LogStamp)
	}{
		"under another root":               {x509.NewCertPool(), func(*evidence.LogStamp) {}},
		"of another checkpoint of the log": {authority.Roots, func(x *evidence.LogStamp) { x.Answer = later.Answer }},
		"cut":                              {authority.Roots, func(x *evidence.LogStamp) { x.Answer = x.Answer[:len(x.Answer)/2] }},
		"that cannot be read":              {authority.Roots, func(x *evidence.LogStamp) { x.Answer = "?" }},
		"of another log":                   {nil, func(x *evidence.LogStamp) { x.Checkpoint = other.stamped(address, authority.Roots).Checkpoint }},
		"that nothing shows to be of the same log": {nil, func(x *evidence.LogStamp) { x.Beside = nil }},
		"with another proof of it":                 {nil, func(x *evidence.LogStamp) { x.Beside[1].Hashes = [][]byte{make([]byte, 32)} }},
		"whose checkpoint was altered":             {nil, func(x *evidence.LogStamp) { x.Checkpoint = "x" + x.Checkpoint }},
	} {
		x := l.beside(s, entries...)
		c.stamp(&x)
		if _, err := l.verify(c.roots, entries, x); !errors.Is(err, evidence.ErrLog) {
			t.Errorf("a stamp %s: %v", name, err)
		}
	}
	// One that is older than every event of the hearing says nothing of it.
	if _, err := l.verify(nil, []evidence.LogEntry{second}, l.beside(s, second)); !errors.Is(err, evidence.ErrLog) {
		t.Errorf("an older one: %v", err)
	}
}
