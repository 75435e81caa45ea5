package vault

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"kuule/internal/durable"
	"kuule/internal/keyring"
)

// Times of requests and of tries after failures.
const (
	defaultTimeout  = 5 * time.Second
	defaultPatience = 10 * time.Second
	firstPause      = 250 * time.Millisecond
	lastPause       = 30 * time.Second
	defaultMount    = "transit"
	dataKeySize     = 32
)

// Config says which server to use and how.
type Config struct {
	Address  string         // https://host:port
	Roots    *x509.CertPool // nil: the system's
	Mount    string         // of Transit; empty: "transit"
	Login    Login
	Graves   string        // folder that remembers destroyed keys
	Timeout  time.Duration // of one request; 0: 5 s
	Patience time.Duration // for a server that is sealed or does not answer; 0: 10 s
}

// Ring is a keyring in Vault. It is safe for concurrent use.
type Ring struct {
	cfg    Config
	client *api.Client

	loginMu    sync.Mutex
	generation int // of the token
	logins     chan *api.Secret
	cancel     context.CancelFunc
	kept       chan struct{}

	mu    sync.Mutex
	known map[keyring.Key]bool // keys that were seen to exist
}

// maxKnown bounds the memory of keys that exist.
const maxKnown = 10000

// Open logs in and keeps the token alive until Close.
func Open(ctx context.Context, c Config) (*Ring, error) {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Mount == "" {
		c.Mount = defaultMount
	}
	if err := os.MkdirAll(c.Graves, 0o700); err != nil {
		return nil, fmt.Errorf("open keyring in vault: %w", err)
	}
	shown, err := c.Login.certificate()
	if err != nil {
		return nil, fmt.Errorf("open keyring in vault: login certificate: %w", err)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	if shown != nil {
		secure.Certificates = []tls.Certificate{*shown}
	}
	client, err := api.NewClient(&api.Config{
		Address: c.Address, Timeout: c.Timeout,
		HttpClient: &http.Client{
			Transport:     &http.Transport{TLSClientConfig: secure, TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout, MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open keyring in vault: %w", err)
	}
	client.ClearToken() // what the environment may hold is not this process's
	client.SetMaxRetries(0)
	r := &Ring{cfg: c, client: client, logins: make(chan *api.Secret, 1), kept: make(chan struct{}), known: map[keyring.Key]bool{}}
	keeping, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	if err := r.patiently(ctx, func(ctx context.Context) error { return r.login(ctx, 0) }); err != nil {
		cancel()
		return nil, err
	}
	go r.keep(keeping)
	return r, nil
}

// Close gives the token back.
func (r *Ring) Close() error {
	r.cancel()
	<-r.kept
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	_, err := r.client.Logical().WriteWithContext(ctx, "auth/token/revoke-self", nil)
	r.client.CloneConfig().HttpClient.CloseIdleConnections()
	if err != nil && !away(err) && status(err) != http.StatusForbidden {
		return fmt.Errorf("vault: give the token back: %w", err)
	}
	return nil
}

// status is the server's answer, or 0 where there was none.
func status(err error) int {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// away reports whether nothing was decided: no answer, sealed, standby, busy.
func away(err error) bool {
	code := status(err)
	return errors.Is(err, keyring.ErrAway) || code == 0 || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// unanswered says what to do about a server that decided nothing. The cause is
// not repeated: it may hold what was sent.
func unanswered(err error) error {
	switch code := status(err); {
	case errors.Is(err, keyring.ErrAway):
		return err
	case code == http.StatusServiceUnavailable:
		return fmt.Errorf("vault is sealed or not active: unseal it: %w", keyring.ErrAway)
	case code != 0:
		return fmt.Errorf("vault answers %d: %w", code, keyring.ErrAway)
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		return fmt.Errorf("vault did not answer in time: %w", keyring.ErrAway)
	default:
		return fmt.Errorf("vault cannot be reached: check address, certificate and network: %w", keyring.ErrAway)
	}
}

// patiently tries while nothing is decided, within the ring's patience and the
// caller's.
func (r *Ring) patiently(ctx context.Context, try func(context.Context) error) error {
	end := time.Now().Add(r.cfg.Patience)
	for pause := firstPause; ; pause = min(2*pause, 2*time.Second) {
		err := try(ctx)
		if err == nil || !errors.Is(err, keyring.ErrAway) {
			return err
		}
		if time.Now().Add(pause).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// do asks the server. A refusal is answered by one new login: the token may
// have been revoked or have ended.
func (r *Ring) do(ctx context.Context, method, path string, fields map[string]any) (*api.Secret, error) {
	var secret *api.Secret
	err := r.patiently(ctx, func(ctx context.Context) error {
		for again := range 2 {
			r.loginMu.Lock()
			seen := r.generation
			r.loginMu.Unlock()
			one, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
			var err error
			switch method {
			case http.MethodGet:
				secret, err = r.client.Logical().ReadWithContext(one, path)
			case http.MethodDelete:
				secret, err = r.client.Logical().DeleteWithContext(one, path)
			default:
				secret, err = r.client.Logical().WriteWithContext(one, path, fields)
			}
			cancel()
			switch {
			case err == nil:
				return nil
			case away(err):
				return unanswered(err)
			case status(err) != http.StatusForbidden:
				return err
			case again == 1:
				return fmt.Errorf("vault refuses %s: %w", path, keyring.ErrNotAllowed)
			}
			if err := r.login(ctx, seen); err != nil {
				return err
			}
		}
		return nil
	})
	return secret, err
}

// name is the key's name in Transit. The kind comes first: policies end in "*".
func name(key keyring.Key) string { return string(key.Kind) + "-" + key.Case }

func (r *Ring) path(op string, key keyring.Key) string {
	return r.cfg.Mount + "/" + op + "/" + name(key)
}

// info is what Transit tells of a key.
type info struct {
	latest, least int               // versions
	made          map[string]string // Unix seconds by version
	public        map[int]string    // PEM, of a signing key by version
}

// look reads a key's state; nil: there is none.
func (r *Ring) look(ctx context.Context, keyName string) (*info, error) {
	secret, err := r.do(ctx, http.MethodGet, r.cfg.Mount+"/keys/"+keyName, nil)
	if err != nil {
		return nil, err
	}
	if secret == nil || secret.Data == nil {
		return nil, nil
	}
	out := &info{made: map[string]string{}, public: map[int]string{}}
	for field, into := range map[string]*int{"latest_version": &out.latest, "min_decryption_version": &out.least} {
		number, ok := secret.Data[field].(json.Number)
		if !ok {
			return nil, fmt.Errorf("vault tells no %s of key %s", field, keyName)
		}
		if *into, err = strconv.Atoi(number.String()); err != nil {
			return nil, fmt.Errorf("vault tells no %s of key %s", field, keyName)
		}
	}
	versions, _ := secret.Data["keys"].(map[string]any)
	for version, value := range versions {
		switch value := value.(type) {
		case json.Number:
			out.made[version] = value.String()
		case map[string]any:
			number, err := strconv.Atoi(version)
			if text, ok := value["public_key"].(string); ok && err == nil {
				out.public[number] = text
			}
		}
	}
	return out, nil
}

// grave is the proof of a key that was destroyed; nil: it was not.
func (r *Ring) grave(key keyring.Key) (*keyring.Proof, error) {
	text, err := os.ReadFile(filepath.Join(r.cfg.Graves, key.String()+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var proof keyring.Proof
	if err == nil {
		err = json.Unmarshal(text, &proof)
	}
	if err != nil || proof.Key != key {
		return nil, fmt.Errorf("key %s: its proof of destruction cannot be read: restore it from a back-up", key)
	}
	return &proof, nil
}

// alive refuses names that are none and keys that were destroyed.
func (r *Ring) alive(key keyring.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	proof, err := r.grave(key)
	if err == nil && proof != nil {
		err = fmt.Errorf("key %s: %w", key, keyring.ErrDestroyed)
	}
	return err
}

func (r *Ring) remember(key keyring.Key, exists bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxKnown {
		clear(r.known)
	}
	if exists {
		r.known[key] = true
	} else {
		delete(r.known, key)
	}
}

// diagnose says why the server refused a request about a key: by the key's
// state, not by the refusal's words.
func (r *Ring) diagnose(ctx context.Context, key keyring.Key, wrapped string, err error) error {
	if errors.Is(err, keyring.ErrAway) || ctx.Err() != nil {
		return fmt.Errorf("key %s: %w", key, err)
	}
	refused := err
	found, err := r.look(ctx, name(key))
	switch {
	case errors.Is(err, keyring.ErrNotAllowed) && wrapped != "" && !errors.Is(refused, keyring.ErrNotAllowed):
		return fmt.Errorf("key %s: %w", key, keyring.ErrUnwrap) // may not look, but was let in
	case err != nil:
		return fmt.Errorf("key %s: %w", key, err)
	case found == nil:
		r.remember(key, false)
		return fmt.Errorf("key %s: %w", key, keyring.ErrNoKey)
	case errors.Is(refused, keyring.ErrNotAllowed) || wrapped == "":
		return fmt.Errorf("key %s: %w", key, refused)
	}
	if version := versionOf(wrapped); version > 0 && version < found.least {
		return fmt.Errorf("key %s: version %d: %w", key, version, keyring.ErrRetired)
	}
	return fmt.Errorf("key %s: %w", key, keyring.ErrUnwrap)
}

const wrapPrefix = "vault:v"

// versionOf reads the key's version from a wrapped text; 0: it is none.
func versionOf(wrapped string) int {
	rest, ok := strings.CutPrefix(wrapped, wrapPrefix)
	number, _, found := strings.Cut(rest, ":")
	version, err := strconv.Atoi(number)
	if !ok || !found || err != nil || version < 1 {
		return 0
	}
	return version
}

// Create implements keyring.Keyring.
func (r *Ring) Create(ctx context.Context, key keyring.Key) error {
	if err := r.alive(key); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	found, err := r.look(ctx, name(key))
	if err != nil {
		return fmt.Errorf("create key %s: %w", key, err)
	}
	if found != nil {
		r.remember(key, true)
		return fmt.Errorf("create key %s: %w", key, keyring.ErrExists)
	}
	_, err = r.do(ctx, http.MethodPost, r.path("keys", key), map[string]any{
		"type": "aes256-gcm96", "derived": true, "exportable": false, "allow_plaintext_backup": false,
	})
	if err != nil {
		return fmt.Errorf("create key %s: %w", key, err)
	}
	r.remember(key, true)
	return nil
}

// exists refuses keys that do not exist: Transit would make one at the first
// wrap for whoever may. Who may not look is held to that by the policy.
func (r *Ring) exists(ctx context.Context, key keyring.Key) error {
	r.mu.Lock()
	known := r.known[key]
	r.mu.Unlock()
	if known {
		return nil
	}
	found, err := r.look(ctx, name(key))
	switch {
	case errors.Is(err, keyring.ErrNotAllowed):
		return nil
	case err != nil:
		return fmt.Errorf("key %s: %w", key, err)
	case found == nil:
		return fmt.Errorf("key %s: %w", key, keyring.ErrNoKey)
	}
	r.remember(key, true)
	return nil
}

// Wrap implements keyring.Keyring.
func (r *Ring) Wrap(ctx context.Context, key keyring.Key, bound string, plaintext []byte) (string, error) {
	if len(plaintext) > keyring.MaxPlaintext {
		return "", fmt.Errorf("wrap under key %s: %d bytes, at most %d: use a data key", key, len(plaintext), keyring.MaxPlaintext)
	}
	if bound == "" {
		return "", fmt.Errorf("key %s: a wrap needs a context", key)
	}
	if err := r.alive(key); err != nil {
		return "", err
	}
	if err := r.exists(ctx, key); err != nil {
		return "", err
	}
	secret, err := r.do(ctx, http.MethodPost, r.path("encrypt", key), map[string]any{
		"plaintext": base64.StdEncoding.EncodeToString(plaintext), "context": encoded(bound),
	})
	if err != nil {
		return "", r.diagnose(ctx, key, "", err)
	}
	return text(secret, "ciphertext")
}

func encoded(bound string) string { return base64.StdEncoding.EncodeToString([]byte(bound)) }

func text(secret *api.Secret, field string) (string, error) {
	if secret != nil {
		if value, ok := secret.Data[field].(string); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("vault's answer holds no %s", field)
}

// maxWrapped bounds a wrapped text in bytes.
const maxWrapped = keyring.MaxPlaintext*4/3 + 1024

// opening checks what is common to unwrap and rewrap before the server is asked.
func (r *Ring) opening(key keyring.Key, bound, wrapped string) error {
	if err := r.alive(key); err != nil {
		return err
	}
	if bound == "" || len(wrapped) > maxWrapped || versionOf(wrapped) == 0 {
		return fmt.Errorf("key %s: %w", key, keyring.ErrUnwrap)
	}
	return nil
}

// Unwrap implements keyring.Keyring.
func (r *Ring) Unwrap(ctx context.Context, key keyring.Key, bound, wrapped string) (keyring.Secret, error) {
	if err := r.opening(key, bound, wrapped); err != nil {
		return keyring.Secret{}, err
	}
	secret, err := r.do(ctx, http.MethodPost, r.path("decrypt", key), map[string]any{"ciphertext": wrapped, "context": encoded(bound)})
	if err != nil {
		return keyring.Secret{}, r.diagnose(ctx, key, wrapped, err)
	}
	plain, err := text(secret, "plaintext")
	if err != nil {
		return keyring.Secret{}, err
	}
	out, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return keyring.Secret{}, fmt.Errorf("key %s: vault's answer cannot be read", key)
	}
	return keyring.NewSecret(out), nil
}

// DataKey implements keyring.Keyring. The bytes are this process's own, so that
// the right to wrap is all that it takes.
func (r *Ring) DataKey(ctx context.Context, key keyring.Key, bound string) (keyring.Secret, string, error) {
	fresh := make([]byte, dataKeySize)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
	secret := keyring.NewSecret(fresh)
	wrapped, err := r.Wrap(ctx, key, bound, fresh)
	if err != nil {
		secret.Wipe()
		return keyring.Secret{}, "", err
	}
	return secret, wrapped, nil
}

// Rotate implements keyring.Keyring.
func (r *Ring) Rotate(ctx context.Context, key keyring.Key) error {
	if err := r.alive(key); err != nil {
		return err
	}
	if _, err := r.do(ctx, http.MethodPost, r.path("keys", key)+"/rotate", nil); err != nil {
		return r.diagnose(ctx, key, "", err)
	}
	return nil
}

// Rewrap implements keyring.Keyring.
func (r *Ring) Rewrap(ctx context.Context, key keyring.Key, bound, wrapped string) (string, error) {
	if err := r.opening(key, bound, wrapped); err != nil {
		return "", err
	}
	secret, err := r.do(ctx, http.MethodPost, r.path("rewrap", key), map[string]any{"ciphertext": wrapped, "context": encoded(bound)})
	if err != nil {
		return "", r.diagnose(ctx, key, wrapped, err)
	}
	return text(secret, "ciphertext")
}

// RewrapAll implements keyring.Batch. The server answers 200 whatever happened
// to single items, so each is looked at.
func (r *Ring) RewrapAll(ctx context.Context, key keyring.Key, items []keyring.Wrapped) ([]keyring.Rewrapped, error) {
	if err := r.alive(key); err != nil {
		return nil, err
	}
	batch := make([]map[string]any, len(items))
	for i, item := range items {
		batch[i] = map[string]any{"ciphertext": item.Text, "context": encoded(item.Context)}
	}
	secret, err := r.do(ctx, http.MethodPost, r.path("rewrap", key), map[string]any{"batch_input": batch})
	if err != nil && status(err) != http.StatusBadRequest { // 400: all of them were refused
		return nil, r.diagnose(ctx, key, "", err)
	}
	var results []any
	if secret != nil {
		results, _ = secret.Data["batch_results"].([]any)
	}
	out := make([]keyring.Rewrapped, len(items))
	for i, item := range items {
		result := map[string]any{}
		if i < len(results) {
			result, _ = results[i].(map[string]any)
		}
		renewed, _ := result["ciphertext"].(string)
		if refused, _ := result["error"].(string); refused != "" || versionOf(renewed) == 0 {
			out[i].Err = r.diagnose(ctx, key, item.Text, fmt.Errorf("item %d was refused", i))
			continue
		}
		out[i].Text = renewed
	}
	return out, nil
}

// Retire implements keyring.Keyring. The old versions are trimmed: not even the
// server's administrator brings them back.
func (r *Ring) Retire(ctx context.Context, key keyring.Key) error {
	if err := r.alive(key); err != nil {
		return err
	}
	found, err := r.look(ctx, name(key))
	if err != nil {
		return fmt.Errorf("retire versions of key %s: %w", key, err)
	}
	if found == nil {
		return fmt.Errorf("key %s: %w", key, keyring.ErrNoKey)
	}
	path := r.path("keys", key)
	_, err = r.do(ctx, http.MethodPost, path+"/config", map[string]any{"min_decryption_version": found.latest, "min_encryption_version": found.latest})
	if err == nil {
		_, err = r.do(ctx, http.MethodPost, path+"/trim", map[string]any{"min_available_version": found.latest})
	}
	if err != nil {
		return fmt.Errorf("retire versions of key %s: %w", key, err)
	}
	return nil
}

// Destroy implements keyring.Keyring. The proof is durable before the key goes:
// from then on nothing here uses the key, and a call that was cut short is
// finished by the next.
func (r *Ring) Destroy(ctx context.Context, key keyring.Key) (keyring.Proof, error) {
	if err := key.Check(); err != nil {
		return keyring.Proof{}, err
	}
	proof, err := r.grave(key)
	if err != nil {
		return keyring.Proof{}, err
	}
	found, err := r.look(ctx, name(key))
	if err != nil {
		return keyring.Proof{}, fmt.Errorf("destroy key %s: %w", key, err)
	}
	switch {
	case proof != nil && found == nil:
		return *proof, nil
	case found == nil:
		return keyring.Proof{}, fmt.Errorf("key %s: %w", key, keyring.ErrNoKey)
	case proof == nil:
		proof = &keyring.Proof{Key: key, DestroyedAt: time.Now().UTC().Truncate(time.Second)}
		for version := 1; version <= found.latest; version++ {
			id := strconv.Itoa(version)
			if made := found.made[id]; made != "" { // not one that was trimmed
				id += "@" + made
			}
			proof.Versions = append(proof.Versions, id)
		}
		text, err := json.Marshal(proof)
		if err != nil {
			return keyring.Proof{}, err
		}
		if err := durable.WriteFile(filepath.Join(r.cfg.Graves, key.String()+".json"), text, 0o600); err != nil {
			return keyring.Proof{}, fmt.Errorf("destroy key %s: %w", key, err)
		}
	}
	r.remember(key, false)
	_, err = r.do(ctx, http.MethodPost, r.path("keys", key)+"/config", map[string]any{"deletion_allowed": true})
	if err == nil {
		_, err = r.do(ctx, http.MethodDelete, r.path("keys", key), nil)
	}
	if err != nil {
		return keyring.Proof{}, fmt.Errorf("destroy key %s: %w", key, err)
	}
	if found, err = r.look(ctx, name(key)); err != nil || found != nil {
		return keyring.Proof{}, fmt.Errorf("destroy key %s: the server still has it: %w", key, err)
	}
	return *proof, nil
}

// Signer implements keyring.Signing.
func (r *Ring) Signer(ctx context.Context, label string) (crypto.Signer, error) {
	all, err := r.Signers(ctx, label)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Signers implements keyring.Signing. Versions that the server retired are left
// out; each of the others signs by its own number, however often somebody
// rotated the key since.
func (r *Ring) Signers(ctx context.Context, label string) ([]crypto.Signer, error) {
	if err := keyring.CheckSigner(label); err != nil {
		return nil, err
	}
	keyName := "sign-" + label
	found, err := r.look(ctx, keyName)
	if err == nil && found == nil {
		if _, err = r.do(ctx, http.MethodPost, r.cfg.Mount+"/keys/"+keyName, map[string]any{"type": "ecdsa-p256", "exportable": false}); err == nil {
			found, err = r.look(ctx, keyName)
		}
	}
	if err != nil || found == nil {
		return nil, fmt.Errorf("signing key %s: %w", label, err)
	}
	var out []crypto.Signer
	for version := found.latest; version > 0; version-- {
		text, ok := found.public[version]
		if !ok {
			continue
		}
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("signing key %s: vault tells no public half of version %d", label, version)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", label, err)
		}
		out = append(out, &signer{ring: r, name: keyName, version: version, public: public})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("signing key %s: vault tells no public half", label)
	}
	return out, nil
}

// RotateSigner implements keyring.Signing.
func (r *Ring) RotateSigner(ctx context.Context, label string) error {
	if err := keyring.CheckSigner(label); err != nil {
		return err
	}
	keyName := "sign-" + label
	found, err := r.look(ctx, keyName)
	if err == nil && found == nil {
		err = keyring.ErrNoKey
	}
	if err == nil {
		_, err = r.do(ctx, http.MethodPost, r.cfg.Mount+"/keys/"+keyName+"/rotate", nil)
	}
	if err != nil {
		return fmt.Errorf("rotate signing key %s: %w", label, err)
	}
	return nil
}

// signer signs on the server.
type signer struct {
	ring    *Ring
	name    string
	version int
	public  crypto.PublicKey
}

// Public implements crypto.Signer.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer for SHA-256 digests.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, fmt.Errorf("signing key %s signs SHA-256 digests", s.name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.ring.cfg.Patience)
	defer cancel()
	secret, err := s.ring.do(ctx, http.MethodPost, s.ring.cfg.Mount+"/sign/"+s.name+"/sha2-256", map[string]any{
		"input": base64.StdEncoding.EncodeToString(digest), "prehashed": true, "marshaling_algorithm": "asn1", "key_version": s.version,
	})
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", s.name, err)
	}
	signature, err := text(secret, "signature")
	if err != nil {
		return nil, err
	}
	_, body, _ := strings.Cut(strings.TrimPrefix(signature, wrapPrefix), ":")
	return base64.StdEncoding.DecodeString(body)
}

// Interface guards.
var (
	_ keyring.Keyring = (*Ring)(nil)
	_ keyring.Batch   = (*Ring)(nil)
	_ keyring.Signing = (*Ring)(nil)
)
