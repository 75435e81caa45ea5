package attestation_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"kuule/attestation"
	"kuule/attestation/agent"
	"kuule/attestation/attestationtest"
	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
)

const patience = 30 * time.Second // a busy machine with software TPMs

// running is an agent's program of its own, as kuule-agent run is.
type running struct {
	device *agent.Device
	tpm    *attestationtest.TPM
	named  attestation.Named
	stop   func()
}

// run enrols a device and runs its agent until the test ends.
func (h *house) run(t *testing.T) *running {
	t.Helper()
	tpm := startTPM(t, h.maker)
	identifier, err := agent.Identifier(tpm.Socket())
	check(t, err)
	named := h.agreements.name(identifier)
	dir := filepath.Join(t.TempDir(), "state")
	_, err = agent.Enrol(t.Context(), h.options(tpm, dir))
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	opened, ended := make(chan *agent.Device, 1), make(chan error, 1)
	go func() {
		ended <- agent.Run(ctx, agent.RunOptions{StateDir: dir, TPM: tpm.Socket(), Serve: []func(context.Context, *agent.Device) error{
			func(ctx context.Context, d *agent.Device) error { opened <- d; <-ctx.Done(); return nil },
		}})
	}()
	stopped := false
	r := &running{tpm: tpm, named: named, stop: func() {
		if !stopped {
			stopped = true
			cancel()
			check(t, <-ended)
		}
	}}
	t.Cleanup(r.stop)
	select {
	case r.device = <-opened:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return r
}

// await returns the first verdict that fits.
func (h *house) await(t *testing.T, what string, fits func(attestation.Verdict) bool) attestation.Verdict {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case v := <-h.verdicts:
			if fits(v) {
				return v
			}
		case <-late:
			t.Fatalf("no verdict: %s", what)
		}
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	for !holds() {
		select {
		case <-late:
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func verified(v attestation.Verdict) bool { return v.Outcome == interview.Verified }

// C5: a running agent keeps its posture fresh; drift is noticed within a
// cadence and the agent is told; revocation ends the connection.
func TestPostureConnection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.run(t)
	for range 3 {
		h.await(t, "verified again and again", verified)
	}
	_, err := h.Fresh(r.named.DeviceID, time.Now(), attestation.PostureWithin)
	check(t, err)
	until(t, "the agent knows that it is verified", func() bool { p := r.device.Posture(); return p.Connected && p.Verified })

	check(t, r.tpm.Extend(0, sha256.Sum256([]byte("another firmware"))))
	h.await(t, "drift", func(v attestation.Verdict) bool { return v.Code == problem.CodePostureDrift })
	_, err = h.Fresh(r.named.DeviceID, time.Now(), attestation.PostureWithin)
	wantCode(t, err, problem.CodePostureDrift)
	until(t, "the agent knows of the drift", func() bool { return r.device.Posture().Code == problem.CodePostureDrift })

	_, err = h.Revoke(t.Context(), r.named.DeviceID, "lost")
	check(t, err)
	until(t, "the agent knows of the revocation", func() bool { return r.device.Posture().Code == problem.CodeDeviceRevoked })
	until(t, "the connection has ended", func() bool { return len(h.posture.Connected()) == 0 })
}

// C1, C3: a device that stops being approved while it is connected is told of,
// whatever ended it: whoever holds rooms must put it out.
func TestEndOfApprovalIsAVerdict(t *testing.T) {
	t.Parallel()
	for code, end := range map[problem.Code]func(*house, *running){
		problem.CodeDeviceNotNamed: func(h *house, r *running) { h.agreements.end(r.device.Info().PermanentIdentifier) },
		problem.CodeDeviceRevoked: func(h *house, r *running) {
			_, err := h.Revoke(t.Context(), r.named.DeviceID, "lost")
			check(t, err)
		},
	} {
		h := newHouse(t)
		r := h.run(t)
		h.await(t, "verified", verified)
		end(h, r)
		v := h.await(t, string(code), func(v attestation.Verdict) bool { return v.Code == code })
		if v.Outcome != interview.Failed || v.Device.DeviceID != r.named.DeviceID {
			t.Errorf("%s: %+v", code, v)
		}
		r.stop()
	}
}

// A lost connection comes back by itself, and with the new certificate after a
// renewal.
func TestPostureConnectionComesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.run(t)
	first := h.await(t, "verified", verified)
	h.posture.Drop(r.named.DeviceID)
	h.await(t, "verified after a loss", verified)
	check(t, r.device.Renew(t.Context()))
	v := h.await(t, "verified with the new certificate", func(v attestation.Verdict) bool {
		return verified(v) && v.Device.Serial != first.Device.Serial
	})
	if v.Device != r.device.Info() {
		t.Errorf("verdict for %+v, device is %+v", v.Device, r.device.Info())
	}
}

// Who speaks out of turn, is a browser, or presents another's cosigning key, is
// put out.
func TestPostureConnectionRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, named := h.enrolled(t)
	other, _, _ := h.enrolled(t)
	dial := func(header http.Header) (*websocket.Conn, *http.Response, error) {
		var nd net.Dialer
		dialer := websocket.Dialer{TLSClientConfig: d.ClientTLS(), NetDialContext: func(ctx context.Context, n, _ string) (net.Conn, error) { return nd.DialContext(ctx, n, h.address) }}
		return dialer.DialContext(t.Context(), "wss"+strings.TrimPrefix(h.server, "https")+agent.PosturePath, header)
	}
	if ws, resp, err := dial(http.Header{"Origin": {"https://kuule.test"}}); err == nil {
		_ = ws.Close()
		t.Error("a browser was let in")
	} else if resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("browser: %v", err)
	}
	otherVouch, err := other.Vouch()
	check(t, err)
	vouch, err := d.Vouch()
	check(t, err)
	hello := func(v string) wire.Message {
		return wire.Message{Kind: wire.KindHello, Hello: &wire.Hello{Cosigner: v}}
	}
	for name, messages := range map[string][]any{
		"no hello":               {wire.Message{Kind: wire.KindQuote, Quote: &wire.NoncedQuote{}}},
		"another's cosigner":     {hello(otherVouch)},
		"unknown field":          {map[string]any{"kind": "hello", "hello": map[string]string{"cosigner": vouch}, "more": 1}},
		"cosignature not wanted": {hello(vouch), wire.Message{Kind: wire.KindCosignature, Cosignature: &wire.Cosignature{ID: "x"}}},
		"server's own words":     {hello(vouch), wire.Message{Kind: wire.KindVerdict, Verdict: &wire.Verdict{Verified: true}}},
		"too large":              {hello(vouch + strings.Repeat("x", wire.MaxRequest))},
	} {
		t.Run(name, func(t *testing.T) {
			ws, resp, err := dial(nil)
			check(t, err)
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			for _, m := range messages {
				check(t, ws.WriteJSON(m))
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					var ne net.Error
					if errors.As(err, &ne) && ne.Timeout() {
						t.Error("the connection stays open")
					}
					return
				}
			}
		})
	}
	// Without a certificate nobody gets as far as that.
	plain := d.ClientTLS()
	plain.GetClientCertificate = nil
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: plain, DialContext: func(ctx context.Context, n, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, n, h.address)
	}}}
	defer c.CloseIdleConnections()
	if resp, err := c.Get(h.server + agent.PosturePath); err == nil {
		_ = resp.Body.Close()
		t.Error("a stranger was answered")
	}
	_, err = h.Revoke(t.Context(), named.DeviceID, "lost")
	check(t, err)
	_, resp, err := dial(nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a revoked device got in: %v", err)
	}
}

// testLog is a log of hashes that can show consistency, and lie.
type testLog struct {
	signer note.Signer
	leaves [][]byte
}

func (l *testLog) root(n int) []byte {
	switch n {
	case 0:
		return rfc6962.DefaultHasher.EmptyRoot()
	case 1:
		return rfc6962.DefaultHasher.HashLeaf(l.leaves[0])
	}
	return rfc6962.DefaultHasher.HashChildren(
		rfc6962.DefaultHasher.HashLeaf(l.leaves[0]), rfc6962.DefaultHasher.HashLeaf(l.leaves[1]))
}

func (l *testLog) checkpoint(t *testing.T, n int) string {
	t.Helper()
	c := log.Checkpoint{Origin: l.signer.Name(), Size: uint64(n), Hash: l.root(n)}
	signed, err := note.Sign(&note.Note{Text: string(c.Marshal())}, l.signer)
	check(t, err)
	return string(signed)
}

// A device cosigns the pinned log's checkpoints, and only while the log grows
// without changing what it said before.
func TestCosign(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.run(t)
	l := &testLog{signer: h.logSigner, leaves: [][]byte{[]byte("a"), []byte("b")}}
	until(t, "connected", func() bool { return len(h.posture.Connected()) == 1 })
	ask := func(c wire.Cosign) wire.Cosignature {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		a, err := h.posture.Cosign(ctx, r.named.DeviceID, c)
		check(t, err)
		return a
	}
	one := ask(wire.Cosign{Checkpoint: l.checkpoint(t, 1)})
	if one.Code != "" || one.Size != 1 {
		t.Fatalf("first checkpoint: %+v", one)
	}
	// The cosignature holds under the key that the device key vouches for.
	statement, ok := h.posture.Cosigner(r.named.DeviceID)
	if !ok {
		t.Fatal("no cosigner")
	}
	var said wire.Cosigner
	check(t, jws.Verify(statement, wire.CosignerType, r.device.TLSCertificate().Leaf.PublicKey, &said))
	verifier, err := fnote.NewVerifierForCosignatureV1(said.Key)
	check(t, err)
	if _, err := note.Open([]byte(l.checkpoint(t, 1)+one.Line+"\n"), note.VerifierList(verifier)); err != nil {
		t.Errorf("cosignature: %v", err)
	}

	if a := ask(wire.Cosign{Checkpoint: l.checkpoint(t, 2)}); a.Code != problem.CodeConflict || a.Size != 1 {
		t.Errorf("without the last size: %+v", a)
	}
	liar := &testLog{signer: l.signer, leaves: [][]byte{[]byte("x"), []byte("b")}}
	proof := [][]byte{rfc6962.DefaultHasher.HashLeaf([]byte("b"))}
	if a := ask(wire.Cosign{Checkpoint: liar.checkpoint(t, 2), OldSize: 1, Proof: proof}); a.Code != problem.CodeEvidence {
		t.Errorf("a log that changed its past: %+v", a)
	}
	secret, _, err := note.GenerateKey(rand.Reader, "kuule.test/log")
	check(t, err)
	signer, err := note.NewSigner(secret)
	check(t, err)
	stranger := &testLog{signer: signer, leaves: l.leaves}
	if a := ask(wire.Cosign{Checkpoint: stranger.checkpoint(t, 2), OldSize: 1, Proof: proof}); a.Code != problem.CodeMalformed {
		t.Errorf("another log's key: %+v", a)
	}
	if a := ask(wire.Cosign{Checkpoint: l.checkpoint(t, 2), OldSize: 1, Proof: proof}); a.Code != "" || a.Size != 2 {
		t.Errorf("second checkpoint: %+v", a)
	}
	if a := ask(wire.Cosign{Checkpoint: l.checkpoint(t, 1), OldSize: 2}); a.Code != problem.CodeEvidence {
		t.Errorf("a log that shrank: %+v", a)
	}
	r.stop()
	until(t, "disconnected", func() bool { return len(h.posture.Connected()) == 0 })
	if _, err := h.posture.Cosign(t.Context(), r.named.DeviceID, wire.Cosign{}); !errors.Is(err, attestation.ErrNotConnected) {
		t.Errorf("got %v", err)
	}
}

// Statements are signed in the TPM and lead to the pinned device root.
func TestStatement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, _ := h.enrolled(t)
	type said struct {
		Word string `json:"word"`
	}
	m, err := d.SignStatement(said{"kuule"}, "kuule-statement+jws")
	check(t, err)
	var out said
	if _, err := jws.VerifyChain(m, "kuule-statement+jws", x509.NewCertPool(), time.Now(), &out); err == nil {
		t.Error("a statement verifies without the pinned root")
	}
	leaf, err := jws.VerifyChain(m, "kuule-statement+jws", h.deviceRoots(), time.Now(), &out)
	check(t, err)
	if got, err := wire.ReadDevice(leaf); err != nil || got != d.Info() || out.Word != "kuule" {
		t.Errorf("%+v %v %+v", got, err, out)
	}
}
