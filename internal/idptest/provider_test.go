package idptest

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const callback = "http://counsel.localhost:8701/gw/signin/callback"

func start(t *testing.T) *Provider {
	t.Helper()
	p, err := Start(t.Context(), "127.0.0.1:0", []Persona{
		{Subject: "c1", Name: "Aino Avustaja", Role: "counsel", Redirect: callback},
		{Subject: "i1", Name: "Pekka Puhuttelija", Role: "interviewer", Redirect: strings.Replace(callback, "counsel", "interviewer", 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func authorize(p *Provider, redirect, challenge, method string) string {
	q := url.Values{"client_id": {ClientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"s"}, "nonce": {"n"}}
	if challenge != "" {
		q.Set("code_challenge", challenge)
		q.Set("code_challenge_method", method)
	}
	return p.Issuer() + "/authorize?" + q.Encode()
}

func TestOnlyPKCEWithS256AndKnownRedirectsAreTaken(t *testing.T) {
	t.Parallel()
	p := start(t)
	challenge := oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())
	for name, c := range map[string]struct {
		address string
		ok      bool
	}{
		"as agents ask":    {authorize(p, callback, challenge, "S256"), true},
		"no PKCE":          {authorize(p, callback, "", ""), false},
		"plain PKCE":       {authorize(p, callback, challenge, "plain"), false},
		"unknown redirect": {authorize(p, "http://evil.localhost/cb", challenge, "S256"), false},
		"other port":       {authorize(p, strings.Replace(callback, "8701", "8702", 1), challenge, "S256"), false},
	} {
		back, err := p.Login(t.Context(), c.address, "c1")
		if got := err == nil && strings.HasPrefix(back, callback+"?code="); got != c.ok {
			t.Errorf("%s: went to %s, %v", name, back, err)
		}
	}
}

func TestNobodySignsInAtAnothersDevice(t *testing.T) {
	t.Parallel()
	p := start(t)
	challenge := oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())
	if back, err := p.Login(t.Context(), authorize(p, callback, challenge, "S256"), "i1"); err == nil {
		t.Errorf("the interviewer signed in at counsel's device: %s", back)
	}
}

func TestThePageOffersThePersonasInBothLanguages(t *testing.T) {
	t.Parallel()
	p := start(t)
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(authorize(p, callback, "abc", "S256"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // read below
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{`lang="fi"`, `lang="en"`, "Kuka olet?", "Who are you?", "Aino Avustaja", "avustaja", "counsel", `name="viewport"`} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(page, "Pekka") {
		t.Error("page offers somebody of another device")
	}
}

func TestItServesOnLoopbackOnlyAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	personas := []Persona{{Subject: "c1", Name: "A", Role: "counsel", Redirect: callback}}
	if p, err := Start(t.Context(), "0.0.0.0:0", personas); err == nil {
		t.Errorf("serves at %s: %v", p.Issuer(), p.Close())
	}
	for name, bad := range map[string][]Persona{
		"none":         nil,
		"same subject": {personas[0], personas[0]},
		"no redirect":  {{Subject: "x", Role: "counsel"}},
		"unknown role": {{Subject: "x", Role: "judge", Redirect: callback}},
	} {
		if _, err := Start(t.Context(), "127.0.0.1:0", bad); err == nil {
			t.Errorf("%s: started", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, "127.0.0.1:0", personas)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
