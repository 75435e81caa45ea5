package ticket_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

// officers turns the world's visit into one where officers identified the
// person, and gives as many of them as stand for it.
func (w *world) officers(method ticket.Method, found int) {
	w.evidence.Method, w.evidence.Assurance, w.claims.Assurance = method, ticket.AssuranceLow, ticket.AssuranceLow
	w.evidence.APDUSHA256, w.evidence.TrustList = "", ""
	w.trust.Identified = func(interview.VisitID, string) (int, error) { return found, nil }
}

// B12, B15: a ticket stands on officers where enough of them stand for exactly
// this evidence, and on each single missing condition it does not.
func TestTicketOfOfficers(t *testing.T) {
	t.Parallel()
	for _, method := range []ticket.Method{ticket.MethodDocument, ticket.MethodRegister, ticket.MethodKnown} {
		w := newWorld(t)
		w.officers(method, method.Officers())
		p := w.proof(t)
		p.Visit = "" // no kiosk was there
		if _, err := ticket.VerifyTicket(p, w.trust, w.want); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	for name, spoil := range map[string]func(w *world){
		"nobody stands for it":     func(w *world) { w.officers(ticket.MethodDocument, 0) },
		"one where two are needed": func(w *world) { w.officers(ticket.MethodKnown, 1) },
		"one where the evidence asks for two": func(w *world) {
			w.officers(ticket.MethodDocument, 1)
			w.evidence.Officers = 2
		},
		"a method that is none":    func(w *world) { w.officers("guess", 9) },
		"nobody knows of officers": func(w *world) { w.trust.Identified = nil },
		"authority cannot look": func(w *world) {
			w.trust.Identified = func(interview.VisitID, string) (int, error) { return 9, errors.New("no") }
		},
		"raised assurance": func(w *world) {
			w.evidence.Assurance, w.claims.Assurance = ticket.AssuranceSubstantial, ticket.AssuranceSubstantial
		},
		"another hearing":           func(w *world) { w.evidence.Hearing = interview.NewHearingID() },
		"another person":            func(w *world) { w.evidence.Participant = interview.NewParticipantID() },
		"another visit":             func(w *world) { w.evidence.Visit = interview.NewVisitID() },
		"another place":             func(w *world) { w.evidence.Kiosk = interview.NewDeviceID() },
		"no nonce":                  func(w *world) { w.evidence.Nonce = "" },
		"another version":           func(w *world) { w.evidence.V = 2 },
		"ended before it began":     func(w *world) { w.evidence.Started = w.evidence.Ended + 1 },
		"another ticket's evidence": func(w *world) { w.claims.EvidenceSHA256 = "x" },
	} {
		w := newWorld(t)
		w.officers(ticket.MethodDocument, 1)
		spoil(w)
		p := w.proof(t)
		p.Visit = ""
		if _, err := ticket.VerifyTicket(p, w.trust, w.want); problem.Of(err).Code != problem.CodeTicketInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What a kiosk read does not become an officer's by leaving the kiosk out.
	w := newWorld(t)
	w.trust.Identified = func(interview.VisitID, string) (int, error) { return 9, nil }
	p := w.proof(t)
	p.Visit = ""
	if _, err := ticket.VerifyTicket(p, w.trust, w.want); problem.Of(err).Code != problem.CodeTicketInvalid {
		t.Errorf("a kiosk's visit without its kiosk: %v", err)
	}
}

// An officer's identification is of this evidence, at this device, now.
func TestIdentificationIsOfThisEvidence(t *testing.T) {
	t.Parallel()
	now := time.Now()
	type given struct {
		w        *world
		evidence string
		message  ticket.Identification
		typ      string
	}
	verify := func(spoil func(*given)) error {
		w := newWorld(t)
		w.officers(ticket.MethodDocument, 1)
		text, err := canon.Marshal(w.evidence)
		if err != nil {
			t.Fatal(err)
		}
		g := &given{w: w, evidence: string(text), typ: ticket.TypIdentification}
		if g.message, err = ticket.Identify(g.evidence, "olga", w.evidence.Kiosk, now); err != nil {
			t.Fatal(err)
		}
		spoil(g)
		signed, err := jws.Sign(g.message, g.typ, w.kiosk, w.leaf)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ticket.VerifyIdentification(signed, g.evidence, "olga", w.trust.DeviceRoots, w.trust.DeviceOf, now)
		return err
	}
	if err := verify(func(*given) {}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*given){
		"another device":      func(g *given) { g.message.Device = interview.NewDeviceID() },
		"another officer":     func(g *given) { g.message.Officer = "oiva" },
		"no officer":          func(g *given) { g.message.Officer = "" },
		"another person":      func(g *given) { g.message.Participant = interview.NewParticipantID() },
		"another hearing":     func(g *given) { g.message.Hearing = interview.NewHearingID() },
		"another visit":       func(g *given) { g.message.Visit = interview.NewVisitID() },
		"another method":      func(g *given) { g.message.Method = ticket.MethodKnown },
		"other evidence":      func(g *given) { g.message.EvidenceSHA256 = "x" },
		"another version":     func(g *given) { g.message.V = 2 },
		"old":                 func(g *given) { g.message.IssuedAt -= 200 },
		"of tomorrow":         func(g *given) { g.message.IssuedAt += 200 },
		"another message":     func(g *given) { g.typ = ticket.TypVisit },
		"unknown device root": func(g *given) { g.w.trust.DeviceRoots = x509.NewCertPool() },
		"another key":         func(g *given) { g.w.kiosk = newKey(t) },
		"evidence changed":    func(g *given) { g.evidence += " " },
	} {
		if err := verify(spoil); !errors.Is(err, ticket.ErrIdentification) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A device signs for no evidence that an officer could not stand for.
func TestDeviceSignsForOfficersEvidenceOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, spoil := range map[string]func(*ticket.Evidence){
		"a kiosk's":    func(e *ticket.Evidence) { e.Method = "" },
		"no method":    func(e *ticket.Evidence) { e.Method = "guess" },
		"sure of it":   func(e *ticket.Evidence) { e.Assurance = ticket.AssuranceHigh },
		"of nobody":    func(e *ticket.Evidence) { e.Participant = interview.ParticipantID{} },
		"of yesterday": func(e *ticket.Evidence) { e.Ended -= 24 * 3600 },
		"of tomorrow":  func(e *ticket.Evidence) { e.Ended += 24 * 3600 },
		"no nonce":     func(e *ticket.Evidence) { e.Nonce = "short" },
	} {
		w := newWorld(t)
		w.officers(ticket.MethodDocument, 1)
		spoil(&w.evidence)
		text, err := canon.Marshal(w.evidence)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ticket.Identify(string(text), "olga", w.evidence.Kiosk, now); !errors.Is(err, ticket.ErrIdentification) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadEvidence(f *testing.F) {
	f.Add(`{"v":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ticket.ReadEvidence(text)
		if err == nil && e.Method.Officers() == 0 {
			t.Error("evidence without a method was read")
		}
	})
}
