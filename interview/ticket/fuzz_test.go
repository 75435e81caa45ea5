package ticket_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/ticket"
)

// FuzzVerifyReading has a real device sign whatever comes: what holds is exactly
// what was wanted, and no stranger's word does.
func FuzzVerifyReading(f *testing.F) {
	w := newWorld(f)
	now := time.Now()
	want := ticket.Reading{Visit: w.evidence.Visit, Hearing: w.evidence.Hearing, Reader: "reader", Device: w.evidence.Kiosk}
	good := want
	good.V, good.Purpose, good.IssuedAt = 1, ticket.Hash([]byte("why")), now.Unix()
	for _, change := range []func(r *ticket.Reading){
		func(*ticket.Reading) {}, func(r *ticket.Reading) { r.Reader = "" }, func(r *ticket.Reading) { r.IssuedAt = 1 << 50 },
		func(r *ticket.Reading) { r.Purpose = "x" }, func(r *ticket.Reading) { r.Device = interview.NewDeviceID() }, func(r *ticket.Reading) { r.V = 2 },
	} {
		r := good
		change(&r)
		text, err := canon.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	stranger := newKey(f)
	f.Fuzz(func(t *testing.T, text string) {
		verify := func(message string) (ticket.Reading, error) {
			return ticket.VerifyReading(message, want, "why", w.trust.DeviceRoots, w.trust.DeviceOf, now)
		}
		if _, err := verify(text); !errors.Is(err, ticket.ErrReading) {
			t.Errorf("unsigned: %v", err)
		}
		if message, err := jws.Sign(json.RawMessage(text), ticket.TypReading, stranger); err == nil {
			if _, err := verify(message); !errors.Is(err, ticket.ErrReading) {
				t.Errorf("a stranger's: %v", err)
			}
		}
		message, err := jws.Sign(json.RawMessage(text), ticket.TypReading, w.kiosk, w.leaf)
		if err != nil {
			return
		}
		got, err := verify(message)
		if err != nil {
			if !errors.Is(err, ticket.ErrReading) {
				t.Errorf("refused without a word: %v", err)
			}
			return
		}
		same := good
		same.IssuedAt = got.IssuedAt
		if got != same || got.Check() != nil {
			t.Errorf("holds: %+v", got)
		}
	})
}

// FuzzVerifyIdentification has a real device sign whatever comes as an officer's
// word, and take whatever comes as its evidence.
func FuzzVerifyIdentification(f *testing.F) {
	w := newWorld(f)
	w.officers(ticket.MethodDocument, 1)
	now := time.Now()
	evidence, err := canon.Marshal(w.evidence)
	if err != nil {
		f.Fatal(err)
	}
	word, err := ticket.Identify(string(evidence), "olga", w.evidence.Kiosk, now)
	if err != nil {
		f.Fatal(err)
	}
	text, err := canon.Marshal(word)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), string(evidence))
	f.Add(string(text), "{}")
	f.Add("{}", string(evidence))
	f.Fuzz(func(t *testing.T, text, evidence string) {
		message, err := jws.Sign(json.RawMessage(text), ticket.TypIdentification, w.kiosk, w.leaf)
		if err != nil {
			return
		}
		got, err := ticket.VerifyIdentification(message, evidence, "olga", w.trust.DeviceRoots, w.trust.DeviceOf, now)
		if err != nil {
			return
		}
		if got.Officer != "olga" || got.Device != w.evidence.Kiosk || got.EvidenceSHA256 != ticket.Hash([]byte(evidence)) || got.Method.Officers() == 0 {
			t.Errorf("holds: %+v", got)
		}
	})
}

// FuzzVerifyTicket has the bridge and the kiosk sign whatever comes as a ticket, a
// visit and its evidence: what holds is for the seat that was expected.
func FuzzVerifyTicket(f *testing.F) {
	w := newWorld(f)
	p := w.proof(f)
	claims, err := canon.Marshal(w.claims)
	if err != nil {
		f.Fatal(err)
	}
	visit, err := canon.Marshal(w.visit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(claims), string(visit), p.Evidence)
	f.Add(string(claims), string(visit), "{}")
	f.Add(string(claims), "{}", p.Evidence)
	f.Add("{}", string(visit), p.Evidence)
	f.Fuzz(func(t *testing.T, claims, visit, evidence string) {
		signed, err := jws.Sign(json.RawMessage(claims), ticket.TypTicket, w.bridge)
		if err != nil {
			return
		}
		vouched, err := jws.Sign(json.RawMessage(visit), ticket.TypVisit, w.kiosk, w.leaf)
		if err != nil {
			return
		}
		c, err := ticket.VerifyTicket(ticket.Proof{Ticket: signed, Visit: vouched, Evidence: evidence}, w.trust, w.want)
		if err == nil && (c.Device != w.want.Device || c.Hearing != w.want.Hearing || c.Participant != w.want.Participant || c.EvidenceSHA256 != ticket.Hash([]byte(evidence))) {
			t.Errorf("holds: %+v", c)
		}
	})
}

// FuzzJournal reads whatever comes as a kiosk's own account of a visit: what passes
// is bounded, and says nothing that is not a kiosk's to say.
func FuzzJournal(f *testing.F) {
	step := ticket.Step{Step: ticket.StepChip, Began: 1, Ended: 5, Result: ticket.StepAsserted, Tries: 1, Artefacts: []ticket.Artefact{{Kind: "dg1", SHA256: ticket.Hash([]byte("x"))}}}
	good := ticket.Journal{V: 1, Visit: interview.NewVisitID(), Nonce: "n", Policy: "p", Sent: 10, Steps: []ticket.Step{step}, Help: []ticket.Help{{Step: ticket.StepChip, At: 3}}}
	for _, change := range []func(j *ticket.Journal){
		func(*ticket.Journal) {}, func(j *ticket.Journal) { j.Steps[0].Result = ticket.StepVerified }, func(j *ticket.Journal) { j.Steps[0].Ended = 0 },
		func(j *ticket.Journal) { j.Sent = -1 }, func(j *ticket.Journal) { j.Steps[0].Step = "../x" },
	} {
		j := good
		j.Steps = []ticket.Step{step}
		change(&j)
		text, err := canon.Marshal(j)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		var j ticket.Journal
		if canon.Unmarshal([]byte(text), &j) != nil || j.Check() != nil {
			return
		}
		if len(j.Steps) > ticket.MaxSteps || j.Sent < 0 {
			t.Errorf("passes: %+v", j)
		}
		for _, s := range j.Steps {
			if s.Result == ticket.StepVerified || s.Began < 0 || s.Ended < s.Began || s.Ended > j.Sent || s.Tries > ticket.MaxTries {
				t.Errorf("passes: %+v", s)
			}
		}
	})
}
