package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"kuule/attestation/wire"
	"kuule/internal/canon"
	"kuule/internal/problem"
)

const (
	// PosturePath is where the server takes posture connections.
	PosturePath = "/agent/posture"

	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	silence      = time.Minute // without a message or ping the connection is dead
	writeTimeout = 10 * time.Second
	maxRegisters = 24
)

// Posture is what the server said last of this machine's state.
type Posture struct {
	Connected bool         `json:"connected"`
	Verified  bool         `json:"verified"`
	Code      problem.Code `json:"code,omitempty"`
	Detail    string       `json:"detail,omitempty"`
	At        time.Time    `json:"at"`
}

// Posture returns what the server said last.
func (d *Device) Posture() Posture {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.posture
}

// setPosture keeps what changed also on disk, for `kuule-agent status`.
func (d *Device) setPosture(p Posture) {
	d.mu.Lock()
	old := d.posture
	d.posture = p
	d.mu.Unlock()
	if old.Connected == p.Connected && old.Verified == p.Verified && old.Code == p.Code {
		return
	}
	if err := writeJSONFile(d.dir, filePosture, p); err != nil {
		slog.Warn("posture was not written", "err", err)
	}
}

func readPosture(dir string) Posture {
	var p Posture
	text, err := readFile(dir, filePosture)
	if err != nil || canon.Strict(text, &p) != nil {
		return Posture{}
	}
	return p
}

// KeepPosture holds the posture connection until ctx ends: it answers the
// server's challenges and requests for cosignatures, and connects anew with a
// growing pause when the connection is lost.
func (d *Device) KeepPosture(ctx context.Context, log *slog.Logger) {
	pause := firstBackoff
	for {
		started, renewed := time.Now(), d.Renewed()
		lost := d.connect(ctx, renewed)
		select {
		case <-renewed: // no fault: come back with the new certificate
			continue
		default:
		}
		d.noteLoss(lost)
		if ctx.Err() != nil {
			return
		}
		log.Warn("posture connection lost", "err", lost, "again_in", pause)
		if time.Since(started) > silence {
			pause = firstBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // only spreads, so that a restarted server is not met by all at once
		}
		pause = min(2*pause, lastBackoff)
	}
}

// noteLoss keeps why the connection ended, where the server said so.
func (d *Device) noteLoss(lost error) {
	p := d.Posture()
	p.Connected = false
	if doc := problem.Of(lost); doc.Code != problem.CodeInternal {
		p.Verified, p.Code, p.Detail, p.At = false, doc.Code, doc.Detail, time.Now().UTC()
	}
	d.setPosture(p)
}

// connect holds one connection until it is lost or the certificate is renewed.
func (d *Device) connect(ctx context.Context, renewed <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-renewed:
			cancel()
		case <-ctx.Done():
		}
	}()
	dial := websocket.Dialer{TLSClientConfig: d.ClientTLS(), NetDialContext: dialer(d.Address()), HandshakeTimeout: requestTimeout}
	address := "wss://" + strings.TrimPrefix(d.Server(), "https://") + PosturePath
	ws, resp, err := dial.DialContext(ctx, address, nil) //nolint:bodyclose // dialError closes it; a success has none
	if err != nil {
		return dialError(resp, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	defer func() { _ = ws.Close() }()
	ws.SetReadLimit(wire.MaxRequest)
	ws.SetPingHandler(func(data string) error {
		_ = ws.SetReadDeadline(time.Now().Add(silence))
		return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeTimeout))
	})
	vouch, err := d.Vouch()
	if err != nil {
		return err
	}
	if err := send(ws, wire.Message{Kind: wire.KindHello, Hello: &wire.Hello{Cosigner: vouch}}); err != nil {
		return err
	}
	p := d.Posture()
	p.Connected = true
	d.setPosture(p)
	for {
		_ = ws.SetReadDeadline(time.Now().Add(silence))
		_, text, err := ws.ReadMessage()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		m, err := wire.ReadMessage(text)
		if err != nil {
			return err
		}
		answer, err := d.answer(m)
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		if err := send(ws, *answer); err != nil {
			return err
		}
	}
}

// answer does what one message asks.
func (d *Device) answer(m wire.Message) (*wire.Message, error) {
	switch m.Kind {
	case wire.KindChallenge:
		if len(m.Challenge.Nonce) != wire.NonceSize || len(m.Challenge.PCRs) == 0 || len(m.Challenge.PCRs) > maxRegisters {
			return nil, fmt.Errorf("%w: challenge out of bounds", wire.ErrMessage)
		}
		q, err := d.Quote(m.Challenge.Nonce, m.Challenge.PCRs)
		if err != nil {
			return nil, err
		}
		return &wire.Message{Kind: wire.KindQuote, Quote: &wire.NoncedQuote{Nonce: m.Challenge.Nonce, Quote: q}}, nil
	case wire.KindCosign:
		c := d.Cosign(*m.Cosign)
		return &wire.Message{Kind: wire.KindCosignature, Cosignature: &c}, nil
	case wire.KindVerdict:
		d.setPosture(Posture{Connected: true, Verified: m.Verdict.Verified, Code: m.Verdict.Code, Detail: m.Verdict.Detail, At: time.Now().UTC()})
		return nil, nil
	case wire.KindRefused:
		return nil, m.Refused.Err()
	default:
		return nil, fmt.Errorf("%w: %q is not for a device", wire.ErrMessage, m.Kind)
	}
}

func send(ws *websocket.Conn, m wire.Message) error {
	_ = ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	return ws.WriteJSON(m)
}

// dialError turns the server's problem document into its code.
func dialError(resp *http.Response, err error) error {
	if resp == nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var doc problem.Document
	if errors.Is(err, websocket.ErrBadHandshake) && json.NewDecoder(resp.Body).Decode(&doc) == nil && doc.Code != "" {
		return doc.Err()
	}
	return fmt.Errorf("connect: %s: %w", resp.Status, err)
}
