package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
)

// Page is one page instance at a gateway. Its methods are not for concurrent
// use, except that sockets it dialled live on their own.
type Page struct {
	origin string
	bearer string
	client *http.Client
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// Open opens a start link: it loads the page and takes the code for a bearer.
func Open(ctx context.Context, link string) (*Page, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, fmt.Errorf("open start link: %w", err)
	}
	p := newPage("http://" + u.Host)
	code, err := fragment(link)
	if err != nil {
		return nil, err
	}
	return p, p.redeem(ctx, code)
}

func newPage(origin string) *Page {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	return &Page{origin: origin, dial: dial, client: &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets go of the page's idle connections. Its session stays, as when a
// window is closed.
func (p *Page) Close() { p.client.CloseIdleConnections() }

// Origin is the gateway's origin.
func (p *Page) Origin() string { return p.origin }

// Bearer is the page's bearer.
func (p *Page) Bearer() string { return p.bearer }

func (p *Page) redeem(ctx context.Context, code string) error {
	var out struct {
		Bearer  string `json:"bearer"`
		Resumed bool   `json:"resumed"`
	}
	if err := p.Call(ctx, http.MethodPost, "/gw/session", map[string]string{"code": code}, &out); err != nil {
		return err
	}
	p.bearer = out.Bearer
	return nil
}

// Call makes one fetch. in and out may be nil. A refusal is a *problem.Error.
func (p *Page) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := p.Request(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close() // read below
	text, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 400 {
		var d problem.Document
		if err := json.Unmarshal(text, &d); err != nil || d.Code == "" {
			return fmt.Errorf("%s %s: answered %s", method, path, resp.Status)
		}
		return fmt.Errorf("%s %s: %w", method, path, d.Err())
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Request is a fetch as the page's script would make it.
func (p *Page) Request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.origin+path, body)
	if err != nil {
		return nil, err
	}
	h := req.Header
	h.Set("Sec-Fetch-Site", "same-origin")
	h.Set("Sec-Fetch-Mode", "cors")
	h.Set("Sec-Fetch-Dest", "empty")
	if method != http.MethodGet && method != http.MethodHead {
		h.Set("Origin", p.origin)
	}
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	if p.bearer != "" {
		h.Set("Authorization", "Bearer "+p.bearer)
	}
	return req, nil
}

// Do sends a request through the page's own connections.
func (p *Page) Do(req *http.Request) (*http.Response, error) { return p.client.Do(req) }

// Socket opens a WebSocket of the room protocol with the page's bearer.
func (p *Page) Socket(ctx context.Context, path string) (*websocket.Conn, error) {
	return p.SocketOf(ctx, path, "kuule.v1")
}

// SocketOf opens a WebSocket that speaks another protocol than a room's.
func (p *Page) SocketOf(ctx context.Context, path, speaks string) (*websocket.Conn, error) {
	d := websocket.Dialer{NetDialContext: p.dial, HandshakeTimeout: 10 * time.Second, Subprotocols: []string{speaks, "bearer." + p.bearer}}
	c, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(p.origin, "http")+path, http.Header{"Origin": {p.origin}})
	if err == nil {
		return c, nil
	}
	if resp != nil {
		var d problem.Document
		if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&d) == nil && d.Code != "" {
			return nil, fmt.Errorf("socket %s: %w", path, d.Err())
		}
	}
	return nil, fmt.Errorf("socket %s: %w", path, err)
}

// Provider walks the sign-in of one persona (idptest.Provider).
type Provider interface {
	Login(ctx context.Context, start, subject string) (callback string, err error)
}

// SignIn signs a persona in at the gateway: away to the provider, back to the
// callback, and on with the fresh start code, as a browser's window would go.
func (p *Page) SignIn(ctx context.Context, provider Provider, subject string) error {
	var start struct {
		URL string `json:"url"`
	}
	if err := p.Call(ctx, http.MethodPost, "/gw/signin/start", nil, &start); err != nil {
		return err
	}
	callback, err := provider.Login(ctx, start.URL, subject)
	if err != nil {
		return err
	}
	back, err := p.Land(ctx, callback)
	if err != nil {
		return err
	}
	if strings.Contains(back, "problem=") {
		return fmt.Errorf("sign in %s: the agent came back with %s", subject, back[strings.Index(back, "problem="):])
	}
	code, err := fragment(back)
	if err != nil {
		return err
	}
	p.bearer = "" // left with the page
	return p.redeem(ctx, code)
}

// Land sends the window to an address of the gateway from another site and
// returns where it is sent on to.
func (p *Page) Land(ctx context.Context, address string) (string, error) {
	if !strings.HasPrefix(address, p.origin+"/") {
		return "", errors.New("land: the address is not this gateway's")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("land: %w", err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-User", "?1")
	resp, err := p.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("land: %w", err)
	}
	defer resp.Body.Close() // not read
	to, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("land: answered %s: %w", resp.Status, err)
	}
	return to.String(), nil
}

func fragment(link string) (string, error) {
	_, values, _ := strings.Cut(link, "#")
	q, err := url.ParseQuery(values)
	if err != nil || q.Get("start") == "" {
		return "", errors.New("the link carries no start code")
	}
	return q.Get("start"), nil
}
