package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/vault/api"

	"kuule/internal/keyring"
)

// Login is one way to get a token.
type Login interface {
	// certificate is what the connection itself shows, if anything.
	certificate() (*tls.Certificate, error)
	request() (path string, fields map[string]any, err error)
}

// AppRole logs in with a role id and the secret id in a file, which is read at
// every login: it may be replaced while the ring is open.
type AppRole struct {
	RoleID       string
	SecretIDFile string
}

func (AppRole) certificate() (*tls.Certificate, error) { return nil, nil }

func (a AppRole) request() (string, map[string]any, error) {
	secret, err := os.ReadFile(a.SecretIDFile)
	if err != nil {
		return "", nil, fmt.Errorf("secret id: %w", err)
	}
	return "auth/approle/login", map[string]any{"role_id": a.RoleID, "secret_id": string(bytes.TrimSpace(secret))}, nil
}

// Certificate logs in by a TLS client certificate, in PEM files.
type Certificate struct {
	File, Key string
	Role      string // empty: any role that the certificate fits
}

func (c Certificate) certificate() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.File, c.Key)
	return &pair, err
}

func (c Certificate) request() (string, map[string]any, error) { //nolint:unparam // another login reads a file
	fields := map[string]any{}
	if c.Role != "" {
		fields["name"] = c.Role
	}
	return "auth/cert/login", fields, nil
}

// login gets a token. A token that is newer than the caller's attempt is taken
// as it is, so that many refused requests make one login.
func (r *Ring) login(ctx context.Context, seen int) error {
	r.loginMu.Lock()
	defer r.loginMu.Unlock()
	if r.generation > seen {
		return nil
	}
	path, fields, err := r.cfg.Login.request()
	if err != nil {
		return fmt.Errorf("vault: log in: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	// No old token goes along: it may be why this is needed.
	fresh, err := r.client.Clone()
	if err != nil {
		return fmt.Errorf("vault: log in: %w", err)
	}
	fresh.ClearToken()
	secret, err := fresh.Logical().WriteWithContext(ctx, path, fields)
	switch {
	case err != nil && away(err):
		return fmt.Errorf("vault: log in: %w", unanswered(err))
	case err != nil:
		return fmt.Errorf("vault refuses the login (%d): give authority a new secret id or certificate: %w", status(err), keyring.ErrNotAllowed)
	case secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "":
		return errors.New("vault: log in: the answer holds no token")
	}
	r.client.SetToken(secret.Auth.ClientToken)
	r.generation++
	select { // the keeper has only the newest to renew
	case <-r.logins:
	default:
	}
	r.logins <- secret
	return nil
}

// keep renews the token until the ring is closed, and logs in anew when it can
// be renewed no longer.
func (r *Ring) keep(ctx context.Context) {
	defer close(r.kept)
	var watcher *api.LifetimeWatcher
	stop := func() {
		if watcher != nil {
			watcher.Stop()
			watcher = nil
		}
	}
	defer stop()
	var ended <-chan error
	var renewed <-chan *api.RenewOutput
	wait := time.NewTimer(0)
	if !wait.Stop() {
		<-wait.C
	}
	defer wait.Stop()
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return
		case secret := <-r.logins:
			stop()
			ended, renewed, pause = nil, nil, firstPause
			made, err := r.client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
			if err != nil { // a token that cannot be renewed: log in before it ends
				wait.Reset(max(time.Second, time.Duration(secret.Auth.LeaseDuration)*time.Second*2/3))
				continue
			}
			watcher, ended, renewed = made, made.DoneCh(), made.RenewCh()
			go made.Start() // ends with Stop
		case <-renewed:
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				slog.Warn("keyring: vault's token is not renewed any more: logging in anew", "status", status(err))
			}
			stop()
			ended, renewed = nil, nil
			wait.Reset(0)
		case <-wait.C:
			r.loginMu.Lock()
			seen := r.generation
			r.loginMu.Unlock()
			if err := r.login(ctx, seen); err != nil {
				if ctx.Err() == nil {
					slog.Error("keyring: no token for vault", "error", err, "again_in", pause)
				}
				wait.Reset(pause)
				pause = min(2*pause, lastPause)
			}
		}
	}
}
