package attestationtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Available says what is missing to run software TPMs, or nil.
func Available() error {
	for _, tool := range []string{"swtpm", "swtpm_setup", "swtpm_localca"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install swtpm swtpm-tools", tool)
		}
	}
	return nil
}

// Manufacturer issues endorsement certificates from a root and an issuing
// certificate of its own.
type Manufacturer struct {
	dir           string
	root, issuing *x509.Certificate
}

// NewManufacturer opens the manufacturer in dir, making it on first use.
func NewManufacturer(dir string) (*Manufacturer, error) {
	m := &Manufacturer{dir: dir}
	if _, err := os.Stat(m.path("setup.conf")); errors.Is(err, fs.ErrNotExist) {
		if err := m.make(); err != nil {
			return nil, fmt.Errorf("demonstration manufacturer: %w", err)
		}
	}
	var err error
	if m.root, err = readCertificate(m.path("root.pem")); err != nil {
		return nil, fmt.Errorf("demonstration manufacturer: %w", err)
	}
	if m.issuing, err = readCertificate(m.path("issuing.pem")); err != nil {
		return nil, fmt.Errorf("demonstration manufacturer: %w", err)
	}
	return m, nil
}

// Roots are the certificates that an authority has to believe.
func (m *Manufacturer) Roots() []*x509.Certificate { return []*x509.Certificate{m.root} }

// Intermediates lie between the roots and the TPMs.
func (m *Manufacturer) Intermediates() []*x509.Certificate { return []*x509.Certificate{m.issuing} }

func (m *Manufacturer) path(name string) string { return filepath.Join(m.dir, name) }

func (m *Manufacturer) make() error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	rootKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	root, err := authority("Kuule demonstration TPM root", 1, nil, rootKey, rootKey)
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	issuing, err := authority("Kuule demonstration TPM manufacturer", 2, root, key, rootKey)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(m.dir)
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(abs, name) }
	for _, f := range []struct {
		name string
		mode fs.FileMode
		text []byte
	}{
		{"root.pem", 0o644, pemOf("CERTIFICATE", root.Raw)},
		{"issuing.pem", 0o644, pemOf("CERTIFICATE", issuing.Raw)},
		{"signing.key", 0o600, pemOf("PRIVATE KEY", der)},
		{"serial", 0o600, []byte("1")},
		{"localca.conf", 0o600, fmt.Appendf(nil, "statedir = %s\nsigningkey = %s\nissuercert = %s\ncertserial = %s\n",
			abs, in("signing.key"), in("issuing.pem"), in("serial"))},
		{"localca.options", 0o600, []byte("--platform-manufacturer Kuule\n--platform-version 1.0\n--platform-model Demonstration\n")},
		// Written last: its presence says that the manufacturer is whole.
		{"setup.conf", 0o600, fmt.Appendf(nil, "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\nactive_pcr_banks = sha256\n",
			in("localca.conf"), in("localca.options"))},
	} {
		if err := os.WriteFile(m.path(f.name), f.text, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func authority(cn string, serial int64, parent *x509.Certificate, key, signer crypto.Signer) (*x509.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
