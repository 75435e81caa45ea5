package launcher

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeStage struct{ asked []string }

func (f *fakeStage) Link(_ context.Context, device string) (string, error) {
	f.asked = append(f.asked, "link "+device)
	if device == "counsel" {
		return "", errors.New("agent has ended")
	}
	return "http://" + device + ".localhost:8401/#start=x", nil
}
func (f *fakeStage) Parts() []Part { return []Part{{"kuule", true, "runs"}} }
func (f *fakeStage) Kiosk(context.Context) (string, error) {
	f.asked = append(f.asked, "kiosk")
	return "ticket", nil
}
func (f *fakeStage) Fill(_ context.Context, human string) error {
	f.asked = append(f.asked, "fill "+human)
	return nil
}

func newLauncher(t *testing.T) (*Launcher, *fakeStage) {
	t.Helper()
	s := &fakeStage{}
	l, err := Listen(0, []Persona{{Device: "interviewer", Name: "Aino <Virtanen>"}, {Device: "counsel"}}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.listener.Close() })
	return l, s
}

func ask(l *Launcher, method, path string, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Host = l.host
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "http://"+l.host)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	l.server.Handler.ServeHTTP(w, r)
	return w.Result()
}

// A click leads to a fresh link at the persona's own device.
func TestOpenLeadsToTheDevice(t *testing.T) {
	t.Parallel()
	l, s := newLauncher(t)
	r := ask(l, http.MethodPost, "/open/interviewer", nil)
	if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "http://interviewer.localhost:") {
		t.Errorf("%s %s", r.Status, r.Header.Get("Location"))
	}
	if r := ask(l, http.MethodPost, "/open/counsel", nil); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a device that is gone: %s", r.Status)
	}
	if r := ask(l, http.MethodPost, "/open/kiosk", nil); r.StatusCode != http.StatusNotFound || len(s.asked) != 2 {
		t.Errorf("an unknown device: %s, asked %v", r.Status, s.asked)
	}
}

// Each missing condition alone keeps a request out, and nothing happens.
func TestOnlyThePageAsks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"other host":    func(r *http.Request) { r.Host = "attacker.example" },
		"cross site":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"no metadata":   func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
		"other origin":  func(r *http.Request) { r.Header.Set("Origin", "http://interviewer.localhost:8401") },
		"no origin":     func(r *http.Request) { r.Header.Del("Origin") },
		"opaque origin": func(r *http.Request) { r.Header.Set("Origin", "null") },
	} {
		l, s := newLauncher(t)
		for _, path := range []string{"/open/interviewer", "/fill/interviewer", "/kiosk"} {
			if r := ask(l, http.MethodPost, path, change); r.StatusCode < 400 || len(s.asked) > 0 {
				t.Errorf("%s %s: %s, asked %v", name, path, r.Status, s.asked)
			}
		}
	}
}

func TestThePageNamesEveryone(t *testing.T) {
	t.Parallel()
	l, s := newLauncher(t)
	r := ask(l, http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none"); r.Header.Del("Origin") })
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Aino &lt;Virtanen&gt;", `action="/open/interviewer"`, `lang="en"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s on the page", want)
		}
	}
	if r.Header.Get("Content-Security-Policy") == "" {
		t.Error("no content security policy")
	}
	if r := ask(l, http.MethodPost, "/fill/interviewer", nil); r.StatusCode != http.StatusOK || s.asked[0] != "fill interviewer" {
		t.Errorf("%s %v", r.Status, s.asked)
	}
}
