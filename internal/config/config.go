package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kuule/internal/canon"
)

// maxFile bounds a configuration file in bytes.
const maxFile = 64 << 10

// Config is an installation's configuration.
type Config struct {
	Name     string   `json:"name"`     // of the installation, for people and for the audit log
	Host     string   `json:"host"`     // DNS name of the door; enrol.HOST and turn.HOST lead there too
	Data     string   `json:"data"`     // folder of everything that is kept
	Database string   `json:"database"` // "sqlite:PATH" or "postgres://..."; empty: in the data folder
	Listen   string   `json:"listen"`   // IP address that people and devices reach
	Media    []string `json:"media"`    // IP addresses that members reach the media server at; empty: listen
	// Recorders are the folders of the recorders, one each, on disks of their
	// own where there are any; an empty one lies in the data folder.
	Recorders []string `json:"recorders"`
	Ports     Ports    `json:"ports"`
	Users     Users    `json:"users"`

	PassphraseFile string   `json:"passphrase_file"` // of the keyring; empty: asked at the terminal
	Identity       Identity `json:"identity"`
	Keys           Keys     `json:"keys"`
	Blobs          Blobs    `json:"blobs"`
	Metrics        Metrics  `json:"metrics"`
	Stamps         Stamps   `json:"stamps"`
	Export         Export   `json:"export"`

	Biometrics Biometrics `json:"biometrics"`
	Reception  Reception  `json:"reception"`

	Traces string `json:"traces"` // absolute path of a file, or address of an OTLP collector; empty: none
}

// Metrics are the loopback ports at which processes show what they do, to a
// Prometheus server of the installation's own; 0 is off. A second recorder has
// the port after the first's.
type Metrics struct {
	Door      int `json:"door"`
	Authority int `json:"authority"`
	SFU       int `json:"sfu"`
	Recorder  int `json:"recorder"`
}

// Stamps has a time-stamping authority (RFC 3161) say again and again that the
// audit log was there; without an address nobody does. The answer is signed, so
// plain HTTP is as good.
type Stamps struct {
	Authority string `json:"authority"` // its address, https:// or http://
	Roots     string `json:"roots"`     // PEM file of its roots, which the process authority can read
	Minutes   int    `json:"minutes"`   // between two; 0: 60
}

func (s Stamps) check() []error {
	address, err := url.Parse(s.Authority)
	switch {
	case s == Stamps{}:
		return nil
	case err != nil || address.Scheme != "https" && address.Scheme != "http" || address.Host == "":
		return []error{fmt.Errorf("stamps: authority %q: give its address, https:// or http://", s.Authority)}
	case !filepath.IsAbs(s.Roots):
		return []error{fmt.Errorf("stamps: roots %q: give the absolute path of the authority's roots", s.Roots)}
	case s.Minutes < 0 || s.Minutes > 7*24*60:
		return []error{fmt.Errorf("stamps: minutes %d: give 1 to 10080", s.Minutes)}
	}
	return nil
}

// Ports is the one table of ports. 0 takes a free one, for tests.
type Ports struct {
	HTTPS  int `json:"https"`  // door: people, devices, kiosks; TURN over TLS by its name
	Bus    int `json:"bus"`    // supervisor, loopback only: the processes among themselves
	Media  int `json:"media"`  // sfu: UDP, and TCP of the same number
	TURN   int `json:"turn"`   // sfu: TURN over UDP
	Splice int `json:"splice"` // sfu, loopback only: TURN over TLS, from the door
}

// Users are the system users of processes; empty: the supervisor's own.
type Users struct {
	Door      string `json:"door"`
	Authority string `json:"authority"`
	SFU       string `json:"sfu"`
	Recorder  string `json:"recorder"`
	Playback  string `json:"playback"`
}

// Identity is the agency's OpenID Connect provider.
type Identity struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	CA       string `json:"ca"` // PEM file of its roots, which door and authority can read; empty: the system's
}

// Keys says where the keys of cases are kept (docs/keys.md).
type Keys struct {
	Backend string `json:"backend"` // "local" (or empty): the installation's own keyring; "vault": HashiCorp Vault's Transit
	TPM     string `json:"tpm"`     // device of the TPM that holds the local keyring's root key; empty: /dev/tpmrm0
	Vault   Vault  `json:"vault"`
}

// Vault is a Vault server and how authority logs in to it. Files are
// authority's own; none of them is read by another process.
type Vault struct {
	Address      string `json:"address"`        // https://host:8200
	CA           string `json:"ca"`             // PEM file of its roots; empty: the system's
	Mount        string `json:"mount"`          // of Transit; empty: "transit"
	RoleID       string `json:"role_id"`        // AppRole
	SecretIDFile string `json:"secret_id_file"` // AppRole: file with the secret id
	Certificate  string `json:"certificate"`    // TLS login: PEM file
	Key          string `json:"key"`            // TLS login: PEM file
	Role         string `json:"role"`           // TLS login: name of the role; empty: any that fits
}

// Blobs says where finished files are kept.
type Blobs struct {
	Backend     string `json:"backend"`     // "folder" (or empty): in the data folder, not write-once; "s3": a bucket with Object Lock
	Endpoint    string `json:"endpoint"`    // https://host:port
	Bucket      string `json:"bucket"`      // made with Object Lock
	Region      string `json:"region"`      // empty: us-east-1
	CA          string `json:"ca"`          // PEM file of its roots; empty: the system's
	Credentials string `json:"credentials"` // file of two lines: access key id, secret access key
}

// Export says how copies of recordings are made.
type Export struct {
	// MixUnconfined has ffmpeg make mixed files although this system gives it no
	// namespaces of its own: it then sees the machine's network. Off: no mixed
	// file is made there.
	MixUnconfined bool `json:"mix_unconfined"`
}

// Biometrics says what compares people, and where. All of it may be missing:
// people then compare.
type Biometrics struct {
	FaceEngine string `json:"face_engine"` // folder of the reference engine; empty: the folder "face" beside the program, if it is there; "none": none
	Gallery    string `json:"gallery"`     // file that is searched for duplicates; empty: none
	GalleryKey string `json:"gallery_key"` // file of its key: 64 hexadecimal digits
	Parts      []Part `json:"parts"`       // of makers (docs/integration.md)
}

// Part is a maker's part.
type Part struct {
	Port        string `json:"port"`        // "pad", "fingerprint", "face", "quality", "register" or "duplicates"
	URL         string `json:"url"`         // https://HOST:PORT or unix:PATH
	CA          string `json:"ca"`          // for https: PEM file of the part's authority
	Certificate string `json:"certificate"` // for https: PEM file of ours
	Key         string `json:"key"`         // for https: PEM file of its key
	Signer      string `json:"signer"`      // for duplicates: PEM file of the public key that signs results
}

func (b Biometrics) check() []error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("biometrics: "+format, args...))
		}
	}
	refuse(b.FaceEngine != "" && b.FaceEngine != "none" && !filepath.IsAbs(b.FaceEngine), "face_engine %q: give an absolute path", b.FaceEngine)
	refuse((b.Gallery == "") != (b.GalleryKey == ""), "gallery and gallery_key belong together")
	refuse(b.Gallery != "" && !filepath.IsAbs(b.Gallery), "gallery %q: give an absolute path", b.Gallery)
	for i, p := range b.Parts {
		refuse(!slices.Contains([]string{"pad", "fingerprint", "face", "quality", "register", "duplicates"}, p.Port), "%q is no part that the server asks", p.Port)
		refuse(slices.ContainsFunc(b.Parts[:i], func(o Part) bool { return o.Port == p.Port }), "two parts for %q", p.Port)
		refuse(!strings.HasPrefix(p.URL, "https://") && !strings.HasPrefix(p.URL, "unix:/"), "part for %q: begin its url with https:// or unix:/", p.Port)
		refuse(strings.HasPrefix(p.URL, "https://") && (p.CA == "" || p.Certificate == "" || p.Key == ""), "part for %q: https needs ca, certificate and key", p.Port)
		refuse((p.Port == "duplicates") != (p.Signer != ""), "part for %q: signer belongs to duplicates, and duplicates need it", p.Port)
	}
	return errs
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Name:   "kuule",
		Host:   "localhost",
		Data:   "/var/lib/kuule",
		Listen: "127.0.0.1",
		// Two: either alone keeps everything (row H5).
		Recorders: []string{"", ""},
		Ports:     Ports{HTTPS: 8443, Bus: 8422, Media: 8444, TURN: 8478, Splice: 8479},
	}
}

// Read reads a configuration file over the defaults and checks it.
func Read(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFile {
		return Config{}, fmt.Errorf("read configuration %s: larger than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration's text over the defaults and checks it.
func Parse(text []byte) (Config, error) {
	c := Default()
	if err := canon.Strict(text, &c); err != nil {
		return Config{}, err
	}
	return c, c.Check()
}

// Write gives the configuration as a file's text.
func (c Config) Write() ([]byte, error) { return json.MarshalIndent(c, "", "  ") }

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	userPattern = regexp.MustCompile(`^([a-z_][a-z0-9_-]{0,31})?$`)
)

// Check names every setting that cannot work.
func (c Config) Check() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(!namePattern.MatchString(c.Name), "name %q: use lower-case letters, digits, dots and hyphens", c.Name)
	refuse(!hostPattern.MatchString(c.Host) || len(c.Host) > 200, "host %q is no DNS name", c.Host)
	refuse(!filepath.IsAbs(c.Data), "data %q: give an absolute path", c.Data)
	refuse(c.Database != "" && !strings.HasPrefix(c.Database, "sqlite:") && !strings.HasPrefix(c.Database, "postgres://"),
		`database: begin with "sqlite:" or "postgres://"`)
	for _, address := range append([]string{c.Listen}, c.Media...) {
		_, err := netip.ParseAddr(address)
		refuse(err != nil, "%q is no IP address", address)
	}
	refuse(len(c.Recorders) < 1 || len(c.Recorders) > maxRecorders, "recorders: give 1 to %d folders", maxRecorders)
	for i, folder := range c.Recorders {
		refuse(folder != "" && !filepath.IsAbs(folder), "recorders: %q: give an absolute path", folder)
		refuse(folder != "" && slices.Contains(c.Recorders[:i], folder), "recorders: %q is given twice", folder)
	}
	for _, user := range []string{c.Users.Door, c.Users.Authority, c.Users.SFU, c.Users.Recorder, c.Users.Playback} {
		refuse(!userPattern.MatchString(user), "%q is no system user", user)
	}
	refuse(c.Identity.Issuer != "" && !strings.HasPrefix(c.Identity.Issuer, "https://") && !strings.HasPrefix(c.Identity.Issuer, "http://127.0.0.1:"),
		"identity issuer: begin with https://")
	refuse(c.Identity.CA != "" && !filepath.IsAbs(c.Identity.CA), "identity ca %q: give an absolute path", c.Identity.CA)
	refuse(c.Traces != "" && !filepath.IsAbs(c.Traces) && !secure(c.Traces), "traces %q: give an absolute path, or an OTLP collector by https:// (http:// on this machine alone)", c.Traces)
	errs = append(errs, c.Ports.check(c.Metrics)...)
	errs = append(errs, c.Keys.check()...)
	errs = append(errs, c.Stamps.check()...)
	errs = append(errs, c.Blobs.check()...)
	errs = append(errs, c.Biometrics.check()...)
	errs = append(errs, c.Reception.check()...)
	return errors.Join(errs...)
}

// secure reports whether an address is https, or plain HTTP on this machine.
func secure(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://127.0.0.1:")
}

func (k Keys) check() []error {
	v := k.Vault
	switch {
	case k.Backend == "" || k.Backend == "local":
		return nil
	case k.Backend != "vault":
		return []error{fmt.Errorf(`keys backend %q: use "local" or "vault"`, k.Backend)}
	case !secure(v.Address):
		return []error{errors.New("keys: vault address: begin with https://")}
	case (v.RoleID == "") == (v.Certificate == ""):
		return []error{errors.New("keys: vault needs one way to log in: role_id with secret_id_file, or certificate with key")}
	case v.RoleID != "" && v.SecretIDFile == "", v.Certificate != "" && v.Key == "":
		return []error{errors.New("keys: vault: secret_id_file belongs to role_id, and key to certificate")}
	}
	return nil
}

func (b Blobs) check() []error {
	switch {
	case b.Backend == "" || b.Backend == "folder":
		return nil
	case b.Backend != "s3":
		return []error{fmt.Errorf(`blobs backend %q: use "folder" or "s3"`, b.Backend)}
	case !secure(b.Endpoint):
		return []error{errors.New("blobs: endpoint: begin with https://")}
	case b.Bucket == "" || b.Credentials == "":
		return []error{errors.New("blobs: s3 needs bucket and credentials")}
	}
	return nil
}

func (p Ports) check(m Metrics) []error {
	var errs []error
	var taken []int
	for _, port := range []struct {
		name   string
		number int
	}{{"https", p.HTTPS}, {"bus", p.Bus}, {"media", p.Media}, {"turn", p.TURN}, {"splice", p.Splice},
		{"metrics.door", m.Door}, {"metrics.authority", m.Authority}, {"metrics.sfu", m.SFU}, {"metrics.recorder", m.Recorder}} {
		if port.number < 0 || port.number > 65535 {
			errs = append(errs, fmt.Errorf("port %s: %d is out of range", port.name, port.number))
		}
		if port.number != 0 && slices.Contains(taken, port.number) {
			errs = append(errs, fmt.Errorf("port %s: %d is given twice", port.name, port.number))
		}
		taken = append(taken, port.number)
	}
	return errs
}

// maxRecorders bounds the recorders of one machine.
const maxRecorders = 4

// RecorderInstances names the recorders by their numbers, from "1".
func (c Config) RecorderInstances() []string {
	out := make([]string, len(c.Recorders))
	for i := range out {
		out[i] = strconv.Itoa(i + 1)
	}
	return out
}

// RecorderFolder is where a recorder's journals lie.
func (c Config) RecorderFolder(instance string) (string, error) {
	i := slices.Index(c.RecorderInstances(), instance)
	if i < 0 {
		return "", fmt.Errorf("no recorder is called %q: the configuration has %d", instance, len(c.Recorders))
	}
	if c.Recorders[i] != "" {
		return c.Recorders[i], nil
	}
	return c.Layout().Recorder(instance), nil
}

// DatabaseAddress is where the records are.
func (c Config) DatabaseAddress() string {
	if c.Database != "" {
		return c.Database
	}
	return "sqlite:" + filepath.Join(c.Layout().Door(), "kuule.db")
}

// Layout is the table of places under the data folder.
func (c Config) Layout() Layout { return Layout{root: c.Data} }

// Layout says where things lie. Every process has a folder of its own, which
// Make closes to all others.
type Layout struct{ root string }

// NewLayout is the table for a data folder.
func NewLayout(root string) Layout { return Layout{root} }

// Trust is the installation file that agents and verifiers pin: public.
func (l Layout) Trust() string { return filepath.Join(l.root, "trust.keys") }

// Bundle is the signed web bundle that the door hands out: public.
func (l Layout) Bundle() string { return filepath.Join(l.root, "web") }

// Door is the door's folder: the database lies in it.
func (l Layout) Door() string { return filepath.Join(l.root, "door") }

// Authority is authority's folder: certificate authorities and signing keys.
func (l Layout) Authority() string { return filepath.Join(l.root, "authority") }

// Keyring is the sealed keyring, in authority's folder.
func (l Layout) Keyring() string { return filepath.Join(l.Authority(), "keyring") }

// AuditLog is the tile log, in authority's folder.
func (l Layout) AuditLog() string { return filepath.Join(l.Authority(), "log") }

// Stamps is where time stamps of the audit log are kept.
func (l Layout) Stamps() string { return filepath.Join(l.Authority(), "stamps") }

// SFU is the media server's folder.
func (l Layout) SFU() string { return filepath.Join(l.root, "sfu") }

// Recorder is a recorder's folder: journals that are being written.
func (l Layout) Recorder(instance string) string {
	return filepath.Join(l.root, "recorder", instance)
}

// Blobs is the store of finished files, written by recorders and read by
// viewings.
func (l Layout) Blobs() string { return filepath.Join(l.root, "blobs") }

// Make makes a folder that only its owner enters.
func (l Layout) Make(folder string) error {
	inside, err := filepath.Rel(l.root, folder)
	if err != nil || !filepath.IsLocal(inside) {
		return fmt.Errorf("make %s: it is not under the data folder %s", folder, l.root)
	}
	if err := os.MkdirAll(l.root, 0o755); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}
