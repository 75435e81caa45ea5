package signin_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"kuule/attestation/agent/signin"
	"kuule/internal/idptest"
	"kuule/internal/problem"
	identity "kuule/internal/signin"
)

const (
	redirect = "http://counsel.localhost:8701/gw/signin/callback"
	device   = "dev_01890a5d-ac96-774b-bcce-b302099a8057"
)

func client(t *testing.T, deviceID, back string) (*signin.Client, *idptest.Provider) {
	t.Helper()
	p, err := idptest.Start(t.Context(), "127.0.0.1:0", []idptest.Persona{
		{Subject: "counsel-1", Name: "Aino Avustaja", Role: "counsel", Redirect: redirect},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	v, err := identity.NewVerifier(identity.Config{Issuer: p.Issuer(), ClientID: idptest.ClientID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Client().CloseIdleConnections)
	c, err := signin.New(signin.Config{Verifier: v, ClientID: idptest.ClientID, Redirect: back, DeviceID: deviceID})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

func walk(t *testing.T, c *signin.Client, p *idptest.Provider) (signin.Attempt, url.Values) {
	t.Helper()
	start, attempt, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.Login(t.Context(), start, "counsel-1")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil || !strings.HasPrefix(back, redirect+"?") {
		t.Fatalf("redirect ended at %s, %v", back, err)
	}
	return attempt, u.Query()
}

func TestAPersonSignsInAtTheDevice(t *testing.T) {
	t.Parallel()
	c, p := client(t, device, redirect)
	attempt, q := walk(t, c, p)
	if q.Get("state") != attempt.State {
		t.Fatal("state did not come back")
	}
	who, proof, err := c.Finish(t.Context(), attempt, q.Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "counsel-1" || who.Role != "counsel" || who.Name != "Aino Avustaja" || proof.IDToken == "" {
		t.Errorf("signed in as %q %q %q", who.Subject, who.Name, who.Role)
	}
}

func TestACodeWorksOnceAndWithItsOwnVerifierOnly(t *testing.T) {
	t.Parallel()
	c, p := client(t, device, redirect)
	attempt, q := walk(t, c, p)
	_, other, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Finish(t.Context(), other, q.Get("code")); !errors.Is(err, problem.New(problem.CodeSignIn, "")) {
		t.Errorf("another attempt's verifier: %v", err)
	}
	if _, _, err := c.Finish(t.Context(), attempt, q.Get("code")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Finish(t.Context(), attempt, q.Get("code")); !errors.Is(err, problem.New(problem.CodeSignIn, "")) {
		t.Errorf("used code: %v", err)
	}
}

func TestTheProviderSendsNobodyElsewhere(t *testing.T) {
	t.Parallel()
	c, p := client(t, device, "http://evil.localhost:8701/gw/signin/callback")
	start, _, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if back, err := p.Login(t.Context(), start, "counsel-1"); err == nil {
		t.Errorf("redirect to an unknown address went to %s", back)
	}
}

func TestAProviderThatIsAwayIsUnavailableNotWrong(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	c, _ := client(t, device, redirect)
	if _, _, err := c.Begin(ctx); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Errorf("got %v", err)
	}
}
