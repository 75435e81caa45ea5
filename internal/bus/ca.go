package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"
)

// serverName is the one name in the supervisor's certificate; clients accept no other.
const serverName = "supervisor.bus.internal"

// CA issues the certificates of one installation's bus. The supervisor makes
// one at each start and keeps it in memory only: whoever finds an old
// certificate on a disk finds nothing that still opens a door.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a certificate authority with a fresh P-256 key.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of the bus's authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kuule bus"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate of the bus's authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate of the bus's authority: %w", err)
	}
	return &CA{certificate: certificate, key: key}, nil
}

// Issue makes credentials for one process. When they expire its connection is
// closed. Only the supervisor's can serve.
func (ca *CA) Issue(name Name, lifetime time.Duration) (*Credentials, error) {
	if _, err := ParseName(name.String()); err != nil {
		return nil, fmt.Errorf("issue bus certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make bus key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("make bus certificate of %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name.String()},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(lifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if name.Role == Supervisor {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.DNSNames = []string{serverName}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("make bus certificate of %s: %w", name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode bus key of %s: %w", name, err)
	}
	return newCredentials(name, ca.certificate.Raw, der, private)
}

// Credentials are what one process needs to reach the bus. They hold a private
// key: they cannot be printed or marshalled, only Encode gives them out, for the
// pipe between the supervisor and its child.
type Credentials struct {
	name        Name
	root        []byte
	certificate []byte
	key         []byte
	pair        tls.Certificate
	pool        *x509.CertPool
}

type encodedCredentials struct {
	Name        string `json:"name"`
	Root        []byte `json:"root"`
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

func newCredentials(name Name, root, certificate, key []byte) (*Credentials, error) {
	pair, err := tls.X509KeyPair(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	if err != nil {
		return nil, fmt.Errorf("read bus credentials: %w", err)
	}
	if pair.Leaf.Subject.CommonName != name.String() {
		return nil, errors.New("read bus credentials: the certificate names another process")
	}
	authority, err := x509.ParseCertificate(root)
	if err != nil {
		return nil, fmt.Errorf("read bus credentials: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &Credentials{name: name, root: root, certificate: certificate, key: key, pair: pair, pool: pool}, nil
}

// ParseCredentials reads what Encode wrote.
func ParseCredentials(text []byte) (*Credentials, error) {
	var in encodedCredentials
	if err := json.Unmarshal(text, &in); err != nil {
		// The cause is left out: it may quote a part of the key.
		return nil, errors.New("read bus credentials: not what the supervisor writes")
	}
	name, err := ParseName(in.Name)
	if err != nil {
		return nil, fmt.Errorf("read bus credentials: %w", err)
	}
	return newCredentials(name, in.Root, in.Certificate, in.Key)
}

// Encode gives the credentials, key included, for a private pipe or a file that
// only their process can read.
func (c *Credentials) Encode() ([]byte, error) {
	return json.Marshal(encodedCredentials{c.name.String(), c.root, c.certificate, c.key})
}

// Name is the process that the credentials belong to.
func (c *Credentials) Name() Name { return c.name }

// String names the process and hides the key.
func (c Credentials) String() string { return "bus credentials of " + c.name.String() + " (redacted)" }

// GoString hides the key from %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue hides the key from logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON refuses: a key never travels by accident.
func (c Credentials) MarshalJSON() ([]byte, error) {
	return nil, errors.New("bus credentials hold a private key: use Encode")
}

func (c *Credentials) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    c.pool,
	}
}

func (c *Credentials) clientConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.pair},
		RootCAs:      c.pool,
		ServerName:   serverName,
	}
}
