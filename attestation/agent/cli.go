package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/problem"
)

// Commands of kuule-agent, as kong reads them (github.com/alecthomas/kong).
type (
	// Where says where the device keeps its state and its TPM.
	Where struct {
		State string `help:"State directory." default:"/var/lib/kuule-agent" type:"path"`
		TPM   string `help:"TPM device, or the socket of a software TPM." default:"/dev/tpmrm0" type:"path"`
	}

	// EnrolCommand enrols this machine.
	EnrolCommand struct {
		Where
		Server  string `arg:"" help:"Server, https://HOST[:PORT]."`
		Trust   string `help:"Trust file of the installation, got from the security office." required:"" type:"existingfile"`
		Address string `help:"HOST:PORT to dial where names do not resolve."`
	}

	// IdentifierCommand prints what the security office writes into the agreement.
	IdentifierCommand struct {
		TPM string `help:"TPM device, or the socket of a software TPM." default:"/dev/tpmrm0" type:"path"`
	}

	// StatusCommand says how the device stands.
	StatusCommand struct{ Where }
)

// Run enrols and says what came of it.
func (c EnrolCommand) Run(ctx context.Context, out io.Writer) error {
	text, err := os.ReadFile(c.Trust)
	if err != nil {
		return err
	}
	e, err := Enrol(ctx, Options{StateDir: c.State, TPM: c.TPM, Server: c.Server, Address: c.Address, Trust: text})
	if err != nil {
		return explained(err)
	}
	_, err = fmt.Fprintf(out, "enrolled at %s\ndevice      %s\nagreement   %s\nidentifier  %s\nvalid until %s\n",
		e.Installation, e.DeviceID, e.AgreementID, e.PermanentIdentifier, e.NotAfter.Format(time.RFC3339))
	return err
}

// Run prints the permanent identifier.
func (c IdentifierCommand) Run(out io.Writer) error {
	identifier, err := Identifier(c.TPM)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, identifier)
	return err
}

// Run reads the state directory alone: it works while the agent runs.
func (c StatusCommand) Run(out io.Writer) error {
	s, err := readState(c.State)
	if err != nil {
		return err
	}
	chain, err := parseChain(s.Chain)
	if err != nil {
		return err
	}
	device, err := wire.ReadDevice(chain[0])
	if err != nil {
		return err
	}
	certificate := "valid until " + device.NotAfter.Format(time.RFC3339)
	if time.Now().After(device.NotAfter) {
		certificate = "EXPIRED at " + device.NotAfter.Format(time.RFC3339) + ": is the agent running?"
	}
	p := readPosture(c.State)
	posture := "no verdict yet: is the agent running?"
	switch {
	case p.Verified:
		posture = "verified since " + p.At.Format(time.RFC3339)
	case p.Code != "":
		posture = fmt.Sprintf("%s (%s) since %s", problem.Lookup(p.Code).Title, p.Code, p.At.Format(time.RFC3339))
	}
	_, err = fmt.Fprintf(out, "device      %s\nagreement   %s\nserver      %s\ncertificate %s\nposture     %s\n",
		device.DeviceID, device.AgreementID, s.Server, certificate, posture)
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
