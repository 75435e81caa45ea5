package cli

import (
	"crypto/ecdsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kuule/attestation/agent/backup"
	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	form "kuule/interview/backup"
	"kuule/interview/sealing/sealingtest"
)

// H5: the terminal asks by itself, and deletes at authority's signed word: not at
// the server's, not another hearing's, and nothing where the server is away. What
// went by age it says once.
func TestATerminalDeletesWhatIsReleased(t *testing.T) {
	t.Parallel()
	sealing := sealingtest.NewKey(t)
	key := func(k *ecdsa.PrivateKey) string {
		text, err := trust.EncodeKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	file := &trust.File{V: 1, SealingKey: key(sealing), BackupKey: key(sealingtest.NewKey(t))}
	folder := t.TempDir()
	ids := []interview.HearingID{interview.NewHearingID(), interview.NewHearingID(), interview.NewHearingID()}
	path := func(h interview.HearingID) string { return filepath.Join(folder, h.String()+".1.kb") }
	for _, h := range ids {
		if err := os.WriteFile(path(h), []byte("kuulebk1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-backup.MaxAge - time.Hour)
	if err := os.Chtimes(path(ids[2]), old, old); err != nil {
		t.Fatal(err)
	}
	store, err := backup.Open(folder, file)
	if err != nil {
		t.Fatal(err)
	}
	own := interview.NewDeviceID()
	release := func(h interview.HearingID, by *ecdsa.PrivateKey) string {
		text, err := jws.Sign(form.Release{V: 2, Hearing: h, Devices: []interview.DeviceID{own}, At: 1}, form.TypeRelease, by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var told []wire.BackupReport
	answer, status := wire.BackupAnswer{}, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in wire.BackupReport
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != wire.BackupsPath {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		told = append(told, in)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	r := reporter{device: own, server: server.URL, http: server.Client(), store: store, log: slog.New(slog.DiscardHandler)}
	there := func() (out []interview.HearingID) {
		for _, h := range ids {
			if _, err := os.Stat(path(h)); err == nil {
				out = append(out, h)
			}
		}
		return out
	}

	status = http.StatusInternalServerError
	answer.Releases = []string{release(ids[0], sealing)}
	if _, err := r.report(t.Context(), false); err == nil || !slices.Equal(there(), ids[:2]) {
		t.Fatalf("the server is away: %v, %v", err, there())
	}
	status = http.StatusOK
	answer.Releases = []string{release(ids[0], sealingtest.NewKey(t)), "not a release"}
	if more, err := r.report(t.Context(), false); err != nil || !more || !slices.Equal(there(), ids[:2]) {
		t.Fatalf("on the server's word: %t %v, %v", more, err, there())
	}
	last := told[len(told)-1]
	if len(last.Held) != 2 || len(last.Gone) != 1 || last.Gone[0].Hearing != ids[2] || last.Gone[0].Why != wire.BackupAge || len(told[0].Gone) != 1 {
		t.Fatalf("told: %+v", told)
	}
	answer.Releases = []string{release(ids[0], sealing)}
	if _, err := r.report(t.Context(), false); err != nil || !slices.Equal(there(), ids[1:2]) {
		t.Fatalf("released: %v, %v", err, there())
	}
	if last = told[len(told)-1]; len(last.Gone) != 0 {
		t.Errorf("said twice that it went: %+v", last)
	}
	answer.Releases = []string{release(ids[1], sealing)}
	if _, err := r.report(t.Context(), false); err != nil || len(there()) != 0 {
		t.Fatalf("%v, %v", err, there())
	}
	asked := len(told)
	if more, err := r.report(t.Context(), false); err != nil || more || len(told) != asked {
		t.Errorf("it asks though nothing is there: %t %v", more, err)
	}
}
