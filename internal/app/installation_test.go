package app

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kuule/internal/config"
	"kuule/internal/keyring"
	"kuule/internal/trust"
)

func initOptions(t *testing.T) InitOptions {
	t.Helper()
	o := InitOptions{Config: config.Default(), OfficeKey: testKey(t).Public(), BundleKey: testKey(t).Public(), Passphrase: keyring.NewSecret([]byte("a long enough passphrase"))}
	o.Config.Data = filepath.Join(t.TempDir(), "data")
	o.Config.Identity = config.Identity{Issuer: "https://login.example", ClientID: "kuule"}
	return o
}

// Section 3: each process's folder is closed to the others, and no private key
// is readable by anybody but its owner.
func TestAnInstallationIsClosedToOthers(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(o.Config.Data, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if e.IsDir() && path != o.Config.Data && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	if in.trust.Demonstration {
		t.Error("an installation calls itself a demonstration")
	}
	text, err := os.ReadFile(in.layout.Trust())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Parse(text); err != nil {
		t.Errorf("the trust file does not hold: %v", err)
	}
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("the trust file holds a private key")
	}
	if err := Init(o); err == nil {
		t.Error("an installation was made over another one")
	}
}

// Section 4: authority's signing keys lie in the keyring, sealed; another
// ring's key signs nothing.
func TestSigningKeysLieInTheKeyring(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"statement.key", "sealing.key"} {
		if _, err := os.Stat(filepath.Join(in.layout.Authority(), name)); !os.IsNotExist(err) {
			t.Errorf("%s lies in clear: %v", name, err)
		}
	}
	if _, _, err := openRing(t.Context(), in, keyring.NewSecret([]byte("a wrong passphrase, but long"))); err == nil {
		t.Error("a wrong passphrase opens the keyring")
	}
	ring, closeRing, err := openRing(t.Context(), in, o.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeRing() }()
	for name, pinned := range signingKeys(in.trust) {
		if _, err := in.signer(t.Context(), ring, name, *pinned); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := in.signer(t.Context(), ring, "sealing", in.trust.StatementKey); err == nil {
		t.Error("a key that no device pinned signs")
	}
}

// fakeVault answers as Vault's Transit does for signing keys.
func fakeVault(t *testing.T) (address string, made *sync.Map) {
	t.Helper()
	made = &sync.Map{}
	mux := http.NewServeMux()
	told := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("/v1/auth/approle/login", func(w http.ResponseWriter, _ *http.Request) {
		told(w, map[string]any{"auth": map[string]any{"client_token": "token", "lease_duration": 3600, "renewable": true}})
	})
	mux.HandleFunc("GET /v1/transit/keys/{name}", func(w http.ResponseWriter, r *http.Request) {
		public, ok := made.Load(r.PathValue("name"))
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			told(w, map[string]any{"errors": []string{}})
			return
		}
		told(w, map[string]any{"data": map[string]any{"latest_version": 1, "min_decryption_version": 1, "keys": map[string]any{"1": map[string]any{"public_key": public}}}})
	})
	mux.HandleFunc("/v1/transit/keys/{name}", func(w http.ResponseWriter, r *http.Request) {
		der, err := x509.MarshalPKIXPublicKey(testKey(t).Public())
		if err != nil {
			t.Error(err)
		}
		made.Store(r.PathValue("name"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/v1/auth/token/revoke-self", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, made
}

// Where Vault keeps the keys, an installation has no keyring of its own, and
// asks for no passphrase at any start.
func TestWithVaultThereIsNoLocalKeyring(t *testing.T) {
	t.Parallel()
	address, made := fakeVault(t)
	o := initOptions(t)
	o.Passphrase = keyring.Secret{}
	secret := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Config.Keys = config.Keys{Backend: "vault", Vault: config.Vault{Address: address, RoleID: "role", SecretIDFile: secret}}
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.Config.Layout().Keyring()); !os.IsNotExist(err) {
		t.Errorf("a local keyring was made: %v", err)
	}
	for _, name := range []string{"sign-statement", "sign-sealing"} {
		if _, ok := made.Load(name); !ok {
			t.Errorf("vault has no key %s", name)
		}
	}
	if method, err := KeyringMethod(o.Config.Data); err != nil || method != "" {
		t.Errorf("a start asks for %q, %v", method, err)
	}
	// What Vault refuses leaves nothing behind.
	o = initOptions(t)
	o.Config.Keys = config.Keys{Backend: "vault", Vault: config.Vault{Address: address, RoleID: "role", SecretIDFile: filepath.Join(t.TempDir(), "none")}}
	if err := Init(o); err == nil {
		t.Error("an installation without its keys was made")
	}
	if _, err := os.Stat(o.Config.Data); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
}

// Half an installation helps nobody: what cannot be made whole leaves nothing.
func TestWhatCannotServeIsNotMade(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*InitOptions){
		"no sign-in":    func(o *InitOptions) { o.Config.Identity = config.Identity{} },
		"no office key": func(o *InitOptions) { o.OfficeKey = nil },
		"a wrong host":  func(o *InitOptions) { o.Config.Host = "not a host" },
	} {
		o := initOptions(t)
		spoil(&o)
		if err := Init(o); err == nil {
			t.Errorf("%s: an installation was made", name)
		}
		if _, err := os.Stat(o.Config.Data); !os.IsNotExist(err) {
			t.Errorf("%s: something is left: %v", name, err)
		}
	}
}

// Section 3: with a system user for each process, no process reads another's
// folder; what is given already is left alone.
func TestFoldersGoToTheirUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("folders are given away by root only")
	}
	o := initOptions(t)
	o.Config.Users = config.Users{Door: "daemon", Authority: "games", SFU: "nobody", Recorder: "man", Playback: "news"}
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.giveFolders(); err != nil {
		t.Fatal(err)
	}
	owner := func(path string) string {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		u, err := user.LookupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)))
		if err != nil {
			t.Fatal(err)
		}
		return u.Username
	}
	for path, want := range map[string]string{
		in.layout.Door(): "daemon", in.path(bridgeKeyFile): "daemon", in.layout.Keyring(): "games", filepath.Join(in.layout.Keyring(), "sign-sealing.json"): "games",
		in.layout.SFU(): "nobody", filepath.Dir(in.layout.Recorder("1")): "man", in.layout.Trust(): "root",
	} {
		if got := owner(path); got != want {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
	}
	planted := filepath.Join(in.layout.Door(), "planted")
	if err := os.WriteFile(planted, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := in.giveFolders(); err != nil || owner(planted) != "root" {
		t.Errorf("a folder that was given already was walked again: %v", err)
	}
	in.Users.Door = "no-such-user"
	if err := in.giveFolders(); err == nil {
		t.Error("a user that is not there was accepted")
	}
}
