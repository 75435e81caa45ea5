package gateway

import (
	"net/http"
	"strings"

	"kuule/internal/problem"
)

// Kind says from where a path may be asked for.
type Kind string

// Kinds of path.
const (
	// KindPage is a file of the bundle: asked for by the page itself, or the
	// address of a whole window. Never framed, never included by another site.
	KindPage Kind = "page"
	// KindCall is a fetch by the page itself.
	KindCall Kind = "call"
	// KindSocket is a WebSocket of the page itself.
	KindSocket Kind = "socket"
	// KindLanding is where another site sends the window to (sign-in).
	KindLanding Kind = "landing"
)

// guard holds requests to the gateway's own origin. What each rule stops is
// tested by an attack that works without it.
type guard struct{ host, origin string }

// check returns why a request may not pass, or nil.
func (g guard) check(r *http.Request, kind Kind) error {
	if r.Host != g.host { // DNS rebinding
		return refuseOrigin("host")
	}
	for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
		if len(r.Header[name]) > 1 {
			return refuseOrigin("header sent twice")
		}
	}
	origin := r.Header.Get("Origin")
	if origin != "" && origin != g.origin {
		return refuseOrigin("origin")
	}
	if kind == KindSocket {
		return g.checkSocket(r, origin)
	}
	if r.Header.Get("Upgrade") != "" {
		return refuseOrigin("upgrade")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && origin == "" {
		return refuseOrigin("no origin")
	}
	// Browsers send these headers to every trustworthy origin; a page that came
	// by DNS rebinding is none, and an old browser is not supported.
	site, mode, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	if site == "" || mode == "" || dest == "" {
		return refuseOrigin("no fetch metadata")
	}
	window := mode == "navigate" && dest == "document"
	switch kind {
	case KindLanding:
		if window {
			return nil
		}
	case KindPage:
		// "none": typed, bookmarked, opened by the launcher.
		if window || mode != "navigate" && (site == "same-origin" || site == "none") {
			return nil
		}
	case KindCall:
		if site == "same-origin" && dest == "empty" && (mode == "cors" || mode == "same-origin") {
			return nil
		}
	}
	return refuseOrigin("fetch metadata")
}

// checkSocket: browsers send no Sec-Fetch headers with a WebSocket, and no
// preflight: the Origin is all there is.
func (g guard) checkSocket(r *http.Request, origin string) error {
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return refuseOrigin("not a websocket")
	}
	if origin == "" {
		return refuseOrigin("no origin")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return refuseOrigin("fetch metadata")
	}
	return nil
}

// refuseOrigin names the rule; what the request carried stays out of the text.
func refuseOrigin(rule string) error {
	return problem.Refused(problem.CodeOrigin, "gateway/"+strings.ReplaceAll(rule, " ", "-"), "request is not of this page: %s", rule)
}
