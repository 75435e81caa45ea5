package attestation

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	helloTimeout = 15 * time.Second
	quoteTimeout = 15 * time.Second // a busy TPM takes seconds
	writeTimeout = 10 * time.Second
	pingEvery    = 20 * time.Second
	silence      = 50 * time.Second
)

// ErrNotConnected says that a device has no posture connection right now.
var ErrNotConnected = errors.New("device is not connected")

// Verifier reaches verdicts. Authority is one; the door holds one that asks the
// authority over the bus. certificate is the device's, in DER, as TLS verified
// it. A refusal is a *problem.Error.
type Verifier interface {
	Challenge(ctx context.Context, certificate []byte) (wire.Challenge, error)
	Verify(ctx context.Context, certificate []byte, q wire.NoncedQuote) (Verdict, error)
}

var _ Verifier = (*Authority)(nil)

// PostureServer holds the posture connections of all devices: at most one
// each, the newest. It runs in the door. Safe for concurrent use.
type PostureServer struct {
	Verifier Verifier
	Every    time.Duration // between quotes; zero: QuoteEvery
	Verdict  func(Verdict) // called after each verdict, in order per device; may be nil
	Log      *slog.Logger  // nil: slog.Default

	mu    sync.Mutex
	conns map[interview.DeviceID]*postureConn
}

// postureConn is one device's connection. Its run loop is the only writer.
type postureConn struct {
	server      *PostureServer
	ws          *websocket.Conn
	certificate []byte
	device      wire.Device
	cosigner    string // verified statement

	in     chan wire.Message
	cosign chan cosignRequest
	done   chan struct{} // closed when the run loop has ended
}

type cosignRequest struct {
	ask    wire.Cosign
	answer chan<- wire.Cosignature
}

// ServeHTTP takes a posture connection of a device whose certificate TLS has
// verified. It returns when the connection ends.
func (s *PostureServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		problem.Write(w, problem.New(problem.CodeCertificateInvalid, "a posture connection needs a device certificate"))
		return
	}
	leaf := r.TLS.PeerCertificates[0]
	device, err := wire.ReadDevice(leaf)
	if err != nil {
		problem.Write(w, problem.New(problem.CodeCertificateInvalid, "posture connection: %w", err))
		return
	}
	// The first challenge is also the gate: revoked, withdrawn or no longer
	// named devices get their answer as HTTP.
	first, err := s.Verifier.Challenge(r.Context(), leaf.Raw)
	if err != nil {
		problem.Write(w, err)
		return
	}
	// Browsers have no business here: they always send Origin, the agent never does.
	up := websocket.Upgrader{HandshakeTimeout: helloTimeout, CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" }}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // answered by the upgrader
	}
	c := &postureConn{
		server: s, ws: ws, certificate: leaf.Raw, device: device,
		in: make(chan wire.Message), cosign: make(chan cosignRequest), done: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err := c.serve(ctx, leaf, first); err != nil && ctx.Err() == nil {
		s.log().Info("posture connection ended", "device", device.DeviceID, "err", err)
	}
}

func (s *PostureServer) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// Cosign asks a connected device for a cosignature on a log checkpoint. The
// request's id is chosen here.
func (s *PostureServer) Cosign(ctx context.Context, device interview.DeviceID, ask wire.Cosign) (wire.Cosignature, error) {
	s.mu.Lock()
	c := s.conns[device]
	s.mu.Unlock()
	if c == nil {
		return wire.Cosignature{}, fmt.Errorf("%s: %w", device, ErrNotConnected)
	}
	ask.ID = rand.Text()
	answer := make(chan wire.Cosignature, 1)
	select {
	case c.cosign <- cosignRequest{ask, answer}:
	case <-c.done:
		return wire.Cosignature{}, fmt.Errorf("%s: %w", device, ErrNotConnected)
	case <-ctx.Done():
		return wire.Cosignature{}, ctx.Err()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-c.done:
		return wire.Cosignature{}, fmt.Errorf("%s: %w", device, ErrNotConnected)
	case <-ctx.Done():
		return wire.Cosignature{}, ctx.Err()
	}
}

// Cosigner returns the statement by which a connected device's key vouched for
// its cosigning key, as received: a compact JWS of type wire.CosignerType.
func (s *PostureServer) Cosigner(device interview.DeviceID) (statement string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[device]
	if c == nil {
		return "", false
	}
	return c.cosigner, true
}

// Connected lists the devices that hold a connection.
func (s *PostureServer) Connected() []interview.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]interview.DeviceID, 0, len(s.conns))
	for d := range s.conns {
		out = append(out, d)
	}
	return out
}

// Drop ends a device's connection, as after a revocation.
func (s *PostureServer) Drop(device interview.DeviceID) {
	s.mu.Lock()
	c := s.conns[device]
	s.mu.Unlock()
	if c != nil {
		_ = c.ws.Close()
	}
}

// serve runs the connection: hello, then challenges and cosignatures.
func (c *postureConn) serve(ctx context.Context, leaf *x509.Certificate, first wire.Challenge) error {
	defer close(c.done)
	stop := context.AfterFunc(ctx, func() { _ = c.ws.Close() })
	defer stop()
	defer func() { _ = c.ws.Close() }()
	c.ws.SetReadLimit(wire.MaxRequest)
	c.ws.SetPongHandler(func(string) error { return c.ws.SetReadDeadline(time.Now().Add(silence)) })
	if err := c.hello(leaf); err != nil {
		return err
	}
	c.server.enter(c)
	defer c.server.leave(c)

	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = c.ws.Close() }() // runs before reader.Wait
	readErr := make(chan error, 1)
	ended := make(chan struct{})
	defer close(ended)
	reader.Go(func() { readErr <- c.read(ended) })
	return c.run(ctx, first, readErr)
}

// hello reads the cosigning key and checks that the device key vouches for it.
func (c *postureConn) hello(leaf *x509.Certificate) error {
	_ = c.ws.SetReadDeadline(time.Now().Add(helloTimeout))
	_, text, err := c.ws.ReadMessage()
	if err != nil {
		return err
	}
	m, err := wire.ReadMessage(text)
	if err != nil {
		return err
	}
	if m.Kind != wire.KindHello {
		return fmt.Errorf("%w: %q before hello", wire.ErrMessage, m.Kind)
	}
	var said wire.Cosigner
	if err := jws.Verify(m.Hello.Cosigner, wire.CosignerType, leaf.PublicKey, &said); err != nil {
		return fmt.Errorf("cosigning key: %w", err)
	}
	if said.DeviceID != c.device.DeviceID || said.PermanentIdentifier != c.device.PermanentIdentifier {
		return fmt.Errorf("%w: the cosigning key is another device's", wire.ErrMessage)
	}
	c.cosigner = m.Hello.Cosigner
	return nil
}

func (s *PostureServer) enter(c *postureConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.conns[c.device.DeviceID]; old != nil {
		_ = old.ws.Close()
	}
	if s.conns == nil {
		s.conns = map[interview.DeviceID]*postureConn{}
	}
	s.conns[c.device.DeviceID] = c
}

func (s *PostureServer) leave(c *postureConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.device.DeviceID] == c {
		delete(s.conns, c.device.DeviceID)
	}
}

func (c *postureConn) read(ended <-chan struct{}) error {
	for {
		_ = c.ws.SetReadDeadline(time.Now().Add(silence))
		_, text, err := c.ws.ReadMessage()
		if err != nil {
			return err
		}
		m, err := wire.ReadMessage(text)
		if err != nil {
			return err
		}
		select {
		case c.in <- m:
		case <-ended:
			return nil
		}
	}
}

// run is the one place that writes. A quote that does not come in time ends
// the connection; a quote that fails does not: the device may mend itself, and
// meanwhile counts as failed.
func (c *postureConn) run(ctx context.Context, first wire.Challenge, readErr <-chan error) error {
	every := c.server.Every
	if every == 0 {
		every = QuoteEvery
	}
	quotes, pings := time.NewTicker(every), time.NewTicker(pingEvery)
	defer quotes.Stop()
	defer pings.Stop()
	late := time.NewTimer(quoteTimeout)
	defer late.Stop()
	if err := c.send(wire.Message{Kind: wire.KindChallenge, Challenge: &first}); err != nil {
		return err
	}
	waiting := true // for a quote
	asked := map[string]chan<- wire.Cosignature{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-readErr:
			return err
		case <-late.C:
			if waiting {
				return errors.New("no quote came in time")
			}
		case <-pings.C:
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		case <-quotes.C:
			if waiting {
				continue
			}
			challenge, err := c.server.Verifier.Challenge(ctx, c.certificate)
			if err != nil {
				return c.refuse(err)
			}
			if err := c.send(wire.Message{Kind: wire.KindChallenge, Challenge: &challenge}); err != nil {
				return err
			}
			waiting = true
			late.Reset(quoteTimeout)
		case r := <-c.cosign:
			if len(asked) >= 16 {
				return errors.New("cosignatures do not come back")
			}
			asked[r.ask.ID] = r.answer
			if err := c.send(wire.Message{Kind: wire.KindCosign, Cosign: &r.ask}); err != nil {
				return err
			}
		case m := <-c.in:
			switch {
			case m.Kind == wire.KindQuote && waiting:
				waiting = false
				if err := c.judge(ctx, *m.Quote); err != nil {
					return err
				}
			case m.Kind == wire.KindCosignature && asked[m.Cosignature.ID] != nil:
				asked[m.Cosignature.ID] <- *m.Cosignature
				delete(asked, m.Cosignature.ID)
			default:
				return fmt.Errorf("%w: %q was not asked for", wire.ErrMessage, m.Kind)
			}
		}
	}
}

func (c *postureConn) judge(ctx context.Context, q wire.NoncedQuote) error {
	v, err := c.server.Verifier.Verify(ctx, c.certificate, q)
	if err != nil {
		return c.refuse(err)
	}
	if c.server.Verdict != nil {
		c.server.Verdict(v)
	}
	return c.send(wire.Message{Kind: wire.KindVerdict, Verdict: &wire.Verdict{
		Verified: v.Outcome == interview.Verified, Code: v.Code, Detail: v.Detail,
	}})
}

// refuse tells the device why the connection ends. That it is not approved any
// more is a verdict of its own: it may sit in a room.
func (c *postureConn) refuse(err error) error {
	d := problem.Of(err)
	if withdrawn := d.Code == problem.CodeDeviceRevoked || d.Code == problem.CodeDeviceNotNamed; withdrawn && c.server.Verdict != nil {
		c.server.Verdict(Verdict{Device: c.device, At: time.Now().UTC(), Outcome: interview.Failed, Code: d.Code, Detail: d.Detail})
	}
	return errors.Join(err, c.send(wire.Message{Kind: wire.KindRefused, Refused: &d}))
}

func (c *postureConn) send(m wire.Message) error {
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	return c.ws.WriteJSON(m)
}
