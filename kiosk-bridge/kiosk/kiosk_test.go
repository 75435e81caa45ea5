package kiosk_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// captured is a server that somebody else controls: it asks for a signature
// over whatever evidence it likes.
type captured struct {
	t     *testing.T
	spoil func(*ticket.Evidence)
}

func (c *captured) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u := websocket.Upgrader{Subprotocols: []string{tunnel.Protocol}}
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	visit, device := interview.NewVisitID(), interview.NewDeviceID()
	nonce := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	send := func(typ string, body any) {
		text, err := tunnel.Encode(typ, body)
		if err != nil {
			c.t.Error(err)
		}
		_ = conn.WriteMessage(websocket.TextMessage, text)
	}
	receive := func() []byte {
		_, text, _ := conn.ReadMessage()
		return text
	}
	receive()
	send(tunnel.TypeVisit, tunnel.Visit{Visit: visit, Nonce: nonce, Kiosk: device, Seconds: 60, Policy: "rules"})
	receive()
	send(tunnel.TypeAsk, tunnel.Ask{N: 1, Step: ticket.StepChip, Tries: 1, Seconds: 10})
	receive()
	transcript := tunnel.NewTranscript(visit)
	command := []byte{0, 0x84, 0, 0, 8}
	send(tunnel.TypeAPDU, tunnel.APDU{N: 1, Command: base64.StdEncoding.EncodeToString(command)})
	var a tunnel.Answer
	if err := tunnel.Decode(receive(), tunnel.TypeAnswer, &a); err != nil {
		c.t.Error(err)
	}
	response, _ := base64.StdEncoding.DecodeString(a.Response)
	transcript.Add(command, response)
	send(tunnel.TypeFinish, tunnel.Finish{})
	var journal tunnel.Journal
	if err := tunnel.Decode(receive(), tunnel.TypeJournal, &journal); err != nil {
		c.t.Error(err)
	}
	e := ticket.Evidence{
		V: 1, Visit: visit, Nonce: nonce, Kiosk: device, Hearing: interview.NewHearingID(), Participant: interview.NewParticipantID(),
		APDUSHA256: transcript.Sum(), Assurance: ticket.AssuranceSubstantial, Policy: "rules", JournalSHA256: ticket.Hash([]byte(journal.Journal)),
	}
	c.spoil(&e)
	text, err := canon.Marshal(e)
	if err != nil {
		c.t.Error(err)
	}
	send(tunnel.TypeEvidence, tunnel.Evidence{Evidence: string(text)})
	receive()
	send(tunnel.TypeOutcome, tunnel.Outcome{Result: tunnel.ResultDesk, Way: problem.WayAskStaff})
	receive()
}

// signer counts what it was asked to sign.
type signer struct {
	roots  *x509.CertPool
	signed []ticket.Visit
}

func (s *signer) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13}
}

func (s *signer) SignStatement(payload any, typ string) (string, error) {
	v, ok := payload.(ticket.Visit)
	if !ok || typ != ticket.TypVisit {
		return "", errors.New("not a visit")
	}
	s.signed = append(s.signed, v)
	return "signed", nil
}

// B21: the kiosk vouches only for what went through its own hands, so that a
// captured server cannot have it sign an invented visit.
func TestKioskVouchesForItsOwnVisitOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vouches bool
		spoil   func(*ticket.Evidence)
	}{
		"its own visit":    {true, func(*ticket.Evidence) {}},
		"another visit":    {false, func(e *ticket.Evidence) { e.Visit = interview.NewVisitID() }},
		"another nonce":    {false, func(e *ticket.Evidence) { e.Nonce = "x" }},
		"another kiosk":    {false, func(e *ticket.Evidence) { e.Kiosk = interview.NewDeviceID() }},
		"an invented chip": {false, func(e *ticket.Evidence) { e.APDUSHA256 = tunnel.NewTranscript(e.Visit).Sum() }},
		"other rules":      {false, func(e *ticket.Evidence) { e.Policy = "lax" }},
		"another journal":  {false, func(e *ticket.Evidence) { e.JournalSHA256 = ticket.Hash([]byte("{}")) }},
		"another version":  {false, func(e *ticket.Evidence) { e.V = 2 }},
	} {
		server := httptest.NewTLSServer(&captured{t, c.spoil})
		s := &signer{roots: x509.NewCertPool()}
		s.roots.AddCert(server.Certificate())
		client := &kiosk.Client{URL: "wss" + strings.TrimPrefix(server.URL, "https"), Identity: s}
		_, err := client.Visit(t.Context(), "K-1", "P<", grumpy{})
		if c.vouches && (err != nil || len(s.signed) != 1) {
			t.Errorf("%s: %v, %d signatures", name, err, len(s.signed))
		}
		if !c.vouches && (!errors.Is(err, kiosk.ErrRefusedToVouch) || len(s.signed) != 0) {
			t.Errorf("%s: %v, %d signatures", name, err, len(s.signed))
		}
		server.Close()
	}
}

// grumpy is a card that answers each command with a refusal.
type grumpy struct{}

func (grumpy) Transmit(context.Context, []byte) ([]byte, error) { return []byte{0x69, 0x85}, nil }

// The card socket carries a whole reading, and a second one after a new start.
func TestCardSocketCarriesAReading(t *testing.T) {
	t.Parallel()
	state, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := state.Issue(emrtdtest.Person{Surname: "DOE", GivenNames: "JO", DocumentNumber: "A1", DateOfBirth: "800101"}, emrtdtest.Genuine)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "card.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- emrtdtest.ServeCard(l, p.Card()) }()
	zone, err := emrtd.ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		card, err := kiosk.OpenCard(t.Context(), "unix:"+path)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := (&emrtd.Inspector{Chunk: 2048}).Inspect(t.Context(), card, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Check(emrtd.CheckDG2); got.Verdict != interview.Verified {
			t.Errorf("DG2 through the socket: %+v", got)
		}
		if err := card.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestCardAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"", "unix:", "/tmp/x", "unix:/nowhere/at/all"} {
		if _, err := kiosk.OpenCard(t.Context(), a); err == nil {
			t.Errorf("%q was opened", a)
		}
	}
}

func TestTornFramesAreNoCard(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{"empty": {0, 0}, "one byte": {0, 1, 0x90}, "short": {0, 9, 0x90, 0}, "nothing": {}} {
		path := filepath.Join(t.TempDir(), "card.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64)
			_, _ = conn.Read(buf)
			_, _ = conn.Write(answer)
			_ = conn.Close()
		}()
		card, err := kiosk.OpenCard(t.Context(), "unix:"+path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := card.Transmit(t.Context(), []byte{0, 0x84, 0, 0, 8}); !errors.Is(err, kiosk.ErrNoCard) {
			t.Errorf("%s: %v", name, err)
		}
		_ = card.Close()
		_ = l.Close()
	}
}

// The production program holds no test passport.
func TestProgramImportsNoTestPackage(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "kuule/cmd/kuule-kiosk").Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(p, "kuule/") && strings.HasSuffix(p, "test") {
			t.Errorf("kuule-kiosk imports %s", p)
		}
	}
}
