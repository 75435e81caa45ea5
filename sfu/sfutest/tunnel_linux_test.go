package sfutest_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kuule/sfu/sfutest"
)

func TestATunnelJoinsNamespaces(t *testing.T) {
	tunnel, err := sfutest.NewTunnel("kuule-tunnel-test", 201, sfutest.Shape{Delay: 15 * time.Millisecond}, sfutest.Shape{Delay: 15 * time.Millisecond})
	if errors.Is(err, sfutest.ErrNoTunnel) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close()
	at := echo(t, netip.AddrPortFrom(tunnel.Near.Address, 0).String())
	out, err := tunnel.Far.Command("bash", "-c", "exec 3<>/dev/udp/"+strings.Replace(at.String(), ":", "/", 1)+"; echo hello >&3; timeout 5 head -1 <&3").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "hello" {
		t.Fatalf("%q, %v", out, err)
	}
	if c := tunnel.FarToNear.Count(); c.Passed == 0 {
		t.Errorf("%+v", c)
	}
}
