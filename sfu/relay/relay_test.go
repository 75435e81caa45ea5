package relay_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"go.uber.org/goleak"

	"kuule/sfu/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const device = "dev_01890000-0000-7000-8000-000000000001"

var loopback, loopback6 = netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")

// needIPv6 skips where the machine has none.
func needIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback6, 0)))
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	_ = c.Close()
}

// echo stands for the media port: it sends back what comes.
func echo(t *testing.T) (netip.AddrPort, *atomic.Int64) { return echoAt(t, loopback) }

func echoAt(t *testing.T, at netip.Addr) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	got := &atomic.Int64{}
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			got.Add(int64(n))
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), got
}

type running struct {
	*relay.Server
	secret relay.Secret
	udp    netip.AddrPort
	tls    string
	roots  *x509.CertPool
	media  netip.AddrPort
	got    *atomic.Int64
}

func start(t *testing.T, change func(*relay.Config)) *running {
	t.Helper()
	r := &running{}
	r.media, r.got = echo(t)
	var err error
	if r.secret, err = relay.NewSecret(); err != nil {
		t.Fatal(err)
	}
	splice, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.tls = splice.Addr().String()
	pair := certificate(t)
	r.roots = x509.NewCertPool()
	r.roots.AddCert(pair.Leaf)
	cfg := relay.Config{Addresses: []netip.AddrPort{netip.AddrPortFrom(loopback, 0)}, TLS: splice, Certificate: &pair, Secret: r.secret, Peers: []netip.AddrPort{r.media}}
	if change != nil {
		change(&cfg)
	}
	if r.Server, err = relay.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.udp = r.Addresses()[0]
	return r
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "turn.test"}, DNSNames: []string{"turn.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// dial opens one leg to the relay, as a client of it would.
func (r *running) dial(t *testing.T, leg string) net.PacketConn {
	t.Helper()
	var c net.Conn
	var err error
	switch leg {
	case "udp":
		p, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	case "tcp":
		c, err = net.Dial("tcp", r.udp.String())
	case "tls":
		c, err = tls.Dial("tcp", r.tls, &tls.Config{ServerName: "turn.test", RootCAs: r.roots})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return turn.NewSTUNConn(c)
}

func (r *running) client(t *testing.T, leg, username, password string) *turn.Client {
	t.Helper()
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: r.udp.String(), STUNServerAddr: r.udp.String(), Conn: r.dial(t, leg), Username: username, Password: password, Realm: relay.Realm,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}, RTO: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (r *running) minted(t *testing.T, leg string) *turn.Client {
	t.Helper()
	c := r.secret.Mint(device, time.Now())
	return r.client(t, leg, c.Username, c.Password)
}

// exchange sends over a relayed connection until an answer comes.
func exchange(t *testing.T, c net.PacketConn, to netip.AddrPort, within time.Duration) bool {
	t.Helper()
	want := []byte("is anybody there")
	for end := time.Now().Add(within); time.Now().Before(end); {
		if _, err := c.WriteTo(want, net.UDPAddrFromAddrPort(to)); err != nil {
			return false
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		b := make([]byte, 2048)
		if n, _, err := c.ReadFrom(b); err == nil && bytes.Equal(b[:n], want) {
			return true
		}
	}
	return false
}

func TestEveryLegReachesTheMediaPort(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, leg := range []string{"udp", "tcp", "tls"} {
		c, err := r.minted(t, leg).Allocate()
		if err != nil {
			t.Fatalf("%s: %v", leg, err)
		}
		if !exchange(t, c, r.media, 5*time.Second) {
			t.Errorf("%s: no answer from the media port", leg)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An open relay is an attack on everybody that the machine can reach.
func TestNothingElseIsReached(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	other, got := echo(t) // same address, another port
	c, err := r.minted(t, "udp").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if exchange(t, c, other, 500*time.Millisecond) || got.Load() > 0 {
		t.Error("another port of the node's address was reached")
	}
	for _, peer := range []string{"192.0.2.1:80", "127.0.0.2:8444", "0.0.0.0:8444", "224.0.0.1:5000", "255.255.255.255:9"} {
		if exchange(t, c, netip.MustParseAddrPort(peer), 200*time.Millisecond) {
			t.Errorf("%s was reached", peer)
		}
	}
	if n := r.Counts().Refused; n == 0 {
		t.Error("nothing was counted as refused: were the packets sent at all?")
	}
	if !exchange(t, c, r.media, 5*time.Second) {
		t.Error("the media port is not reached any more")
	}
	// And nobody else reaches a relayed address, even where its client allows
	// that address.
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	before := r.Counts().Refused
	deadline := time.Now().Add(30 * time.Second)
	for r.Counts().Refused == before && time.Now().Before(deadline) {
		if _, err := stranger.WriteTo([]byte("let me in"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if r.Counts().Refused == before {
		t.Error("a stranger's packet was not refused")
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	b := make([]byte, 100)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			break
		}
		if bytes.Contains(b[:n], []byte("let me in")) {
			t.Fatal("a stranger's packet came through")
		}
	}
}

func TestOnlyMintedCredentialsOpenARelay(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	good := r.secret.Mint(device, time.Now())
	old := r.secret.Mint(device, time.Now().Add(-relay.Lifetime-time.Second))
	early := r.secret.Mint(device, time.Now().Add(2*time.Hour))
	other, err := relay.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	foreign := other.Mint(device, time.Now())
	for name, c := range map[string]struct{ username, password string }{
		"no name":              {"", good.Password},
		"no password":          {good.Username, ""},
		"wrong password":       {good.Username, good.Password + "x"},
		"another secret":       {foreign.Username, foreign.Password},
		"expired":              {old.Username, old.Password},
		"far in the future":    {early.Username, early.Password},
		"later by hand":        {strings.Replace(good.Username, ":", "0:", 1), good.Password},
		"another device":       {good.Username + "2", good.Password},
		"no time":              {device, good.Password},
		"time written twice":   {"0" + good.Username, good.Password},
		"name beyond the size": {good.Username + strings.Repeat("x", 200), good.Password},
	} {
		if conn, err := r.client(t, "udp", c.username, c.password).Allocate(); err == nil {
			t.Errorf("%s: opened", name)
			_ = conn.Close()
		}
	}
	if n := r.Counts(); n.Opened != 0 || n.Unknown == 0 {
		t.Errorf("%+v", n)
	}
}

func TestDevicesAllocationsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for i := range relay.MaxPerDevice + 1 {
		c, err := r.minted(t, "udp").Allocate()
		if err == nil {
			defer c.Close()
		}
		if (err == nil) != (i < relay.MaxPerDevice) {
			t.Fatalf("allocation %d: %v", i, err)
		}
	}
	another := r.secret.Mint("dev_another", time.Now())
	c, err := r.client(t, "udp", another.Username, another.Password).Allocate()
	if err != nil {
		t.Fatalf("another device has to pay for it: %v", err)
	}
	_ = c.Close()
	if r.Counts().OverQuota == 0 {
		t.Error("not counted")
	}
}

func TestBitRateIsBounded(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *relay.Config) { c.Bitrate = 160_000 })
	c, err := r.minted(t, "udp").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !exchange(t, c, r.media, 5*time.Second) {
		t.Fatal("no answer")
	}
	began := time.Now()
	packet := make([]byte, 1000)
	for range 200 {
		if _, err := c.WriteTo(packet, net.UDPAddrFromAddrPort(r.media)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for r.Counts().Dropped == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	got := r.got.Load()
	most := int64(160_000/16) + int64(time.Since(began).Seconds()*160_000/8) + 2000
	if got > most || r.Counts().Dropped == 0 {
		t.Errorf("%d bytes came through of 200000, at most %d", got, most)
	}
}

// A credential is short; the allocation that it opened goes on for its client.
func TestAllocationOutlivesItsCredential(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	r := start(t, func(c *relay.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	credential := r.secret.Mint(device, time.Now())
	c, err := r.client(t, "udp", credential.Username, credential.Password).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ahead.Store(int64(relay.Lifetime + time.Minute))
	if !exchange(t, c, r.media, 5*time.Second) { // asks for a permission under the old name
		t.Error("the allocation ended with its credential")
	}
	if again, err := r.client(t, "udp", credential.Username, credential.Password).Allocate(); err == nil {
		_ = again.Close()
		t.Error("an expired credential opened another")
	}
}

func TestSilentStreamIsCut(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	var conns []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", r.udp.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	for _, c := range conns { // what is no STUN ends the stream at once
		if _, err := c.Write(bytes.Repeat([]byte{0xff}, 64)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("still open: %v", err)
		}
	}
}

// One address that opens connections without end takes no place from others.
func TestStreamsOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	cut := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, err := c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	var last net.Conn
	for range relay.MaxStrangers + 1 {
		c, err := net.Dial("tcp", r.udp.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		last = c
	}
	if !cut(last) {
		t.Error("one address holds more than its number")
	}
	other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", r.udp.String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if cut(other) {
		t.Error("another address is kept out")
	}
	// Who has an allocation is none of them any more.
	c, err := r.minted(t, "tls").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// Another maker's client: Debian's coturn.
func TestCoturnsClient(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		t.Skip("turnutils_uclient is not installed (Debian package coturn)")
	}
	r := start(t, nil)
	_, port, err := net.SplitHostPort(r.tls)
	if err != nil {
		t.Fatal(err)
	}
	for leg, args := range map[string][]string{
		"udp": {"-p", strconv.Itoa(int(r.udp.Port()))},
		"tcp": {"-t", "-p", strconv.Itoa(int(r.udp.Port()))},
		"tls": {"-t", "-S", "-p", port},
	} {
		t.Run(leg, func(t *testing.T) {
			c := r.secret.Mint(device, time.Now())
			args = append(args, "-u", c.Username, "-w", c.Password, "-e", loopback.String(), "-r", strconv.Itoa(int(r.media.Port())), "-c", "-n", "10", "-m", "1", "-l", "200", loopback.String())
			cmd := exec.Command(tool, args...)
			cmd.WaitDelay = 30 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !regexp.MustCompile(`tot_send_msgs=10, tot_recv_msgs=10`).Match(out) {
				t.Errorf("not all came back:\n%s", out)
			}
			wrong := append([]string{}, args...)
			for i, a := range wrong {
				if a == "-w" {
					wrong[i+1] = "wrong"
				}
			}
			if out, err := exec.Command(tool, wrong...).CombinedOutput(); err == nil {
				t.Errorf("a wrong password was taken:\n%s", out)
			}
		})
	}
}

// both starts a relay that has the media port on both families.
func both(t *testing.T, change func(*relay.Config)) (r *running, media6 netip.AddrPort, got *atomic.Int64) {
	t.Helper()
	needIPv6(t)
	media6, got = echoAt(t, loopback6)
	r = start(t, func(c *relay.Config) {
		c.Addresses = append(c.Addresses, netip.AddrPortFrom(loopback6, 0))
		c.Peers = append(c.Peers, media6)
		if change != nil {
			change(c)
		}
	})
	return r, media6, got
}

// client6 asks for an address of a family (RFC 8656, section 7.1), over IPv6.
func (r *running) client6(t *testing.T, family turn.RequestedAddressFamily) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	at, pass := r.Addresses()[1].String(), r.secret.Mint(device, time.Now())
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, STUNServerAddr: at, Conn: conn, Username: pass.Username, Password: pass.Password, Realm: relay.Realm, RequestedAddressFamily: family,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}, RTO: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEachFamilyReachesItsMediaPort(t *testing.T) {
	t.Parallel()
	r, media6, got := both(t, nil)
	for family, media := range map[turn.RequestedAddressFamily]netip.AddrPort{turn.RequestedAddressFamilyIPv4: r.media, turn.RequestedAddressFamilyIPv6: media6} {
		c, err := r.client6(t, family).Allocate()
		if err != nil {
			t.Fatalf("%s: %v", family, err)
		}
		relayed := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
		if relayed.Is6() != (family == turn.RequestedAddressFamilyIPv6) {
			t.Errorf("%s: relayed from %s", family, relayed)
		}
		if !exchange(t, c, media, 5*time.Second) {
			t.Errorf("%s: no answer from the media port", family)
		}
		_ = c.Close()
	}
	// As with IPv4, nothing else is reached, and nobody else reaches it.
	other, otherGot := echoAt(t, loopback6)
	c, err := r.client6(t, turn.RequestedAddressFamilyIPv6).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, reached := r.Counts().Refused, got.Load()
	for _, peer := range []netip.AddrPort{other, netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[ff02::1]:5000"), netip.MustParseAddrPort("[::ffff:127.0.0.1]:9")} {
		if exchange(t, c, peer, 200*time.Millisecond) {
			t.Errorf("%s was reached", peer)
		}
	}
	if otherGot.Load() != 0 || r.Counts().Refused == before || got.Load() != reached {
		t.Errorf("%d bytes came elsewhere; %d were refused", otherGot.Load(), r.Counts().Refused-before)
	}
	stranger, err := net.Dial("udp6", c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	before = r.Counts().Refused
	for deadline := time.Now().Add(30 * time.Second); r.Counts().Refused == before && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		_, _ = stranger.Write([]byte("let me in"))
	}
	if r.Counts().Refused == before {
		t.Error("a stranger's packet was not refused")
	}
}

// A device's number and bit rate are of all its allocations, of whatever family.
func TestFamiliesShareTheBounds(t *testing.T) {
	t.Parallel()
	r, media6, got := both(t, func(c *relay.Config) { c.Bitrate = 160_000 })
	for i := range relay.MaxPerDevice + 1 {
		family := turn.RequestedAddressFamilyIPv4
		if i%2 == 0 {
			family = turn.RequestedAddressFamilyIPv6
		}
		c, err := r.client6(t, family).Allocate()
		if (err == nil) != (i < relay.MaxPerDevice) {
			t.Fatalf("allocation %d: %v", i, err)
		}
		if err != nil {
			break
		}
		defer c.Close()
		if i > 0 {
			continue
		}
		if !exchange(t, c, media6, 5*time.Second) {
			t.Fatal("no answer")
		}
		began, packet := time.Now(), make([]byte, 1000)
		for range 200 {
			_, _ = c.WriteTo(packet, net.UDPAddrFromAddrPort(media6))
		}
		for deadline := time.Now().Add(30 * time.Second); r.Counts().Dropped == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		most := int64(160_000/16) + int64(time.Since(began).Seconds()*160_000/8) + 2000
		if n := got.Load(); n > most || r.Counts().Dropped == 0 {
			t.Errorf("%d bytes came through of 200000, at most %d", n, most)
		}
	}
}

// A family that the media port has no address of is refused, not guessed.
func TestAMissingFamilyIsRefused(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	four := start(t, func(c *relay.Config) { c.Addresses = append(c.Addresses, netip.AddrPortFrom(loopback6, 0)) })
	if c, err := four.client6(t, turn.RequestedAddressFamilyIPv6).Allocate(); err == nil {
		t.Errorf("relayed from %s", c.LocalAddr())
		_ = c.Close()
	}
	media6, _ := echoAt(t, loopback6)
	six := start(t, func(c *relay.Config) {
		c.Addresses = append(c.Addresses, netip.AddrPortFrom(loopback6, 0))
		c.Peers = []netip.AddrPort{media6}
	})
	// Who names no family gets the one that there is.
	c, err := six.client6(t, turn.RequestedAddressFamilyIPv6).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !exchange(t, c, media6, 5*time.Second) {
		t.Error("a relay with IPv6 alone does not relay")
	}
}

// Another maker's client over IPv6: -x asks for an IPv6 address.
func TestCoturnsClientOverIPv6(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		t.Skip("turnutils_uclient is not installed (Debian package coturn)")
	}
	r, media6, _ := both(t, nil)
	port := strconv.Itoa(int(r.Addresses()[1].Port()))
	for leg, args := range map[string][]string{"udp": nil, "tcp": {"-t"}} {
		t.Run(leg, func(t *testing.T) {
			c := r.secret.Mint(device, time.Now())
			args := append(args, "-x", "-p", port, "-u", c.Username, "-w", c.Password, "-e", loopback6.String(), "-r", strconv.Itoa(int(media6.Port())), "-c", "-n", "10", "-m", "1", "-l", "200", loopback6.String())
			cmd := exec.Command(tool, args...)
			cmd.WaitDelay = 30 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !regexp.MustCompile(`tot_send_msgs=10, tot_recv_msgs=10`).Match(out) {
				t.Errorf("not all came back:\n%s", out)
			}
		})
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	s, err := relay.ParseSecret(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		if out := fmt.Sprintf(verb, s); strings.Contains(out, "kkk") || strings.Contains(out, "107") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
	if _, err := relay.ParseSecret([]byte("short")); err == nil {
		t.Error("a short secret was taken")
	}
}
