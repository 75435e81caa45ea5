package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"kuule/internal/problem"
	"kuule/internal/signin"
)

// AttemptLifetime is how long a sign-in may take.
const AttemptLifetime = 10 * time.Minute

// Config says who signs in where.
type Config struct {
	Verifier *signin.Verifier // of the agency's identity provider
	ClientID string           // as the provider knows the agents
	Redirect string           // http://NAME.localhost:PORT/gw/signin/callback
	DeviceID string           // printed device id
}

// Client signs people in. It is safe for concurrent use.
type Client struct{ cfg Config }

// Attempt is one sign-in under way.
type Attempt struct {
	State   string // comes back with the redirect; names this attempt, once
	Expires time.Time

	verifier string // PKCE
	nonce    string
	random   string
}

// String keeps the attempt's secrets out of logs.
func (Attempt) String() string { return "redacted" }

// GoString keeps the attempt's secrets out of %#v.
func (Attempt) GoString() string { return "redacted" }

// LogValue keeps the attempt's secrets out of slog.
func (Attempt) LogValue() slog.Value { return slog.StringValue("redacted") }

// New makes a client.
func New(cfg Config) (*Client, error) {
	if cfg.Verifier == nil || cfg.ClientID == "" || cfg.Redirect == "" || cfg.DeviceID == "" {
		return nil, errors.New("sign-in: verifier, client id, redirect and device id are all needed")
	}
	return &Client{cfg}, nil
}

// Begin starts a sign-in: the address to send the browser to, and the attempt
// to finish it with.
func (c *Client) Begin(ctx context.Context) (address string, a Attempt, err error) {
	oc, err := c.oauth(ctx)
	if err != nil {
		return "", Attempt{}, err
	}
	a = Attempt{State: rand.Text() + rand.Text(), Expires: time.Now().Add(AttemptLifetime), verifier: oauth2.GenerateVerifier()}
	a.nonce, a.random = signin.NewNonce(c.cfg.DeviceID)
	return oc.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce)), a, nil
}

// Finish redeems the code that the redirect brought and verifies the token.
// The error is a *problem.Error.
func (c *Client) Finish(ctx context.Context, a Attempt, code string) (signin.Identity, signin.Proof, error) {
	if time.Now().After(a.Expires) {
		return signin.Identity{}, signin.Proof{}, problem.New(problem.CodeSignIn, "the sign-in took longer than %s: start again", AttemptLifetime)
	}
	oc, err := c.oauth(ctx)
	if err != nil {
		return signin.Identity{}, signin.Proof{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.cfg.Verifier.Client())
	token, err := oc.Exchange(ctx, code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		return signin.Identity{}, signin.Proof{}, exchangeProblem(err)
	}
	raw, _ := token.Extra("id_token").(string)
	proof := signin.Proof{IDToken: raw, NonceRandom: a.random}
	who, err := c.cfg.Verifier.Verify(ctx, proof, c.cfg.DeviceID)
	if err != nil {
		return signin.Identity{}, signin.Proof{}, err
	}
	return who, proof, nil
}

func (c *Client) oauth(ctx context.Context) (*oauth2.Config, error) {
	endpoint, err := c.cfg.Verifier.Endpoint(ctx)
	if err != nil {
		return nil, err
	}
	endpoint.AuthStyle = oauth2.AuthStyleInParams // public client: there is no secret
	return &oauth2.Config{ClientID: c.cfg.ClientID, Endpoint: endpoint, RedirectURL: c.cfg.Redirect,
		Scopes: []string{oidc.ScopeOpenID, "profile"}}, nil
}

// exchangeProblem keeps the provider's text, which may hold the code, out.
func exchangeProblem(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return problem.New(problem.CodeSignIn, "identity provider refused the code (%s)", errorCode(refused.ErrorCode))
	}
	return problem.New(problem.CodeUnavailable, "%w", fmt.Errorf("identity provider did not redeem the code: %w", err))
}

// errorCode lets through the error codes of RFC 6749 section 5.2 alone.
func errorCode(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return code
	default:
		return "no reason given"
	}
}
