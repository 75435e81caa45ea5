package vendorport

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kuule/internal/canon"
)

// Config says where a part is.
type Config struct {
	Port Port
	URL  string        // https://HOST:PORT, or unix:PATH of a socket
	TLS  *tls.Config   // for https: our certificate and the authority that the part's comes from
	Wait time.Duration // for one answer; 0: 20 s
}

// Client asks one part. It is safe for concurrent use.
type Client struct {
	port Port
	base string
	http *http.Client
	wait time.Duration
}

// tries is how often a request is made that a line or a busy part lost. They
// carry the same key, so the part does it once.
const tries = 3

// NewClient makes a client, or says what is missing. It asks nothing yet.
func NewClient(c Config) (*Client, error) {
	if operations[c.Port] == nil {
		return nil, fmt.Errorf("there is no port %q, but %v", c.Port, Ports())
	}
	transport := &http.Transport{
		Proxy: nil, MaxIdleConns: 4, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: c.Wait, DisableCompression: true,
		MaxResponseHeaderBytes: 16 << 10, TLSHandshakeTimeout: 10 * time.Second,
	}
	out := &Client{port: c.Port, wait: c.Wait, http: &http.Client{
		Transport: transport,
		// A part that leads elsewhere would lead a person's picture elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if out.wait == 0 {
		out.wait = 20 * time.Second
	}
	if path, ok := strings.CutPrefix(c.URL, "unix:"); ok {
		if path == "" {
			return nil, errors.New("unix: needs the path of a socket")
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		out.base = "http://part"
		return out, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("a part is at https://HOST:PORT or at unix:PATH")
	}
	if c.TLS == nil || len(c.TLS.Certificates) == 0 && c.TLS.GetClientCertificate == nil || c.TLS.RootCAs == nil || c.TLS.InsecureSkipVerify {
		return nil, errors.New("a part behind https needs our certificate and the authority of its own: nothing is sent without both")
	}
	transport.TLSClientConfig = c.TLS.Clone()
	transport.TLSClientConfig.MinVersion = tls.VersionTLS13
	out.base = "https://" + u.Host
	return out, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Describe asks the part what it is.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	var d Description
	if err := c.ask(ctx, http.MethodGet, PathDescription, "", nil, &d); err != nil {
		return Description{}, err
	}
	return d, d.valid(c.port)
}

// valid is an answer that knows what it may be.
type valid interface{ valid() error }

// do makes one request under a key; "" makes one up.
func (c *Client) do(ctx context.Context, o Operation, idempotency string, in any, out valid) error {
	if idempotency == "" {
		idempotency = rand.Text()
	}
	if !ValidKey(idempotency) {
		return fmt.Errorf("%w: the key is none", ErrRefused)
	}
	body, err := write(in)
	if err != nil {
		return fmt.Errorf("ask the part: %w", err)
	}
	defer clear(body)
	if len(body) > MaxRequest {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrRefused, len(body), MaxRequest)
	}
	if err := c.ask(ctx, http.MethodPost, PathOperation+string(o), idempotency, body, out); err != nil {
		return err
	}
	return out.valid()
}

// ask tries until the part answers, refuses for good, or ctx ends.
func (c *Client) ask(ctx context.Context, method, path, idempotency string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	for n := 1; ; n++ {
		pause, err := c.once(ctx, method, path, idempotency, body, out)
		if err == nil || !errors.Is(err, ErrAway) || n == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path, idempotency string, body []byte, out any) (pause time.Duration, err error) {
	pause = 200 * time.Millisecond
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("ask the part: %w", err)
	}
	if path != PathDescription {
		request.Header.Set(HeaderVersion, strconv.Itoa(Version))
	}
	if method == http.MethodPost {
		deadline, _ := ctx.Deadline()
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(HeaderIdempotency, idempotency)
		request.Header.Set(HeaderDeadline, strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return pause, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := readWhole(response.Body, response.ContentLength, MaxAnswer)
	if errors.Is(err, ErrAnswer) {
		return 0, err
	}
	if err != nil {
		return pause, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer clear(text) // it may be somebody's finger
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusAccepted {
		if err := read(text, out); err != nil {
			return 0, fmt.Errorf("%w: it cannot be read", ErrAnswer) // what it is may be personal
		}
		return 0, nil
	}
	var refusal Refusal
	if err := canon.Strict(text, &refusal); err != nil {
		return 0, fmt.Errorf("%w: status %d without a refusal", ErrAnswer, response.StatusCode)
	}
	if err := refusal.valid(response.StatusCode); err != nil {
		return 0, err
	}
	switch refusal.Code {
	case CodeBusy, CodeDevice:
		if s, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && s >= 0 && s <= 60 {
			pause = time.Duration(s) * time.Second
		}
		return pause, fmt.Errorf("%w: %s", ErrAway, refusal.Code)
	case CodeVersion:
		return 0, ErrVersion
	case CodeUnknown:
		return 0, ErrUnknown
	case CodeConflict:
		return 0, ErrConflict
	default:
		return 0, fmt.Errorf("%w: %s", ErrRefused, refusal.Code)
	}
}

// The operations. An empty key makes one up: the request is then its own.

// Assess asks a part for presentation-attack detection.
func (c *Client) Assess(ctx context.Context, idempotency string, in Assess) (*Assessment, error) {
	out := &Assessment{}
	if err := c.do(ctx, OpAssess, idempotency, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Capture asks a fingerprint scanner for a finger.
func (c *Client) Capture(ctx context.Context, idempotency string, in Capture) (*Captured, error) {
	out := &Captured{}
	if err := c.do(ctx, OpCapture, idempotency, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// CompareFingers asks a fingerprint matcher.
func (c *Client) CompareFingers(ctx context.Context, idempotency string, in CompareFingers) (*Compared, error) {
	out := &Compared{}
	in.References = slices.Clone(in.References) // marks stand in their place for a moment
	if err := c.do(ctx, OpCompare, idempotency, &in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// CompareFaces asks a face matcher.
func (c *Client) CompareFaces(ctx context.Context, idempotency string, in CompareFaces) (*Compared, error) {
	out := &Compared{}
	in.Live = slices.Clone(in.Live)
	if err := c.do(ctx, OpCompare, idempotency, &in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Inspect asks a document reader.
func (c *Client) Inspect(ctx context.Context, idempotency string, in Inspect) (*Inspected, error) {
	out := &Inspected{}
	if err := c.do(ctx, OpInspect, idempotency, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Grade asks for the quality of a picture.
func (c *Client) Grade(ctx context.Context, idempotency string, in Grade) (*Graded, error) {
	out := &Graded{}
	if err := c.do(ctx, OpAssess, idempotency, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Person asks a register for one person.
func (c *Client) Person(ctx context.Context, idempotency string, in PersonQuestion) (*RegisteredPerson, error) {
	out := &RegisteredPerson{}
	err := c.do(ctx, OpPerson, idempotency, in, out)
	if err == nil {
		err = out.wanted(in.Want)
	}
	if err != nil {
		out.Forget()
		return nil, err
	}
	return out, nil
}

// Search hands in a search for duplicates; its key is its name.
func (c *Client) Search(ctx context.Context, idempotency string, in Search) (*Searching, error) {
	out := &Searching{}
	if err := c.do(ctx, OpSearch, idempotency, in, out); err != nil {
		return nil, err
	}
	return sameSearch(out, idempotency)
}

// Searched asks how a search stands.
func (c *Client) Searched(ctx context.Context, search string) (*Searching, error) {
	if !ValidKey(search) {
		return nil, fmt.Errorf("%w: the key is none", ErrRefused)
	}
	out := &Searching{}
	if err := c.ask(ctx, http.MethodGet, PathSearches+search, "", nil, out); err != nil {
		return nil, err
	}
	if err := out.valid(); err != nil {
		return nil, err
	}
	return sameSearch(out, search)
}

func sameSearch(s *Searching, want string) (*Searching, error) {
	if s.Search != want {
		return nil, fmt.Errorf("%w: it speaks of another search", ErrAnswer)
	}
	return s, nil
}
