package app

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kuule/attestation"
	"kuule/internal/audit"
	"kuule/internal/config"
	"kuule/internal/keyring"
	"kuule/internal/trust"
)

// InitOptions are what an installation is made from.
type InitOptions struct {
	Config        config.Config
	Demonstration bool               // keys made for a demonstration
	OfficeKey     crypto.PublicKey   // signs agreements; its private half stays at the security office
	BundleKey     crypto.PublicKey   // signs the pages
	Manufacturers []byte             // PEM: roots of TPM makers that are believed
	Intermediates []byte             // PEM: issuing certificates of TPM makers, where devices do not carry them
	TrustList     []byte             // PEM: document-issuing roots (CSCA)
	Approvers     []crypto.PublicKey // of later trust lists; two approve each
	Passphrase    keyring.Secret     // seals the local keyring; none where Vault keeps the keys
}

// initTimeout bounds how long a keyring elsewhere may take to make its keys.
const initTimeout = time.Minute

// Files of an installation beside those of config.Layout, by their owner.
const (
	configFile        = "kuule.json"
	manufacturersFile = "authority/manufacturers.pem"
	intermediatesFile = "authority/manufacturers-issuing.pem"
	attestationDir    = "authority/attestation"
	agreementsDir     = "authority/agreements"
	bridgePublicFile  = "authority/bridge.pub"
	bridgeKeyFile     = "door/bridge.key"
	trustListFile     = "door/csca.pem"    // given when the installation was made
	trustListFolder   = "door/trust-lists" // approved since by two persons
	revocationFiles   = "door/crl/*.crl"   // laid there by the administrator
	adminSocketFile   = "door/admin.sock"

	turnCertificate = "turn.pem" // in the sfu's folder: of turn.HOST, replaced by the agency's own where it has one
	turnKey         = "turn.key"
)

// Init makes an installation in its empty data folder: configuration, keys,
// keyring and the trust file that is handed to every device.
func Init(o InitOptions) (err error) {
	if err := o.Config.Check(); err != nil {
		return err
	}
	if o.Config.Identity.Issuer == "" || o.Config.Identity.ClientID == "" {
		return errors.New("no sign-in is configured: name the provider by identity.issuer and identity.client_id in the configuration file")
	}
	dir, layout := o.Config.Data, o.Config.Layout()
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose another folder", dir)
	}
	defer func() {
		if err != nil { // half an installation helps nobody, and would be in the way
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for _, d := range []string{layout.Authority(), layout.Door(), layout.SFU(), filepath.Dir(layout.Recorder("1")), layout.Blobs(), filepath.Join(dir, attestationDir), filepath.Join(dir, agreementsDir)} {
		if err := layout.Make(d); err != nil {
			return err
		}
	}
	f := &trust.File{V: 1, Name: o.Config.Name, Demonstration: o.Demonstration}
	if f.OfficeKey, err = trust.EncodeKey(o.OfficeKey); err != nil {
		return fmt.Errorf("office key: %w", err)
	}
	if f.BundleKey, err = trust.EncodeKey(o.BundleKey); err != nil {
		return fmt.Errorf("bundle key: %w", err)
	}
	if f.TrustListKeys, err = approverKeys(o.Approvers); err != nil {
		return err
	}
	if err := makeSigningKeys(o, f); err != nil {
		return err
	}
	backups, err := makeKey(filepath.Join(layout.Authority(), "backup.key"))
	if err != nil {
		return err
	}
	if f.BackupKey, err = trust.EncodeKey(backups.Public()); err != nil {
		return err
	}
	if f.LogKey, err = makeLogKey(filepath.Join(layout.Authority(), "log.key"), o.Config.Host); err != nil {
		return err
	}
	recorders, _, err := makeAuthority(layout.Authority(), "recorders", "Kuule recorder authority")
	if err != nil {
		return err
	}
	servers, serverKey, err := makeAuthority(layout.Door(), "servers", "Kuule server authority")
	if err != nil {
		return err
	}
	if err := makeServerCertificate(layout.Door(), "tls", servers, serverKey, o.Config.Host, "enrol."+o.Config.Host); err != nil {
		return err
	}
	if err := makeServerCertificate(layout.SFU(), "turn", servers, serverKey, "turn."+o.Config.Host); err != nil {
		return err
	}
	f.RecorderRoots = []string{trust.EncodeCertificate(recorders)}
	f.ServerRoots = []string{trust.EncodeCertificate(servers)}
	bridge, err := makeKey(filepath.Join(dir, bridgeKeyFile))
	if err != nil {
		return err
	}
	bridgePublic, err := trust.EncodeKey(bridge.Public())
	if err != nil {
		return err
	}
	root, err := attestation.MakeDeviceRoot(filepath.Join(dir, attestationDir))
	if err != nil {
		return err
	}
	f.DeviceRoots = []string{trust.EncodeCertificate(root)}
	pinned, err := f.Marshal()
	if err != nil {
		return err
	}
	settings, err := o.Config.Write()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, manufacturersFile), o.Manufacturers, 0o600),
		os.WriteFile(filepath.Join(dir, intermediatesFile), o.Intermediates, 0o600),
		os.WriteFile(filepath.Join(dir, bridgePublicFile), []byte(bridgePublic), 0o600),
		os.WriteFile(filepath.Join(dir, trustListFile), o.TrustList, 0o600),
		os.WriteFile(layout.Trust(), pinned, 0o644),
		os.WriteFile(filepath.Join(dir, configFile), settings, 0o644),
	)
}

// makeSigningKeys makes the keyring, where it is the installation's own, and in
// it the keys by which authority signs: no file holds one in clear.
func makeSigningKeys(o InitOptions, f *trust.File) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), initTimeout)
	defer cancel()
	layout := o.Config.Layout()
	var ring keyring.Signing
	if o.Config.Keys.Backend == "vault" {
		base, closeRing, err := openVault(ctx, &installation{Config: o.Config, layout: layout})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeRing()) }()
		ring = base
	} else {
		local, err := keyring.CreateLocal(layout.Keyring(), o.Passphrase, keyring.DefaultCost)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, local.Close()) }()
		ring = local
	}
	for name, into := range signingKeys(f) {
		key, err := ring.Signer(ctx, name)
		if err != nil {
			return err
		}
		if *into, err = trust.EncodeKey(key.Public()); err != nil {
			return err
		}
	}
	return nil
}

// signingKeys are authority's keys in the keyring by their names, and where the
// trust file tells their public halves.
func signingKeys(f *trust.File) map[string]*string {
	return map[string]*string{"statement": &f.StatementKey, "sealing": &f.SealingKey}
}

// installation is an opened data folder.
type installation struct {
	config.Config
	layout config.Layout
	trust  *trust.File
	relay  []byte // the secret that door and sfu share, from the supervisor
}

func openInstallation(dir string) (*installation, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c, err := config.Read(filepath.Join(dir, configFile))
	if err != nil {
		return nil, fmt.Errorf("no installation in %s (make one with `kuule init`): %w", dir, err)
	}
	c.Data = dir
	in := &installation{Config: c, layout: c.Layout()}
	if in.trust, err = trust.Read(in.layout.Trust()); err != nil {
		return nil, err
	}
	return in, nil
}

func (in *installation) path(name string) string { return filepath.Join(in.Data, name) }

// enrolHost is the name and port under which devices enrol.
func (in *installation) enrolHost() string {
	return net.JoinHostPort("enrol."+in.Host, strconv.Itoa(in.Ports.HTTPS))
}

// certificates reads a PEM file of certificates; an empty file holds none.
func certificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// makeKey makes a P-256 key in a new file.
func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, &pem.Block{Type: "PRIVATE KEY", Bytes: der}, 0o600); err != nil {
		return nil, err
	}
	return key, nil
}

func makeLogKey(path, origin string) (verifier string, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", err
	}
	if err := writeNew(path, &pem.Block{Type: "PRIVATE KEY", Bytes: der}, 0o600); err != nil {
		return "", err
	}
	return audit.LogKey(origin, public)
}

// readKey reads a private key that makeKey or makeLogKey wrote.
func readKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that does not sign", path)
	}
	return signer, nil
}

// makeAuthority makes a self-signed root that issues leaves itself.
func makeAuthority(dir, name, title string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := makeKey(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: title},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return cert, key, writeNew(filepath.Join(dir, name+".pem"), &pem.Block{Type: "CERTIFICATE", Bytes: der}, 0o644)
}

// makeServerCertificate makes a key and its certificate for the names.
func makeServerCertificate(dir, file string, root *x509.Certificate, rootKey crypto.Signer, names ...string) error {
	key, err := makeKey(filepath.Join(dir, file+".key"))
	if err != nil {
		return err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0),
		DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(names[0]); ip != nil {
		tmpl.DNSNames, tmpl.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, file+".pem"), &pem.Block{Type: "CERTIFICATE", Bytes: der}, 0o644)
}

// loadAuthority reads what makeAuthority wrote.
func loadAuthority(dir, name string) (*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, nil, err
	}
	return pair.Leaf, pair.PrivateKey.(crypto.Signer), nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail on a working system
	}
	return n
}

func writeNew(path string, block *pem.Block, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, block), f.Sync(), f.Close())
}
