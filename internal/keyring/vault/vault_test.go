package vault_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	"kuule/internal/keyring/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real Vault of its own, or the test is skipped.
type server struct {
	*api.Client // with the root token
	address     string
	roots       *x509.CertPool
	unsealKey   string
	mounts      atomic.Int32
}

func start(t *testing.T) *server {
	t.Helper()
	binary := os.Getenv("KUULE_TEST_VAULTD")
	if binary == "" {
		t.Skip("KUULE_TEST_VAULTD names no server; make test-vault builds one")
	}
	file := filepath.Join(t.TempDir(), "vault.json")
	var log bytes.Buffer
	command := exec.Command(binary, "-state", file, "-tls")
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
	})
	var state struct {
		Address   string `json:"address"`
		RootToken string `json:"root_token"`
		UnsealKey string `json:"unseal_key"`
		CAPEM     string `json:"ca_pem"`
	}
	eventually(t, "vaultd to write its state", func() error {
		select {
		case <-ended:
			t.Fatalf("vaultd ended: %s", log.String())
		default:
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &state)
	})
	s := &server{address: state.Address, roots: x509.NewCertPool(), unsealKey: state.UnsealKey}
	s.roots.AppendCertsFromPEM([]byte(state.CAPEM))
	config := api.DefaultConfig()
	config.Address = state.Address
	if err := config.ConfigureTLS(&api.TLSConfig{CACertBytes: []byte(state.CAPEM)}); err != nil {
		t.Fatal(err)
	}
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(state.RootToken)
	s.Client = client
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	for path, kind := range map[string]string{"auth/approle": "approle", "auth/cert": "cert"} {
		s.put(t, "sys/"+path, map[string]any{"type": kind})
	}
	return s
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("waited for %s: %v", what, err)
}

func (s *server) put(t testing.TB, path string, fields map[string]any) *api.Secret {
	t.Helper()
	secret, err := s.Logical().Write(path, fields)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// mount enables a Transit engine of its own.
func (s *server) mount(t testing.TB) string {
	t.Helper()
	mount := fmt.Sprintf("transit%d", s.mounts.Add(1))
	s.put(t, "sys/mounts/"+mount, map[string]any{"type": "transit"})
	return mount
}

// role makes an AppRole with a policy and gives the way to log in.
func (s *server) role(t testing.TB, name, policy string, fields map[string]any) vault.AppRole {
	t.Helper()
	s.put(t, "sys/policies/acl/"+name, map[string]any{"policy": policy})
	settings := map[string]any{"token_policies": name, "token_ttl": "10m"}
	for field, value := range fields {
		settings[field] = value
	}
	s.put(t, "auth/approle/role/"+name, settings)
	id, err := s.Logical().Read("auth/approle/role/" + name + "/role-id")
	if err != nil {
		t.Fatal(err)
	}
	secret := s.put(t, "auth/approle/role/"+name+"/secret-id", nil)
	file := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(file, []byte(secret.Data["secret_id"].(string)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return vault.AppRole{RoleID: id.Data["role_id"].(string), SecretIDFile: file}
}

func (s *server) config(t testing.TB, mount string, login vault.Login) vault.Config {
	return vault.Config{Address: s.address, Roots: s.roots, Mount: mount, Login: login, Graves: t.TempDir(), Timeout: 5 * time.Second, Patience: 400 * time.Millisecond}
}

func open(t testing.TB, c vault.Config) *vault.Ring {
	t.Helper()
	ring, err := vault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return ring
}

func policy(t testing.TB, role, mount string) string {
	t.Helper()
	text, err := vault.Policy(role, mount)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// authority opens a ring as the installation does.
func (s *server) authority(t testing.TB, mount string) *vault.Ring {
	t.Helper()
	return open(t, s.config(t, mount, s.role(t, "authority-"+mount, policy(t, "authority", mount), nil)))
}

var recording = keyring.Key{Case: "cas_1", Kind: keyring.Recording}

func TestVaultKeepsWhatAKeyringPromises(t *testing.T) {
	s := start(t)
	keyringtest.Run(t, func(t testing.TB) keyring.Keyring { return s.authority(t, s.mount(t)) })
}

// The server itself holds the roles apart (promise 7): tokens, not this program.
func TestPoliciesAreEnforcedByTheServer(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	authority := s.authority(t, mount)
	ctx := t.Context()
	for _, c := range []string{"cas_1", "cas_2"} {
		for _, kind := range []keyring.Kind{keyring.Records, keyring.Recording} {
			if err := authority.Create(ctx, keyring.Key{Case: c, Kind: kind}); err != nil {
				t.Fatal(err)
			}
		}
	}
	recorder := open(t, s.config(t, mount, s.role(t, "recorder", policy(t, "recorder", mount), nil)))
	key, wrapped, err := recorder.DataKey(ctx, recording, "rec_1")
	if err != nil {
		t.Fatalf("recorder wraps: %v", err)
	}
	if got, err := authority.Unwrap(ctx, recording, "rec_1", wrapped); err != nil || !bytes.Equal(got.Bytes(), key.Bytes()) {
		t.Fatalf("authority opens what the recorder wrapped: %v", err)
	}
	// A note has a key of its own, which goes alone (L3).
	note := keyring.Key{Case: "nte_1", Kind: keyring.Special}
	if err := authority.Create(ctx, note); err != nil {
		t.Fatalf("authority makes a note's key: %v", err)
	}
	if _, err := authority.Destroy(ctx, note); err != nil {
		t.Errorf("authority ends a note's key: %v", err)
	}

	_, recorderUnwraps := recorder.Unwrap(ctx, recording, "rec_1", wrapped)
	_, recorderRewraps := recorder.Rewrap(ctx, recording, "rec_1", wrapped)
	_, recorderDestroys := recorder.Destroy(ctx, recording)
	_, recorderWrapsRecords := recorder.Wrap(ctx, keyring.Key{Case: "cas_1", Kind: keyring.Records}, "c", nil)
	_, recorderWrapsNew := recorder.Wrap(ctx, keyring.Key{Case: "cas_9", Kind: keyring.Recording}, "c", nil)
	_, recorderSigns := recorder.Signer(ctx, "sealing")
	for name, err := range map[string]error{
		"recorder unwraps its recording":   recorderUnwraps,
		"recorder rewraps":                 recorderRewraps,
		"recorder rotates":                 recorder.Rotate(ctx, recording),
		"recorder retires":                 recorder.Retire(ctx, recording),
		"recorder destroys":                recorderDestroys,
		"recorder creates":                 recorder.Create(ctx, keyring.Key{Case: "cas_9", Kind: keyring.Recording}),
		"recorder wraps under records":     recorderWrapsRecords,
		"recorder makes a key by wrapping": recorderWrapsNew,
		"recorder signs":                   recorderSigns,
	} {
		if !errors.Is(err, keyring.ErrNotAllowed) {
			t.Errorf("%s: got %v, want ErrNotAllowed", name, err)
		}
	}
	// Not even authority takes a key out of the server.
	if _, err := s.Logical().Read(mount + "/export/encryption-key/recording-cas_1"); err == nil {
		t.Error("a key was exported, with the root token")
	}
	for _, role := range []string{"", "door", "sfu", "playback"} {
		if _, err := vault.Policy(role, mount); err == nil {
			t.Errorf("there is a policy for %q", role)
		}
	}
}

func TestLoginByCertificate(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	folder := t.TempDir()
	s.put(t, "sys/policies/acl/by-certificate", map[string]any{"policy": policy(t, "authority", mount)})
	caPEM, issue := certificateAuthority(t)
	s.put(t, "auth/cert/certs/authority", map[string]any{"certificate": caPEM, "token_policies": "by-certificate", "allowed_organizational_units": "authority"})
	good, wrongUnit := issue(folder, "good", "authority"), issue(folder, "wrong", "recorder")
	_, issueStranger := certificateAuthority(t)
	stranger := issueStranger(folder, "stranger", "authority")

	ring := open(t, s.config(t, mount, good))
	if err := ring.Create(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	for name, login := range map[string]vault.Certificate{"of another unit": wrongUnit, "of another authority": stranger} {
		if _, err := vault.Open(t.Context(), s.config(t, mount, login)); !errors.Is(err, keyring.ErrNotAllowed) {
			t.Errorf("certificate %s: got %v, want ErrNotAllowed", name, err)
		}
	}
	c := s.config(t, mount, good)
	c.Roots = x509.NewCertPool()
	if _, err := vault.Open(t.Context(), c); !errors.Is(err, keyring.ErrAway) {
		t.Errorf("a server of an unknown authority: got %v, want ErrAway", err)
	}
}

func certificateAuthority(t *testing.T) (caPEM string, issue func(folder, name, unit string) vault.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, kind string, der []byte) {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), func(folder, name, unit string) vault.Certificate {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{unit}}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		out := vault.Certificate{File: filepath.Join(folder, name+".pem"), Key: filepath.Join(folder, name+".key")}
		write(out.File, "CERTIFICATE", leafDER)
		write(out.Key, "PRIVATE KEY", keyDER)
		return out
	}
}

// A ring outlives its token's time, renewed first and taken anew at the end.
func TestTokensAreRenewedAndTakenAnew(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	ring := open(t, s.config(t, mount, s.role(t, "short", policy(t, "authority", mount), map[string]any{"token_ttl": "2s", "token_max_ttl": "4s"})))
	if err := ring.Create(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	first := s.tokens(t)
	if len(first) != 1 {
		t.Fatalf("%d tokens, want the ring's", len(first))
	}
	eventually(t, "the first token's end", func() error {
		if _, err := ring.Wrap(t.Context(), recording, "c", nil); err != nil {
			t.Fatalf("while tokens change: %v", err)
		}
		for _, accessor := range s.tokens(t) {
			if accessor == first[0] {
				return errors.New("it still lives")
			}
		}
		return nil
	})
	if _, err := ring.Wrap(t.Context(), recording, "c", nil); err != nil {
		t.Errorf("after the first token's end: %v", err)
	}
}

// tokens lists the accessors of tokens that came by AppRole.
func (s *server) tokens(t *testing.T) (out []string) {
	t.Helper()
	list, err := s.Logical().List("auth/token/accessors")
	if err != nil {
		t.Fatal(err)
	}
	for _, accessor := range list.Data["keys"].([]any) {
		token, err := s.Logical().Write("auth/token/lookup-accessor", map[string]any{"accessor": accessor})
		if err == nil && token != nil && token.Data["path"] == "auth/approle/login" {
			out = append(out, accessor.(string))
		}
	}
	return out
}

func TestARevokedTokenIsReplacedWhileTheLoginHolds(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	login := s.role(t, "revoked", policy(t, "authority", mount), nil)
	ring := open(t, s.config(t, mount, login))
	if err := ring.Create(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	revoke := func() {
		for _, accessor := range s.tokens(t) {
			s.put(t, "auth/token/revoke-accessor", map[string]any{"accessor": accessor})
		}
	}
	revoke()
	if _, err := ring.Wrap(t.Context(), recording, "c", nil); err != nil {
		t.Errorf("after the token was revoked: %v", err)
	}
	if err := os.WriteFile(login.SecretIDFile, []byte("withdrawn"), 0o600); err != nil {
		t.Fatal(err)
	}
	revoke()
	_, err := ring.Wrap(t.Context(), recording, "c", nil)
	if !errors.Is(err, keyring.ErrNotAllowed) && !errors.Is(err, keyring.ErrAway) { // versions of the server differ: 400 or 500
		t.Errorf("after the login was withdrawn: got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("error repeats the secret id: %v", err)
	}
}

// The keyring is away for a while: nothing is decided, and what waits goes on.
func TestASealedVaultIsSaidAndWaitedFor(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	login := s.role(t, "sealed", policy(t, "authority", mount), nil)
	hasty := open(t, s.config(t, mount, login))
	patient := s.config(t, mount, login)
	patient.Patience = 30 * time.Second
	waiting := open(t, patient)
	if err := hasty.Create(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	wrapped, err := hasty.Wrap(t.Context(), recording, "c", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	_, sealed := hasty.Unwrap(t.Context(), recording, "c", wrapped)
	if !errors.Is(sealed, keyring.ErrAway) || errors.Is(sealed, keyring.ErrUnwrap) || !strings.Contains(sealed.Error(), "unseal") {
		t.Errorf("sealed: got %v, want ErrAway that says what to do", sealed)
	}
	if _, err := hasty.Destroy(t.Context(), recording); !errors.Is(err, keyring.ErrAway) {
		t.Errorf("destroy while sealed: got %v, want ErrAway", err)
	}
	if _, err := vault.Open(t.Context(), s.config(t, mount, login)); !errors.Is(err, keyring.ErrAway) {
		t.Errorf("open while sealed: got %v, want ErrAway", err)
	}
	done := make(chan error, 1)
	go func() {
		got, err := waiting.Unwrap(context.WithoutCancel(t.Context()), recording, "c", wrapped)
		if err == nil && string(got.Bytes()) != "x" {
			err = errors.New("opened to something else")
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("did not wait: %v", err)
	case <-time.After(time.Second):
	}
	if _, err := s.Sys().Unseal(s.unsealKey); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after unsealing: %v", err)
	}
	// Nothing was destroyed by the call that was refused.
	if _, err := hasty.Unwrap(t.Context(), recording, "c", wrapped); err != nil {
		t.Errorf("after unsealing: %v", err)
	}
}

// A destroyed key stays destroyed even if the server has it again.
func TestAServerThatWasSetBackBringsNothingBack(t *testing.T) {
	s := start(t)
	mount := s.mount(t)
	ring := s.authority(t, mount)
	if err := ring.Create(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	proof, err := ring.Destroy(t.Context(), recording)
	if err != nil || len(proof.Versions) != 1 || !strings.HasPrefix(proof.Versions[0], "1@") {
		t.Fatalf("%+v, %v", proof, err)
	}
	path := mount + "/keys/recording-cas_1"
	s.put(t, path, map[string]any{"type": "aes256-gcm96", "derived": true})
	if _, err := ring.Wrap(t.Context(), recording, "c", nil); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
	again, err := ring.Destroy(t.Context(), recording)
	if err != nil || !again.DestroyedAt.Equal(proof.DestroyedAt) {
		t.Errorf("%+v, %v", again, err)
	}
	if found, err := s.Logical().Read(path); err != nil || found != nil {
		t.Errorf("the server still has the key: %v, %v", found, err)
	}
}

// These need no server.

func TestASlowServerIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	file := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"silent": silent.Addr().String(), "gone": gone.Addr().String()} {
		_, err := vault.Open(t.Context(), vault.Config{
			Address: "http://" + address, Login: vault.AppRole{RoleID: "r", SecretIDFile: file}, Graves: t.TempDir(),
			Timeout: 100 * time.Millisecond, Patience: 300 * time.Millisecond,
		})
		if !errors.Is(err, keyring.ErrAway) {
			t.Errorf("%s: got %v, want ErrAway", name, err)
		}
	}
}

// fake is a server that logs in and then answers as told.
func fake(t *testing.T, answer http.HandlerFunc) *vault.Ring {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/auth/approle/login":
			_, _ = w.Write([]byte(`{"auth": {"client_token": "t", "lease_duration": 3600}}`))
		case "/v1/auth/token/revoke-self":
			w.WriteHeader(http.StatusNoContent)
		default:
			answer(w, r)
		}
	}), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = service.Serve(listener) }()
	t.Cleanup(func() { _ = service.Close(); <-done })
	file := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, vault.Config{Address: "http://" + listener.Addr().String(), Login: vault.AppRole{RoleID: "r", SecretIDFile: file}, Graves: t.TempDir(),
		Timeout: 500 * time.Millisecond, Patience: 300 * time.Millisecond})
}

func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no JSON": "<html>", "no data": "{}", "no versions": `{"data": {"keys": {}}}`,
		"fraction": `{"data": {"latest_version": 1.5, "min_decryption_version": 1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ring := fake(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(body)) })
			if wrapped, err := ring.Wrap(t.Context(), recording, "c", []byte("x")); err == nil {
				t.Errorf("wrapped %q", wrapped)
			}
			if _, err := ring.Unwrap(t.Context(), recording, "c", "vault:v1:AAAA"); err == nil {
				t.Error("unwrapped")
			}
			if _, err := ring.Destroy(t.Context(), recording); err == nil {
				t.Error("destroyed")
			}
		})
	}
}

func TestWhatIsNoWrappedTextIsNeverSent(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	ring := fake(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusBadRequest) })
	for _, text := range []string{"", "kuule:v1:AAAA", "vault:v0:AAAA", "vault:vx:AA", "vault:v1", "vault:v1:" + strings.Repeat("A", 1<<20)} {
		if _, err := ring.Unwrap(t.Context(), recording, "c", text); !errors.Is(err, keyring.ErrUnwrap) {
			t.Errorf("%.20q: got %v", text, err)
		}
	}
	for _, key := range []keyring.Key{{Case: "../x", Kind: keyring.Records}, {Case: "cas_1", Kind: "other"}} {
		if _, err := ring.Unwrap(t.Context(), key, "c", "vault:v1:AAAA"); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the server was asked %d times", asked.Load())
	}
}
