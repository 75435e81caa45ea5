package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gorilla/websocket"

	"kuule/attestation/agent"
	"kuule/attestation/agent/cli"
	"kuule/attestation/agent/gateway"
	"kuule/internal/problem"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
)

type program struct {
	Serve       serveCommand       `cmd:"" help:"Run the kiosk: keep the machine attested and serve its touch page."`
	Visit       visitCommand       `cmd:"" help:"Hold one visit: read one document and say where its holder goes next."`
	Conformance conformanceCommand `cmd:"" help:"Try a maker's part against the contract of docs/integration.md."`
	Thresholds  thresholdsCommand  `cmd:"" help:"Print what thresholds of a search for duplicates mean for a register of a size."`
}

// serveCommand is an agent with a kiosk's page: it enrols as every device does
// (kuule-agent enrol).
type serveCommand struct {
	Agent    cli.Run  `embed:""`
	Card     string   `default:"pcsc:" placeholder:"ADDRESS" help:"Where the chip's reader is: as for 'visit'."`
	Optics   string   `placeholder:"ADDRESS" help:"The document reader's program: PATH of a socket that gives the zone, or unix:PATH or https://HOST:PORT of a part (docs/integration.md); without one the zone is typed."`
	Fingers  string   `placeholder:"URL" help:"Fingerprint scanner of a maker (docs/integration.md), unix:PATH or https://HOST:PORT; without one, no fingers are taken."`
	PartCA   string   `type:"existingfile" placeholder:"FILE" help:"For parts behind https: PEM file of the authority that their certificates come from."`
	PartCert string   `type:"existingfile" placeholder:"FILE" help:"For parts behind https: PEM file of the certificate that this kiosk shows."`
	PartKey  string   `type:"existingfile" placeholder:"FILE" help:"For parts behind https: PEM file of its key."`
	Services []string `default:"interview,identity" enum:"interview,identity,passport,card,pay" help:"Services that this kiosk holds."`
	Scanner  string   `placeholder:"DEVICE" help:"Scanner for papers, as 'scanimage -L' names it; without one, papers go to the desk."`
	Printer  string   `placeholder:"URL" help:"Printer for certificates and waiting numbers, ipps://HOST/ipp/print (ipp:// on this machine alone); without one, none is offered."`
	Payment  string   `placeholder:"URL" help:"Payment port of a payment terminal (docs/integration.md): https://HOST, unix:PATH, or http:// on this machine alone; without one, nothing is paid here."`
	Numbers  bool     `help:"Give waiting numbers, where the server has queues for them."`
	Fee      int64    `placeholder:"CENTS" help:"Fee of the services 'card' and 'pay', in cents."`

	PrinterCA string `name:"printer-ca" type:"existingfile" placeholder:"FILE" help:"PEM file of the authority that the printer's certificate comes from; the system's where none is given."`
	PaymentCA string `name:"payment-ca" type:"existingfile" placeholder:"FILE" help:"The same for the payment port."`

	Currency string `default:"EUR" help:"Currency of the fee."`
	Clips    string `placeholder:"DIR" type:"existingdir" help:"Recorded clips of the page's texts, DIR/LANGUAGE/KEY.ogg; espeak-ng speaks what is missing."`
}

// Run runs until ctx ends.
func (c *serveCommand) Run(ctx context.Context) error {
	log := slog.Default()
	run := c.Agent
	if run.Kind != cli.KindKiosk && run.Kind != "workstation" { // which is the default
		return fmt.Errorf("--kind %s: this program makes the device a kiosk; other devices run 'kuule-agent run'", run.Kind)
	}
	run.Kind = cli.KindKiosk
	run.Kiosk = func(d *agent.Device) (*gateway.Kiosk, error) {
		address, err := tunnelURL(d.Server())
		if err != nil {
			return nil, err
		}
		screen := &kiosk.Screen{
			Client:   &kiosk.Client{URL: address, Identity: d, Dialer: dialer(d.Address())},
			OpenCard: func(ctx context.Context) (kiosk.Card, error) { return kiosk.OpenCard(ctx, c.Card) },
			Tell:     (&kiosk.Notices{Server: d.Server(), Identity: d, Dial: dialer(d.Address()).NetDialContext}).Tell,
			Log:      log,
		}
		if err := c.equip(screen, d); err != nil {
			return nil, err
		}
		voice := &kiosk.Voice{Clips: c.Clips}
		return &gateway.Kiosk{Visit: screen, Voice: voice, Setup: &kiosk.Setup{Screen: screen, Voice: voice}}, nil
	}
	return run.Run(ctx, log)
}

// equip gives the screen the parts that were named. Each is its own switch.
func (c *serveCommand) equip(screen *kiosk.Screen, d *agent.Device) error {
	if isPart(c.Optics) {
		client, err := c.part(vendorport.PortOptics, c.Optics)
		if err != nil {
			return fmt.Errorf("--optics: %w", err)
		}
		screen.Optics = &kiosk.OpticsPart{Client: client}
	} else if c.Optics != "" {
		screen.Optics = kiosk.OpticsSocket{Path: c.Optics}
	}
	if c.Fingers != "" {
		client, err := c.part(vendorport.PortFingerprint, c.Fingers)
		if err != nil {
			return fmt.Errorf("--fingers: %w", err)
		}
		screen.Fingers = &kiosk.FingerPart{Client: client}
	}
	for _, s := range c.Services {
		screen.Services = append(screen.Services, tunnel.Service(s))
	}
	if c.Scanner != "" {
		screen.Scanner = kiosk.Scanner{Device: c.Scanner}
	}
	counter := &kiosk.Counter{Server: d.Server(), Identity: d, Dial: dialer(d.Address()).NetDialContext}
	if c.Numbers {
		screen.Number = counter.Draw
	}
	if c.Printer != "" {
		if err := kiosk.CheckPrinter(c.Printer); err != nil {
			return fmt.Errorf("--printer: %w", err)
		}
		client, err := kiosk.PartClient(c.PrinterCA, c.Printer)
		if err != nil {
			return fmt.Errorf("--printer-ca: %w", err)
		}
		screen.Printer = &kiosk.Printer{URL: c.Printer, HTTP: client}
		screen.Certificate = (&kiosk.Certificates{Server: d.Server(), Identity: d, Dial: dialer(d.Address()).NetDialContext}).Get
	}
	if c.Payment == "" && slices.Contains(c.Services, string(tunnel.ServicePay)) {
		return errors.New("--services names pay, and there is no payment port: give --payment")
	}
	if c.Payment != "" {
		if err := kiosk.CheckPayments(c.Payment); err != nil {
			return fmt.Errorf("--payment: %w", err)
		}
		client, err := kiosk.PartClient(c.PaymentCA, c.Payment)
		if err != nil {
			return fmt.Errorf("--payment-ca: %w", err)
		}
		if c.Fee <= 0 {
			return errors.New("a payment port is named and no fee: give --fee in cents")
		}
		screen.Payments = &kiosk.Payments{URL: c.Payment, Cents: c.Fee, Currency: c.Currency, HTTP: client}
		screen.Paid = counter.Paid
	}
	return nil
}

type visitCommand struct {
	State     string        `required:"" type:"existingdir" placeholder:"DIR" help:"State directory of this machine's enrolled device, made by 'kuule-agent enrol'."`
	TPM       string        `placeholder:"ADDRESS" help:"The TPM that holds the device key; default as for kuule-agent."`
	Card      string        `placeholder:"ADDRESS" default:"pcsc:" help:"Where the card reader is: pcsc:NAME of a PC/SC reader (pcsc: alone takes the first with a card in it), or unix:PATH or tcp:HOST:PORT of one that speaks vpcd's frames."`
	Reference string        `required:"" placeholder:"TEXT" help:"The reference printed on the invitation."`
	Zone      string        `default:"-" placeholder:"FILE" help:"File with the document's machine-readable zone as the scanner read it; '-' reads it from standard input, so that it appears in no list of processes."`
	Timeout   time.Duration `default:"3m" help:"Longest time for the visit."`
	JSON      bool          `help:"Print the outcome as one line of JSON."`
}

const description = `The program in a kiosk. It carries what its readers give to the server, which reads and judges; a kiosk
decides nothing. The machine is enrolled first, as every device is: kuule-agent enrol.

To run a kiosk with a reader of this machine's PC/SC service, and open its page in Chromium:

  kuule-kiosk serve --bundle pages.bundle --card pcsc: --label "Hall, kiosk 1"
  chromium --kiosk "$(kuule-agent start-url)"

To try a reader without a page: 'visit' reads one document and prints where its holder goes next.

  kuule-kiosk visit --reference 7K3M-9Q2D-T --state /var/lib/kuule-agent < zone.txt

To try a part that somebody made, or one's own: 'conformance'. Guides: docs/kiosk.md, docs/integration.md.`

// Help says what a visit prints.
func (visitCommand) Help() string {
	return `It prints one of

  join    a ticket waits at the room terminal named
  again   place the document once more
  desk    a person at the desk takes over

The zone comes by standard input or a file, never on the command line. Exit status: 0 after an outcome,
whichever it is; 1 when the visit broke off.

  kuule-kiosk visit --state /var/lib/kuule-agent --card unix:/run/card.sock --reference 7K3M-9Q2D-T < zone.txt`
}

func main() {
	var p program
	k := kong.Parse(&p, kong.Name("kuule-kiosk"), kong.Description(description), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	k.BindTo(ctx, (*context.Context)(nil))
	err := k.Run()
	stop()
	k.FatalIfErrorf(err)
}

// Run holds the visit.
func (c *visitCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	zone, err := c.readZone(os.Stdin)
	if err != nil {
		return err
	}
	device, err := agent.Open(c.State, c.TPM)
	if err != nil {
		return fmt.Errorf("open this machine's device: %w", err)
	}
	address, err := tunnelURL(device.Server())
	if err != nil {
		return err
	}
	card, err := kiosk.OpenCard(ctx, c.Card)
	if err != nil {
		return err
	}
	defer func() { _ = card.Close() }()

	client := &kiosk.Client{URL: address, Identity: device, Dialer: dialer(device.Address())}
	out, err := client.Visit(ctx, c.Reference, zone, card)
	if err != nil {
		return explain(err)
	}
	return c.print(os.Stdout, out)
}

// readZone reads at most as much as a zone can be.
func (c *visitCommand) readZone(standard io.Reader) (string, error) {
	in := standard
	if c.Zone != "-" {
		f, err := os.Open(c.Zone)
		if err != nil {
			return "", fmt.Errorf("read the zone: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), tunnel.MaxZone+1))
	if err != nil {
		return "", fmt.Errorf("read the zone: %w", err)
	}
	zone := strings.TrimSpace(string(b))
	if zone == "" || len(b) > tunnel.MaxZone {
		return "", fmt.Errorf("zone of %d characters: two or three lines of the document are needed", len(b))
	}
	return zone, nil
}

// tunnelURL is the kiosks' door at the server that the device enrolled with.
func tunnelURL(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("server %q of the device's state is no https address: enrol again", server)
	}
	return "wss://" + u.Host + "/ws/kiosk", nil
}

// dialer goes to address where the server's name leads elsewhere, as it does
// on a machine that plays all parts.
func dialer(address string) *websocket.Dialer {
	d := &websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	if address != "" {
		d.NetDialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
	return d
}

// explain adds the way that is still open to a refusal.
func explain(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	e := p.Entry()
	return fmt.Errorf("%s (%s); what helps: %s", e.Title, p.Code, e.Way)
}

func (c *visitCommand) print(w io.Writer, out tunnel.Outcome) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(out)
	}
	if out.Result != tunnel.ResultJoin {
		_, err := fmt.Fprintf(w, "%s (what helps: %s)\n", out.Result, out.Way)
		return err
	}
	_, err := fmt.Fprintf(w, "join: ticket %s waits at terminal %s until %s\n", out.Ticket, out.Terminal, time.Unix(out.Expires, 0).Format(time.Kitchen))
	return err
}
