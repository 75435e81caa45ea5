package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"kuule/internal/problem"
)

// Subprotocols of the page's WebSocket.
const (
	roomProtocol   = "kuule.v1"
	bearerProtocol = "bearer."
)

// Headers that pass, by canonical name; everything else stays here. Cookies,
// credentials, Origin, Referer and Sec-Fetch say nothing to the door, and a
// captured door must not set cookies, open the origin or bring a worker.
var (
	requestHeaders = set("Accept", "Accept-Language", "Content-Type", "Content-Length", "Content-Encoding", "Idempotency-Key",
		"If-Match", "If-None-Match", "If-Range", "Range", "User-Agent")
	socketHeaders   = set("Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions")
	responseHeaders = set("Accept-Ranges", "Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition",
		"Content-Language", "Content-Range", "Etag", "Last-Modified", "Retry-After")
	socketAnswer = set("Connection", "Upgrade", "Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol")
)

func set(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

// NewTransport makes the way to the door: TLS 1.3 with the device's certificate
// (conf.GetClientCertificate, since certificates change daily), no proxy of the
// environment, bounded waits. Where address is not empty it is dialled instead
// of the door's name. Call CloseIdleConnections when the certificate changed.
func NewTransport(conf *tls.Config, address string) *http.Transport {
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		TLSClientConfig:   conf,
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, host string) (net.Conn, error) {
			if address != "" {
				host = address
			}
			return dialer.DialContext(ctx, network, host)
		},
		TLSHandshakeTimeout:   10 * time.Second, // a TPM signs slowly
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          16,
	}
}

func (g *Gateway) forwardCall(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxCallBody)
	g.proxy(requestHeaders, responseHeaders).ServeHTTP(w, r)
}

func (g *Gateway) forwardSocket(w http.ResponseWriter, r *http.Request) {
	rooms := 0
	for _, p := range subprotocols(r) {
		switch {
		case p == roomProtocol:
			rooms++
		case !strings.HasPrefix(p, bearerProtocol):
			g.refuse(w, r, problem.New(problem.CodeMalformed, "a subprotocol is not known"))
			return
		}
	}
	if rooms != 1 {
		g.refuse(w, r, problem.New(problem.CodeMalformed, "subprotocol %s is missing", roomProtocol))
		return
	}
	// The socket ends with the page that opened it, not only with the page's
	// process: a reload must not leave a second member behind.
	sess := sessionOf(r)
	page, err := g.sessions.openSocket(sess, bearerOf(r))
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	defer g.sessions.do(func() { sess.sockets-- })
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(page, cancel)()
	g.proxy(socketHeaders, socketAnswer).ServeHTTP(w, r.WithContext(ctx))
}

// proxy makes a proxy to the door that lets only the named headers through.
func (g *Gateway) proxy(out, back map[string]bool) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: g.cfg.Transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(g.cfg.Door)
			keepOnly(pr.Out.Header, out)
			if out["Upgrade"] {
				pr.Out.Header.Set("Sec-Websocket-Protocol", roomProtocol)
			}
			// The person's proof is the agent's to show, not the page's.
			if who, proof := g.signedIn(sessionOf(pr.In)); who != nil {
				proof.SetHeader(pr.Out.Header)
			}
			if !out["User-Agent"] {
				pr.Out.Header.Set("User-Agent", "") // else net/http names itself
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			switching := resp.StatusCode == http.StatusSwitchingProtocols
			if switching && (!back["Upgrade"] || resp.Header.Get("Sec-Websocket-Protocol") != roomProtocol) {
				return errors.New("door switched to an unexpected protocol")
			}
			if switching {
				keepOnly(resp.Header, back)
			} else {
				keepOnly(resp.Header, responseHeaders)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var large *http.MaxBytesError
			switch {
			case errors.As(err, &large):
				g.refuse(w, r, problem.New(problem.CodeTooLarge, "request is larger than %d bytes", large.Limit))
			case r.Context().Err() != nil: // the page went away
			default:
				g.refuse(w, r, problem.New(problem.CodeUnavailable, "the server does not answer: %w", err))
			}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // would quote addresses
	}
}

func keepOnly(h http.Header, names map[string]bool) {
	for name := range h {
		if !names[name] {
			delete(h, name)
		}
	}
}
