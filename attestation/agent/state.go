package agent

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kuule/internal/canon"
	"kuule/internal/durable"
)

// Files of the state directory, each 0600 in a directory of 0700.
const (
	fileState    = "device.json"
	fileTrust    = "trust.json"
	fileCosigner = "cosigner.key"
	fileSeen     = "checkpoint.json"
	filePosture  = "posture.json"

	maxState = 256 << 10
)

// ErrNotEnrolled says that a state directory holds no enrolled device.
var ErrNotEnrolled = errors.New("this device is not enrolled: run kuule-agent enrol")

// state is what an enrolled device keeps between runs. The blobs are keys
// wrapped by the TPM: useless in any other.
type state struct {
	V                   int      `json:"v"`
	Server              string   `json:"server"`
	Address             string   `json:"address,omitempty"`
	PermanentIdentifier string   `json:"permanent_identifier"`
	AttestationKey      []byte   `json:"attestation_key"`
	AttestationChain    [][]byte `json:"attestation_chain"`
	DeviceKey           []byte   `json:"device_key"`
	Chain               [][]byte `json:"chain"` // of the device certificate, leaf first
}

func readState(dir string) (state, error) {
	text, err := readFile(dir, fileState)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, fmt.Errorf("%s: %w", dir, ErrNotEnrolled)
	}
	if err != nil {
		return state{}, err
	}
	return parseState(text)
}

func parseState(text []byte) (state, error) {
	var s state
	if err := canon.Strict(text, &s); err != nil {
		return state{}, fmt.Errorf("device state: %w", err)
	}
	if s.V != 1 || s.Server == "" || len(s.AttestationKey) == 0 || len(s.DeviceKey) == 0 || len(s.AttestationChain) == 0 || len(s.Chain) == 0 {
		return state{}, errors.New("device state is not whole: enrol again")
	}
	return s, nil
}

func (s state) write(dir string) error { return writeJSONFile(dir, fileState, s) }

// chain parses a stored certificate chain.
func parseChain(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 {
		return nil, errors.New("certificate chain is empty")
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %w", i, err)
		}
		chain[i] = c
	}
	return chain, nil
}

// readFile reads a bounded file that nobody else may read.
func readFile(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: chmod 600 it and find out why", path)
	}
	if st.Size() > maxState {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxState)
	}
	return os.ReadFile(path)
}

func writeJSONFile(dir, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(dir, name, text)
}

func writeFile(dir, name string, text []byte) error {
	return durable.WriteFile(filepath.Join(dir, name), text, 0o600)
}
