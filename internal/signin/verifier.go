package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"kuule/internal/problem"
)

const (
	// MaxAge is how long an identity token counts at most, whatever its own
	// expiry: one working day.
	MaxAge = 12 * time.Hour

	maxToken    = 16 << 10
	maxResponse = 1 << 20
	clockSkew   = time.Minute
)

// errThrottled says that the provider was asked too often in a short time.
var errThrottled = errors.New("identity provider was asked too often, wait a moment")

// Config names the provider.
type Config struct {
	Issuer   string       // exact issuer; https, or http on a loopback address
	ClientID string       // audience that tokens must name
	HTTP     *http.Client // how the provider is reached (roots, proxy); nil: the default
	Now      func() time.Time
}

// Verifier verifies identity tokens of one provider. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider // found at first use, so that processes start in any order
	keys     oidc.KeySet
}

// NewVerifier makes a verifier. It does not call the provider yet.
func NewVerifier(cfg Config) (*Verifier, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.ClientID == "" {
		return nil, errors.New("sign-in: client id is missing")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	base := cfg.HTTP.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	client := *cfg.HTTP
	client.Timeout = 10 * time.Second
	client.Transport = &bounded{base: base, limit: rate.NewLimiter(rate.Every(2*time.Second), 10)}
	// Keys come from where discovery says, not from where that sends us on.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Verifier{cfg: cfg, client: &client}, nil
}

// Endpoint gives the provider's addresses for signing in.
func (v *Verifier) Endpoint(ctx context.Context) (oauth2.Endpoint, error) {
	p, _, err := v.discover(ctx)
	if err != nil {
		return oauth2.Endpoint{}, err
	}
	return p.Endpoint(), nil
}

// Client is the bounded HTTP client that reaches the provider.
func (v *Verifier) Client() *http.Client { return v.client }

// Verify checks that the provider issued the proof's token for this client, to
// a person who signed in at the device, not longer than MaxAge ago. The error
// is a *problem.Error: CodeSignIn when the proof does not hold, CodeUnavailable
// when the provider does not answer.
func (v *Verifier) Verify(ctx context.Context, proof Proof, deviceID string) (Identity, error) {
	if proof.IDToken == "" {
		return Identity{}, problem.New(problem.CodeSignIn, "nobody is signed in at the device")
	}
	if len(proof.IDToken) > maxToken {
		return Identity{}, refuse("identity token is longer than %d bytes", maxToken)
	}
	nonce, err := NonceFor(deviceID, proof.NonceRandom)
	if err != nil {
		return Identity{}, refuse("%w", err)
	}
	token, err := v.verifyToken(ctx, proof.IDToken)
	if err != nil {
		return Identity{}, err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return Identity{}, refuse("identity token was issued for another device or sign-in")
	}
	return v.identity(token)
}

func (v *Verifier) verifyToken(ctx context.Context, raw string) (*oidc.IDToken, error) {
	_, keys, err := v.discover(ctx)
	if err != nil {
		return nil, err
	}
	// go-oidc flattens the cause into text; the cause decides between "wrong"
	// and "cannot tell now".
	seen := &witness{KeySet: keys}
	token, err := oidc.NewVerifier(v.cfg.Issuer, seen, &oidc.Config{
		ClientID:             v.cfg.ClientID,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA},
		Now:                  v.cfg.Now,
	}).Verify(ctx, raw)
	var unreachable *url.Error
	var expired *oidc.TokenExpiredError
	switch {
	case err == nil:
		return token, nil
	case errors.As(seen.err, &unreachable):
		return nil, problem.New(problem.CodeUnavailable, "keys of the identity provider: %w", unreachable.Err)
	case errors.As(err, &expired):
		return nil, refuse("identity token has expired: sign in again")
	default:
		// The library's text may quote the token's claims.
		return nil, refuse("identity token is not a valid one of this provider for this client")
	}
}

func (v *Verifier) identity(token *oidc.IDToken) (Identity, error) {
	var claims struct {
		Name       string `json:"name"`
		Role       string `json:"kuule_role"`
		Authorized string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil {
		return Identity{}, refuse("claims of the identity token cannot be read")
	}
	now := v.cfg.Now()
	switch {
	case claims.Authorized != "" && claims.Authorized != v.cfg.ClientID:
		return Identity{}, refuse("identity token was issued to another client")
	case len(token.Audience) > 1 && claims.Authorized == "":
		return Identity{}, refuse("identity token names several audiences and no authorized party")
	case token.IssuedAt.After(now.Add(clockSkew)):
		return Identity{}, refuse("identity token comes from the future: compare the clocks")
	case token.IssuedAt.Before(now.Add(-MaxAge)):
		return Identity{}, refuse("identity token is older than %s: sign in again", MaxAge)
	case !printable(token.Subject, 255):
		return Identity{}, refuse("identity token names no subject")
	case !printable(claims.Name, 200):
		return Identity{}, refuse("identity token carries no usable name")
	case !slices.Contains(Roles, claims.Role):
		return Identity{}, refuse("claim kuule_role is none of the known roles: have the provider set it")
	}
	expires := token.Expiry
	if last := token.IssuedAt.Add(MaxAge); expires.After(last) {
		expires = last
	}
	return Identity{Issuer: token.Issuer, Subject: token.Subject, Name: claims.Name, Role: claims.Role,
		Issued: token.IssuedAt.UTC(), Expires: expires.UTC()}, nil
}

func (v *Verifier) discover(ctx context.Context) (*oidc.Provider, oidc.KeySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.provider != nil {
		return v.provider, v.keys, nil
	}
	ctx = oidc.ClientContext(ctx, v.client)
	p, err := oidc.NewProvider(ctx, v.cfg.Issuer)
	if err != nil {
		return nil, nil, problem.New(problem.CodeUnavailable, "identity provider %s: %w", v.cfg.Issuer, err)
	}
	var doc struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&doc); err != nil || doc.Keys == "" {
		return nil, nil, problem.New(problem.CodeUnavailable, "identity provider %s names no keys", v.cfg.Issuer)
	}
	v.provider, v.keys = p, oidc.NewRemoteKeySet(ctx, doc.Keys)
	return v.provider, v.keys, nil
}

// witness remembers why a key set could not decide.
type witness struct {
	oidc.KeySet
	err error
}

func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := w.KeySet.VerifySignature(ctx, jwt)
	w.err = err
	return payload, err
}

// bounded keeps a flood of tokens with unknown keys away from the provider,
// and an endless answer of the provider away from us.
type bounded struct {
	base  http.RoundTripper
	limit *rate.Limiter
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.limit.Allow() {
		return nil, errThrottled
	}
	resp, err := b.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxResponse), resp.Body}
	return resp, nil
}

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return fmt.Errorf("sign-in: issuer %q is no address", issuer)
	}
	loopback := u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("sign-in: issuer %q must be https", issuer)
	}
	return nil
}

func printable(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func refuse(format string, args ...any) error {
	return problem.New(problem.CodeSignIn, format, args...)
}
