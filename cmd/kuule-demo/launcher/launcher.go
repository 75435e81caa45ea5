package launcher

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

//go:embed page.html launcher.css launcher.js
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Persona is one card.
type Persona struct {
	Device         string
	Name           string
	RoleFI, RoleEN string
	WayFI, WayEN   string // what to do there
	Origin         string
	Visits         bool // people come and go there; nobody is seated
}

// Part is one line of how everything does.
type Part struct {
	Name  string `json:"name"`
	Runs  bool   `json:"runs"`
	State string `json:"state"`
}

// Stage is what the page reaches.
type Stage interface {
	Link(ctx context.Context, device string) (string, error)
	Parts() []Part
	Kiosk(ctx context.Context) (string, error)
	Fill(ctx context.Context, human string) error
}

// Launcher serves the page. Make one with Listen.
type Launcher struct {
	stage    Stage
	personas []Persona
	host     string
	server   *http.Server
	listener net.Listener
}

// Listen takes the page's port on the loopback address.
func Listen(port int, personas []Persona, s Stage) (*Launcher, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("launcher: %w", err)
	}
	p := &Launcher{stage: s, personas: personas, listener: l}
	p.host = net.JoinHostPort("launcher.localhost", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	p.server = &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	return p, nil
}

// URL is where the page is.
func (l *Launcher) URL() string { return "http://" + l.host + "/" }

// Serve answers until ctx ends.
func (l *Launcher) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.server.Close() })
	defer stop()
	if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("launcher: %w", err)
	}
	return nil
}

func (l *Launcher) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, struct{ Personas []Persona }{l.personas})
	})
	for _, name := range []string{"launcher.css", "launcher.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
	}
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, l.stage.Parts()) })
	mux.HandleFunc("POST /open/{device}", l.open)
	mux.HandleFunc("POST /kiosk", func(w http.ResponseWriter, r *http.Request) {
		text, err := l.stage.Kiosk(r.Context())
		tell(w, text, err)
	})
	mux.HandleFunc("POST /fill/{human}", func(w http.ResponseWriter, r *http.Request) {
		if !l.seats(r.PathValue("human")) {
			http.NotFound(w, r)
			return
		}
		tell(w, "Simuloidut henkilöt tulevat paikoilleen. · Simulated people take their seats.", l.stage.Fill(r.Context(), r.PathValue("human")))
	})
	return l.guarded(mux)
}

// guarded answers to the page's own name, and lets nothing but the page itself
// (or a typed address) ask. Browsers send Sec-Fetch-Site to every localhost.
func (l *Launcher) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://*.localhost:*")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with none, forms would send no origin
		h.Set("Cache-Control", "no-store")
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case r.Host != l.host: // DNS rebinding
			http.Error(w, "this page answers to "+l.host, http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && (site != "same-origin" || r.Header.Get("Origin") != "http://"+l.host):
			http.Error(w, "the request does not come from this page", http.StatusForbidden)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
			next.ServeHTTP(w, r)
		}
	})
}

func (l *Launcher) known(device string) bool {
	return slices.ContainsFunc(l.personas, func(p Persona) bool { return p.Device == device })
}

func (l *Launcher) seats(device string) bool {
	return slices.ContainsFunc(l.personas, func(p Persona) bool { return p.Device == device && !p.Visits })
}

// open leads the new tab to the device, with a fresh start link.
func (l *Launcher) open(w http.ResponseWriter, r *http.Request) {
	device := r.PathValue("device")
	if !l.known(device) {
		http.NotFound(w, r)
		return
	}
	link, err := l.stage.Link(r.Context(), device)
	if err != nil {
		http.Error(w, "Laite ei vastaa. · The device does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, link, http.StatusSeeOther)
}

func tell(w http.ResponseWriter, text string, err error) {
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"text": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"text": text})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
