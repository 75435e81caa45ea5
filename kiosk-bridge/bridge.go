package kioskbridge

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// Kiosk is a kiosk as its certificate proved it on this connection.
type Kiosk struct {
	Device      interview.DeviceID
	Certificate *x509.Certificate
	Site        string // the premises where it stands, by id (row B11)
	Place       string // the same for people
}

// Kiosks tells which kiosk a request comes from, and refuses devices that are
// no kiosk. The door's mutual TLS has verified the certificate before.
type Kiosks interface {
	Kiosk(r *http.Request) (Kiosk, error)
}

// Inspector reads and judges one document, opened with a password: its zone, or
// the card access number that is printed on it.
type Inspector interface {
	InspectWith(ctx context.Context, card emrtd.Card, optical emrtd.MRZ, pw emrtd.Password) (*emrtd.Document, error)
}

// Judge is who judges documents now, by which list of issuers.
type Judge struct {
	Inspector
	TrustList string // the list's version, for the evidence
}

// Config is what a bridge needs.
type Config struct {
	Kiosks   Kiosks
	Bookings Bookings
	Judge    func() Judge // asked once a visit: lists change while the bridge runs
	Store    Store
	Sealer   interview.Sealer
	Pieces   PieceSealer   // of what is given at kiosks; nil: the sealer
	Key      crypto.Signer // the bridge key: P-256
	Policy   Policy        // zero: StandardPolicy

	// What compares and searches. Each may be nil: then its check is not done, and
	// the visit goes on.
	Faces      Matcher
	Fingers    Matcher
	Liveness   Liveness
	Quality    Grader
	Register   Registry
	Duplicates Duplicates
	Decode     func(context.Context, Image) (Image, error) // JPEG 2000 into JPEG or PNG

	Stages bool // the agency's case system is told of what a visit completed

	// Ended is told of each visit that was kept, for figures. Nil: nobody.
	Ended func(ticket.Steps, tunnel.Result)

	Log      *slog.Logger     // nil: slog.Default
	Now      func() time.Time // nil: time.Now
	Patience time.Duration    // for one answer of the kiosk; 0: 15 s
	Limit    time.Duration    // for a whole visit; 0: 3 minutes
	Lifetime time.Duration    // of a ticket; 0: 10 minutes
	Visits   int              // at once; 0: 64
}

// Bridge serves the kiosks' tunnels. It is safe for concurrent use.
type Bridge struct {
	Config

	upgrader websocket.Upgrader
	ctx      context.Context //nolint:containedctx // the life of hijacked connections, which no server ends
	cancel   context.CancelFunc
	visits   sync.WaitGroup

	policyVersion string
	portraits     portraits

	mu     sync.Mutex
	closed bool
	busy   map[interview.DeviceID]bool
	pace   map[interview.DeviceID]*rate.Limiter
}

// Every kiosk may begin a visit each two seconds, and a few at once after rest:
// more would be somebody trying references.
const (
	pace  = 2 * time.Second
	burst = 10
)

// New makes a bridge, or says what it lacks.
func New(c Config) (*Bridge, error) {
	if c.Kiosks == nil || c.Bookings == nil || c.Judge == nil || c.Store == nil || c.Sealer == nil || c.Key == nil {
		return nil, errors.New("kiosk bridge: kiosks, bookings, judge, store, sealer and key are all needed")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Policy.V == 0 {
		c.Policy = StandardPolicy()
	}
	if err := c.Policy.check(); err != nil {
		return nil, fmt.Errorf("kiosk bridge: policy: %w", err)
	}
	version, err := c.Policy.Version()
	if err != nil {
		return nil, fmt.Errorf("kiosk bridge: policy: %w", err)
	}
	c.Patience = orElse(c.Patience, 15*time.Second)
	c.Limit = orElse(c.Limit, 3*time.Minute)
	c.Lifetime = orElse(c.Lifetime, 10*time.Minute)
	if c.Lifetime > ticket.MaxLifetime {
		return nil, fmt.Errorf("kiosk bridge: tickets of %s, at most %s", c.Lifetime, ticket.MaxLifetime)
	}
	if c.Visits == 0 {
		c.Visits = 64
	}
	b := &Bridge{
		Config: c, policyVersion: version,
		upgrader: websocket.Upgrader{
			HandshakeTimeout: 10 * time.Second, Subprotocols: []string{tunnel.Protocol},
			// Kiosks are programs and send no Origin; a page has no business here.
			CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" },
			Error: func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
				problem.Write(w, problem.New(problem.CodeMalformed, "a kiosk's WebSocket belongs here"))
			},
		},
		busy: map[interview.DeviceID]bool{}, pace: map[interview.DeviceID]*rate.Limiter{},
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Close ends all visits and waits for them.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.visits.Wait()
}

// ServeHTTP holds one visit over a kiosk's WebSocket.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kiosk, err := b.Kiosks.Kiosk(r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	if !slices.Contains(websocket.Subprotocols(r), tunnel.Protocol) {
		problem.Write(w, problem.New(problem.CodeMalformed, "the subprotocol %s belongs here", tunnel.Protocol))
		return
	}
	if err := b.begin(kiosk.Device); err != nil {
		problem.Write(w, err)
		return
	}
	defer b.end(kiosk.Device)
	conn, err := b.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer func() { _ = conn.Close() }()
	b.hold(kiosk, conn)
}

func (b *Bridge) begin(kiosk interview.DeviceID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pace[kiosk] == nil {
		b.pace[kiosk] = rate.NewLimiter(rate.Every(pace), burst)
	}
	switch {
	case b.closed || len(b.busy) >= b.Visits:
		return problem.New(problem.CodeUnavailable, "no visit can begin now")
	case b.busy[kiosk]:
		return problem.New(problem.CodeKioskVisit, "kiosk %s is in a visit already", kiosk)
	case !b.pace[kiosk].Allow():
		return problem.New(problem.CodeTooFast, "kiosk %s begins visits too fast", kiosk)
	}
	b.busy[kiosk] = true
	b.visits.Add(1)
	return nil
}

func (b *Bridge) end(kiosk interview.DeviceID) {
	b.mu.Lock()
	delete(b.busy, kiosk)
	b.mu.Unlock()
	b.visits.Done()
}

// hold runs the visit and tells the kiosk how it ended.
func (b *Bridge) hold(kiosk Kiosk, conn *websocket.Conn) {
	ctx, cancel := context.WithTimeout(b.ctx, b.Limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	// Beyond this the library cuts the line; below it the kiosk is told why.
	conn.SetReadLimit(2 * tunnel.MaxMessage)

	v := newVisit(b, kiosk, conn)
	err := v.run(ctx)
	log := b.Log.With("visit", v.id, "kiosk", kiosk.Device, "step", v.step)
	if err == nil {
		log.Info("kiosk visit ended", "result", v.result)
		return
	}
	code := problem.Of(err).Code
	if code == problem.CodeInternal {
		log.Error("kiosk visit broke off", "error", err)
	} else { // what a kiosk sent may be personal, so only the code is logged
		log.Warn("kiosk visit broke off", "code", code)
	}
	if part, word := brokeOff(v.step, code); part != "" {
		v.notice(ctx, part, word)
	}
	_ = v.send(tunnel.TypeProblem, problem.Of(err))
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.ClosePolicyViolation, string(code)), time.Now().Add(time.Second))
}

// brokeOff is what staff are told of a visit that ended without an outcome: not
// what somebody mistyped.
func brokeOff(at step, code problem.Code) (Part, string) {
	switch {
	case code == problem.CodeStalled && at != stepGreeting && at != stepBeginning:
		return PartNetwork, CodeKioskGone
	case code == problem.CodeKioskVisit || code == problem.CodeChip:
		return PartNetwork, CodeStrange
	case code == problem.CodeTooLarge && at != stepBeginning:
		return PartDocument, "too-large"
	default:
		return "", ""
	}
}
