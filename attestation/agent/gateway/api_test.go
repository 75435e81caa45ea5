package gateway

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/internal/canon"
	"kuule/internal/idptest"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
)

// Every path, written down a second time: a route that is added, opened or
// loses its bearer fails here until somebody has thought about it.
func TestEveryRouteHasAnEntry(t *testing.T) {
	t.Parallel()
	type entry struct {
		methods string
		kind    Kind
		bearer  bool
	}
	want := map[string]entry{
		"/":                   {"GET HEAD", KindPage, false},
		"/api/":               {"GET HEAD POST PUT PATCH DELETE", KindCall, true},
		"/ws/":                {"GET", KindSocket, true},
		"/gw/health":          {"GET", KindCall, false},
		"/gw/session":         {"POST", KindCall, false}, // gives the bearer
		"/gw/session/end":     {"POST", KindCall, true},
		"/gw/session/resume":  {"POST", KindCall, false}, // for a page that lost it; gives nothing
		"/gw/device":          {"GET", KindCall, true},
		"/gw/statement":       {"POST", KindCall, true},
		"/gw/consent":         {"POST", KindCall, true},
		"/gw/identification":  {"POST", KindCall, true},
		"/gw/reading":         {"POST", KindCall, true},
		"/gw/signin":          {"GET", KindCall, true},
		"/gw/signin/start":    {"POST", KindCall, true},
		"/gw/signin/end":      {"POST", KindCall, true},
		"/gw/signin/callback": {"GET", KindLanding, false}, // the state is its secret
	}
	f := serve(t)
	got := map[string]entry{}
	for _, r := range f.Routes() {
		got[r.Path] = entry{strings.Join(r.Methods, " "), r.Kind, r.Bearer}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("routes are\n%v\nwant\n%v", got, want)
	}
	// The table is what the handler does.
	for path, e := range want {
		if !e.bearer || e.kind == KindSocket {
			continue
		}
		for method := range strings.SplitSeq(e.methods, " ") {
			h := forged(f, "", true)
			if resp := f.raw(t, method, path, h); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s without bearer answered %s", method, path, resp.Status)
			}
		}
	}
	if resp := f.raw(t, http.MethodGet, "/gw/none", forged(f, "", false)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown path answered %s", resp.Status)
	}
}

func point(t testing.TB) string {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes())
}

func content(t testing.TB) map[string]any {
	t.Helper()
	return map[string]any{
		"hearing": interview.NewHearingID(), "member": interview.NewMemberID(), "seats": []interview.SeatID{interview.NewSeatID()},
		"hpke_key": point(t), "sign_key": point(t), "dtls": strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), "exp": time.Now().Add(time.Hour).Unix(),
	}
}

func TestTheDeviceSignsThePagesStatement(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	in := content(t)
	var out statementAnswer
	if err := page.Call(t.Context(), http.MethodPost, "/gw/statement", in, &out); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.key.cert)
	var st sealing.Statement
	leaf, err := jws.VerifyChain(out.Statement, sealing.TypeStatement, roots, time.Now(), &st)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Subject.CommonName != "device-1" || st.Device != f.cfg.Device.ID || st.Kind != sealing.KindPage || st.V != 1 ||
		st.Member != in["member"] || st.HPKEKey != in["hpke_key"] || st.IssuedAt > time.Now().Unix() || st.ExpiresAt != in["exp"] {
		t.Errorf("signed %+v", st)
	}
	if out.Proof != nil {
		t.Error("nobody signed in, and there is a proof")
	}
}

// Each case spoils one field of a statement that would be signed.
func TestEachSingleFaultOfAStatementIsRefused(t *testing.T) {
	t.Parallel()
	seat := interview.NewSeatID()
	now := time.Now()
	for name, c := range map[string]struct {
		field string
		value any
		code  problem.Code
	}{
		"no hearing":           {"hearing", "", problem.CodeStatementInvalid},
		"hearing of seat":      {"hearing", interview.NewSeatID().String(), problem.CodeMalformed},
		"no member":            {"member", "", problem.CodeStatementInvalid},
		"no seats":             {"seats", []string{}, problem.CodeStatementInvalid},
		"empty seat":           {"seats", []string{""}, problem.CodeStatementInvalid},
		"seat twice":           {"seats", []interview.SeatID{seat, seat}, problem.CodeStatementInvalid},
		"too many seats":       {"seats", manySeats(maxSeats + 1), problem.CodeStatementInvalid},
		"key is no point":      {"hpke_key", base64.RawURLEncoding.EncodeToString(make([]byte, 65)), problem.CodeStatementInvalid},
		"key with line break":  {"sign_key", point(t) + "\n", problem.CodeStatementInvalid},
		"no key":               {"sign_key", "", problem.CodeStatementInvalid},
		"fingerprint short":    {"dtls", "AB:CD", problem.CodeStatementInvalid},
		"fingerprint lower":    {"dtls", strings.TrimSuffix(strings.Repeat("ab:", 32), ":"), problem.CodeStatementInvalid},
		"expired":              {"exp", now.Add(-time.Second).Unix(), problem.CodeStatementInvalid},
		"more than 12 h":       {"exp", now.Add(12*time.Hour + time.Minute).Unix(), problem.CodeStatementInvalid},
		"unknown field":        {"extra", 1, problem.CodeMalformed},
		"device from the page": {"device", interview.NewDeviceID().String(), problem.CodeMalformed},
		"kind from the page":   {"kind", "recorder", problem.CodeMalformed},
		"float":                {"exp", 1.5, problem.CodeMalformed},
		"too large":            {"dtls", strings.Repeat("A", maxOwnBody), problem.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t)
			in := content(t)
			in[c.field] = c.value
			err := f.open(t).Call(t.Context(), http.MethodPost, "/gw/statement", in, nil)
			if !isProblem(err, c.code) {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	t.Run("one key for both", func(t *testing.T) {
		t.Parallel()
		in := content(t)
		in["sign_key"] = in["hpke_key"]
		if err := serve(t).open(t).Call(t.Context(), http.MethodPost, "/gw/statement", in, nil); !isProblem(err, problem.CodeStatementInvalid) {
			t.Errorf("got %v", err)
		}
	})
}

func manySeats(n int) (out []interview.SeatID) {
	for range n {
		out = append(out, interview.NewSeatID())
	}
	return out
}

func TestTheDevicesKeyIsNotAMachineGun(t *testing.T) {
	t.Parallel()
	page := serve(t).open(t)
	in := content(t)
	for range 50 {
		if err := page.Call(t.Context(), http.MethodPost, "/gw/statement", in, nil); isProblem(err, problem.CodeTooFast) {
			return
		}
	}
	t.Error("50 statements at once were all signed")
}

func TestThePageLearnsItsDeviceAndWhatIsPinned(t *testing.T) {
	t.Parallel()
	f := serve(t, func(c *Config) { c.Device.Trust = &trust.File{V: 1, Name: "installation", StatementKey: "k"} })
	var got Device
	if err := f.open(t).Call(t.Context(), http.MethodGet, "/gw/device", nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != f.cfg.Device.ID || got.Label != "Avustajan kone" || got.Trust == nil || got.Trust.StatementKey != "k" {
		t.Errorf("got %+v", got)
	}
}

type signInState struct {
	Available bool      `json:"available"`
	SignedIn  bool      `json:"signed_in"`
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	Expires   time.Time `json:"expires"`
}

// Sign-in end to end: provider's real pages and redirects, PKCE, the redirect
// at the agent, a fresh start code, and the proof verified as authority does.
func TestAPersonSignsInThroughTheGateway(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	before := page.Bearer()
	var state signInState
	if err := page.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &state); err != nil || state.SignedIn || !state.Available {
		t.Fatalf("before: %+v %v", state, err)
	}
	if err := page.SignIn(t.Context(), f.idp, "c1"); err != nil {
		t.Fatal(err)
	}
	if page.Bearer() == before {
		t.Error("the bearer from before the sign-in still counts")
	}
	if err := page.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &state); err != nil || !state.SignedIn || state.Name != "Aino Avustaja" || state.Role != "counsel" {
		t.Fatalf("after: %+v %v", state, err)
	}
	var out statementAnswer
	if err := page.Call(t.Context(), http.MethodPost, "/gw/statement", content(t), &out); err != nil || out.Proof == nil {
		t.Fatalf("no proof: %v", err)
	}
	authority, err := signin.NewVerifier(signin.Config{Issuer: f.idp.Issuer(), ClientID: idptest.ClientID})
	if err != nil {
		t.Fatal(err)
	}
	defer authority.Client().CloseIdleConnections()
	who, err := authority.Verify(t.Context(), *out.Proof, f.cfg.Device.ID.String())
	if err != nil || who.Subject != "c1" || who.Role != "counsel" {
		t.Errorf("authority: %v %v", who, err)
	}
	if _, err := authority.Verify(t.Context(), *out.Proof, interview.NewDeviceID().String()); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("the proof counts on another device: %v", err)
	}
	// The door gets the proof with every call and socket, from the agent alone.
	req, err := page.Request(t.Context(), http.MethodGet, "/api/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(signin.HeaderToken, "of the page")
	req.Header.Set("X-Other", "of the page")
	resp, err := page.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var at echo
	if err := json.NewDecoder(resp.Body).Decode(&at); err != nil {
		t.Fatal(err)
	}
	if p, ok := signin.FromHeader(at.Header); !ok || p != *out.Proof || len(at.Header[signin.HeaderToken]) != 1 || at.Header.Get("X-Other") != "" {
		t.Errorf("door got %v", at.Header)
	}
	socket, err := page.Socket(t.Context(), "/ws/room")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.ReadJSON(&at); err != nil {
		t.Fatal(err)
	}
	if p, ok := signin.FromHeader(at.Header); !ok || p != *out.Proof {
		t.Error("door got no proof with the socket")
	}
	// Another page of the device is another session: it is not signed in.
	var other signInState
	if err := f.open(t).Call(t.Context(), http.MethodGet, "/gw/signin", nil, &other); err != nil || other.SignedIn {
		t.Errorf("another page: %+v %v", other, err)
	}
	if err := page.Call(t.Context(), http.MethodPost, "/gw/signin/end", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := page.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &state); err != nil || state.SignedIn {
		t.Errorf("after signing out: %+v %v", state, err)
	}
}

func TestASignInThatHasExpiredIsNone(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	sess, err := f.sessions.find(page.Bearer())
	if err != nil {
		t.Fatal(err)
	}
	f.sessions.do(func() {
		sess.who = &signin.Identity{Name: "Aino Avustaja", Role: "counsel", Expires: time.Now().Add(-time.Second)}
		sess.proof = signin.Proof{IDToken: "old"}
	})
	var state signInState
	if err := page.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &state); err != nil || state.SignedIn || state.Name != "" {
		t.Errorf("%+v %v", state, err)
	}
	var at echo
	if err := page.Call(t.Context(), http.MethodGet, "/api/me", nil, &at); err != nil || at.Header.Get(signin.HeaderToken) != "" {
		t.Errorf("door got %v, %v", at.Header, err)
	}
}

func TestACallbackCountsOnceAndOnlyWithItsState(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	var start struct {
		URL string `json:"url"`
	}
	if err := page.Call(t.Context(), http.MethodPost, "/gw/signin/start", nil, &start); err != nil {
		t.Fatal(err)
	}
	good, err := f.idp.Login(t.Context(), start.URL, "c1")
	if err != nil {
		t.Fatal(err)
	}
	refused := f.addr.Origin() + "/#problem=sign-in"
	for name, bad := range map[string]string{
		"no state":      f.addr.Callback() + "?code=x",
		"unknown state": f.addr.Callback() + "?code=x&state=" + newSecret(),
	} {
		if back, err := page.Land(t.Context(), bad); err != nil || back != refused {
			t.Errorf("%s: sent on to %s, %v", name, back, err)
		}
	}
	if back, err := page.Land(t.Context(), good); err != nil || strings.Contains(back, "problem") || !strings.Contains(back, startFragment) {
		t.Fatalf("sent on to %s, %v", back, err)
	}
	if back, err := page.Land(t.Context(), good); err != nil || back != refused {
		t.Errorf("second time: sent on to %s, %v", back, err)
	}
	// Fetched by a script, or framed, it answers nothing.
	for name, h := range map[string]http.Header{
		"fetched": forged(f, page.Bearer(), false), "framed": navigation(http.Header{"Sec-Fetch-Dest": {"iframe"}}),
	} {
		if resp := f.raw(t, http.MethodGet, pathCallback, h); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: answered %s", name, resp.Status)
		}
	}
}

func TestASignInThatThePersonLeftComesBackToThePage(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	var start struct {
		URL string `json:"url"`
	}
	if err := page.Call(t.Context(), http.MethodPost, "/gw/signin/start", nil, &start); err != nil {
		t.Fatal(err)
	}
	_, state, _ := strings.Cut(start.URL, "&state=")
	state, _, _ = strings.Cut(state, "&")
	back, err := page.Land(t.Context(), f.addr.Callback()+"?error=access_denied&state="+state)
	if err != nil || !strings.HasSuffix(back, "&problem=sign-in") {
		t.Fatalf("sent on to %s, %v", back, err)
	}
	again, err := gatewaytest.Open(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var st signInState
	if err := again.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &st); err != nil || st.SignedIn {
		t.Errorf("%+v %v", st, err)
	}
}

func TestADeviceWithoutSignInSaysSo(t *testing.T) {
	t.Parallel()
	f := serve(t, func(c *Config) { c.SignIn = nil })
	if err := f.open(t).Call(t.Context(), http.MethodPost, "/gw/signin/start", nil, nil); !isProblem(err, problem.CodeNotReady) {
		t.Errorf("got %v", err)
	}
}

// docs/decisions/0003: a reload loses the bearer; the way on goes by the agent.
func TestAReloadedPageGetsALinkByTheAgentAndItsOldSocketEnds(t *testing.T) {
	t.Parallel()
	links := make(chan StartURL, 2)
	f := serve(t, func(c *Config) {
		c.Relaunch = func(_ context.Context, link StartURL) error { links <- link; return nil }
	})
	page := f.open(t)
	if err := page.SignIn(t.Context(), f.idp, "c1"); err != nil {
		t.Fatal(err)
	}
	socket, err := page.Socket(t.Context(), "/ws/room")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var hello echo
	if err := socket.ReadJSON(&hello); err != nil {
		t.Fatal(err)
	}

	resp := f.raw(t, http.MethodPost, "/gw/session/resume", forged(f, "", true)) // no bearer: it was lost
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if resp := f.raw(t, http.MethodPost, "/gw/session/resume", forged(f, "", true)); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("windows can be opened without end: %s", resp.Status)
	}
	again, err := gatewaytest.Open(t.Context(), (<-links).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var st signInState
	if err := again.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &st); err != nil || !st.SignedIn {
		t.Errorf("the sign-in was lost: %+v %v", st, err)
	}
	if err := page.Call(t.Context(), http.MethodGet, "/gw/signin", nil, nil); !isProblem(err, problem.CodeBearer) {
		t.Errorf("the page before still has a bearer: %v", err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, _, err := socket.ReadMessage(); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("socket of the page before: %v", err)
	}
}

func TestAPageEndsItsSession(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	if err := page.Call(t.Context(), http.MethodPost, "/gw/session/end", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := page.Call(t.Context(), http.MethodGet, "/gw/device", nil, nil); !isProblem(err, problem.CodeBearer) {
		t.Errorf("got %v", err)
	}
}

func TestHealthNeedsNoSession(t *testing.T) {
	t.Parallel()
	f := serve(t)
	if resp := f.raw(t, http.MethodGet, "/gw/health", forged(f, "", false)); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

func TestADoorThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	f.door.Close()
	if err := page.Call(t.Context(), http.MethodGet, "/api/x", nil, nil); !isProblem(err, problem.CodeUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestStartLinksComeByTheSocketOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "start.sock")
	f := serve(t, func(c *Config) { c.StartSocket = path })
	link := askWhenThere(t, path)
	page, err := gatewaytest.Open(t.Context(), link.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, %v", info.Mode(), err)
	}
	if err := page.SignIn(t.Context(), f.idp, "c1"); err != nil {
		t.Fatal(err)
	}
	link, err = AskStartURL(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := gatewaytest.Open(t.Context(), link.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var st signInState
	if err := again.Call(t.Context(), http.MethodGet, "/gw/signin", nil, &st); err != nil || !st.SignedIn {
		t.Errorf("resumed: %+v %v", st, err)
	}
	if _, err := listenStart(path, 0); err == nil {
		t.Error("a second agent took the socket of one that runs")
	}
}

func askWhenThere(t *testing.T, path string) StartURL {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		link, err := AskStartURL(t.Context(), path, false)
		if err == nil {
			return link
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // until the socket is there
	}
}

// askEnv makes this test binary a program of another user that asks for a link.
const askEnv = "KUULE_TEST_ASK_SOCKET"

func TestHelperAskForALink(t *testing.T) {
	path := os.Getenv(askEnv)
	if path == "" {
		t.Skip("only runs as the other user of TestAnotherUserGetsNoStartLink")
	}
	if _, err := AskStartURL(t.Context(), path, false); err != nil {
		t.Fatal(err)
	}
}

// SO_PEERCRED decides even where the file's mode would not.
func TestAnotherUserGetsNoStartLink(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to ask as another user")
	}
	dir, err := os.MkdirTemp("", "kuule-start") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program, path := filepath.Join(dir, "ask"), filepath.Join(dir, "start.sock")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	const mine, other = 23401, 23402
	serve(t, func(c *Config) { c.StartSocket = path; c.BrowserUID = mine })
	askWhenThere(t, path)
	for _, c := range []struct {
		uid  uint32
		mode os.FileMode
		ok   bool
	}{{mine, 0o600, true}, {other, 0o600, false}, {other, 0o666, false}} {
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHelperAskForALink$")
		cmd.Dir = "/"
		cmd.Env = []string{askEnv + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
		if out, err := cmd.CombinedOutput(); (err == nil) != c.ok {
			t.Errorf("uid %d, mode %o: %v\n%s", c.uid, c.mode, err, out)
		}
	}
}

func TestAStartSocketNeedsAFolderOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := listenStart(filepath.Join(dir, "s"), 0); err == nil {
		t.Error("others could put their own socket there")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenStart(file, 0); err == nil {
		t.Error("a file was removed for the socket")
	}
	// The socket of an agent that was killed is taken over.
	dead := filepath.Join(dir, "dead")
	ln, err := listenStart(dead, 0)
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if ln, err = listenStart(dead, 0); err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheStartFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "start.html")
	link := StartURL{URL: `http://counsel.localhost:8701/#start=a"b`}
	if err := WriteStartFile(path, link, uint32(os.Getuid())); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "0;url=http://counsel.localhost:8701/#start=a&#34;b") {
		t.Errorf("file holds %s, %v", text, err)
	}
	if err := WriteStartFile(path, link, 0); err == nil {
		t.Error("a file that was there was written to")
	}
}

func TestStartLinksAreNotPrinted(t *testing.T) {
	t.Parallel()
	link := StartURL{URL: "secret"}
	if text := fmt.Sprintf("%v %+v %#v %s", link, link, link, link.LogValue()); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

func FuzzStatement(f *testing.F) {
	device, now := interview.NewDeviceID(), time.Now()
	f.Add(point(f), point(f), "AB", now.Unix())
	f.Fuzz(func(t *testing.T, hpke, sign, dtls string, exp int64) {
		st, err := pageStatement{Hearing: interview.NewHearingID(), Member: interview.NewMemberID(), Seats: manySeats(1),
			HPKEKey: hpke, SignKey: sign, DTLS: dtls, ExpiresAt: exp}.complete(device, now)
		if err == nil && (st.ExpiresAt > now.Add(12*time.Hour).Unix() || st.ExpiresAt < now.Unix() || len(dtls) != 95 || hpke == sign) {
			t.Errorf("would sign %+v", st)
		}
	})
}

// H6: a consent names who was signed in when the device signed it, so that
// nobody else's sign-in at the same device goes with it.
func TestAConsentNamesWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	in := map[string]any{
		"act": viewing.ActView, "viewing": "view-00112233445566778899aabbccddeeff", "hearing": interview.NewHearingID(),
		"purpose": jws.Hash("appeal"), "nonce": "0011223344556677",
	}
	ask := func() (c viewing.Consent, err error) {
		t.Helper()
		var out consentAnswer
		if err := page.Call(t.Context(), http.MethodPost, "/gw/consent", in, &out); err != nil {
			return c, err
		}
		return c, jws.Peek(out.Consent, viewing.TypeConsent, &c)
	}
	if _, err := ask(); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("nobody signed in: %v", err)
	}
	persons := map[string]bool{}
	for _, subject := range []string{"c1", "o1"} {
		if err := page.SignIn(t.Context(), f.idp, subject); err != nil {
			t.Fatal(err)
		}
		c, err := ask()
		if err != nil || c.Person == "" || c.Device != f.cfg.Device.ID {
			t.Errorf("%+v %v", c, err)
		}
		persons[c.Person] = true
	}
	if len(persons) != 2 {
		t.Errorf("two people, %d persons", len(persons))
	}
	for name, spoil := range map[string]any{"viewing": "view-../../x", "act": "own", "nonce": "", "purpose": "appeal"} {
		before := in[name]
		in[name] = spoil
		if _, err := ask(); !isProblem(err, problem.CodeStatementInvalid) {
			t.Errorf("%s %v: %v", name, spoil, err)
		}
		in[name] = before
	}
	// The applicant signs in nowhere: the consent names the participant, no
	// person, and opens alone.
	in["participant"] = interview.NewParticipantID()
	if c, err := ask(); err != nil || c.Person != "" || c.Participant != in["participant"] {
		t.Errorf("a participant's: %+v %v", c, err)
	}
	in["act"] = viewing.ActApprove
	if _, err := ask(); !isProblem(err, problem.CodeStatementInvalid) {
		t.Errorf("a participant allows: %v", err)
	}
	in["act"] = viewing.ActView
	in["person"] = "another" // is not the page's to say
	if _, err := ask(); !isProblem(err, problem.CodeMalformed) {
		t.Errorf("a person of the page's choice: %v", err)
	}
}

// B12: the device signs for an officer who is signed in at it, and for nobody
// else; evidence that no officer could stand for is not signed.
func TestTheDeviceSignsAnOfficersIdentification(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	now := time.Now().Unix()
	good := ticket.Evidence{
		V: 1, Visit: interview.NewVisitID(), Nonce: base64.RawURLEncoding.EncodeToString(make([]byte, 32)), Kiosk: f.cfg.Device.ID,
		Hearing: interview.NewHearingID(), Participant: interview.NewParticipantID(), ChecksSHA256: "c", Assurance: ticket.AssuranceLow,
		Started: now, Ended: now, Method: ticket.MethodDocument,
	}
	ask := func(e ticket.Evidence) (identificationAnswer, error) {
		t.Helper()
		text, err := canon.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var out identificationAnswer
		return out, page.Call(t.Context(), http.MethodPost, "/gw/identification", map[string]string{"evidence": string(text)}, &out)
	}
	if _, err := ask(good); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("nobody signed in: %v", err)
	}
	if err := page.SignIn(t.Context(), f.idp, "c1"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(good); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("counsel signed in: %v", err)
	}
	if err := page.SignIn(t.Context(), f.idp, "o1"); err != nil {
		t.Fatal(err)
	}
	out, err := ask(good)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.key.cert)
	var i ticket.Identification
	if _, err := jws.VerifyChain(out.Signed, ticket.TypIdentification, roots, time.Now(), &i); err != nil || i.Device != f.cfg.Device.ID || i.Participant != good.Participant {
		t.Errorf("signed %+v %v", i, err)
	}
	ofAKiosk := good
	ofAKiosk.Method = ""
	if _, err := ask(ofAKiosk); !isProblem(err, problem.CodeStatementInvalid) {
		t.Errorf("a kiosk's evidence: %v", err)
	}
}
