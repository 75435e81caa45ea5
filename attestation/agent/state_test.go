package agent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func wholeState() state {
	return state{
		V: 1, Server: "https://kuule.test", PermanentIdentifier: "x", AttestationKey: []byte("a"),
		AttestationChain: [][]byte{[]byte("c")}, DeviceKey: []byte("d"), Chain: [][]byte{[]byte("c")},
	}
}

func TestStateIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := readState(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("empty directory: %v", err)
	}
	if err := wholeState().write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := readState(dir); err != nil {
		t.Errorf("whole state: %v", err)
	}
	for name, change := range map[string]func(*state){
		"version":           func(s *state) { s.V = 2 },
		"server":            func(s *state) { s.Server = "" },
		"attestation key":   func(s *state) { s.AttestationKey = nil },
		"attestation chain": func(s *state) { s.AttestationChain = nil },
		"device key":        func(s *state) { s.DeviceKey = nil },
		"chain":             func(s *state) { s.Chain = nil },
	} {
		s := wholeState()
		change(&s)
		if err := s.write(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := readState(dir); err == nil {
			t.Errorf("state without %s is taken", name)
		}
	}
}

// Files that others can read, or that nobody can have written, are refused.
func TestStateFilesAreOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := wholeState().write(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileState)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readState(dir); err == nil {
		t.Error("a state that others can read is taken")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), maxState+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readState(dir); err == nil {
		t.Error("a state without bound is taken")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := privateDir(dir); err == nil {
		t.Error("a directory open to others is taken")
	}
}

func TestServerURL(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"https://kuule.test", "https://kuule.test:8443", "https://kuule.test/"} {
		if _, err := parseServer(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "http://kuule.test", "kuule.test", "https://", "https://u@kuule.test", "https://kuule.test/x", "https://kuule.test?x=1", "https://kuule.test:x"} {
		if _, err := parseServer(s); err == nil {
			t.Errorf("%s is taken", s)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"v":1,"server":"https://x","permanent_identifier":"x","attestation_key":"AA==","attestation_chain":["AA=="],"device_key":"AA==","chain":["AA=="]}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		_, _ = parseChain(s.Chain)
	})
}

func FuzzVerifierKey(f *testing.F) {
	f.Add("PRIVATE+KEY+x+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = verifierKey(text) })
}
