package idptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Login is that of a Visitor to this provider.
func (p *Provider) Login(ctx context.Context, start, subject string) (callback string, err error) {
	return Visitor(p.issuer).Login(ctx, start, subject)
}

// Visitor walks the pages of the provider with that issuer, from any process.
type Visitor string

// Login signs a persona in as a browser would: from the address that an agent
// gave (POST /gw/signin/start) through the provider's real pages and redirects,
// up to the address at the agent where the last redirect points. It does not
// call that one: its host name resolves in browsers only, so the caller sends
// the request to the agent's socket (a navigation with Sec-Fetch headers).
func (v Visitor) Login(ctx context.Context, start, subject string) (callback string, err error) {
	if !strings.HasPrefix(start, string(v)+"/") {
		return "", fmt.Errorf("sign in %s: %s is not an address of this provider", subject, start)
	}
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	defer client.CloseIdleConnections()
	page, err := v.follow(ctx, client, http.MethodGet, start, nil)
	if err != nil {
		return "", fmt.Errorf("sign in %s: %w", subject, err)
	}
	id := page.Query().Get("id")
	if page.Path != "/login" || id == "" {
		return "", fmt.Errorf("sign in %s: the provider refused the request: %s", subject, page.Query().Get("error"))
	}
	last, err := v.follow(ctx, client, http.MethodPost, string(v)+"/login", url.Values{"id": {id}, "subject": {subject}})
	if err != nil {
		return "", fmt.Errorf("sign in %s: %w", subject, err)
	}
	return last.String(), nil
}

// follow sends one request and goes along with redirects until one leads to a
// page or away from the provider.
func (v Visitor) follow(ctx context.Context, client *http.Client, method, address string, form url.Values) (*url.URL, error) {
	for range 8 {
		at, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		if at.Scheme+"://"+at.Host != string(v) {
			return at, nil
		}
		req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return at, nil
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return nil, fmt.Errorf("%s answered %s: %.200s", at.Path, resp.Status, text)
		}
		next, err := resp.Location()
		if err != nil {
			return nil, err
		}
		method, address, form = http.MethodGet, next.String(), nil
	}
	return nil, errors.New("too many redirects")
}
