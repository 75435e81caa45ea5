package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/kiosk-bridge/tunnel"
)

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var p program
	k, err := kong.New(&p, kong.Name("kuule-kiosk"), kong.Description(description), kong.Writers(&out, &out), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = k.Parse([]string{"visit", "--help"})
	for _, word := range []string{"--card", "--reference", "--state", "standard input", "unix:PATH"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("help does not speak of %s:\n%s", word, out.String())
		}
	}
}

func TestTunnelAddress(t *testing.T) {
	t.Parallel()
	if got, err := tunnelURL("https://kuule.example:8443"); err != nil || got != "wss://kuule.example:8443/ws/kiosk" {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range []string{"", "http://kuule.example", "kuule.example"} {
		if _, err := tunnelURL(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestZoneIsBounded(t *testing.T) {
	t.Parallel()
	c := visitCommand{Zone: "-"}
	if got, err := c.readZone(strings.NewReader("A<\nB<\n")); err != nil || got != "A<\nB<" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "\n", strings.Repeat("<", 1000)} {
		if _, err := c.readZone(strings.NewReader(bad)); err == nil {
			t.Errorf("%d characters were taken", len(bad))
		}
	}
}

func TestRefusalNamesTheWayStillOpen(t *testing.T) {
	t.Parallel()
	err := explain(problem.New(problem.CodeNotBooked, "nothing booked"))
	if !strings.Contains(err.Error(), string(problem.WayInterviewer)) {
		t.Errorf("%v", err)
	}
}

func TestOutcomeIsPrinted(t *testing.T) {
	t.Parallel()
	join := tunnel.Outcome{Result: tunnel.ResultJoin, Way: problem.WayInterviewer, Ticket: interview.NewTicketID(), Terminal: interview.NewDeviceID()}
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		if err := (&visitCommand{JSON: asJSON}).print(&out, join); err != nil || !strings.Contains(out.String(), join.Ticket.String()) {
			t.Errorf("%s %v", out.String(), err)
		}
		out.Reset()
		if err := (&visitCommand{JSON: asJSON}).print(&out, tunnel.Outcome{Result: tunnel.ResultDesk, Way: problem.WayAskStaff}); err != nil || !strings.Contains(out.String(), "desk") {
			t.Errorf("%s %v", out.String(), err)
		}
	}
}
