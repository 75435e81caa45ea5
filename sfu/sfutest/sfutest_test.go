package sfutest_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kuule/sfu/sfutest"
)

// A link of 1 Mbit/s lets 1 Mbit pass in a second, in order, late by its delay.
func TestALinkHasItsShape(t *testing.T) {
	t.Parallel()
	l := sfutest.NewLink(sfutest.Shape{Rate: 1_000_000, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Queue: 100 * time.Millisecond}, 1)
	var last time.Duration
	passed := 0
	for now := time.Duration(0); now < 10*time.Second; now += time.Millisecond {
		at, ok := l.Send(250, now) // 2 Mbit/s
		if !ok {
			continue
		}
		if at < last || at < now+20*time.Millisecond || at > now+130*time.Millisecond {
			t.Fatalf("sent at %v, arrives at %v after %v", now, at, last)
		}
		last = at
		passed += 250 * 8
	}
	if passed < 9_900_000 || passed > 10_300_000 {
		t.Errorf("%d bits passed in 10 s", passed)
	}
	if c := l.Count(); c.Dropped == 0 || c.Lost > 0 || c.Passed+c.Dropped != 10_000 {
		t.Errorf("%+v", c)
	}
	lossy := sfutest.NewLink(sfutest.Shape{Loss: 0.05}, 1)
	for range 100_000 {
		lossy.Send(100, 0)
	}
	if c := lossy.Count(); c.Lost < 4_500 || c.Lost > 5_500 {
		t.Errorf("%d of 100000 lost", c.Lost)
	}
	lossy.Set(sfutest.Shape{Cut: true})
	if _, ok := lossy.Send(100, 0); ok {
		t.Error("a cut link carries")
	}
}

func echo(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	server, err := net.ListenPacket("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buf[:n], from)
		}
	}()
	return server.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestAForwarderForwardsBothWays(t *testing.T) {
	t.Parallel()
	f, err := sfutest.NewForwarder(echo(t, "127.0.0.1:0"), sfutest.Shape{Delay: 10 * time.Millisecond}, sfutest.Shape{Delay: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, what := range []string{"one", "two"} {
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(f.Address()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		if _, err := c.Write([]byte(what)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		buf := make([]byte, 10)
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != what || time.Since(began) < 30*time.Millisecond {
			t.Errorf("%q, %v after %v", buf[:n], err, time.Since(began))
		}
	}
	sdp := "v=0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=candidate:2 1 tcp 1 192.0.2.1 5000 typ host tcptype passive\r\na=end-of-candidates\r\n"
	got := f.Rewrite(sdp)
	if strings.Count(got, "a=candidate") != 1 || !strings.Contains(got, f.Address().Addr().String()) || strings.Contains(got, "192.0.2.1") {
		t.Errorf("rewritten: %q", got)
	}
}
