package main

import (
	"testing"

	"kuule/internal/config"
)

// Where no installation lies and nothing is said, the ports are those of an
// installation that says nothing; what is said counts more.
func TestPortsToTryAreThoseOfAnInstallation(t *testing.T) {
	t.Parallel()
	c := networkCommand{Host: "kuule.agency.example"}
	c.Data = t.TempDir()
	got, err := c.target()
	if want := config.Default().Ports; err != nil || got.HTTPS != want.HTTPS || got.Media != want.Media || got.TURN != want.TURN || got.Host != c.Host {
		t.Errorf("%+v, %v", got, err)
	}
	door, none := 443, 0
	c.HTTPS, c.Turn = &door, &none
	got, err = c.target()
	if err != nil || got.HTTPS != 443 || got.TURN != 0 || got.Media != config.Default().Ports.Media {
		t.Errorf("%+v, %v", got, err)
	}
	c.Host = ""
	if _, err := c.target(); err == nil {
		t.Error("without a name and without an installation something is tried")
	}
}
