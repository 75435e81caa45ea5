package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/bus"
	"kuule/internal/doctor"
	"kuule/internal/trust"
	"kuule/sfu/relay"
)

// finding is what Health says of one thing.
func finding(t *testing.T, list []Finding, what string) Finding {
	t.Helper()
	for _, f := range list {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("nothing is said of %s: %+v", what, list)
	return Finding{}
}

// Each thing alone that is not well is found, and so is what to do about it.
func TestDoctorFindsWhatIsIll(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	dir := o.Config.Data
	whole := Health(t.Context(), dir)
	for _, what := range []string{"configuration", "keys", "certificate of the door", "certificate of the relay", "keyring"} {
		if f := finding(t, whole, what); f.State != Well {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, whole, "processes"); f.State != Ill || !strings.Contains(f.Next, "kuule serve") {
		t.Errorf("an installation that does not run: %+v", f)
	}
	layout := o.Config.Layout()
	if err := os.Chmod(filepath.Join(layout.Door(), "bridge.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(layout.SFU(), turnCertificate)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(layout.Keyring()); err != nil {
		t.Fatal(err)
	}
	spoilt := Health(t.Context(), dir)
	for _, what := range []string{"keys", "certificate of the relay", "keyring"} {
		if f := finding(t, spoilt, what); f.State != Ill || f.Next == "" {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, Health(t.Context(), t.TempDir()), "configuration"); f.State != Ill {
		t.Errorf("an empty folder: %+v", f)
	}
}

func TestCertificatesAreJudgedInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &x509.Certificate{DNSNames: []string{"kuule.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	for name, tc := range map[string]struct {
		now   time.Time
		names []string
		want  State
	}{
		"good":          {now, []string{"kuule.example"}, Well},
		"soon over":     {c.NotAfter.Add(-renewWithin + time.Hour), nil, Warning},
		"over":          {c.NotAfter.Add(time.Second), nil, Ill},
		"not yet":       {now.AddDate(-1, 0, 0), nil, Ill},
		"a name amiss":  {now, []string{"kuule.example", "enrol.kuule.example"}, Ill},
		"by an address": {now, []string{"192.0.2.1"}, Well},
	} {
		if f := judge("it", c, tc.now, tc.names...); f.State != tc.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDiskIsLookedAt(t *testing.T) {
	t.Parallel()
	if f := disk("disk", t.TempDir()); f.State == "" || !strings.Contains(f.Says, "GB free") {
		t.Errorf("%+v", f)
	}
	if f := disk("disk", "/nowhere/at/all"); f.State != Ill {
		t.Errorf("%+v", f)
	}
}

// targetVariable hands the test below, inside a namespace, what to look at.
const targetVariable = "KUULE_TEST_DOCTOR"

type doctorScene struct {
	Target doctor.Target
	Root   string
	Pass   *doctor.Pass
}

func TestDoctorInside(t *testing.T) {
	text := os.Getenv(targetVariable)
	if text == "" {
		t.Skip("runs inside a namespace, started by doctorBehind")
	}
	var scene doctorScene
	if err := json.Unmarshal([]byte(text), &scene); err != nil {
		t.Fatal(err)
	}
	list, err := certificates(scene.Root)
	if err != nil {
		t.Fatal(err)
	}
	if scene.Target.Roots, err = trust.Pool([]string{trust.EncodeCertificate(list[0])}); err != nil {
		t.Fatal(err)
	}
	scene.Target.Pass = scene.Pass
	out, err := json.Marshal(doctor.Network(t.Context(), scene.Target))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv(targetVariable+"_OUT"), out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// install runs door and media node as their processes do, at both addresses.
func (b *behind) install(t *testing.T) *gatehouse {
	t.Helper()
	g := newGatehouse(t)
	in := g.door.in
	for _, folder := range []string{in.layout.SFU(), filepath.Join(in.Data, "certificates")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(in.Data, "certificates")
	root, key, err := makeAuthority(dir, "root", "test of paths")
	if err != nil {
		t.Fatal(err)
	}
	b.root = filepath.Join(dir, "root.pem")
	if err := errors.Join(makeServerCertificate(in.layout.SFU(), "turn", root, key, in.turnName()), makeServerCertificate(dir, "door", root, key, in.Host, "enrol."+in.Host)); err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "door.pem"), filepath.Join(dir, "door.key"))
	if err != nil {
		t.Fatal(err)
	}
	in.Listen, in.Media = b.near.String(), []string{b.near.String(), b.near6.String()}
	for _, p := range []*int{&in.Ports.Media, &in.Ports.TURN, &in.Ports.Splice, &in.Ports.HTTPS} {
		*p = freePort(t, b.near)
	}
	secret, err := relay.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	in.relay = secret.Bytes()
	if g.door.paths, err = newPaths(in, g.door.conn); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	conn := g.bus.Connect(t, bus.Main(bus.SFU))
	go func() { ended <- runSFU(ctx, in, conn, func() error { close(ready); return nil }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the media node ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	server := g.door.server(own, http.NotFoundHandler())
	t.Cleanup(func() { _ = server.Close() })
	for _, a := range []netip.Addr{b.near, b.near6} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, uint16(in.Ports.HTTPS)).String())
		if err != nil {
			t.Fatal(err)
		}
		names := split(ctx, l, in.turnName(), in.spliceAddress())
		go func() { _ = server.ServeTLS(names, "", "") }()
	}
	admin, err := g.door.serveAdmin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	b.https, b.media, b.turn = in.Ports.HTTPS, in.Ports.Media, in.Ports.TURN
	return g
}

// freePort is a port that nobody listens on at an address of this test alone, nor
// on loopback.
func freePort(t *testing.T, at netip.Addr) int {
	t.Helper()
	for range 100 {
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
		if err != nil {
			t.Fatal(err)
		}
		port := u.LocalAddr().(*net.UDPAddr).Port
		_ = u.Close()
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// `kuule doctor network` behind a firewall, against a real door and media node,
// names the legs that work, with their figures, and those that are cut, in both
// families of addresses.
func TestDoctorNamesTheCutLeg(t *testing.T) {
	doctorBehind(t, "open, IPv6", "the media port alone, no UDP", "the media port alone, no pass")
}

func TestSoakDoctorNamesEveryCutLeg(t *testing.T) {
	onlySoak(t)
	doctorBehind(t)
}

// doctorBehind tries some firewalls, or all of them.
func doctorBehind(t *testing.T, only ...string) {
	t.Helper()
	b := &behind{}
	b.network(t)
	g := b.install(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const all = "https udp tcp tls media-udp media-tcp"
	for _, c := range []struct {
		name  string
		six   bool
		bare  bool // without a pass
		alone bool // without the relay
		allow []string
		works string
		tried string // not
		says  string
	}{
		{"open", false, false, false, []string{"accept"}, all, "", "straight to the media port"},
		{"open, IPv6", true, false, false, []string{"ip6 daddr " + b.near6.String() + " accept"}, all, "", "straight to the media port"},
		{"no UDP to the media port", false, false, false, []string{fmt.Sprintf("udp dport %d drop", b.media), "accept"}, "https udp tcp tls media-tcp", "", "UDP to the media port is cut"},
		{"no UDP", false, false, false, []string{"meta l4proto tcp accept"}, "https tcp tls media-tcp", "", "UDP is cut"},
		{"HTTPS alone", false, false, false, []string{b.allowHTTPS()}, "https tls", "", "UDP and TCP are cut"},
		{"the media port alone, no UDP", false, false, true, []string{"meta l4proto tcp accept"}, "https media-tcp", "", "UDP is cut"},
		{"the media port alone, no pass", false, true, true, []string{"accept"}, "https media-tcp", "media-udp", "UDP was not tried"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(only) > 0 && !slices.Contains(only, c.name) {
				t.Skip("in the soak")
			}
			b.firewall(t, c.allow...)
			scene := doctorScene{Target: doctor.Target{Host: behindHost, Address: b.near.String(), HTTPS: b.https, Media: b.media, TURN: b.turn}, Root: b.root}
			if c.six {
				scene.Target.Address = b.near6.String()
			}
			if c.alone {
				scene.Target.TURN = 0
			}
			if !c.bare {
				pass, err := Console(g.door.in.Data).Pass(t.Context()) // as the command does on the server
				if err != nil {
					t.Fatal(err)
				}
				scene.Pass = &pass
			}
			text, err := json.Marshal(scene)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "report.json")
			cmd := exec.Command("ip", "netns", "exec", b.space, self, "-test.run", "^TestDoctorInside$")
			cmd.Env = append(os.Environ(), targetVariable+"="+string(text), targetVariable+"_OUT="+file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if text, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
			var r doctor.Report
			if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
				t.Fatal(err)
			}
			var works, tried []string
			for _, l := range r.Legs {
				t.Logf("%+v", l)
				switch {
				case l.Works:
					works = append(works, l.Leg)
				case l.Untried:
					tried = append(tried, l.Leg)
				case !strings.Contains(l.Why, "cut"):
					t.Errorf("%s: %q", l.Leg, l.Why)
				}
				if measured := !c.bare && l.Leg != doctor.LegHTTPS; l.Works && (l.RTT <= 0 || measured && (l.Up < 100_000 || l.Down < 100_000)) {
					t.Errorf("%s was not measured: %+v", l.Leg, l)
				}
			}
			if got := strings.Join(works, " "); got != c.works {
				t.Errorf("works: %q, want %q", got, c.works)
			}
			if got := strings.Join(tried, " "); got != c.tried {
				t.Errorf("not tried: %q, want %q", got, c.tried)
			}
			if !strings.Contains(r.Says, c.says) || r.Next == "" {
				t.Errorf("%q, next %q", r.Says, r.Next)
			}
		})
	}
}
