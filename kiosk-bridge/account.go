package kioskbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// triesWithin is how long a try in vain counts.
const triesWithin = time.Hour

// conclude decides, has the kiosk vouch for the evidence, keeps the visit, and
// writes the ticket where the verdicts allow one.
func (v *visit) conclude(ctx context.Context) error {
	v.step = stepVouching
	if v.zone.Format != "" && v.check(CheckBooked).Verdict != interview.Failed {
		booked := v.booking.Person.compare(v.zone)
		v.set(booked.Name, booked.Verdict, booked.Reason)
	}
	result, way, assurance := v.decide()
	if v.route == ticket.RouteDocument && v.zone.Format != "" {
		verdict, reason := authenticity(v.checks)
		v.set(CheckAuthentic, verdict, reason)
	}
	if result == tunnel.ResultAgain {
		// Who tried in vain as often as there are tries is not sent round in circles.
		tried, err := v.bridge.Store.Again(ctx, v.booking, v.bridge.Now().Add(-triesWithin))
		if err != nil {
			return err
		}
		if tried+1 >= v.bridge.Policy.tries(ticket.StepChip) {
			result, way = tunnel.ResultDesk, problem.WayAskStaff
		}
	}
	record := Record{
		ID: v.id, Case: v.booking.Case, Hearing: v.booking.Hearing, Participant: v.booking.Participant, Role: v.booking.Role, Purpose: v.booking.Purpose, Kiosk: v.kiosk.Device,
		Site: v.kiosk.Site, Route: v.route, Policy: v.bridge.policyVersion, Result: result, Assurance: assurance, StartedAt: v.started.UnixMilli(),
	}
	if err := v.vouch(&record); err != nil {
		return err
	}
	kept := Kept{}
	var err error
	if record.Sealed, err = interview.SealJSON(ctx, v.bridge.Sealer, record.Case, sealedUnder(v.id), keptZone{v.zone.Lines, v.reference}); err != nil {
		return fmt.Errorf("visit %s: %w", v.id, err)
	}
	out := tunnel.Outcome{Result: result, Way: way}
	if result == tunnel.ResultDesk && v.route == ticket.RouteRegister && withoutFinger(v.checks) {
		out.Because = tunnel.BecauseFingers
	}
	if result == tunnel.ResultJoin {
		if kept.Ticket, err = v.bridge.ticketFor(record, v.booking); err != nil {
			return err
		}
		t := kept.Ticket
		out.Ticket, out.Hearing, out.Terminal, out.Place, out.Expires = t.ID, t.Hearing, t.Device, v.booking.Place, t.Expires
	}
	if result == tunnel.ResultDesk {
		if kept.Handover, out.Handover, err = v.bridge.handover(record); err != nil {
			return err
		}
	}
	if kept.Pieces, err = v.sealPieces(ctx); err != nil {
		return err
	}
	if v.bridge.Stages {
		kept.Stages = record.stages(kept.Pieces)
	}
	if err := v.bridge.Store.Save(ctx, record, kept); err != nil {
		return err
	}
	v.after(ctx, kept)
	v.step, v.result = stepEnded, result
	return v.send(tunnel.TypeOutcome, out)
}

// after is what a visit that is kept sets going. None of it changes the outcome.
func (v *visit) after(ctx context.Context, kept Kept) {
	if v.bridge.Ended != nil && v.route != ticket.RouteNobody { // who only pays is measured by nothing here
		v.bridge.Ended(v.accounted, v.result)
	}
	if len(v.live) == 0 {
		return
	}
	if t := kept.Ticket; t != nil && t.Purpose == interview.PurposeHearing {
		v.bridge.portraits.keep(t.ID, t.Hearing, v.live[0], v.bridge.Now(), time.Unix(t.Until, 0))
	}
	if v.bridge.Duplicates == nil {
		return
	}
	err := v.bridge.Duplicates.Submit(ctx, DuplicateSearch{Visit: v.id, Case: v.booking.Case, Participant: v.booking.Participant, Probes: v.live})
	if err != nil {
		v.bridge.Log.Warn("a search for duplicates was not handed in", "visit", v.id)
		v.notice(ctx, PartEngine, CodeNotHandedIn)
	}
}

// keptZone is what is kept of a document, sealed. The portrait is not.
type keptZone struct {
	Zone      []string `json:"zone"`
	Reference string   `json:"reference,omitempty"`
}

func sealedUnder(id interview.VisitID) string { return "kiosk_visit.sealed:" + id.String() }

// keptPiece is a capture that a service is about: a photograph and a signature
// for a card, papers for the case. Pictures for comparison are none.
type keptPiece struct {
	Kind   string `json:"kind"`
	Format string `json:"format"`
	Bytes  []byte `json:"bytes"`
	Grade  *Grade `json:"grade,omitempty"` // of a photograph: how good it is, as somebody says
	step   ticket.StepName
}

func salt() (string, error) {
	var b [saltBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// vouch fills in evidence, checks, journal and steps, and the kiosk's signature
// over them.
func (v *visit) vouch(record *Record) error {
	decided := v.bridge.Now()
	journal, text, err := v.journal()
	if err != nil {
		return err
	}
	checks, steps := ticket.Checks{Checks: v.checks, Findings: v.findings}, ticket.Steps{Policy: record.Policy}
	if checks.Salt, err = salt(); err != nil {
		return err
	}
	if steps.Salt, err = salt(); err != nil {
		return err
	}
	if err := v.account(&steps, journal, decided); err != nil {
		return err
	}
	v.accounted = steps
	verdicts, err := canon.Marshal(checks)
	if err != nil {
		return err
	}
	account, err := canon.Marshal(steps)
	if err != nil {
		return err
	}
	ended := v.bridge.Now()
	evidence, err := canon.Marshal(ticket.Evidence{
		V: 1, Visit: v.id, Nonce: v.nonce, Kiosk: v.kiosk.Device, Hearing: record.Hearing, Participant: record.Participant,
		APDUSHA256: v.transcript.Sum(), ChecksSHA256: ticket.Hash(verdicts), TrustList: v.trustList,
		Assurance: record.Assurance, Started: v.started.Unix(), Ended: ended.Unix(),
		Route: record.Route, Policy: record.Policy, Site: record.Site, JournalSHA256: ticket.Hash([]byte(text)), StepsSHA256: ticket.Hash(account), Before: v.before,
	})
	if err != nil {
		return err
	}
	if err := v.send(tunnel.TypeEvidence, tunnel.Evidence{Evidence: string(evidence)}); err != nil {
		return err
	}
	var m tunnel.Vouch
	if err := v.receive(tunnel.TypeVouch, &m); err != nil {
		return err
	}
	want := ticket.Visit{
		V: 1, Visit: v.id, Nonce: v.nonce, EvidenceSHA256: ticket.Hash(evidence), Hearing: record.Hearing, Participant: record.Participant,
	}
	var got ticket.Visit
	// The key is the one that made this connection; authority checks the chain.
	if err := jws.Verify(m.Visit, ticket.TypVisit, v.kiosk.Certificate.PublicKey, &got); err != nil {
		return problem.New(problem.CodeKioskVisit, "kiosk's signature: %w", err)
	}
	if got != want {
		return problem.New(problem.CodeKioskVisit, "kiosk vouches for something else than visit %s", v.id)
	}
	record.Evidence, record.Vouched, record.Checks, record.EndedAt = string(evidence), m.Visit, string(verdicts), ended.UnixMilli()
	record.Journal, record.Steps = text, string(account)
	return nil
}

// journal asks for the kiosk's own account of the visit.
func (v *visit) journal() (ticket.Journal, string, error) {
	if err := v.send(tunnel.TypeFinish, tunnel.Finish{}); err != nil {
		return ticket.Journal{}, "", err
	}
	var m tunnel.Journal
	if err := v.receive(tunnel.TypeJournal, &m); err != nil {
		return ticket.Journal{}, "", err
	}
	var j ticket.Journal
	if err := canon.Unmarshal([]byte(m.Journal), &j); err != nil {
		return ticket.Journal{}, "", problem.New(problem.CodeMalformed, "journal: %w", err)
	}
	if err := j.Check(); err != nil {
		return ticket.Journal{}, "", problem.New(problem.CodeKioskVisit, "%w", err)
	}
	if j.Visit != v.id || j.Nonce != v.nonce || j.Policy != v.bridge.policyVersion {
		return ticket.Journal{}, "", problem.New(problem.CodeKioskVisit, "journal is of another visit")
	}
	return j, m.Journal, nil
}

// watchDrift is how far stopwatch and bridge may be apart at the end of a visit.
const watchDrift = 5 * time.Second

// account brings the kiosk's journal and what the bridge saw together. Of each
// step that the bridge asked for, hashes have to agree, and the bridge's result
// counts; when a step began for the person is the kiosk's to know, as far as its
// stopwatch went with the bridge's. What only the kiosk saw stays asserted.
func (v *visit) account(out *ticket.Steps, j ticket.Journal, decided time.Time) error {
	drift := v.watch(v.bridge.Now()) - j.Sent
	straight := drift < watchDrift.Milliseconds() && drift > -watchDrift.Milliseconds()
	if !straight {
		v.notice(context.Background(), PartClock, CodeClockWrong)
	}
	out.Verdict = v.watch(decided)
	next := 0
	for _, s := range j.Steps {
		if next < len(v.steps) && v.steps[next].Step == s.Step {
			seen := v.steps[next]
			if !slices.Equal(seen.Artefacts, s.Artefacts) {
				return problem.New(problem.CodeKioskVisit, "journal names other artefacts than came, in step %s", s.Step)
			}
			if straight {
				seen.Began = min(s.Began, seen.Ended)
			}
			out.Steps = append(out.Steps, seen)
			next++
			continue
		}
		if !straight {
			s.Began, s.Ended = 0, 0
		}
		if s.Step == ticket.StepCode {
			s.Result = ticket.StepVerified // the booking was found
		}
		out.Steps = append(out.Steps, s)
	}
	if next != len(v.steps) {
		return problem.New(problem.CodeKioskVisit, "journal leaves out a step that was taken")
	}
	out.Placed = out.Verdict
	last := v.at
	for _, s := range out.Steps {
		if s.Step == ticket.StepDocument || (s.Step != ticket.StepCode && len(v.steps) > 0 && s.Step == v.steps[0].Step) {
			out.Placed = min(out.Placed, s.Began)
		}
		last = max(last, min(s.Ended, out.Verdict))
	}
	out.Steps = append(out.Steps, ticket.Step{Step: ticket.StepChecks, Began: last, Ended: max(last, out.Verdict), Result: ticket.StepVerified, Tries: 1})
	return nil
}
