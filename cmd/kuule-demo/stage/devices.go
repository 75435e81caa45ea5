package stage

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"kuule/attestation/agent"
	"kuule/attestation/agent/gateway"
	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/attestation/attestationtest"
	"kuule/internal/idptest"
	"kuule/interview"
	"kuule/interview/agreement"
)

// Device is a machine of the demonstration with its own software TPM.
type Device struct {
	Name     string
	Label    string // as people call it
	Kind     string
	Port     int // of its loopback gateway; 0: it has no browser
	SignsIn  bool
	ID       interview.DeviceID
	Premises interview.PremisesID
	Room     *agreement.Premises // that it stands in; nil: where its organisation's other devices stand

	tpm        *attestationtest.TPM
	identifier string
	state      string
	agent      *process
}

// Names of devices.
const (
	DeviceInterviewer = "interviewer"
	DeviceApplicant   = "applicant"
	DeviceCounsel     = "counsel"
	DeviceKiosk       = "kiosk"
	DeviceDesk        = "desk"
	// The two below are refused, and show it.
	DeviceUnknown = "unknown-maker"
	DeviceUnnamed = "unnamed"
)

// Kiosk is the name of the n-th kiosk, from 1.
func Kiosk(n int) string {
	if n == 1 {
		return DeviceKiosk
	}
	return DeviceKiosk + "-" + strconv.Itoa(n)
}

// Room is the name of the n-th room terminal besides the applicant's, from 1.
func Room(n int) string { return "room-" + strconv.Itoa(n) }

func (s *Stage) makeDevices() {
	add := func(d *Device) {
		d.state = s.in("devices", d.Name, "state")
		s.devices = append(s.devices, d)
	}
	add(&Device{Name: DeviceInterviewer, Label: "Virasto, työasema 412", Kind: "workstation", Port: s.port(portInterviewer), SignsIn: true})
	add(&Device{Name: DeviceApplicant, Label: "Joutseno, kuulemistila 2", Kind: "room-terminal", Port: s.port(portApplicant), SignsIn: true})
	add(&Device{Name: DeviceCounsel, Label: "Lindqvist, työasema 1", Kind: "workstation", Port: s.port(portCounsel), SignsIn: true})
	add(&Device{Name: DeviceKiosk, Label: "Joutseno, kioski 1", Kind: "kiosk", Port: s.port(portKiosk)})
	add(&Device{Name: DeviceDesk, Label: "Joutseno, palvelupiste", Kind: "workstation", Port: s.port(portDesk), SignsIn: true})
	for n := 2; n <= s.o.Kiosks; n++ {
		add(&Device{Name: Kiosk(n), Label: fmt.Sprintf("Joutseno, kioski %d", n), Kind: "kiosk", Port: s.port(portCount + n - 2)})
	}
	for n := 1; n <= s.o.Rooms; n++ {
		room := strconv.Itoa(n + 2)
		add(&Device{
			Name: Room(n), Label: "Joutseno, kuulemistila " + room, Kind: "room-terminal", Port: s.port(portCount + s.o.Kiosks + n - 1),
			Room: &agreement.Premises{Label: "Joutsenon vastaanottokeskus, kuulemistila " + room, Address: "Esittelytie 2, Lappeenranta", Room: room},
		})
	}
	if s.o.Outsiders {
		add(&Device{Name: DeviceUnknown, Label: "Virasto, työasema 413", Kind: "workstation"})
		add(&Device{Name: DeviceUnnamed, Label: "Tuntematon työasema", Kind: "workstation"})
	}
}

// Device returns a device by its name.
func (s *Stage) Device(name string) *Device {
	for _, d := range s.devices {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Host is the name and port of the device's gateway.
func (d *Device) Host() string {
	return net.JoinHostPort(d.Name+".localhost", strconv.Itoa(d.Port))
}

// Origin is where a browser finds the device's pages.
func (d *Device) Origin() string { return "http://" + d.Host() }

// Socket is where the device's agent hands out start links.
func (d *Device) Socket() string { return filepath.Join(d.state, "start.sock") }

// Backups are the files of the device's own back-up of a hearing.
func (d *Device) Backups(h interview.HearingID) ([]string, error) {
	return filepath.Glob(filepath.Join(d.state, "backup", h.String()+".*.kb"))
}

// makeTPMs makes every device's TPM, and starts it.
func (s *Stage) makeTPMs(ctx context.Context) error {
	var err error
	if s.maker, err = attestationtest.NewManufacturer(s.in("manufacturer")); err != nil {
		return err
	}
	other := s.maker
	if s.o.Outsiders {
		if other, err = attestationtest.NewManufacturer(s.in("other-manufacturer")); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(3)
	for _, d := range s.devices {
		maker := s.maker
		if d.Name == DeviceUnknown {
			maker = other
		}
		g.Go(func() (err error) {
			if d.tpm, err = maker.TPM(ctx, s.in("devices", d.Name, "tpm")); err != nil {
				return err
			}
			if err := d.tpm.Start(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			d.identifier, err = agent.Identifier(d.tpm.Socket())
			return err
		})
	}
	return g.Wait()
}

func pemOf(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// Enrol enrols a device by its agent's own program. What a refusal said is in
// the error.
func (s *Stage) Enrol(ctx context.Context, name string) (string, error) {
	d := s.Device(name)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return call(ctx, "", s.program("kuule-agent"), "enrol", "--state", d.state, "--tpm", d.tpm.Socket(),
		"--trust", s.TrustFile(), "--address", s.door(), s.server())
}

// EnrolAll enrols the devices that belong here.
func (s *Stage) EnrolAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range s.devices {
		if d.Name == DeviceUnknown || d.Name == DeviceUnnamed {
			continue
		}
		if _, err := agent.ReadStatus(d.state); err == nil {
			continue // enrolled in an earlier run
		}
		g.Go(func() error {
			_, err := s.Enrol(ctx, d.Name)
			return err
		})
	}
	return g.Wait()
}

// RunAgents starts the agents of devices with a browser and waits until the
// server believes their state.
func (s *Stage) RunAgents(ctx context.Context) error {
	readers, err := s.openReaders(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range s.devices {
		if d.Port == 0 {
			continue
		}
		g.Go(func() error { return s.runAgent(ctx, d, readers[d.Name]) })
	}
	return g.Wait()
}

// runAgent starts a device's program; a kiosk has readers.
func (s *Stage) runAgent(ctx context.Context, d *Device, readers []string) error {
	program, command := "kuule-agent", "run"
	if readers != nil {
		program, command = "kuule-kiosk", "serve"
	}
	args := []string{
		command, "--state", d.state, "--tpm", d.tpm.Socket(), "--bundle", s.bundle(),
		"--name", d.Name + ".localhost", "--port", strconv.Itoa(d.Port), "--browser-uid", strconv.Itoa(s.o.BrowserUID),
		"--label", d.Label, "--kind", d.Kind, "--premises", d.Premises.String(),
	}
	if d.SignsIn {
		args = append(args, "--issuer", s.Provider.Issuer(), "--client-id", idptest.ClientID)
	}
	args = append(args, readers...)
	var err error
	if d.agent, err = s.start("agent-"+d.Name, s.program(program), args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	err = d.agent.until(ctx, func(context.Context) error {
		st, err := agent.ReadStatus(d.state)
		switch {
		case err != nil:
			return err
		case !st.Posture.Verified || !st.Posture.Connected:
			return fmt.Errorf("posture not verified (%s %s)", st.Posture.Code, st.Posture.Detail)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.agent.until(ctx, func(ctx context.Context) error {
		_, err := gateway.AskStartURL(ctx, d.Socket(), false)
		return err
	})
}

// StartLink asks a device's agent for a fresh start link: one use, one minute.
func (s *Stage) StartLink(ctx context.Context, name string) (string, error) {
	d := s.Device(name)
	if d == nil || d.Port == 0 {
		return "", errors.New("no such device with a browser")
	}
	link, err := gateway.AskStartURL(ctx, d.Socket(), false)
	return link.URL, err
}

// ResumeLink asks for a link into the session that the device has already, as
// its launcher does for a page that was reloaded.
func (s *Stage) ResumeLink(ctx context.Context, name string) (string, error) {
	d := s.Device(name)
	if d == nil || d.Port == 0 {
		return "", errors.New("no such device with a browser")
	}
	link, err := gateway.AskStartURL(ctx, d.Socket(), true)
	return link.URL, err
}

// Page opens a page at a device as a browser of this user would.
func (s *Stage) Page(ctx context.Context, name string) (*gatewaytest.Page, error) {
	link, err := s.StartLink(ctx, name)
	if err != nil {
		return nil, err
	}
	return gatewaytest.Open(ctx, link)
}
