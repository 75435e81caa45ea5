package signin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kuule/internal/problem"
)

const device = "dev_01890a5d-ac96-774b-bcce-b302099a8057"

// provider is just enough of one to forge with.
type provider struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	fetched atomic.Int64 // of the keys
	silent  atomic.Bool
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.silent.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			p.fetched.Add(1)
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys",
			"authorization_endpoint": p.URL + "/a", "token_endpoint": p.URL + "/t"})
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) token(t testing.TB, key *ecdsa.PrivateKey, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := s.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := obj.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) claims(nonce string) map[string]any {
	now := time.Now()
	return map[string]any{"iss": p.URL, "aud": "kuule", "sub": "s-1", "name": "Aino Avustaja", "kuule_role": "counsel",
		"nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
}

func verifier(t testing.TB, p *provider) *Verifier {
	t.Helper()
	v, err := NewVerifier(Config{Issuer: p.URL, ClientID: "kuule"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Client().CloseIdleConnections)
	return v
}

func TestATokenCountsOnTheDeviceItWasMadeFor(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	v := verifier(t, p)
	nonce, random := NewNonce(device)
	proof := Proof{IDToken: p.token(t, p.key, "k1", p.claims(nonce)), NonceRandom: random}
	who, err := v.Verify(t.Context(), proof, device)
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "s-1" || who.Name != "Aino Avustaja" || who.Role != "counsel" || who.Issuer != p.URL {
		t.Errorf("got %#v", who)
	}
	// Stolen and shown by another device.
	other := strings.Replace(device, "57", "58", 1)
	if _, err := v.Verify(t.Context(), proof, other); !errors.Is(err, problem.New(problem.CodeSignIn, "")) {
		t.Errorf("another device: %v", err)
	}
}

// Each case breaks exactly one condition of a proof that would hold.
func TestEachSingleMissingConditionRefuses(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	for name, c := range map[string]struct {
		claims func(map[string]any)
		key    *ecdsa.PrivateKey
		random string
		raw    string
	}{
		"no token":            {raw: " "},
		"token is junk":       {raw: "a.b.c"},
		"token too long":      {raw: strings.Repeat("a", maxToken+1)},
		"alg none":            {raw: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzLTEifQ."},
		"key of a stranger":   {key: stranger},
		"other issuer":        {claims: set("iss", "https://elsewhere.example")},
		"other audience":      {claims: set("aud", "another")},
		"other party":         {claims: set("azp", "another")},
		"audiences, no party": {claims: set("aud", []string{"kuule", "another"})},
		"expired":             {claims: set("exp", time.Now().Add(-time.Second).Unix())},
		"older than a day":    {claims: set("iat", time.Now().Add(-MaxAge-time.Second).Unix())},
		"from the future":     {claims: set("iat", time.Now().Add(time.Hour).Unix())},
		"no nonce":            {claims: set("nonce", "")},
		"another nonce":       {claims: set("nonce", "x")},
		"no random":           {random: "-"},
		"another random":      {random: strings.Repeat("A", 43)},
		"random too short":    {random: "AAAA"},
		"no subject":          {claims: set("sub", "")},
		"no name":             {claims: set("name", "")},
		"name with controls":  {claims: set("name", "Aino\nadmin")},
		"no role":             {claims: set("kuule_role", "")},
		"role unknown":        {claims: set("kuule_role", "judge")},
		"role of nobody":      {claims: set("kuule_role", "applicant")}, // applicants come by ticket
		"roles in a list":     {claims: set("kuule_role", []string{"counsel"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, p)
			nonce, random := NewNonce(device)
			claims := p.claims(nonce)
			if c.claims != nil {
				c.claims(claims)
			}
			key := p.key
			if c.key != nil {
				key = c.key
			}
			proof := Proof{IDToken: p.token(t, key, "k1", claims), NonceRandom: random}
			if c.raw != "" {
				proof.IDToken = strings.TrimSpace(c.raw)
			}
			if c.random != "" {
				proof.NonceRandom = strings.Trim(c.random, "-")
			}
			_, err := v.Verify(t.Context(), proof, device)
			if !errors.Is(err, problem.New(problem.CodeSignIn, "")) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "Aino") || strings.Contains(err.Error(), "s-1") {
				t.Errorf("error speaks of the person: %v", err)
			}
		})
	}
}

func TestKeysAreFetchedOnceAndAFloodDoesNotReachTheProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	v := verifier(t, p)
	nonce, random := NewNonce(device)
	good := Proof{IDToken: p.token(t, p.key, "k1", p.claims(nonce)), NonceRandom: random}
	for range 20 {
		if _, err := v.Verify(t.Context(), good, device); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("keys were fetched %d times for 20 good tokens", n)
	}
	bad := Proof{IDToken: p.token(t, p.key, "unknown", p.claims(nonce)), NonceRandom: random}
	for range 100 {
		if _, err := v.Verify(t.Context(), bad, device); err == nil {
			t.Fatal("token of an unknown key was taken")
		}
	}
	if n := p.fetched.Load(); n > 15 {
		t.Errorf("keys were fetched %d times for 100 forged tokens", n)
	}
	if _, err := v.Verify(t.Context(), good, device); err != nil {
		t.Errorf("good token after the flood: %v", err)
	}
}

func TestAProviderThatDoesNotAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.silent.Store(true)
	v := verifier(t, p)
	nonce, random := NewNonce(device)
	proof := Proof{IDToken: p.token(t, p.key, "k1", p.claims(nonce)), NonceRandom: random}
	if _, err := v.Verify(t.Context(), proof, device); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Errorf("discovery: %v", err)
	}
	p.silent.Store(false)
	if _, err := v.Endpoint(t.Context()); err != nil { // discovered, keys not yet fetched
		t.Fatal(err)
	}
	p.silent.Store(true)
	if _, err := v.Verify(t.Context(), proof, device); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Errorf("keys: %v", err)
	}
	p.silent.Store(false)
	if _, err := v.Verify(t.Context(), proof, device); err != nil {
		t.Errorf("once it answers: %v", err)
	}
}

func TestPlainHTTPIsForLoopbackOnly(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://login.example": true, "http://127.0.0.1:9000": true, "http://[::1]:9000": true,
		"http://login.example": false, "http://127.0.0.1.example": false, "ftp://127.0.0.1": false, "": false, "login": false,
	} {
		if _, err := NewVerifier(Config{Issuer: issuer, ClientID: "kuule"}); (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	if _, err := NewVerifier(Config{Issuer: "https://login.example"}); err == nil {
		t.Error("without client id any audience would do")
	}
}

func TestNothingPersonalIsPrinted(t *testing.T) {
	t.Parallel()
	proof := Proof{IDToken: "secret-token", NonceRandom: "secret-random"}
	who := Identity{Name: "secret-name", Subject: "secret-subject", Role: "counsel"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "proof", proof, "who", who)
	for _, text := range []string{fmt.Sprint(proof, who), fmt.Sprintf("%+v %#v %+v %#v", proof, proof, who, who), log.String()} {
		if strings.Contains(text, "secret") {
			t.Errorf("printed: %s", text)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newProvider(f)
	v := verifier(f, p)
	nonce, random := NewNonce(device)
	good := p.token(f, p.key, "k1", p.claims(nonce))
	f.Add(good, random)
	f.Add("a.b.c", "")
	f.Fuzz(func(t *testing.T, token, r string) {
		who, err := v.Verify(t.Context(), Proof{IDToken: token, NonceRandom: r}, device)
		if err == nil && (r != random || who.Subject != "s-1") {
			t.Error("took a proof that was never made")
		}
	})
}
