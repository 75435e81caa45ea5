package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"kuule/internal/canon"
	"kuule/internal/jws"
)

// MaxSize bounds a trust file in bytes.
const MaxSize = 256 << 10

// ErrMalformed says that a text is not a trust file.
var ErrMalformed = errors.New("malformed trust file")

// File is an installation's pinned keys. Keys are base64url SPKI (RFC 5280
// SubjectPublicKeyInfo), certificates PEM.
type File struct {
	V             int      `json:"v"`
	Name          string   `json:"name"`           // the installation, for people
	Demonstration bool     `json:"demonstration"`  // true: keys made for a demonstration
	ServerRoots   []string `json:"server_roots"`   // TLS roots of the door
	DeviceRoots   []string `json:"device_roots"`   // roots of device certificates
	RecorderRoots []string `json:"recorder_roots"` // roots of recorder certificates
	StatementKey  string   `json:"statement_key"`  // authority: admissions
	SealingKey    string   `json:"sealing_key"`    // authority: transcript and evidence
	OfficeKey     string   `json:"office_key"`     // security office: agreements
	BundleKey     string   `json:"bundle_key"`     // release: web bundle
	LogKey        string   `json:"log_key"`        // audit log, note verifier key

	// AlsoStatementKeys and AlsoSealingKeys are other versions of the two keys of
	// authority: the one before, so that what it signed still holds, or the one to
	// come, so that it holds everywhere before it is used.
	AlsoStatementKeys []string `json:"also_statement_keys,omitempty"`
	AlsoSealingKeys   []string `json:"also_sealing_keys,omitempty"`

	// BackupKey is the agency's key that room terminals seal their back-ups to
	// (P-256); none: they keep no back-up.
	BackupKey string `json:"backup_key,omitempty"`

	// TrustListKeys are those of the persons of whom two approve each list of
	// issuers of travel documents; none: no list is taken after the first.
	TrustListKeys []string `json:"trust_list_keys,omitempty"`
}

// Read reads and checks a trust file from disk.
func Read(path string) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	if st.Size() > MaxSize {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrMalformed, path, MaxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return Parse(b)
}

// Parse reads and checks a trust file: every key and certificate must parse.
func Parse(text []byte) (*File, error) {
	var f File
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrMalformed, MaxSize)
	}
	if err := canon.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if f.V != 1 {
		return nil, fmt.Errorf("%w: version %d is not known", ErrMalformed, f.V)
	}
	for name, key := range map[string]string{"statement_key": f.StatementKey, "sealing_key": f.SealingKey, "office_key": f.OfficeKey, "bundle_key": f.BundleKey} {
		if _, err := Key(key); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
		}
	}
	for name, roots := range map[string][]string{"server_roots": f.ServerRoots, "device_roots": f.DeviceRoots, "recorder_roots": f.RecorderRoots} {
		if _, err := Pool(roots); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
		}
	}
	if f.BackupKey != "" {
		if _, err := Key(f.BackupKey); err != nil {
			return nil, fmt.Errorf("%w: backup_key: %w", ErrMalformed, err)
		}
	}
	for name, keys := range map[string][]string{"also_statement_keys": f.AlsoStatementKeys, "also_sealing_keys": f.AlsoSealingKeys} {
		if len(keys) > maxVersions {
			return nil, fmt.Errorf("%w: %s: more than %d", ErrMalformed, name, maxVersions)
		}
		for i, key := range keys {
			if _, err := Key(key); err != nil {
				return nil, fmt.Errorf("%w: %s: entry %d: %w", ErrMalformed, name, i+1, err)
			}
		}
	}
	for i, key := range f.TrustListKeys {
		if _, err := Key(key); err != nil {
			return nil, fmt.Errorf("%w: trust_list_keys: entry %d: %w", ErrMalformed, i+1, err)
		}
	}
	if f.LogKey == "" {
		return nil, fmt.Errorf("%w: log_key is missing", ErrMalformed)
	}
	return &f, nil
}

// maxVersions bounds the other versions of a key.
const maxVersions = 16

// Statement is what verifies authority's admissions: the key, or its versions
// ([jws.Keys]).
func (f *File) Statement() (crypto.PublicKey, error) {
	return versions(f.StatementKey, f.AlsoStatementKeys)
}

// Sealing is what verifies what authority sealed: the key, or its versions.
func (f *File) Sealing() (crypto.PublicKey, error) { return versions(f.SealingKey, f.AlsoSealingKeys) }

func versions(key string, also []string) (crypto.PublicKey, error) {
	first, err := Key(key)
	if err != nil || len(also) == 0 {
		return first, err
	}
	out := jws.Keys{first}
	for _, text := range also {
		k, err := Key(text)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// Marshal gives the file's text.
func (f *File) Marshal() ([]byte, error) { return canon.Marshal(f) }

// Key reads a base64url SPKI; P-256 and Ed25519 are accepted.
func Key(text string) (crypto.PublicKey, error) {
	der, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("key is not base64url: %w", err)
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	switch k.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return k, nil
	default:
		return nil, fmt.Errorf("key type %T is not used here", k)
	}
}

// EncodeKey is the inverse of Key.
func EncodeKey(k crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(der), nil
}

// Pool reads PEM certificates, one per entry; at least one is needed.
func Pool(pems []string) (*x509.CertPool, error) {
	if len(pems) == 0 {
		return nil, errors.New("no certificate")
	}
	pool := x509.NewCertPool()
	for i, p := range pems {
		block, rest := pem.Decode([]byte(p))
		if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
			return nil, fmt.Errorf("entry %d is not one PEM certificate", i)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		pool.AddCert(c)
	}
	return pool, nil
}

// EncodeCertificate is the PEM form that Pool reads.
func EncodeCertificate(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
