package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
	"kuule/sfu/relay"
)

// behind is a media server with every path to it, and a network namespace in
// which whoever wants to reach it lives.
type behind struct {
	space  string
	near   netip.Addr // the server's, on the link between the two
	near6  netip.Addr // and in IPv6
	both   bool       // the media port is at both
	origin string     // of the page
	page   int        // its port
	media  int
	turn   int
	https  int
	root   string // PEM file: what the browser has to trust
	secret relay.Secret
	meter  netip.AddrPort
	path   atomic.Pointer[string] // of the newest leg, as the node tells it
}

const behindHost = "kuule.test"

// onlySoak leaves a long test to `make soak`.
func onlySoak(t *testing.T) {
	t.Helper()
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("long: make soak, or KUULE_SOAK=1")
	}
}

// run runs a command that has to work.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// network makes a namespace that is linked to this machine alone.
func (b *behind) network(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (.ci/packages)", tool)
		}
	}
	n := os.Getpid()%200 + 20
	b.space = "kuule" + strconv.Itoa(os.Getpid())
	outer, inner := fmt.Sprintf("kuo%d", os.Getpid()), fmt.Sprintf("kui%d", os.Getpid())
	b.near = netip.AddrFrom4([4]byte{10, 213, byte(n), 1})
	far := netip.AddrFrom4([4]byte{10, 213, byte(n), 2})
	b.near6 = netip.MustParseAddr(fmt.Sprintf("fd13:%x::1", n))
	if out, err := exec.Command("ip", "netns", "add", b.space).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v %s", err, out)
	}
	t.Cleanup(func() { run(t, "ip", "netns", "del", b.space) })
	run(t, "ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", b.space)
	// A browser that takes its time to end keeps the namespace, and with it the
	// link that the next test wants to make.
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", outer).Run() })
	run(t, "ip", "addr", "add", b.near.String()+"/24", "dev", outer)
	run(t, "ip", "addr", "add", b.near6.String()+"/64", "dev", outer, "nodad")
	run(t, "ip", "link", "set", outer, "up")
	run(t, "ip", "-n", b.space, "addr", "add", far.String()+"/24", "dev", inner)
	run(t, "ip", "-n", b.space, "addr", "add", b.near6.Next().String()+"/64", "dev", inner, "nodad")
	run(t, "ip", "-n", b.space, "link", "set", inner, "up")
	run(t, "ip", "-n", b.space, "link", "set", "lo", "up")
	run(t, "ip", "-n", b.space, "route", "add", "default", "via", b.near.String())
	if out, err := exec.Command("ip", "netns", "exec", b.space, "nft", "add", "table", "inet", "kuule").CombinedOutput(); err != nil {
		t.Skipf("no firewall here: %v %s", err, out)
	}
}

func (b *behind) allowHTTPS() string { return fmt.Sprintf("tcp dport %d accept", b.https) }

// filter gives the namespace these rules of nft's, and no others.
func (b *behind) filter(t *testing.T, rules string) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", b.space, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", rules, err, out)
	}
}

// firewall lets only these out of the namespace, in nft's words.
func (b *behind) firewall(t *testing.T, allow ...string) {
	t.Helper()
	b.filter(t, "table inet kuule { chain out { type filter hook output priority 0; policy drop;\noifname \"lo\" accept\nicmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"+
		fmt.Sprintf("tcp dport %d accept\n%s\n}\n}\n", b.page, strings.Join(allow, "\n")))
}

// serve runs node, relay and the splitter in front of it, as the processes do.
func (b *behind) serve(t *testing.T, static string) {
	t.Helper()
	dir := t.TempDir()
	root, key, err := makeAuthority(dir, "root", "test of paths")
	if err != nil {
		t.Fatal(err)
	}
	if err := makeServerCertificate(dir, "turn", root, key, "turn."+behindHost); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "turn.pem"), filepath.Join(dir, "turn.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.root = filepath.Join(dir, "root.pem")
	var ways atomic.Pointer[relay.Server]
	direct := newDirectProbes()
	addresses := []netip.AddrPort{netip.AddrPortFrom(b.near, 0)}
	if b.both {
		addresses = append(addresses, netip.AddrPortFrom(b.near6, 0))
	}
	node, err := sfu.New(sfu.Config{
		Addresses: addresses, OnEvent: direct.told,
		OnQuality: func(q media.Quality) { b.path.Store(&q.Path) },
		Relayed:   func(address string) string { return ways.Load().Way(address) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	direct.node = node
	var peers []netip.AddrPort
	for _, a := range node.Addresses() {
		peers = append(peers, netip.MustParseAddrPort(a.String()))
	}
	b.media = int(peers[0].Port())
	secret, err := relay.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turn, err := relay.New(relay.Config{Addresses: []netip.AddrPort{netip.AddrPortFrom(b.near, 0)}, TLS: inner, Certificate: &pair, Secret: secret, Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = turn.Close() })
	ways.Store(turn)
	b.turn, b.secret, b.meter = int(turn.Addresses()[0].Port()), secret, turn.Meter()
	outer, err := net.Listen("tcp", net.JoinHostPort(b.near.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.https = outer.Addr().(*net.TCPAddr).Port
	names := split(context.Background(), outer, "turn."+behindHost, inner.Addr().String())
	if err := makeServerCertificate(dir, "door", root, key, "enrol."+behindHost); err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "door.pem"), filepath.Join(dir, "door.key"))
	if err != nil {
		t.Fatal(err)
	}
	door := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: readHeaderTimeout, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}}}
	go func() { _ = door.ServeTLS(names, "", "") }()
	t.Cleanup(func() { _ = door.Close() })

	in := &installation{}
	in.Host, in.Listen = behindHost, b.near.String()
	in.Ports.TURN, in.Ports.HTTPS = b.turn, b.https
	servers, err := in.pathServers()
	if err != nil {
		t.Fatal(err)
	}
	reply := func(w http.ResponseWriter, body any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/paths", func(w http.ResponseWriter, _ *http.Request) {
		c := secret.Mint("dev_test", time.Now())
		reply(w, Paths{Direct: peers, Servers: servers, Username: c.Username, Credential: c.Password, Expires: c.Expires.Unix()}, nil)
	})
	mux.HandleFunc("POST /api/paths/probe", func(w http.ResponseWriter, r *http.Request) {
		var q probeQuestion
		_ = json.NewDecoder(r.Body).Decode(&q)
		if q.Direct {
			answer, err := direct.answer(r.Context(), q)
			reply(w, answer, err)
			return
		}
		answer, err := turn.Probe(r.Context(), q.Offer)
		reply(w, probeAnswer{Answer: answer}, err)
	})
	mux.HandleFunc("POST /leg", func(w http.ResponseWriter, r *http.Request) {
		var q probeQuestion
		_ = json.NewDecoder(r.Body).Decode(&q)
		print := regexp.MustCompile(`a=fingerprint:sha-256 (\S+)`).FindStringSubmatch(q.Offer)
		mid := regexp.MustCompile(`a=mid:(\S+)`).FindStringSubmatch(q.Offer)
		if print == nil || mid == nil {
			reply(w, nil, fmt.Errorf("no offer"))
			return
		}
		opened, err := node.OpenLeg(r.Context(), media.OpenLeg{
			Room: interview.NewGroupID(), Leg: interview.NewLegID(), Offer: q.Offer, Fingerprint: print[1],
			Tracks: []media.Publish{{Mid: mid[1], Track: interview.NewTrackID(), Source: interview.SourceAudio}},
		})
		reply(w, probeAnswer{Answer: opened.Answer}, err)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><script type="module" src="/paths.js"></script>`)
	})
	mux.Handle("GET /", http.FileServer(http.Dir(static)))
	l, err := net.Listen("tcp", net.JoinHostPort(b.near.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.page = l.Addr().(*net.TCPAddr).Port
	b.origin = "http://" + l.Addr().String()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// browsed is what the page found.
type browsed struct {
	Leg struct {
		State, Kind, Protocol, Relay string
	}
	Test *struct {
		Verdict string
		Takes   string
		Legs    []struct {
			Leg, State, Address string
			Figures             struct{ RTT, Jitter, Loss, Up, Down float64 }
		}
	}
}

// browse starts Chromium in the namespace.
func (b *behind) browse(t *testing.T, home string, measure bool) browsed {
	t.Helper()
	scene, err := json.Marshal(map[string]any{"origin": b.origin, "resolve": "turn." + behindHost + " " + b.near.String(), "measure": measure})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", b.space, "env", "HOME="+home, "node", "test/paths.mjs")
	cmd.Dir = filepath.Join("..", "..", "web")
	cmd.Stdin = bytes.NewReader(scene)
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	if err := cmd.Run(); err != nil {
		t.Fatalf("the browser: %v\n%s", err, wrong.String())
	}
	var got browsed
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s %s", err, out.String(), wrong.String())
	}
	return got
}

// trusting makes a home whose browser trusts the test's authority.
func trusting(t *testing.T, root string) string {
	t.Helper()
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Skip("needs certutil (.ci/packages: libnss3-tools)")
	}
	home := t.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "certutil", "-d", "sql:"+store, "-N", "--empty-password")
	run(t, "certutil", "-d", "sql:"+store, "-A", "-t", "C,,", "-n", "kuule", "-i", root)
	return home
}

// Chromium behind a firewall of its own finds a way to the media server while
// one is left, and the self-test names the way that works and those that are cut.
//
// Two firewalls are tried always, all of them by the soak.
func TestBrowserFindsTheLastPath(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser in a network namespace")
	}
	browserBehind(t, "HTTPS alone", "the media port over TCP alone")
}

func TestSoakBrowserFindsEveryPath(t *testing.T) {
	onlySoak(t)
	browserBehind(t)
}

// builtPage is a folder with the page of a script of the pages' own.
func builtPage(t *testing.T, script string) string {
	t.Helper()
	if _, err := os.Stat("/usr/bin/chromium"); err != nil {
		t.Skip("needs chromium (.ci/packages)")
	}
	if _, err := os.Stat(filepath.Join("..", "..", "web", "node_modules", "vite")); err != nil {
		t.Skip("needs the pages' packages: make web")
	}
	folder := t.TempDir()
	build := exec.Command("node", script, "build", folder)
	build.Dir = filepath.Join("..", "..", "web")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

// The self-test names the way in each family of addresses: where IPv4 does not
// reach the media port, IPv6 is what media takes.
func TestBrowserMeasuresIPv6(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser in a network namespace")
	}
	b := &behind{both: true}
	b.network(t)
	static := builtPage(t, "test/paths.mjs")
	b.serve(t, static)
	b.firewall(t, fmt.Sprintf("ip6 daddr %s accept", b.near6), fmt.Sprintf("ip daddr %s th dport %d drop", b.near, b.media))
	b.path.Store(new(string))
	got := b.browse(t, trusting(t, b.root), true)
	if got.Leg.Protocol != "udp" || got.Leg.Relay != "" {
		t.Errorf("the leg went by %+v, want UDP to the media port", got.Leg)
	}
	state := map[string]string{}
	for _, l := range got.Test.Legs {
		t.Logf("%+v", l)
		at := "IPv4"
		if strings.HasPrefix(l.Address, "[") {
			at = "IPv6"
			if l.State == "works" && (l.Figures.Up < 100_000 || l.Figures.Down < 100_000) {
				t.Errorf("%s was not measured: %+v", l.Leg, l.Figures)
			}
		}
		state[l.Leg+" "+at] = l.State
	}
	for leg, want := range map[string]string{"direct-udp IPv6": "works", "direct-tcp IPv6": "works", "direct-udp IPv4": "cut", "direct-tcp IPv4": "cut"} {
		if state[leg] != want {
			t.Errorf("%s is %q, want %q", leg, state[leg], want)
		}
	}
	if got.Test.Takes != "direct-udp" || got.Test.Verdict != "good" {
		t.Errorf("the page says %q and that media takes %q", got.Test.Verdict, got.Test.Takes)
	}
}

// browserBehind tries one firewall, or all of them.
func browserBehind(t *testing.T, only ...string) {
	t.Helper()
	b := &behind{}
	b.network(t)
	static := builtPage(t, "test/paths.mjs")
	b.serve(t, static)
	home := trusting(t, b.root)
	for _, c := range []struct {
		name    string
		allow   []string
		leg     string // protocol, and how the relay was reached
		path    string // as the node tells it
		works   string
		verdict string
		takes   string
	}{
		// A name server that says nothing would be waited for.
		{"open", []string{"meta l4proto { tcp, udp } th dport 53 reject", "accept"}, "udp ", "udp", "direct-udp direct-tcp udp tcp tls", "good", "direct-udp"},
		{"no media port", []string{fmt.Sprintf("udp dport %d accept", b.turn)}, "udp udp", "turn/udp", "udp", "good", "udp"},
		{"no UDP", []string{fmt.Sprintf("tcp dport { %d, %d } accept", b.turn, b.https)}, "udp tcp", "turn/tcp", "tcp tls", "detour", "tcp"},
		{"HTTPS alone", []string{b.allowHTTPS()}, "udp tls", "turn/tls", "tls", "detour", "tls"},
		// No relay at all: the media port itself over TCP (RFC 6544).
		{"the media port over TCP alone", []string{fmt.Sprintf("tcp dport %d accept", b.media)}, "tcp ", "tcp", "direct-tcp", "detour", "direct-tcp"},
		{"nothing", []string{"drop"}, " ", "", "", "cut", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(only) > 0 && !slices.Contains(only, c.name) {
				t.Skip("in the soak")
			}
			b.firewall(t, c.allow...)
			b.path.Store(new(string))
			got := b.browse(t, home, true)
			if leg := got.Leg.Protocol + " " + got.Leg.Relay; leg != c.leg {
				t.Errorf("the leg went by %q (%+v), want %q", leg, got.Leg, c.leg)
			}
			if path := *b.path.Load(); path != c.path {
				t.Errorf("the node tells of %q, want %q", path, c.path)
			}
			var works []string
			for _, l := range got.Test.Legs {
				t.Logf("%s %s %s rtt %.1f ms, jitter %.1f ms, loss %.3f, up %.0f, down %.0f bit/s", l.Leg, l.Address, l.State, l.Figures.RTT, l.Figures.Jitter, l.Figures.Loss, l.Figures.Up, l.Figures.Down)
				switch l.State {
				case "works":
					works = append(works, l.Leg)
					if l.Figures.Up < 100_000 || l.Figures.Down < 100_000 || l.Figures.RTT <= 0 && !strings.HasPrefix(l.Leg, "direct") { // a browser counts those in whole milliseconds
						t.Errorf("%s was not measured: %+v", l.Leg, l.Figures)
					}
				case "cut":
				default:
					t.Errorf("%s is %s", l.Leg, l.State)
				}
			}
			if got := strings.Join(works, " "); got != c.works {
				t.Errorf("works: %q, want %q", got, c.works)
			}
			if got.Test.Verdict != c.verdict {
				t.Errorf("the page says %q, want %q", got.Test.Verdict, c.verdict)
			}
			if got.Test.Takes != c.takes {
				t.Errorf("the page says that media takes %q, want %q", got.Test.Takes, c.takes)
			}
		})
	}
}
