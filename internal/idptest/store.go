package idptest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLifetime = 10 * time.Minute
	maxRequests     = 1000
	tokenLifetime   = 5 * time.Minute
)

var errUnsupported = errors.New("the demonstration provider does not do this")

var _ op.Storage = (*store)(nil)

// store answers the protocol library from memory. Access tokens are made, as
// the protocol wants, and open nothing: no user-info is given for them.
type store struct {
	personas []Persona
	client   client
	key      signingKey

	mu       sync.Mutex
	requests map[string]*authRequest // by id
	codes    map[string]string       // code -> id of request
}

func newStore(personas []Persona) (*store, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("demonstration sign-in: %w", err)
	}
	s := &store{personas: personas, key: signingKey{uuid.NewString(), key},
		requests: map[string]*authRequest{}, codes: map[string]string{}}
	seen := map[string]bool{}
	for _, p := range personas {
		u, err := url.Parse(p.Redirect)
		if err != nil || u.Host == "" || p.Subject == "" || seen[p.Subject] {
			return nil, fmt.Errorf("demonstration sign-in: persona %q needs a subject of its own and a redirect", p.Subject)
		}
		if _, known := roleNames[p.Role]; !known {
			return nil, fmt.Errorf("demonstration sign-in: persona %q has the unknown role %q", p.Subject, p.Role)
		}
		seen[p.Subject] = true
		if !slices.Contains(s.client.redirects, p.Redirect) {
			s.client.redirects = append(s.client.redirects, p.Redirect)
		}
	}
	return s, nil
}

// offered lists the personas of one agent: nobody signs in at another's device.
func (s *store) offered(redirect string) []Persona {
	var out []Persona
	for _, p := range s.personas {
		if p.Redirect == redirect {
			out = append(out, p)
		}
	}
	return out
}

// pick says who signs in with a request.
func (s *store) pick(id, subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[id]
	if !ok {
		return errors.New("this sign-in is too old: start again")
	}
	if !slices.ContainsFunc(s.offered(r.GetRedirectURI()), func(p Persona) bool { return p.Subject == subject }) {
		return errors.New("there is no such persona at this device")
	}
	r.subject, r.at = subject, time.Now()
	return nil
}

func (s *store) persona(subject string) (Persona, error) {
	i := slices.IndexFunc(s.personas, func(p Persona) bool { return p.Subject == subject })
	if i < 0 {
		return Persona{}, errors.New("no such persona")
	}
	return s.personas[i], nil
}

// CreateAuthRequest implements op.AuthStorage. Only PKCE with S256 is taken.
func (s *store) CreateAuthRequest(_ context.Context, in *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if in.CodeChallenge == "" || in.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	if len(s.requests) >= maxRequests {
		return nil, oidc.ErrServerError().WithDescription("too many sign-ins at once")
	}
	r := &authRequest{AuthRequest: in, id: uuid.NewString(), made: time.Now()}
	s.requests[r.id] = r
	return r, nil
}

func (s *store) forget(now time.Time) {
	for id, r := range s.requests {
		if now.Sub(r.made) > requestLifetime {
			s.drop(id)
		}
	}
}

func (s *store) drop(id string) {
	delete(s.requests, id)
	for code, of := range s.codes {
		if of == id {
			delete(s.codes, code)
		}
	}
}

func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	r, ok := s.requests[id]
	if !ok {
		return nil, errors.New("request not found")
	}
	snapshot := *r // pick may change the original meanwhile
	return &snapshot, nil
}

func (s *store) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id, ok := s.codes[code]
	s.mu.Unlock()
	if !ok {
		return nil, errors.New("code unknown or used")
	}
	return s.AuthRequestByID(ctx, id)
}

func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
	return nil
}

func (s *store) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return uuid.NewString(), time.Now().Add(tokenLifetime), nil
}

func (s *store) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errUnsupported
}

func (s *store) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errUnsupported
}

func (s *store) TerminateSession(context.Context, string, string) error { return nil }

func (s *store) RevokeToken(context.Context, string, string, string) *oidc.Error { return nil }

func (s *store) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (s *store) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey(s.key)}, nil }

func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != ClientID {
		return nil, errors.New("no such client")
	}
	return s.client, nil
}

func (s *store) AuthorizeClientIDSecret(context.Context, string, string) error { return errUnsupported }

func (s *store) SetUserinfoFromScopes(_ context.Context, info *oidc.UserInfo, subject, _ string, _ []string) error {
	p, err := s.persona(subject)
	if err != nil {
		return err
	}
	info.Subject, info.Name = p.Subject, p.Name
	info.AppendClaims("kuule_role", p.Role)
	return nil
}

func (s *store) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return errUnsupported
}

func (s *store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnsupported
}

func (s *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (s *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnsupported
}

func (s *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnsupported
}

func (s *store) Health(context.Context) error { return nil }

// authRequest is one sign-in under way.
type authRequest struct {
	*oidc.AuthRequest
	id      string
	made    time.Time
	subject string // empty until a persona was picked
	at      time.Time
}

func (r *authRequest) GetID() string          { return r.id }
func (r *authRequest) GetACR() string         { return "" }
func (r *authRequest) GetAMR() []string       { return nil }
func (r *authRequest) GetAudience() []string  { return []string{r.ClientID} }
func (r *authRequest) GetAuthTime() time.Time { return r.at }
func (r *authRequest) GetClientID() string    { return r.ClientID }
func (r *authRequest) GetNonce() string       { return r.Nonce }
func (r *authRequest) GetScopes() []string    { return r.Scopes }
func (r *authRequest) GetSubject() string     { return r.subject }
func (r *authRequest) Done() bool             { return r.subject != "" }
func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// client is the agents' registration: public, code flow, exact redirects.
type client struct{ redirects []string }

func (c client) GetID() string                       { return ClientID }
func (c client) RedirectURIs() []string              { return c.redirects }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (c client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) GrantTypes() []oidc.GrantType                                 { return []oidc.GrantType{oidc.GrantTypeCode} }
func (c client) LoginURL(id string) string                                    { return "/login?id=" + url.QueryEscape(id) }
func (c client) AccessTokenType() op.AccessTokenType                          { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration                               { return TokenLifetime }
func (c client) DevMode() bool                                                { return true } // http at NAME.localhost
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return same }
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }
func (c client) IsScopeAllowed(string) bool                                   { return false }
func (c client) IDTokenUserinfoClaimsAssertion() bool                         { return true }
func (c client) ClockSkew() time.Duration                                     { return 0 }

func same(scopes []string) []string { return scopes }

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                    { return k.key }
func (k signingKey) ID() string                                  { return k.id }

type publicKey signingKey

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.key.PublicKey }
func (k publicKey) ID() string                         { return k.id }
