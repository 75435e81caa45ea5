package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
)

// window is one window of a real Chromium, driven over its debugging protocol.
type window struct {
	t  *testing.T
	ws *websocket.Conn
	id int
}

func openChromium(t *testing.T) *window {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium")
	}
	profile := t.TempDir()
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--remote-debugging-port=0", "--user-data-dir="+profile, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group
		_ = cmd.Wait()
	})
	var port string
	waitFor(t, "chromium's port", func() bool {
		b, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
		port, _, _ = strings.Cut(string(b), "\n")
		return err == nil && port != ""
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://127.0.0.1:"+port+"/json/new?about:blank", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var target struct {
		Socket string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&target); err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), target.Socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &window{t: t, ws: ws}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func (w *window) send(method string, params map[string]any) json.RawMessage {
	w.t.Helper()
	w.id++
	if err := w.ws.WriteJSON(map[string]any{"id": w.id, "method": method, "params": params}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	for {
		var m struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
		}
		if err := w.ws.ReadJSON(&m); err != nil {
			w.t.Fatal(err)
		}
		if m.ID == w.id {
			return m.Result
		}
	}
}

func (w *window) visit(address string) {
	w.t.Helper()
	w.send("Page.navigate", map[string]any{"url": address})
}

// eval runs a script in the window and returns its value as text.
func (w *window) eval(script string) string {
	w.t.Helper()
	var out struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
	}
	if err := json.Unmarshal(w.send("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true, "allowUnsafeEvalBlockedByCSP": false}), &out); err != nil {
		return "" // the window is on its way elsewhere
	}
	return fmt.Sprint(out.Result.Value)
}

// browserPage does what the real page does at its start, and no more.
const browserPage = `
globalThis.kuule = { done: "" };
const values = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
const call = async (method, path, body) => {
  const r = await fetch(path, { method, headers: { Authorization: "Bearer " + kuule.bearer, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  return r.status + " " + await r.text();
};
kuule.call = call;
kuule.start = async () => {
  const r = await fetch("/gw/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code: values.get("start") }) });
  kuule.bearer = (await r.json()).bearer;
  kuule.done = "yes";
};
kuule.socket = () => new Promise((ok) => {
  const ws = new WebSocket(location.origin.replace("http", "ws") + "/ws/room", ["kuule.v1", "bearer." + kuule.bearer]);
  ws.onmessage = (m) => ok(ws.protocol + " " + JSON.parse(m.data).device);
  ws.onerror = () => ok("refused");
});
kuule.html = () => { try { document.body.innerHTML = "<b>x</b>"; return "set"; } catch { return "refused"; } };
kuule.eval = () => { try { return (0, eval)("1"); } catch { return "refused"; } };
kuule.outside = () => fetch("http://127.0.0.1:1/").then(() => "sent", () => "refused");
if (values.get("start")) kuule.start(); else kuule.done = "no code";
`

// The whole way in a real browser: start link, call, socket, policies, sign-in
// by the provider's own page, and what is left after a reload.
func TestChromiumHoldsASession(t *testing.T) {
	f := serve(t, func(c *Config) {
		c.Pages = fstest.MapFS{
			"index.html": {Data: []byte(`<!doctype html><title>Kuule</title><body><script type="module" src="/app.js"></script>`)},
			"app.js":     {Data: []byte(browserPage)},
		}
	})
	w := openChromium(t)
	w.visit(f.StartURL(false).URL)
	waitFor(t, "the session", func() bool { return w.eval("globalThis.kuule?.done") == "yes" })
	for script, want := range map[string]string{
		`location.hash + String(isSecureContext) + String(crossOriginIsolated)`: "truetrue",
		`kuule.call("GET", "/api/x").then((x) => x.slice(0, 3))`:                "200",
		`kuule.call("POST", "/api/x", {}).then((x) => x.slice(0, 3))`:           "200",
		`kuule.call("GET", "/gw/device").then((x) => x.slice(0, 3))`:            "200",
		`kuule.socket()`:  "kuule.v1 device-1",
		`kuule.html()`:    "refused",
		`kuule.eval()`:    "refused",
		`kuule.outside()`: "refused",
		`navigator.mediaDevices.getUserMedia({audio: true, video: true}).then((s) => String(s.getTracks().length))`: "2",
	} {
		if got := w.eval(script); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}

	w.eval(`kuule.call("POST", "/gw/signin/start").then((x) => { location.assign(JSON.parse(x.slice(4)).url) })`)
	waitFor(t, "the provider's page", func() bool { return w.eval(`document.querySelector("button")?.value`) == "c1" })
	w.eval(`document.querySelector("button").click()`)
	waitFor(t, "the way back", func() bool { return w.eval("location.origin + globalThis.kuule?.done") == f.addr.Origin()+"yes" })
	if got := w.eval(`kuule.call("GET", "/gw/signin")`); !strings.Contains(got, `"signed_in":true`) {
		t.Errorf("after sign-in: %s", got)
	}

	w.eval("location.reload()")
	waitFor(t, "the reload", func() bool { return w.eval("globalThis.kuule?.done") == "no code" })
	if got := w.eval(`kuule.call("GET", "/gw/signin").then((x) => x.slice(0, 3))`); got != "401" {
		t.Errorf("a reloaded page still has a session: %s", got)
	}
	if got := w.eval(`JSON.stringify([Object.keys(localStorage), Object.keys(sessionStorage), document.cookie])`); got != `[[],[],""]` {
		t.Errorf("something was stored: %s", got)
	}
	w.visit("about:blank") // from a page at the same address only the fragment would change
	w.visit(f.StartURL(true).URL)
	waitFor(t, "the resumed session", func() bool { return w.eval("globalThis.kuule?.done") == "yes" })
	if got := w.eval(`kuule.call("GET", "/gw/signin")`); !strings.Contains(got, `"signed_in":true`) {
		t.Errorf("resumed: %s", got)
	}
}

// Pages of other origins on the same machine, in a real browser, while the real
// page holds a session.
func TestChromiumKeepsOtherOriginsOut(t *testing.T) {
	f := serve(t)
	evil, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>evil</title><body>"))
	})}
	go server.Serve(evil)                    // ends with the test
	t.Cleanup(func() { _ = server.Close() }) // nothing waits for it
	port := strconv.Itoa(evil.Addr().(*net.TCPAddr).Port)
	page := f.open(t)
	w := openChromium(t)
	for _, host := range []string{"evil.localhost", "counsel.localhost", "127.0.0.1"} { // the second is same-site
		w.visit("http://" + host + ":" + port + "/")
		waitFor(t, "the evil page", func() bool { return w.eval("location.hostname + document.title") == host+"evil" })
		before := f.door.requests()
		target, bearer := f.addr.Origin(), page.Bearer()
		for script, want := range map[string]string{
			// Even with the bearer in hand.
			`fetch("` + target + `/api/x", {headers: {Authorization: "Bearer ` + bearer + `"}}).then(() => "read", () => "refused")`:                                                                                                              "refused",
			`fetch("` + target + `/gw/session", {method: "POST", body: "{}"}).then(() => "read", () => "refused")`:                                                                                                                                "refused",
			`fetch("` + target + `/api/x", {method: "POST", mode: "no-cors", body: "{}"}).then(() => "sent", () => "refused")`:                                                                                                                    "refused",
			`new Promise((ok) => { const w = new WebSocket("` + strings.Replace(target, "http", "ws", 1) + `/ws/room", ["kuule.v1", "bearer.` + bearer + `"]); w.onopen = () => ok("open"); w.onerror = () => ok("refused") })`:                   "refused",
			`new Promise((ok) => { const s = document.createElement("script"); s.onload = () => ok("loaded"); s.onerror = () => ok("refused"); s.src = "` + target + `/assets/app.js"; document.body.append(s) })`:                                "refused",
			`new Promise((ok) => { const s = document.createElement("iframe"); s.onload = () => { try { ok(s.contentDocument === null ? "refused" : "framed") } catch { ok("refused") } }; s.src = "` + target + `/"; document.body.append(s) })`: "refused",
		} {
			if got := w.eval(script); got != want && (got != "sent" || !strings.Contains(script, "no-cors")) {
				t.Errorf("%s: %.60s…: %s, want %s", host, script, got, want)
			}
		}
		if n := f.door.requests() - before; n != 0 {
			t.Errorf("%s: %d requests reached the door", host, n)
		}
	}
}

// findings/gateway: a process that held the port once left a service worker
// that showed its page for ever after.
func TestChromiumForgetsTheWorkerOfASquatter(t *testing.T) {
	w := openChromium(t)
	squat := func(port string) (*http.Server, string) {
		v4, err := net.Listen("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		port = strconv.Itoa(v4.Addr().(*net.TCPAddr).Port)
		s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/sw.js" {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write([]byte(`self.addEventListener("fetch", (e) => e.respondWith(new Response("<!doctype html><title>phish</title>", {headers: {"Content-Type": "text/html"}})))`))
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!doctype html><title>squat</title><script>navigator.serviceWorker.register("/sw.js").then(() => navigator.serviceWorker.ready).then(() => { document.title = "planted" })</script>`))
		})}
		go s.Serve(v4) // closed below
		return s, port
	}
	s, port := squat("0")
	w.visit("http://counsel.localhost:" + port + "/")
	waitFor(t, "the planted worker", func() bool { return w.eval("document.title") == "planted" })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, func(c *Config) {
		if err := c.Address.Close(); err != nil {
			t.Error(err)
		}
		if c.Address, err = Bind(context.Background(), "counsel.localhost", number); err != nil {
			t.Fatal(err)
		}
	})
	w.visit(f.cfg.Address.Origin() + "/")
	phished := false
	waitFor(t, "the real page", func() bool {
		title := w.eval("document.title")
		phished = phished || title == "phish"
		return title == "ran"
	})
	t.Logf("the squatter's page was shown first: %v", phished)
	w.visit(f.cfg.Address.Origin() + "/")
	waitFor(t, "the real page again", func() bool { return w.eval("document.title") == "ran" })
	if got := w.eval("navigator.serviceWorker.getRegistrations().then((r) => String(r.length))"); got != "0" {
		t.Errorf("%s workers are left", got)
	}
}
