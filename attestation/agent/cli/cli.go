package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kuule/attestation/agent"
	"kuule/attestation/agent/backup"
	"kuule/attestation/agent/bundle"
	"kuule/attestation/agent/gateway"
	agentsignin "kuule/attestation/agent/signin"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/trust"
	"kuule/interview"
)

// startSocket is where a running agent hands out start links, in its state
// directory.
const startSocket = "start.sock"

// Commands are those of kuule-agent.
type Commands struct {
	Enrol      Enrol      `cmd:"" help:"Enrol this machine with its TPM."`
	Run        Run        `cmd:"" help:"Keep this machine attested and serve its browser."`
	StartURL   StartURL   `cmd:"" name:"start-url" help:"Print a start link for the browser: one use, one minute."`
	Status     Status     `cmd:"" help:"Say how this machine stands."`
	Release    Release    `cmd:"" help:"Delete this terminal's back-ups of a hearing, at the agency's signed word."`
	Identifier Identifier `cmd:"" help:"Print the name of this machine's TPM, for the agreement."`
}

type (
	// Where says where the device keeps its state.
	Where struct {
		State string `help:"State directory." default:"/var/lib/kuule-agent" type:"path" env:"KUULE_AGENT_STATE"`
	}

	// Chip says which TPM.
	Chip struct {
		TPM string `help:"TPM device, or the socket of a software TPM." default:"/dev/tpmrm0" type:"path" env:"KUULE_AGENT_TPM"`
	}

	// Enrol enrols this machine.
	Enrol struct {
		Where
		Chip
		Server  string `arg:"" help:"Server, https://HOST[:PORT]."`
		Trust   string `help:"Trust file of the installation, got from the security office." required:"" type:"existingfile"`
		Address string `help:"HOST:PORT to dial where names do not resolve."`
	}

	// Release deletes back-ups of a hearing.
	Release struct {
		Where
		File string `arg:"" help:"Release, as 'kuule recording settle' wrote it." type:"existingfile"`
	}

	// Run keeps the machine attested. Without a bundle it serves no browser.
	Run struct {
		Where
		Chip
		Bundle     string               `help:"Signed web bundle. Without one, no browser is served." type:"existingfile"`
		Name       string               `help:"Name that the browser uses." default:"kuule.localhost"`
		Port       int                  `help:"Port that the browser uses; 0 picks one." default:"8470"`
		BrowserUID int                  `help:"User whose browser is answered; -1 is the agent's own." default:"-1" name:"browser-uid"`
		Issuer     string               `help:"Identity provider. Without one, nobody signs in here (room terminals)."`
		ClientID   string               `help:"This installation's name at the identity provider." default:"kuule"`
		Label      string               `help:"Name of the device in the register, shown to people."`
		Kind       string               `help:"What the device is, which decides what its page shows and what it keeps: ${enum}." enum:"workstation,room-terminal,waiting-screen,kiosk" default:"workstation"`
		Premises   interview.PremisesID `placeholder:"ID" help:"Premises where the device stands."`

		// Kiosk makes what a kiosk's program adds for its page; nil on others.
		Kiosk func(*agent.Device) (*gateway.Kiosk, error) `kong:"-"`
	}

	// StartURL asks the running agent for a start link.
	StartURL struct {
		Where
		Resume bool `help:"Lead into the session used last."`
	}

	// Identifier prints what the security office writes into the agreement.
	Identifier struct{ Chip }

	// Status says how the device stands.
	Status struct{ Where }
)

// Run enrols and says what came of it.
func (c Enrol) Run(ctx context.Context, out io.Writer) error {
	text, err := os.ReadFile(c.Trust)
	if err != nil {
		return err
	}
	e, err := agent.Enrol(ctx, agent.Options{StateDir: c.State, TPM: c.TPM, Server: c.Server, Address: c.Address, Trust: text})
	if err != nil {
		return explained(err)
	}
	_, err = fmt.Fprintf(out, "enrolled at %s\ndevice      %s\nagreement   %s\nidentifier  %s\nvalid until %s\n",
		e.Installation, e.DeviceID, e.AgreementID, e.PermanentIdentifier, e.NotAfter.Format(time.RFC3339))
	return err
}

// Run runs until ctx ends.
func (c Run) Run(ctx context.Context, log *slog.Logger) error {
	if c.Kind == KindKiosk && c.Kiosk == nil {
		return errors.New("--kind kiosk: a kiosk runs 'kuule-kiosk serve' instead, which has its readers")
	}
	o := agent.RunOptions{StateDir: c.State, TPM: c.TPM, Log: log}
	if c.Bundle != "" {
		o.Serve = append(o.Serve, func(ctx context.Context, d *agent.Device) error { return c.serve(ctx, d, log) })
	}
	return explained(agent.Run(ctx, o))
}

// serve is the loopback gateway of device d.
func (c Run) serve(ctx context.Context, d *agent.Device, log *slog.Logger) error {
	key, err := trust.Key(d.Trust().BundleKey)
	if err != nil {
		return fmt.Errorf("pinned bundle key: %w", err)
	}
	pages, err := bundle.Open(c.Bundle, key)
	if err != nil {
		return err
	}
	door, err := url.Parse(d.Server())
	if err != nil {
		return err
	}
	uid := c.BrowserUID
	if uid < 0 {
		uid = os.Getuid()
	}
	address, err := gateway.Bind(ctx, c.Name, c.Port)
	if err != nil {
		return err
	}
	info := d.Info()
	signIn, err := c.signIn(d, address.Callback())
	if err != nil {
		return errors.Join(err, address.Close())
	}
	var kiosk *gateway.Kiosk
	if c.Kiosk != nil {
		if kiosk, err = c.Kiosk(d); err != nil {
			return errors.Join(err, address.Close())
		}
	}
	own, err := c.backup(d.Trust())
	if err != nil {
		return errors.Join(err, address.Close())
	}
	if own != nil {
		defer own.Close()
	}
	transport := gateway.NewTransport(d.ClientTLS(), d.Address())
	defer transport.CloseIdleConnections()
	config := gateway.Config{
		Address: address, BrowserUID: uint32(uid), Pages: pages, Door: door, Transport: transport,
		Device: gateway.Device{ID: info.DeviceID, Label: c.Label, Kind: c.Kind, Agreement: info.AgreementID, Premises: c.Premises, Trust: d.Trust()},
		Signer: d, SignIn: signIn, Kiosk: kiosk, StartSocket: filepath.Join(c.State, startSocket), Log: log,
	}
	if own != nil {
		config.Backup = own
	}
	g, err := gateway.New(config)
	if err != nil {
		return errors.Join(err, address.Close())
	}
	log.Info("serving this machine's browser", "origin", address.Origin(), "uid", uid)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Serve(ctx) })
	if own != nil {
		group.Go(func() error {
			reporter{device: info.DeviceID, server: d.Server(), http: &http.Client{Transport: transport, Timeout: reportTimeout}, store: own, log: log}.run(ctx)
			return nil
		})
	}
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-d.Renewed():
				transport.CloseIdleConnections() // they were made with the old certificate
			}
		}
	})
	return group.Wait()
}

// Kinds of device that behave in another way than a workstation: a room terminal
// is the applicant's and keeps a back-up of its own, a kiosk has its own program.
const (
	terminalKind = "room-terminal"
	KindKiosk    = "kiosk"
)

const backupFolder = "backup" // in the state directory

// backup opens a room terminal's back-up; nil on other devices, and where the
// installation has no key for it.
func (c Run) backup(t *trust.File) (*backup.Store, error) {
	if c.Kind != terminalKind || t.BackupKey == "" {
		return nil, nil
	}
	return backup.Open(filepath.Join(c.State, backupFolder), t)
}

// signIn is nil where no identity provider is named.
func (c Run) signIn(d *agent.Device, callback string) (gateway.SignIn, error) {
	if c.Issuer == "" {
		return nil, nil
	}
	// The provider may be certified by the agency's own authority, known to the
	// machine or pinned with the installation.
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, text := range d.Trust().ServerRoots {
		roots.AppendCertsFromPEM([]byte(text))
	}
	verifier, err := signin.NewVerifier(signin.Config{
		Issuer: c.Issuer, ClientID: c.ClientID,
		HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}},
	})
	if err != nil {
		return nil, err
	}
	return agentsignin.New(agentsignin.Config{
		Verifier: verifier, ClientID: c.ClientID, Redirect: callback, DeviceID: d.Info().DeviceID.String(),
	})
}

// Run prints a start link.
func (c StartURL) Run(ctx context.Context, out io.Writer) error {
	link, err := gateway.AskStartURL(ctx, filepath.Join(c.State, startSocket), c.Resume)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, link.URL)
	return err
}

// Run deletes what the release names, and nothing where it does not verify.
func (c Release) Run(out io.Writer) error {
	pinned, err := agent.PinnedTrust(c.State)
	if err != nil {
		return err
	}
	status, err := agent.ReadStatus(c.State)
	if err != nil {
		return err
	}
	message, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	store, err := backup.Open(filepath.Join(c.State, backupFolder), pinned)
	if err != nil {
		return err
	}
	if err := errors.Join(store.Release(strings.TrimSpace(string(message)), status.DeviceID), store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "the back-ups of that hearing are deleted")
	return err
}

// Run prints the permanent identifier.
func (c Identifier) Run(out io.Writer) error {
	identifier, err := agent.Identifier(c.TPM)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, identifier)
	return err
}

// Run says how the device stands.
func (c Status) Run(out io.Writer) error {
	s, err := agent.ReadStatus(c.State)
	if err != nil {
		return err
	}
	certificate := "valid until " + s.NotAfter.Format(time.RFC3339)
	if time.Now().After(s.NotAfter) {
		certificate = "EXPIRED at " + s.NotAfter.Format(time.RFC3339) + ": is the agent running?"
	}
	posture := "no verdict yet: is the agent running?"
	switch p := s.Posture; {
	case p.Verified && !p.Connected:
		posture = "not connected; verified before, at " + p.At.Format(time.RFC3339)
	case p.Verified:
		posture = "verified since " + p.At.Format(time.RFC3339)
	case p.Code != "":
		posture = fmt.Sprintf("%s (%s) since %s", problem.Lookup(p.Code).Title, p.Code, p.At.Format(time.RFC3339))
	}
	_, err = fmt.Fprintf(out, "device      %s\nagreement   %s\nserver      %s\ncertificate %s\nposture     %s\n",
		s.DeviceID, s.AgreementID, s.Server, certificate, posture)
	return err
}

// explained adds what a refusal means and what is still open.
func explained(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	return fmt.Errorf("%w\n%s; way still open: %s", err, p.Entry().Title, p.Entry().Way)
}
