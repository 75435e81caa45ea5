package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/internal/problem"
)

// forged is everything a browser would send from the page itself, and the
// bearer: the attacks below change one thing each.
func forged(f *fixture, bearer string, post bool) http.Header {
	h := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Authorization": {"Bearer " + bearer}}
	if post {
		h.Set("Origin", f.addr.Origin())
	}
	return h
}

// The attacks of other sites, other ports and other programs. Each succeeded
// against a gateway without the rule that is named; here none reaches the door.
func TestAttacksOnCalls(t *testing.T) {
	t.Parallel()
	f := serve(t)
	bearer := f.open(t).Bearer()
	port := fmt.Sprint(f.addr.Port())
	for name, c := range map[string]struct {
		method string
		change func(http.Header)
		want   int
	}{
		"control: the page itself":           {http.MethodPost, func(http.Header) {}, 200},
		"control: the page reads":            {http.MethodGet, func(http.Header) {}, 200},
		"DNS rebinding":                      {http.MethodGet, func(h http.Header) { h.Set("Host", "evil.example:"+port) }, 403},
		"forged host: address":               {http.MethodGet, func(h http.Header) { h.Set("Host", "127.0.0.1:"+port) }, 403},
		"forged host: localhost":             {http.MethodGet, func(h http.Header) { h.Set("Host", "localhost:"+port) }, 403},
		"forged host: no port":               {http.MethodGet, func(h http.Header) { h.Set("Host", "counsel.localhost") }, 403},
		"forged host: other persona":         {http.MethodGet, func(h http.Header) { h.Set("Host", "interviewer.localhost:"+port) }, 403},
		"forged host: trailing dot":          {http.MethodGet, func(h http.Header) { h.Set("Host", "counsel.localhost.:"+port) }, 403},
		"forged host: upper case":            {http.MethodGet, func(h http.Header) { h.Set("Host", "COUNSEL.localhost:"+port) }, 403},
		"other site":                         {http.MethodPost, func(h http.Header) { h.Set("Origin", "https://evil.example") }, 403},
		"other site, no-cors read":           {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site"); h.Set("Sec-Fetch-Mode", "no-cors") }, 403},
		"same site, other port":              {http.MethodPost, func(h http.Header) { h.Set("Origin", "http://counsel.localhost:1") }, 403},
		"same site, other port, by metadata": {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") }, 403},
		"opaque origin":                      {http.MethodPost, func(h http.Header) { h.Set("Origin", "null") }, 403},
		"write without origin (form, curl)":  {http.MethodPost, func(h http.Header) { h.Del("Origin") }, 403},
		"two origins":                        {http.MethodPost, func(h http.Header) { h["Origin"] = append(h["Origin"], "https://evil.example") }, 403},
		"no fetch metadata (rebound page)":   {http.MethodGet, func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Del("Sec-Fetch-Mode"); h.Del("Sec-Fetch-Dest") }, 403},
		"no site":                            {http.MethodGet, func(h http.Header) { h.Del("Sec-Fetch-Site") }, 403},
		"typed address":                      {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Site", "none") }, 403},
		"navigation":                         {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Mode", "navigate"); h.Set("Sec-Fetch-Dest", "document") }, 403},
		"no-cors by the page":                {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Mode", "no-cors") }, 403},
		"as a script":                        {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Dest", "script") }, 403},
		"as a worker":                        {http.MethodGet, func(h http.Header) { h.Set("Sec-Fetch-Dest", "worker") }, 403},
		"upgrade on a call":                  {http.MethodGet, func(h http.Header) { h.Set("Upgrade", "websocket"); h.Set("Connection", "Upgrade") }, 403},
		"no bearer":                          {http.MethodGet, func(h http.Header) { h.Del("Authorization") }, 401},
		"wrong bearer":                       {http.MethodGet, func(h http.Header) { h.Set("Authorization", "Bearer "+newSecret()) }, 401},
		"empty bearer":                       {http.MethodGet, func(h http.Header) { h.Set("Authorization", "Bearer ") }, 401},
		"bearer in a cookie":                 {http.MethodGet, func(h http.Header) { h.Del("Authorization"); h.Set("Cookie", "bearer="+bearer) }, 401},
		"preflight":                          {http.MethodOptions, func(h http.Header) { h.Set("Access-Control-Request-Method", "POST") }, 404},
		"preflight of another site":          {http.MethodOptions, func(h http.Header) { h.Set("Origin", "https://evil.example") }, 403},
		"method that is not on the route":    {http.MethodConnect, func(http.Header) {}, 404},
		"method that would echo the headers": {http.MethodTrace, func(http.Header) {}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.door.requests()
			h := forged(f, bearer, c.method != http.MethodGet)
			c.change(h)
			resp := f.raw(t, c.method, "/api/x", h)
			if resp.StatusCode != c.want {
				t.Errorf("answered %s, want %d", resp.Status, c.want)
			}
			if reached := f.door.requests() - before; (reached == 1) != (c.want == 200) {
				t.Errorf("%d requests reached the door", reached)
			}
			for name := range resp.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("answer has %s", name)
				}
			}
		})
	}
}

func TestAttacksOnPages(t *testing.T) {
	t.Parallel()
	f := serve(t)
	for name, c := range map[string]struct {
		h    http.Header
		want int
	}{
		"typed":                        {navigation(nil), 200},
		"link from another site":       {navigation(http.Header{"Sec-Fetch-Site": {"cross-site"}}), 200},
		"part of the page":             {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"script"}}, 200},
		"script included by evil site": {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"script"}}, 403},
		"same site, other port":        {http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, 403},
		"framed":                       {navigation(http.Header{"Sec-Fetch-Dest": {"iframe"}}), 403},
		"embedded":                     {navigation(http.Header{"Sec-Fetch-Dest": {"object"}}), 403},
		"rebound":                      {navigation(http.Header{"Host": {"evil.example"}}), 403},
		"no metadata":                  {http.Header{}, 403},
		"window without a site":        {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 403},
		"with a foreign origin":        {navigation(http.Header{"Origin": {"https://evil.example"}}), 403},
	} {
		if resp := f.raw(t, http.MethodGet, "/assets/app.js", c.h); resp.StatusCode != c.want {
			t.Errorf("%s: answered %s, want %d", name, resp.Status, c.want)
		}
	}
}

func TestAttacksOnSockets(t *testing.T) {
	t.Parallel()
	f := serve(t)
	bearer := f.open(t).Bearer()
	for name, c := range map[string]struct {
		header    http.Header
		protocols []string
		want      int
	}{
		"control":               {http.Header{"Origin": {f.addr.Origin()}}, []string{"kuule.v1", "bearer." + bearer}, 101},
		"cross-site":            {http.Header{"Origin": {"https://evil.example"}}, []string{"kuule.v1", "bearer." + bearer}, 403},
		"same site, other port": {http.Header{"Origin": {"http://counsel.localhost:1"}}, []string{"kuule.v1", "bearer." + bearer}, 403},
		"no origin":             {nil, []string{"kuule.v1", "bearer." + bearer}, 403},
		"metadata says other":   {http.Header{"Origin": {f.addr.Origin()}, "Sec-Fetch-Site": {"same-site"}}, []string{"kuule.v1", "bearer." + bearer}, 403},
		"no bearer":             {http.Header{"Origin": {f.addr.Origin()}}, []string{"kuule.v1"}, 401},
		"wrong bearer":          {http.Header{"Origin": {f.addr.Origin()}}, []string{"kuule.v1", "bearer." + newSecret()}, 401},
		"two bearers":           {http.Header{"Origin": {f.addr.Origin()}}, []string{"kuule.v1", "bearer." + newSecret(), "bearer." + bearer}, 401},
		"bearer as header only": {http.Header{"Origin": {f.addr.Origin()}, "Authorization": {"Bearer " + bearer}}, []string{"kuule.v1"}, 401},
		"no room protocol":      {http.Header{"Origin": {f.addr.Origin()}}, []string{"bearer." + bearer}, 400},
		"unknown protocol":      {http.Header{"Origin": {f.addr.Origin()}}, []string{"kuule.v1", "x", "bearer." + bearer}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.door.requests()
			d := websocket.Dialer{Subprotocols: c.protocols, NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", f.addr.listeners[0].Addr().String())
			}}
			conn, resp, err := d.DialContext(t.Context(), "ws://"+f.addr.Host()+"/ws/room", c.header)
			if err == nil {
				defer conn.Close()
			}
			if resp == nil || resp.StatusCode != c.want {
				t.Fatalf("answered %v, %v, want %d", resp, err, c.want)
			}
			if reached := f.door.requests() - before; (reached == 1) != (c.want == 101) {
				t.Errorf("%d requests reached the door", reached)
			}
		})
	}
}

func TestASocketPathIsNoCall(t *testing.T) {
	t.Parallel()
	f := serve(t)
	h := forged(f, f.open(t).Bearer(), true) // with the page's origin, but no upgrade
	if resp := f.raw(t, http.MethodGet, "/ws/room", h); resp.StatusCode != http.StatusForbidden {
		t.Errorf("answered %s", resp.Status)
	}
}

// C5: both families held or nothing served.
func TestASquatterOnEitherFamilyKeepsTheGatewayFromStarting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ network, address string }{
		{"tcp6", "[::1]:0"}, {"tcp4", "127.0.0.1:0"}, {"tcp6", "[::]:0"}, {"tcp4", "0.0.0.0:0"},
	} {
		squatter, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Logf("skipped %s: %v", c.address, err)
			continue
		}
		port := squatter.Addr().(*net.TCPAddr).Port
		a, err := Bind(t.Context(), "counsel.localhost", port)
		if err == nil {
			t.Errorf("held port %d beside a squatter on %s", port, c.address)
			a.Close()
		} else if !strings.Contains(err.Error(), ErrSquatted.Error()) {
			t.Errorf("%s: %v", c.address, err)
		}
		// What was bound before the failure is let go again.
		if l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
		} else if c.address == "[::1]:0" {
			t.Errorf("127.0.0.1 is still held: %v", err)
		}
		squatter.Close()
	}
}

func TestAHostWithoutIPv6IsToleratedAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v6 error
		ok bool
	}{
		{syscall.EAFNOSUPPORT, true}, {syscall.EADDRNOTAVAIL, true}, {syscall.EADDRINUSE, false}, {syscall.EACCES, false}, {syscall.EMFILE, false},
	} {
		a, err := bind("counsel.localhost", 0, func(network, address string) (net.Listener, error) {
			if network == "tcp6" {
				return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", c.v6)}
			}
			return net.Listen(network, address)
		})
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.v6, err)
		}
		if err == nil {
			a.Close()
		}
	}
}

func TestNamesAreLocalhostNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "localhost", "counsel", "counsel.example", "a.b.localhost", "Counsel.localhost", "counsel.localhost.", "-.localhost"} {
		if a, err := Bind(t.Context(), name, 0); err == nil {
			t.Errorf("held %q", name)
			a.Close()
		}
	}
}

// Another user of the machine, with every header right and even the bearer.
func TestAnotherUserIsTurnedAwayAtTheSocket(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to connect as another user")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl")
	}
	const mine, other = 23401, 23402
	f := serve(t, func(c *Config) { c.BrowserUID = mine })
	for _, ip := range []string{"127.0.0.1", "[::1]"} {
		if ip == "[::1]" && len(f.addr.listeners) == 1 {
			continue
		}
		for _, c := range []struct {
			uid  uint32
			want string
		}{{mine, "200"}, {other, "000"}, {0, "000"}} {
			cmd := exec.CommandContext(t.Context(), curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "--connect-to", f.addr.Host()+":"+ip+":"+strconv.Itoa(f.addr.Port()),
				"-H", "Sec-Fetch-Site: none", "-H", "Sec-Fetch-Mode: navigate", "-H", "Sec-Fetch-Dest: document", f.addr.Origin()+"/")
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
			out, _ := cmd.Output() // curl fails where it is turned away
			if string(out) != c.want {
				t.Errorf("uid %d at %s: answered %q, want %s", c.uid, ip, out, c.want)
			}
		}
	}
}

// After a close the kernel names uid 0 as owner: connections that are closed at
// once must not pass for root's.
func TestAConnectionThatWasClosedAtOnceHasNoOwner(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 20 {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := checkPeer(s, uint32(os.Getuid())); err != nil {
			t.Fatalf("open connection: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // the close has arrived
			t.Fatal(err)
		}
		if err := checkPeer(s, uint32(os.Getuid())); err == nil {
			t.Error("closed connection passed")
		}
		if err := checkPeer(s, 0); err == nil {
			t.Error("closed connection passed for root's")
		}
		s.Close()
	}
}

// A code is 256 bits, works once and for a minute.
func TestCodesWorkOnce(t *testing.T) {
	t.Parallel()
	f := serve(t)
	link := f.StartURL(false).URL
	if _, err := gatewaytest.Open(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"used":   link,
		"wrong":  f.addr.Origin() + startFragment + newSecret(),
		"short":  f.addr.Origin() + startFragment + "x",
		"absent": f.addr.Origin() + "/#start=%20",
	} {
		if _, err := gatewaytest.Open(t.Context(), bad); !isProblem(err, problem.CodeStartCode) {
			t.Errorf("%s code: %v", name, err)
		}
	}
}

func TestCodesAreNotGuessedAtSpeed(t *testing.T) {
	t.Parallel()
	f := serve(t)
	for range 100 {
		_, err := gatewaytest.Open(t.Context(), f.addr.Origin()+startFragment+newSecret())
		if isProblem(err, problem.CodeTooFast) {
			return
		}
	}
	t.Error("100 wrong codes at once were all looked at")
}

func TestAWorkerLeftByASquatterIsBuried(t *testing.T) {
	t.Parallel()
	f := serve(t)
	resp := f.raw(t, http.MethodGet, "/sw.js", http.Header{"Service-Worker": {"script"}, "Sec-Fetch-Dest": {"serviceworker"}, "Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Site": {"same-origin"}})
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "unregister()") || resp.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("answered %s %s %v", resp.Status, text, err)
	}
}

func FuzzGuard(f *testing.F) {
	g := guard{"counsel.localhost:8701", "http://counsel.localhost:8701"}
	f.Add("counsel.localhost:8701", "http://counsel.localhost:8701", "same-origin", "cors", "empty", "")
	f.Add("evil.example", "null", "cross-site", "navigate", "iframe", "websocket")
	f.Fuzz(func(t *testing.T, host, origin, site, mode, dest, upgrade string) {
		r := &http.Request{Method: http.MethodPost, Host: host, Header: http.Header{}}
		for k, v := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Upgrade": upgrade} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		if g.check(r, KindCall) == nil && (host != g.host || origin != g.origin || site != "same-origin" || dest != "empty" || upgrade != "") {
			t.Error("a write passed that is not the page's")
		}
	})
}

func FuzzParseDiag(f *testing.F) {
	request := make([]byte, headerSize+requestSize)
	f.Add(request)
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseDiag(b, request) })
}
