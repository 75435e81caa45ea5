package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"kuule/internal/problem"
)

const (
	pathCallback  = "/gw/signin/callback"
	startFragment = "/#start="
)

// Route is one path of the gateway and who may ask for it.
type Route struct {
	Path    string // a path, or a prefix where it ends in "/"
	Methods []string
	Kind    Kind
	Bearer  bool // needs the page's bearer

	handle func(http.ResponseWriter, *http.Request)
}

// Routes lists every path that is answered. The handler is made from it alone.
func (g *Gateway) Routes() []Route {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	all := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	routes := []Route{
		{"/", []string{http.MethodGet, http.MethodHead}, KindPage, false, g.pages.ServeHTTP},
		{"/api/", all, KindCall, true, g.forwardCall},
		{"/ws/", get, KindSocket, true, g.forwardSocket},
		{"/gw/health", get, KindCall, false, g.getHealth},
		{"/gw/session", []string{http.MethodPost}, KindCall, false, g.postSession},
		{"/gw/session/end", post, KindCall, true, g.postSessionEnd},
		{"/gw/session/resume", post, KindCall, false, g.postResume},
		{"/gw/device", get, KindCall, true, g.getDevice},
		{"/gw/statement", post, KindCall, true, g.postStatement},
		{"/gw/consent", post, KindCall, true, g.postConsent},
		{"/gw/identification", post, KindCall, true, g.postIdentification},
		{"/gw/reading", post, KindCall, true, g.postReading},
		{"/gw/signin", get, KindCall, true, g.getSignIn},
		{"/gw/signin/start", post, KindCall, true, g.postSignInStart},
		{"/gw/signin/end", post, KindCall, true, g.postSignInEnd},
		{pathCallback, get, KindLanding, false, g.getSignInCallback},
	}
	if g.cfg.Backup != nil {
		routes = append(routes, []Route{{"/gw/backup", post, KindCall, true, g.postBackup}}...)
	}
	if k := g.cfg.Kiosk; k != nil {
		routes = append(routes, []Route{
			{"/kiosk/visit", get, KindSocket, true, k.Visit.ServeHTTP},
			{"/kiosk/voice", post, KindCall, true, k.Voice.ServeHTTP},
			{"/kiosk/setup", get, KindCall, true, k.Setup.ServeHTTP},
		}...)
	}
	return routes
}

func (g *Gateway) routes() http.Handler {
	mux := http.NewServeMux()
	for _, route := range g.Routes() {
		mux.Handle(route.Path, g.guarded(route))
	}
	for _, prefix := range []string{"/gw/", "/kiosk/"} { // else an unknown path would be a page
		mux.Handle(prefix, g.guarded(Route{Path: prefix, Methods: nil, Kind: KindCall}))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		// The tombstone answers before any rule but the host's: what asks for it
		// is a worker that a squatter left behind.
		if r.Header.Get("Service-Worker") != "" && r.Host == g.guard.host {
			g.buryWorker(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (g *Gateway) guarded(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.guard.check(r, route.Kind); err != nil {
			g.refuse(w, r, err)
			return
		}
		if !slices.Contains(route.Methods, r.Method) {
			g.refuse(w, r, problem.New(problem.CodeNoRoute, "method is not one of %v", route.Methods))
			return
		}
		if route.Bearer {
			sess, err := g.sessions.find(bearerOf(r))
			if err != nil {
				g.refuse(w, r, err)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, sess))
		}
		route.handle(w, r)
	})
}

type sessionKey struct{}

// sessionOf returns the session that guarded found; routes without Bearer have none.
func sessionOf(r *http.Request) *session { return r.Context().Value(sessionKey{}).(*session) }

// bearerOf reads the bearer: from Authorization, or from the one place where a
// browser lets a page put it on a WebSocket.
func bearerOf(r *http.Request) string {
	if r.Header.Get("Upgrade") == "" {
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		return bearer
	}
	var found string
	for _, p := range subprotocols(r) {
		if bearer, ok := strings.CutPrefix(p, bearerProtocol); ok {
			if found != "" {
				return "" // two bearers are none
			}
			found = bearer
		}
	}
	return found
}

func subprotocols(r *http.Request) []string {
	var out []string
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			out = append(out, strings.TrimSpace(p))
		}
	}
	return out
}
