package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"kuule/internal/app"
	"kuule/internal/config"
	"kuule/internal/doctor"
	"kuule/internal/trust"
)

type doctorCommand struct {
	Health  healthCommand  `cmd:"" default:"withargs" help:"Look at the installation on this machine: processes, ports, certificates, clock, disk, keys."`
	Network networkCommand `cmd:"" help:"Try every way to an installation from here: the media port and the relay over UDP and TCP, the relay over TLS, the door. Needs no installation on this machine; with a pass of 'doctor pass' also tries the media port over UDP, which answers nobody unknown, and measures bit rates."`
	Pass    passCommand    `cmd:"" help:"Print a pass by which 'doctor network' elsewhere may try the media port over UDP and measure bit rates, for ten minutes. It opens nothing else."`
}

// errIll ends a command whose findings are printed already.
var errIll = errors.New("not everything is well")

type healthCommand struct {
	data
	JSON bool `help:"Print the findings as JSON."`
}

// Run prints what was found, what is not well last.
func (c healthCommand) Run(ctx context.Context, out io.Writer) error {
	findings := app.Health(ctx, c.Data)
	ill := false
	for _, f := range findings {
		ill = ill || f.State == app.Ill
	}
	if err := c.print(out, findings); err != nil {
		return err
	}
	if ill {
		return errIll
	}
	return nil
}

func (c healthCommand) print(out io.Writer, findings []app.Finding) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(findings)
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", strings.ToUpper(string(f.State)), f.What, f.Says)
		if f.State != app.Well && f.Next != "" {
			fmt.Fprintf(table, "\t\t-> %s\n", f.Next)
		}
	}
	return table.Flush()
}

type networkCommand struct {
	data
	Host    string `help:"Name of the installation's door; without it, the installation in --data."`
	Trust   string `help:"Trust file of the installation; without it the machine's own authorities count." type:"existingfile"`
	Address string `help:"IP address of the door and the media server, where the name is not to be asked for."`
	HTTPS   *int   `help:"Port of the door; without it, what the installation in --data says, or 8443 where there is none."`
	Media   *int   `help:"Port of the media server, 0: not tried; without it, as --https, or 8444."`
	Turn    *int   `help:"Port of the relay, 0: not tried; without it, as --https, or 8478."`
	Pass    string `help:"Pass printed by 'kuule doctor pass' on the server: tries the media port over UDP and measures bit rates. On the server itself one is taken from the running installation."`
	JSON    bool   `help:"Print the findings as JSON."`
}

// Run tries the ways and says which works and which is cut.
func (c networkCommand) Run(ctx context.Context, out io.Writer) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	switch {
	case c.Pass != "":
		if target.Pass, err = doctor.ParsePass(c.Pass); err != nil {
			return err
		}
	case c.Host == "": // the installation here, if it runs
		if pass, err := app.Console(c.Data).Pass(ctx); err == nil {
			target.Pass = &pass
		}
	}
	report := doctor.Network(ctx, target)
	if err := c.print(out, report); err != nil {
		return err
	}
	if !report.OK() {
		return errIll
	}
	return nil
}

func (c networkCommand) target() (doctor.Target, error) {
	ports := config.Default().Ports
	t := doctor.Target{HTTPS: ports.HTTPS, Media: ports.Media, TURN: ports.TURN}
	here, err := app.Target(c.Data)
	switch {
	case err == nil:
		t = here
	case c.Host == "":
		return t, err
	}
	for port, given := range map[*int]*int{&t.HTTPS: c.HTTPS, &t.Media: c.Media, &t.TURN: c.Turn} {
		if given != nil {
			*port = *given
		}
	}
	if c.Address != "" {
		t.Address = c.Address
	}
	if c.Host == "" {
		return t, nil
	}
	t.Host, t.Address, t.Roots = c.Host, c.Address, nil // another installation, or this one as others see it
	if c.Trust == "" {
		return t, nil
	}
	keys, err := trust.Read(c.Trust)
	if err != nil {
		return t, err
	}
	t.Roots, err = trust.Pool(keys.ServerRoots)
	return t, err
}

func (c networkCommand) print(out io.Writer, r doctor.Report) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "LEG\tADDRESS\tRESULT\tRTT\tJITTER\tLOSS\tUP\tDOWN")
	rate := func(bits float64) string {
		if bits == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f Mbit/s", bits/1e6)
	}
	for _, l := range r.Legs {
		if !l.Works {
			fmt.Fprintf(table, "%s\t%s\t%s\n", l.Leg, l.Address, l.Why)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\tworks\t%.1f ms\t%.1f ms\t%.1f %%\t%s\t%s\n", l.Leg, l.Address, l.RTT, l.Jitter, 100*l.Loss, rate(l.Up), rate(l.Down))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\nnext: %s\n", r.Says, r.Next)
	return err
}

type passCommand struct{ data }

// Run prints the pass.
func (c passCommand) Run(ctx context.Context, out io.Writer) error {
	pass, err := app.Console(c.Data).Pass(ctx)
	if err != nil {
		return err
	}
	text, err := pass.Text()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, text)
	return err
}
