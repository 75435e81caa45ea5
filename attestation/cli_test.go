package attestation_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/attestation/agent"
	"kuule/attestation/agent/bundle"
	"kuule/attestation/agent/cli"
	"kuule/internal/problem"
)

// The program from one end to the other: a stranger's identifier, a refusal
// that says what is still open (C9), enrolment, and a running agent that is
// verified, serves the signed page to its own user and hands out start links.
func TestProgram(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tpm := startTPM(t, h.maker)
	dir, err := os.MkdirTemp("", "kagent") // a short path: it holds a socket
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	where, chip := cli.Where{State: filepath.Join(dir, "s")}, cli.Chip{TPM: tpm.Socket()}
	trustFile := filepath.Join(dir, "trust.json")
	check(t, os.WriteFile(trustFile, h.trust, 0o600))
	enrol := cli.Enrol{Where: where, Chip: chip, Server: h.server, Trust: trustFile, Address: h.address}

	var out bytes.Buffer
	check(t, cli.Identifier{Chip: chip}.Run(&out))
	identifier := strings.TrimSpace(out.String())
	err = enrol.Run(t.Context(), &out)
	wantCode(t, err, problem.CodeDeviceNotNamed)
	if err == nil || !strings.Contains(err.Error(), "way still open: agency") {
		t.Errorf("the refusal leaves no way open: %v", err)
	}
	if err := (cli.Status{Where: where}).Run(&out); err == nil {
		t.Error("status of a device that is not enrolled")
	}
	named := h.agreements.name(identifier)
	out.Reset()
	check(t, enrol.Run(t.Context(), &out))
	if !strings.Contains(out.String(), named.DeviceID.String()) {
		t.Errorf("enrolment says %q", out.String())
	}

	pages := filepath.Join(dir, "pages")
	check(t, os.Mkdir(pages, 0o700))
	check(t, os.WriteFile(filepath.Join(pages, "index.html"), []byte("<!doctype html><title>kuule</title>"), 0o600))
	signed := filepath.Join(dir, "pages.bundle")
	check(t, bundle.SignFile(pages, signed, h.bundleKey))

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	run := cli.Run{Where: where, Chip: chip, Bundle: signed, Name: "counsel.localhost", BrowserUID: -1}
	go func() { ended <- run.Run(ctx, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
		if s, err := agent.ReadStatus(where.State); err != nil || s.Posture.Connected {
			t.Errorf("after its end the agent passes for connected: %+v, %v", s.Posture, err)
		}
	})
	h.await(t, "verified", verified)

	var link string
	until(t, "a start link", func() bool {
		out.Reset()
		if err := (cli.StartURL{Where: where}).Run(t.Context(), &out); err != nil {
			return false
		}
		link = strings.TrimSpace(out.String())
		return true
	})
	u, err := url.Parse(link)
	check(t, err)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, n, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, n, "127.0.0.1:"+u.Port())
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+u.Host+"/", nil)
	check(t, err)
	for k, v := range map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"} {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	check(t, err)
	page, err := io.ReadAll(resp.Body)
	check(t, err)
	check(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(page), "<title>kuule</title>") {
		t.Errorf("the page: %s %q", resp.Status, page)
	}

	until(t, "status says verified", func() bool {
		out.Reset()
		check(t, cli.Status{Where: where}.Run(&out))
		return strings.Contains(out.String(), "verified since")
	})
	// A device whose agreement ended is told so, and its status says it.
	h.agreements.end(identifier)
	until(t, "status says that no agreement names it", func() bool {
		s, err := agent.ReadStatus(where.State)
		check(t, err)
		return s.Posture.Code == problem.CodeDeviceNotNamed
	})
}
