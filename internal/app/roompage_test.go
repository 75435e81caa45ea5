package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"kuule/interview/member"
	"kuule/interview/sealing"
	"kuule/signaling/signalingtest"
)

// pageBundle builds web/test/roompage.ts, once for all tests: the pages' own
// room, without the screens.
var pageBundle = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "roompage")
	if err != nil {
		return "", err
	}
	build := exec.Command("node", "test/roompage.mjs", folder)
	build.Dir = filepath.Join("..", "..", "web")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return folder, nil
})

// page is a browser's page in the house's room.
type page struct {
	h *house

	mu    sync.Mutex
	state pageState
}

// pageState is what the page tells of itself, four times a second.
type pageState struct {
	Stage, Problem string
	Muted          bool
	Packets        int64 // of the voice, sent
}

func (p *page) now() pageState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// browse opens a page at a person's device: the test stands in for the agent's
// gateway, everything else is real.
func (h *house) browse(who *signalingtest.Person, prove member.Prove) *page {
	t := h.t
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (.ci/packages)")
	}
	if _, err := os.Stat(filepath.Join("..", "..", "web", "node_modules", "vite")); err != nil {
		t.Skip("needs the pages' packages: make web")
	}
	bundle, err := pageBundle()
	if err != nil {
		t.Fatal(err)
	}
	file, err := h.world.TrustFile()
	if err != nil {
		t.Fatal(err)
	}
	p, mux := &page{h: h}, http.NewServeMux()
	reply := func(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><script type="module" src="/roompage.js"></script>`)
	})
	mux.Handle("GET /", http.FileServer(http.Dir(bundle)))
	mux.HandleFunc("GET /scene", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"hearing": h.world.Hearing, "seats": []any{map[string]any{"seat": who.Seat.Seat, "role": who.Seat.Role}}})
	})
	mux.HandleFunc("POST /state", func(_ http.ResponseWriter, r *http.Request) {
		var s pageState
		if json.NewDecoder(r.Body).Decode(&s) == nil {
			p.mu.Lock()
			p.state = s
			p.mu.Unlock()
		}
	})
	mux.HandleFunc("GET /gw/device", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"device": who.Device, "label": "test device", "kind": "workstation", "trust": file})
	})
	mux.HandleFunc("POST /gw/statement", func(w http.ResponseWriter, r *http.Request) {
		var st sealing.Statement
		err := json.NewDecoder(r.Body).Decode(&st)
		st.V, st.Kind, st.Device, st.IssuedAt = 1, sealing.KindPage, who.Device, time.Now().Unix()
		if err == nil {
			var text string
			if text, _, err = prove(r.Context(), st); err == nil {
				reply(w, map[string]string{"statement": text})
				return
			}
		}
		t.Error(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
	})
	mux.HandleFunc("POST /api/paths", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"servers": []any{}, "expires": time.Now().Add(time.Hour).Unix()})
	})
	mux.HandleFunc("GET /ws/room", func(w http.ResponseWriter, r *http.Request) { h.hub.ServeWebSocket(w, r, who.Peer()) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	home, err := os.MkdirTemp("", "roompage-home") // not the test's own: the browser's helpers still write for a moment after it is gone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	browser := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+home,
		"--autoplay-policy=no-user-gesture-required", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", server.URL)
	browser.WaitDelay = 5 * time.Second
	if err := browser.Start(); err != nil {
		t.Skipf("chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
		if t.Failed() {
			t.Logf("the page at last: %+v", p.now())
		}
	})
	return p
}

// until waits until something holds of what the page tells.
func (p *page) until(what string, holds func(pageState) bool) {
	p.h.t.Helper()
	patiently(p.h.t, what, func() bool { return holds(p.now()) })
}
