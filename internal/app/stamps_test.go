package app

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kuule/internal/audit"
	auditremote "kuule/internal/audit/remote"
	"kuule/internal/audit/stamp"
	"kuule/internal/bus"
	"kuule/internal/bus/bustest"
	"kuule/internal/canon"
	"kuule/internal/config"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/recorder/evidence"
)

// Authority asks the time-stamping authority that the configuration names, and
// does not start without its roots.
func TestTheLogIsStampedWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	tsa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Header.Get("Content-Type"):
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer tsa.Close()
	c := config.Config{Data: t.TempDir()}
	in := &installation{Config: c, layout: c.Layout()}
	if err := os.MkdirAll(filepath.Dir(in.layout.AuditLog()), 0o700); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.OpenLog(in.layout.AuditLog(), "kuule.test/log", key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	stop, err := startStamps(t.Context(), in, log)
	if err != nil {
		t.Fatal(err)
	}
	stop() // nobody is asked without an address

	in.Stamps = config.Stamps{Authority: tsa.URL, Roots: filepath.Join(c.Data, "roots.pem")}
	for _, text := range []string{"", "no certificate"} {
		if text != "" {
			if err := os.WriteFile(in.Stamps.Roots, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := startStamps(t.Context(), in, log); err == nil {
			t.Errorf("roots %q were taken", text)
		}
	}
	in.Stamps.Roots = filepath.Join(c.Data, "tsa.pem")
	if _, _, err := makeAuthority(c.Data, "tsa", "root of a test"); err != nil {
		t.Fatal(err)
	}
	if stop, err = startStamps(t.Context(), in, log); err != nil {
		t.Fatal(err)
	}
	defer stop()
	select {
	case kind := <-asked:
		if kind != "application/timestamp-query" {
			t.Errorf("asked with %q", kind)
		}
	case <-time.After(time.Minute):
		t.Error("nobody was asked for a stamp")
	}
}

// For each event of a hearing the bundle gets the first stamp that covers it, over the
// bus from authority, and what shows that it is of the same log; one that nothing
// covers yet goes without.
func TestABundlesStampsComeFromAuthority(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.OpenLog(t.TempDir(), "kuule.test/log", key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	wires, folder := bustest.Start(t), t.TempDir()
	authority := wires.Connect(t, bus.Main(bus.Authority))
	nobody := func(string) (string, error) { return "", errors.New("nobody cosigns here") }
	if err := errors.Join(auditremote.Serve(authority, log, nobody), serveStamps(authority, folder)); err != nil {
		t.Fatal(err)
	}
	conn := wires.Connect(t, bus.Main(bus.Door))
	d := &door{in: &installation{trust: &trust.File{LogKey: log.Key()}}, conn: conn, log: auditremote.New(conn)}
	h := interview.NewHearingID()
	var entries []evidence.LogEntry
	event := func(of interview.HearingID) {
		t.Helper()
		leaf := audit.Leaf{ID: interview.NewEventID().String(), Type: "phase.changed", V: 1}
		body, err := canon.Marshal(map[string]any{"id": leaf.ID, "type": leaf.Type, "v": 1, "hearing": of, "fields": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		salt := make([]byte, 32)
		sum := sha256.Sum256(slices.Concat(salt, body))
		leaf.H = base64.RawURLEncoding.EncodeToString(sum[:])
		at, err := log.Append(t.Context(), []audit.Leaf{leaf})
		if err != nil {
			t.Fatal(err)
		}
		p, err := log.Prove(t.Context(), at[0])
		if err != nil {
			t.Fatal(err)
		}
		if of == h {
			entries = append(entries, evidence.LogEntry{Proof: p, Body: string(body), Salt: base64.RawURLEncoding.EncodeToString(salt)})
		}
	}
	stamped := func() {
		t.Helper()
		text, err := log.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.VerifyCheckpoint(text, log.Key(), nil)
		if err == nil {
			err = stamp.Keep(folder, c.Size, []byte(text), []byte("a stamp"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	none, err := d.stampsOf(t.Context(), entries)
	if err != nil || len(none) != 0 {
		t.Fatalf("of nothing: %v, %v", none, err)
	}
	event(interview.NewHearingID())
	stamped() // older than the hearing
	event(h)
	event(h)
	stamped()
	event(interview.NewHearingID())
	stamped() // says nothing more of the two
	event(h)
	stamped()
	event(h) // not stamped yet
	stamps, err := d.stampsOf(t.Context(), entries)
	if err != nil || len(stamps) != 2 {
		t.Fatalf("%+v, %v", stamps, err)
	}
	blobs, err := evidence.LogFiles(entries, nil, stamps...)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, b := range blobs {
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[b.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	r, err := VerifyLog(d.in.trust, evidence.Manifest{Hearing: h}, files)
	if err != nil || len(r.Stamps) != 2 || r.Stamps[0].Entries != 2 || r.Stamps[1].Entries != 3 || r.Stamps[0].Checked {
		t.Fatalf("%+v, %v", r.Stamps, err)
	}
}
