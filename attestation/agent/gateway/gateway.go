package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	agentsignin "kuule/attestation/agent/signin"
	"kuule/internal/problem"
	"kuule/internal/signin"
)

const (
	maxConnections = 256 // per loopback family
	maxCallBody    = 32 << 20
	maxOwnBody     = 16 << 10
)

// Signer signs with the device's key (P-256, in the TPM) and sends the device's
// certificate chain along (x5c). It is called at a bounded rate.
type Signer interface {
	SignStatement(payload any, typ string) (string, error)
}

// SignIn signs people in at this device (package agent/signin).
type SignIn interface {
	Begin(ctx context.Context) (address string, a agentsignin.Attempt, err error)
	Finish(ctx context.Context, a agentsignin.Attempt, code string) (signin.Identity, signin.Proof, error)
}

// Config is what a gateway needs. Address is taken over: Serve closes it.
type Config struct {
	Address    *Address
	BrowserUID uint32            // the one user whose connections are answered
	Pages      fs.FS             // the verified bundle
	Door       *url.URL          // the server, https
	Transport  http.RoundTripper // to the door, by the device's certificate (NewTransport)
	Device     Device
	Signer     Signer

	// SignIn may be nil: room terminals come by join ticket.
	SignIn SignIn

	// Kiosk is what a kiosk's program answers its own page with; nil on other
	// devices, which then have no such paths.
	Kiosk *Kiosk

	// Backup is a room terminal's own back-up; nil: the path does not exist.
	Backup Backup

	// StartSocket is the path of the unix socket where `kuule-agent start-url`
	// asks for start links; empty: none.
	StartSocket string

	// Relaunch opens a start link in the browser when a page lost its session
	// (a reload). Nil: the page tells the person to use the start link again.
	Relaunch func(ctx context.Context, link StartURL) error

	Log *slog.Logger // nil: slog.Default
}

// Kiosk answers a kiosk's page on the machine itself. All are asked only by the
// page that holds the bearer.
type Kiosk struct {
	Visit http.Handler // WebSocket: one visit
	Voice http.Handler // speaks a text
	Setup http.Handler // what this kiosk is set up for
}

// Gateway is a loopback gateway. It is safe for concurrent use.
type Gateway struct {
	cfg      Config
	guard    guard
	pages    *pages
	sessions *sessions
	handler  http.Handler

	redeemRate, signRate, relaunchRate, backupRate *rate.Limiter
}

// New makes a gateway; it serves nothing yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	switch {
	case cfg.Address == nil || cfg.Pages == nil || cfg.Door == nil || cfg.Transport == nil || cfg.Signer == nil || cfg.Device.Trust == nil:
		return nil, errors.New("gateway: address, pages, door, transport, signer and trust are all needed")
	case cfg.Door.Scheme != "https":
		return nil, fmt.Errorf("gateway: door %s must be https", cfg.Door.Redacted())
	case cfg.Device.ID.IsZero():
		return nil, errors.New("gateway: the device has no id: enrol it first")
	}
	p, err := loadPages(cfg.Pages)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, guard: guard{cfg.Address.Host(), cfg.Address.Origin()}, pages: p, sessions: newSessions(time.Now),
		redeemRate:   rate.NewLimiter(5, 10),
		signRate:     rate.NewLimiter(2, 8),
		relaunchRate: rate.NewLimiter(rate.Every(5*time.Second), 1),
		backupRate:   rate.NewLimiter(4, 16),
	}
	g.handler = g.routes()
	return g, nil
}

// Serve answers until ctx ends, then closes every session and connection. Any
// other end is an error. It is called once.
func (g *Gateway) Serve(ctx context.Context) error {
	defer g.sessions.dropAll()
	server := &http.Server{
		Handler:           g.handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // would quote requests
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range g.cfg.Address.listeners {
		// Strangers are turned away before they count as connections.
		limited := netutil.LimitListener(peerListener{l, g.cfg.BrowserUID, g.cfg.Log}, maxConnections)
		group.Go(func() error { return server.Serve(limited) })
	}
	if g.cfg.StartSocket != "" {
		group.Go(func() error { return g.serveStart(ctx) })
	}
	group.Go(func() error {
		<-ctx.Done()
		g.sessions.dropAll() // ends proxied sockets, which the server does not know any more
		return server.Close()
	})
	if err := group.Wait(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// StartURL makes a start link: one use, one minute. With resume it leads into
// the session used last, whose sign-in it keeps and whose page it replaces.
func (g *Gateway) StartURL(resume bool) StartURL {
	code, expires := g.sessions.mint(resume)
	return g.link(code, expires)
}

func (g *Gateway) link(code string, expires time.Time) StartURL {
	return StartURL{URL: g.cfg.Address.Origin() + startFragment + code, Expires: expires}
}

// refuse answers with a problem and says so in the log.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.cfg.Log.Warn("gateway refused", "method", r.Method, "why", err)
	problem.Write(w, err)
}
