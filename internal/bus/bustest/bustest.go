package bustest

import (
	"context"
	"testing"
	"time"

	"kuule/internal/bus"
)

// Bus is a running bus and the authority that admits to it.
type Bus struct {
	CA      *bus.CA
	Address string
}

// Start serves a bus until the test ends.
func Start(t testing.TB) *Bus {
	t.Helper()
	ca, err := bus.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := ca.Issue(bus.Main(bus.Supervisor), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	server, err := bus.Serve(credentials, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return &Bus{CA: ca, Address: server.Address()}
}

// Connect joins the bus as the named process until the test ends.
func (b *Bus) Connect(t testing.TB, name bus.Name) *bus.Conn {
	t.Helper()
	credentials, err := b.CA.Issue(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := bus.Connect(ctx, credentials, b.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
