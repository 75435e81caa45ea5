package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"kuule/internal/problem"
	"kuule/interview"
)

// Console is the administrator's side of a running installation: the door's
// unix socket.
type Console string

func (c Console) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", filepath.Join(string(c), adminSocketFile))
		if err != nil {
			return nil, fmt.Errorf("no installation runs in %s (start it with `kuule serve`): %w", string(c), err)
		}
		return conn, nil
	}}}
}

// PrepareAgreement enters an agreement up to the office's decision.
func (c Console) PrepareAgreement(ctx context.Context, in PrepareAgreement) (out PreparedAgreement, err error) {
	err = c.post(ctx, "/agreements", in, &out)
	return out, err
}

// ImportAgreement brings a signed agreement into force.
func (c Console) ImportAgreement(ctx context.Context, signed string) (out PreparedAgreement, err error) {
	err = c.post(ctx, "/agreements/import", ImportAgreement{Signed: strings.TrimSpace(signed)}, &out)
	return out, err
}

// ImportTrustList brings a list of issuers into force.
func (c Console) ImportTrustList(ctx context.Context, in TrustListImport) (out TrustListStatus, err error) {
	err = c.post(ctx, "/trust-lists", in, &out)
	return out, err
}

// TrustList tells which list of issuers is in force.
func (c Console) TrustList(ctx context.Context) (out TrustListStatus, err error) {
	err = c.get(ctx, "/trust-lists", &out)
	return out, err
}

// Due lists what the clock ends; run has it erased.
func (c Console) Due(ctx context.Context, run bool) (out ErasureReport, err error) {
	err = c.post(ctx, "/retention/due", EraseDue{Run: run}, &out)
	return out, err
}

// RenewKeys makes new versions of keys and rewraps what they wrapped.
func (c Console) RenewKeys(ctx context.Context, in RenewKeys) (out RenewReport, err error) {
	err = c.post(ctx, "/keys/renew", in, &out)
	return out, err
}

// Tombstones gives the proofs of all erasures, after taking in those that were
// kept apart.
func (c Console) Tombstones(ctx context.Context, kept []string) (out []string, err error) {
	var all Tombstones
	err = c.post(ctx, "/tombstones", Tombstones{Messages: append([]string{}, kept...)}, &all)
	return all.Messages, err
}

// Evidence writes the bundle of a hearing and returns its size in bytes.
func (c Console) Evidence(ctx context.Context, id interview.HearingID, out io.Writer) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://door/evidence/"+id.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(out, resp.Body)
}

func (c Console) get(ctx context.Context, path string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://door"+path, nil)
	if err != nil {
		return err
	}
	return c.read(r, out)
}

func (c Console) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://door"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return c.read(r, out)
}

// read sends a request and reads the JSON of its answer.
func (c Console) read(r *http.Request, out any) error {
	resp, err := c.do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

// do sends a request and turns a problem document into its error.
func (c Console) do(r *http.Request) (*http.Response, error) {
	resp, err := c.client().Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var d problem.Document
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&d); err != nil {
		return nil, fmt.Errorf("%s: %s", r.URL.Path, resp.Status)
	}
	return nil, d.Err()
}

// PassphraseFile is where an installation's settings say that the keyring's
// passphrase lies; empty: it is asked for.
func PassphraseFile(data string) (string, error) {
	in, err := openInstallation(data)
	if err != nil {
		return "", err
	}
	return in.PassphraseFile, nil
}
