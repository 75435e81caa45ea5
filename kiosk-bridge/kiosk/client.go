package kiosk

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Identity is the kiosk's device: its certificate for mutual TLS, and its
// device key for what it vouches for.
type Identity interface {
	// ClientTLS gives the pinned roots and the certificate of the moment.
	ClientTLS() *tls.Config
	// SignStatement signs payload as a compact JWS of type typ with the device
	// key and puts the certificate chain into x5c.
	SignStatement(payload any, typ string) (string, error)
}

// Reader is a card reader with a document on it.
type Reader interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// Client speaks to one bridge. It is safe for concurrent use, though a reader
// is not.
type Client struct {
	URL      string // wss://HOST/ws/kiosk
	Identity Identity
	Dialer   *websocket.Dialer // nil: the default, with the identity's TLS
}

// Program names this client to the bridge.
const Program = "kuule-kiosk"

// ErrRefusedToVouch says that the bridge asked for a signature over something
// that did not happen here. The visit ends; staff should be told.
var ErrRefusedToVouch = errors.New("kiosk refuses to vouch: the bridge's evidence is not of this visit")

const patience = 20 * time.Second // for one message of the bridge

// Visit runs one visit: the reference on the person's invitation, the optical
// zone of the document, and the reader on which it lies.
func (c *Client) Visit(ctx context.Context, reference, zone string, card Reader) (tunnel.Outcome, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	v := &visit{client: c, conn: conn, card: card}
	out, err := v.run(ctx, reference, zone)
	if err != nil && ctx.Err() != nil {
		return tunnel.Outcome{}, fmt.Errorf("visit was broken off: %w", ctx.Err())
	}
	return out, err
}

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	d := websocket.Dialer{HandshakeTimeout: patience}
	if c.Dialer != nil {
		d = *c.Dialer
	}
	d.TLSClientConfig = c.Identity.ClientTLS()
	d.Subprotocols = []string{tunnel.Protocol}
	conn, resp, err := d.DialContext(ctx, c.URL, nil)
	if resp != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the bridge at %s: %w", c.URL, refusal(resp, err))
	}
	conn.SetReadLimit(tunnel.MaxMessage)
	return conn, nil
}

// refusal reads the problem document of a door that did not open.
func refusal(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	var d problem.Document
	if json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&d) == nil && d.Code != "" {
		return d.Err()
	}
	return fmt.Errorf("%w (status %d)", err, resp.StatusCode)
}

type visit struct {
	client     *Client
	conn       *websocket.Conn
	card       Reader
	greeting   tunnel.Visit
	transcript *tunnel.Transcript
}

func (v *visit) run(ctx context.Context, reference, zone string) (tunnel.Outcome, error) {
	var out tunnel.Outcome
	if err := v.send(tunnel.TypeHello, tunnel.Hello{V: 1, Program: Program}); err != nil {
		return out, err
	}
	text, err := v.read()
	if err != nil {
		return out, err
	}
	if err := tunnel.Decode(text, tunnel.TypeVisit, &v.greeting); err != nil {
		return out, err
	}
	v.transcript = tunnel.NewTranscript(v.greeting.Visit)
	if err := v.send(tunnel.TypeDocument, tunnel.Document{Reference: reference, Zone: zone}); err != nil {
		return out, err
	}
	if text, err = v.pipe(ctx); err != nil {
		return out, err
	}
	if err := v.vouch(text); err != nil {
		return out, err
	}
	if text, err = v.read(); err != nil {
		return out, err
	}
	if err := tunnel.Decode(text, tunnel.TypeOutcome, &out); err != nil {
		return tunnel.Outcome{}, err
	}
	return out, nil
}

// pipe carries commands and answers until something else comes, and returns
// that.
func (v *visit) pipe(ctx context.Context) ([]byte, error) {
	for n := 1; ; n++ {
		text, err := v.read()
		if err != nil {
			return nil, err
		}
		typ, err := tunnel.Peek(text)
		if err != nil || typ != tunnel.TypeAPDU {
			return text, err
		}
		var a tunnel.APDU
		if err := tunnel.Decode(text, tunnel.TypeAPDU, &a); err != nil {
			return nil, err
		}
		command, err := base64.StdEncoding.DecodeString(a.Command)
		if err != nil || a.N != n {
			return nil, fmt.Errorf("%w: command %d", tunnel.ErrMessage, a.N)
		}
		answer := tunnel.Answer{N: n}
		response, err := v.card.Transmit(ctx, command)
		if err != nil || len(response) < 2 { // less than a status is no answer
			response, answer.Silent = nil, true
		}
		v.transcript.Add(command, response)
		answer.Response = base64.StdEncoding.EncodeToString(response)
		if err := v.send(tunnel.TypeAnswer, answer); err != nil {
			return nil, err
		}
	}
}

// vouch signs the bridge's evidence if it is of this visit.
func (v *visit) vouch(text []byte) error {
	var m tunnel.Evidence
	if err := tunnel.Decode(text, tunnel.TypeEvidence, &m); err != nil {
		return err
	}
	var e ticket.Evidence
	if err := canon.Unmarshal([]byte(m.Evidence), &e); err != nil {
		return fmt.Errorf("%w: %w", ErrRefusedToVouch, err)
	}
	g := v.greeting
	if e.V != 1 || e.Visit != g.Visit || e.Nonce != g.Nonce || e.Kiosk != g.Kiosk || e.APDUSHA256 != v.transcript.Sum() {
		return fmt.Errorf("%w: %s", ErrRefusedToVouch, e.Visit)
	}
	signed, err := v.client.Identity.SignStatement(ticket.Visit{
		V: 1, Visit: e.Visit, Nonce: e.Nonce, EvidenceSHA256: ticket.Hash([]byte(m.Evidence)),
		Hearing: e.Hearing, Participant: e.Participant,
	}, ticket.TypVisit)
	if err != nil {
		return fmt.Errorf("vouch for visit %s: %w", e.Visit, err)
	}
	return v.send(tunnel.TypeVouch, tunnel.Vouch{Visit: signed})
}

func (v *visit) send(typ string, body any) error {
	text, err := tunnel.Encode(typ, body)
	if err != nil {
		return err
	}
	if err := v.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := v.conn.WriteMessage(websocket.TextMessage, text); err != nil {
		return fmt.Errorf("send %s to the bridge: %w", typ, err)
	}
	return nil
}

func (v *visit) read() ([]byte, error) {
	if err := v.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	kind, text, err := v.conn.ReadMessage()
	if err != nil {
		return nil, fmt.Errorf("bridge does not answer: %w", err)
	}
	if kind != websocket.TextMessage {
		return nil, fmt.Errorf("%w: not text", tunnel.ErrMessage)
	}
	return text, nil
}
