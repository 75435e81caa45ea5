package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"kuule/internal/durable"
)

// KeyStore keeps the authorities' private keys. Implementations seal them as
// they see fit; names are short, lower case and fixed by this package.
type KeyStore interface {
	// Load returns the PKCS#8 key kept under name, or an error that is
	// fs.ErrNotExist when there is none.
	Load(name string) ([]byte, error)
	// Save keeps a key under a name that holds none yet.
	Save(name string, pkcs8 []byte) error
}

// FileKeys is a KeyStore of PEM files with mode 0600 in one directory.
type FileKeys string

// Load implements KeyStore.
func (d FileKeys) Load(name string) ([]byte, error) {
	path := d.path(name)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not one PEM private key: restore it from the back-up", path)
	}
	return block.Bytes, nil
}

// Save implements KeyStore. The file is on disk when it returns.
func (d FileKeys) Save(name string, pkcs8 []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	return durable.Create(d.path(name), bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), 0o600)
}

func (d FileKeys) path(name string) string { return filepath.Join(string(d), name+".key") }

const (
	rootLifetime    = 20 * 365 * 24 * time.Hour
	issuingLifetime = 10 * 365 * 24 * time.Hour
)

// hierarchy is a root and the authority below it that signs.
type hierarchy struct {
	root, issuing *x509.Certificate
	key           crypto.Signer // of issuing
}

// Names of the two hierarchies, in files and in certificates.
const (
	deviceName       = "device"
	deviceTitle      = "Kuule device authority"
	attestationName  = "attestation"
	attestationTitle = "Kuule attestation authority"
)

// MakeDeviceRoot makes, or finds, the device authority in dir with its keys
// there, and returns its root: what an installation pins before its first
// start. Open with the same Dir uses what it made.
func MakeDeviceRoot(dir string) (*x509.Certificate, error) {
	h, err := openHierarchy(dir, FileKeys(dir), deviceName, deviceTitle, time.Now())
	if err != nil {
		return nil, err
	}
	return h.root, nil
}

// openHierarchy loads the hierarchy name from dir and keys, or makes it on the
// first start. What exists in part is an error, never silently made anew: a new
// root would orphan every pinned trust file.
func openHierarchy(dir string, keys KeyStore, name, title string, now time.Time) (*hierarchy, error) {
	rootPath, issuingPath := filepath.Join(dir, name+"-root.pem"), filepath.Join(dir, name+"-issuing.pem")
	_, err := os.Stat(issuingPath)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeHierarchy(keys, name, title, now, rootPath, issuingPath); err != nil {
			return nil, fmt.Errorf("make %s: %w", title, err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("open %s: %w", title, err)
	}
	h := &hierarchy{}
	if h.root, err = readCertificate(rootPath); err != nil {
		return nil, fmt.Errorf("open %s: %w", title, err)
	}
	if h.issuing, err = readCertificate(issuingPath); err != nil {
		return nil, fmt.Errorf("open %s: %w", title, err)
	}
	if h.key, err = loadKey(keys, name+"-issuing"); err != nil {
		return nil, fmt.Errorf("open %s: %w", title, err)
	}
	if pub, ok := h.key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(h.issuing.PublicKey) {
		return nil, fmt.Errorf("open %s: the key does not belong to %s: restore both from one back-up", title, issuingPath)
	}
	return h, nil
}

func makeHierarchy(keys KeyStore, name, title string, now time.Time, rootPath, issuingPath string) error {
	rootKey, err := makeKey(keys, name+"-root")
	if err != nil {
		return err
	}
	root, err := signAuthority(title+" root", rootLifetime, 1, now, nil, rootKey, rootKey)
	if err != nil {
		return err
	}
	issuingKey, err := makeKey(keys, name+"-issuing")
	if err != nil {
		return err
	}
	issuing, err := signAuthority(title, issuingLifetime, 0, now, root, issuingKey, rootKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(rootPath), 0o700); err != nil {
		return err
	}
	if err := durable.Create(rootPath, bytes.NewReader(encodeCertificate(root)), 0o644); err != nil {
		return err
	}
	// Written last: its presence says that the hierarchy is whole.
	return durable.Create(issuingPath, bytes.NewReader(encodeCertificate(issuing)), 0o644)
}

func signAuthority(cn string, lifetime time.Duration, pathLen int, now time.Time, parent *x509.Certificate, key, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
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

func makeKey(keys KeyStore, name string) (crypto.Signer, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return k, keys.Save(name, der)
}

func loadKey(keys KeyStore, name string) (crypto.Signer, error) {
	der, err := keys.Load(name)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key %s cannot sign", name)
	}
	return s, nil
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not one PEM certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
