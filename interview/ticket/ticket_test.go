package ticket_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

// world is a bridge, a kiosk and a device authority.
type world struct {
	bridge, kiosk *ecdsa.PrivateKey
	root, leaf    *x509.Certificate
	evidence      ticket.Evidence
	visit         ticket.Visit
	claims        ticket.Claims
	trust         ticket.Trust
	want          ticket.Expected
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t testing.TB, name string, key *ecdsa.PrivateKey, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newWorld(t testing.TB) *world {
	t.Helper()
	rootKey := newKey(t)
	w := &world{bridge: newKey(t), kiosk: newKey(t)}
	w.root = certificate(t, "devices", rootKey, nil, nil)
	kiosk := interview.NewDeviceID()
	w.leaf = certificate(t, kiosk.String(), w.kiosk, w.root, rootKey)
	now := time.Now()
	nonce := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	w.evidence = ticket.Evidence{
		V: 1, Visit: interview.NewVisitID(), Nonce: nonce, Kiosk: kiosk, Hearing: interview.NewHearingID(),
		Participant: interview.NewParticipantID(), APDUSHA256: "a", ChecksSHA256: "c", TrustList: "t",
		Assurance: ticket.AssuranceSubstantial, Started: now.Unix() - 60, Ended: now.Unix(),
	}
	w.visit = ticket.Visit{V: 1, Visit: w.evidence.Visit, Nonce: nonce, Hearing: w.evidence.Hearing, Participant: w.evidence.Participant}
	w.claims = ticket.Claims{
		V: 1, ID: interview.NewTicketID(), Hearing: w.evidence.Hearing, Purpose: interview.PurposeHearing,
		Participant: w.evidence.Participant, Device: interview.NewDeviceID(), Kiosk: kiosk, Visit: w.evidence.Visit,
		Assurance: w.evidence.Assurance, NotBefore: now.Unix(), Expires: now.Unix() + 600, Until: now.Unix() + 4*3600,
	}
	roots := x509.NewCertPool()
	roots.AddCert(w.root)
	w.trust = ticket.Trust{
		BridgeKey: w.bridge.Public(), DeviceRoots: roots,
		DeviceOf: func(c *x509.Certificate) (interview.DeviceID, error) {
			return interview.ParseDeviceID(c.Subject.CommonName)
		},
	}
	w.want = ticket.Expected{
		Hearing: w.claims.Hearing, Purpose: w.claims.Purpose, Participant: w.claims.Participant,
		Device: w.claims.Device, Now: now.Add(time.Minute),
	}
	return w
}

// proof signs what the world says now, without asking whether it makes sense.
func (w *world) proof(t testing.TB) ticket.Proof {
	t.Helper()
	evidence, err := canon.Marshal(w.evidence)
	if err != nil {
		t.Fatal(err)
	}
	if w.visit.EvidenceSHA256 == "" {
		w.visit.EvidenceSHA256 = ticket.Hash(evidence)
	}
	if w.claims.EvidenceSHA256 == "" {
		w.claims.EvidenceSHA256 = ticket.Hash(evidence)
	}
	visit, err := jws.Sign(w.visit, ticket.TypVisit, w.kiosk, w.leaf)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jws.Sign(w.claims, ticket.TypTicket, w.bridge)
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Proof{Ticket: signed, Visit: visit, Evidence: string(evidence)}
}

// B21: a ticket holds only if every single condition does.
func TestEachMissingConditionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := ticket.VerifyTicket(w.proof(t), w.trust, w.want)
	if err != nil || got != w.claims {
		t.Fatalf("a good ticket was refused: %v", err)
	}
	for name, c := range map[string]struct {
		code  problem.Code
		spoil func(w *world)
	}{
		"another device":               {problem.CodeTicketDevice, func(w *world) { w.want.Device = interview.NewDeviceID() }},
		"another hearing":              {problem.CodeTicketHearing, func(w *world) { w.want.Hearing = interview.NewHearingID() }},
		"another purpose":              {problem.CodeTicketHearing, func(w *world) { w.want.Purpose = interview.PurposeReview }},
		"another participant":          {problem.CodeTicketHearing, func(w *world) { w.want.Participant = interview.NewParticipantID() }},
		"too early":                    {problem.CodeTicketStale, func(w *world) { w.want.Now = time.Unix(w.claims.NotBefore-1, 0) }},
		"too late":                     {problem.CodeTicketStale, func(w *world) { w.want.Now = time.Unix(w.claims.Expires, 0) }},
		"held too long":                {problem.CodeTicketStale, func(w *world) { w.want.Held, w.want.Now = true, time.Unix(w.claims.Until, 0) }},
		"another bridge's key":         {problem.CodeTicketInvalid, func(w *world) { w.trust.BridgeKey = newKey(t).Public() }},
		"other device roots":           {problem.CodeTicketInvalid, func(w *world) { w.trust.DeviceRoots = x509.NewCertPool() }},
		"signed by another key":        {problem.CodeTicketInvalid, func(w *world) { w.kiosk = newKey(t) }},
		"kiosk is another device":      {problem.CodeTicketInvalid, func(w *world) { w.claims.Kiosk = interview.NewDeviceID() }},
		"evidence of another kiosk":    {problem.CodeTicketInvalid, func(w *world) { w.evidence.Kiosk = interview.NewDeviceID() }},
		"visit of another hearing":     {problem.CodeTicketInvalid, func(w *world) { w.visit.Hearing = interview.NewHearingID() }},
		"evidence of another hearing":  {problem.CodeTicketInvalid, func(w *world) { w.evidence.Hearing = interview.NewHearingID() }},
		"visit of another participant": {problem.CodeTicketInvalid, func(w *world) { w.visit.Participant = interview.NewParticipantID() }},
		"evidence of another person":   {problem.CodeTicketInvalid, func(w *world) { w.evidence.Participant = interview.NewParticipantID() }},
		"another visit":                {problem.CodeTicketInvalid, func(w *world) { w.visit.Visit = interview.NewVisitID() }},
		"evidence of another visit":    {problem.CodeTicketInvalid, func(w *world) { w.evidence.Visit = interview.NewVisitID() }},
		"another nonce":                {problem.CodeTicketInvalid, func(w *world) { w.visit.Nonce = strings.Repeat("B", 43) }},
		"no nonce":                     {problem.CodeTicketInvalid, func(w *world) { w.visit.Nonce, w.evidence.Nonce = "", "" }},
		"kiosk vouches for other":      {problem.CodeTicketInvalid, func(w *world) { w.visit.EvidenceSHA256 = "x" }},
		"ticket stands on other":       {problem.CodeTicketInvalid, func(w *world) { w.claims.EvidenceSHA256 = "x" }},
		"raised assurance":             {problem.CodeTicketInvalid, func(w *world) { w.claims.Assurance = ticket.AssuranceHigh }},
		"no assurance":                 {problem.CodeTicketInvalid, func(w *world) { w.claims.Assurance, w.evidence.Assurance = ticket.AssuranceNone, ticket.AssuranceNone }},
		"unknown purpose":              {problem.CodeTicketInvalid, func(w *world) { w.claims.Purpose = "visit" }},
		"hours to redeem":              {problem.CodeTicketInvalid, func(w *world) { w.claims.Expires = w.claims.NotBefore + 3600 }},
		"days to hold":                 {problem.CodeTicketInvalid, func(w *world) { w.claims.Until = w.claims.NotBefore + 48*3600 }},
		"expires before it opens":      {problem.CodeTicketInvalid, func(w *world) { w.claims.Expires = w.claims.NotBefore - 1 }},
		"names no device":              {problem.CodeTicketInvalid, func(w *world) { w.claims.Device = interview.DeviceID{} }},
		"another version":              {problem.CodeTicketInvalid, func(w *world) { w.claims.V = 2 }},
		"another version of evidence":  {problem.CodeTicketInvalid, func(w *world) { w.evidence.V = 2 }},
		"visit ended before it began":  {problem.CodeTicketInvalid, func(w *world) { w.evidence.Started = w.evidence.Ended + 1 }},
		"visit of yesterday": {problem.CodeTicketInvalid, func(w *world) {
			w.claims.NotBefore += 13 * 3600
			w.claims.Expires += 13 * 3600
			w.claims.Until += 13 * 3600
		}},
		"kiosk's certificate had ended": {problem.CodeTicketInvalid, func(w *world) { w.evidence.Ended += 7200; w.claims.NotBefore += 7200; w.claims.Expires += 7200 }},
	} {
		w := newWorld(t)
		c.spoil(w)
		_, err := ticket.VerifyTicket(w.proof(t), w.trust, w.want)
		if got := problem.Of(err).Code; err == nil || got != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

// B21: a redeemed ticket keeps the seat through a reload, after its minutes.
func TestHeldTicketOutlivesItsMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want.Now = time.Unix(w.claims.Expires+60, 0)
	if _, err := ticket.VerifyTicket(w.proof(t), w.trust, w.want); problem.Of(err).Code != problem.CodeTicketStale {
		t.Errorf("redeemed after its minutes: %v", err)
	}
	w.want.Held = true
	if _, err := ticket.VerifyTicket(w.proof(t), w.trust, w.want); err != nil {
		t.Errorf("held ticket lost its seat: %v", err)
	}
}

// Each of the three texts is bound to the others byte by byte.
func TestChangedTextIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.proof(t)
	for name, spoil := range map[string]func(p *ticket.Proof){
		"ticket":        func(p *ticket.Proof) { p.Ticket = strings.Replace(p.Ticket, ".e", ".f", 1) },
		"visit":         func(p *ticket.Proof) { p.Visit = p.Visit[:len(p.Visit)-8] + "AAAAAAAA" },
		"evidence":      func(p *ticket.Proof) { p.Evidence = strings.Replace(p.Evidence, `"v":1`, `"v":2`, 1) },
		"no visit":      func(p *ticket.Proof) { p.Visit = "" },
		"swapped":       func(p *ticket.Proof) { p.Visit, p.Ticket = p.Ticket, p.Visit },
		"not canonical": func(p *ticket.Proof) { p.Evidence = " " + p.Evidence },
	} {
		p := good
		spoil(&p)
		if _, err := ticket.VerifyTicket(p, w.trust, w.want); problem.Of(err).Code != problem.CodeTicketInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatDoesNotHoldIsNotSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claims.EvidenceSHA256 = "x"
	if _, err := ticket.Sign(w.claims, w.bridge); err != nil {
		t.Fatal(err)
	}
	w.claims.Assurance = ticket.AssuranceNone
	if _, err := ticket.Sign(w.claims, w.bridge); err == nil {
		t.Error("a ticket without identity was signed")
	}
}
