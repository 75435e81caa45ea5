package kioskbridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// Names of checks of this package.
const (
	CheckRegister = "register-person"     // the register has pictures of the person (row B12)
	CheckShown    = "same-document"       // the one of an identity that was found out before (row B18)
	CheckSigned   = "signature-bound"     // the signature is over the text that was shown (row B6)
	CheckSpecimen = "document-in-earnest" // it is no specimen
)

// Reasons of those checks.
const (
	ReasonSpecimen       = "specimen"
	ReasonSameDocument   = "same-document-shown"
	ReasonOtherText      = "another-text"
	reasonNotInRegister  = "not-in-register"
	reasonRegisterAbsent = "register-absent"
)

// set puts a check into the visit's list, in the place of one of that name.
func (v *visit) set(name string, verdict interview.Verdict, reason string) {
	c := interview.Check{Name: name, Verdict: verdict, Reason: reason}
	if i := slices.IndexFunc(v.checks, func(c interview.Check) bool { return c.Name == name }); i >= 0 {
		v.checks[i] = c
		return
	}
	v.checks = append(v.checks, c)
}

// identify finds out who the person is, on the way that is open to them.
func (v *visit) identify(ctx context.Context) error {
	if !v.wants(ticket.StepDocument) {
		return v.byRegister(ctx)
	}
	c, step, err := v.ask(ctx, tunnel.Ask{Step: ticket.StepDocument})
	if err != nil {
		return err
	}
	zone := piece(c, "zone")
	if c.Result != tunnel.TakenDone || zone == nil {
		return v.byRegister(ctx)
	}
	if v.zone, err = emrtd.ParseMRZ(string(zone)); err != nil {
		return problem.New(problem.CodeMalformed, "%w", emrtd.ErrMRZ)
	}
	if err := v.print(c); err != nil {
		return err
	}
	step.Result = ticket.StepVerified
	if len(v.zone.WrongDigits) > 0 {
		step.Result = ticket.StepFailed
	}
	if specimen(v.zone) {
		v.set(CheckSpecimen, interview.Failed, ReasonSpecimen)
		v.notice(ctx, PartDocument, ReasonSpecimen)
	}
	if again, err := v.byBefore(ctx); again || err != nil {
		return err
	}
	password := emrtd.MRZPassword(v.zone)
	if can := piece(c, "can"); can != nil {
		if password, err = emrtd.CANPassword(string(can)); err != nil {
			return problem.New(problem.CodeMalformed, "card access number: %w", err)
		}
	}
	return v.byDocument(ctx, password)
}

func piece(c tunnel.Capture, kind string) []byte {
	for _, p := range c.Pieces {
		if p.Kind == kind {
			return p.Bytes
		}
	}
	return nil
}

// byDocument reads the chip, and compares the person with its portrait.
func (v *visit) byDocument(ctx context.Context, password emrtd.Password) error {
	c := tunnel.Capture{Result: tunnel.TakenNotAvailable}
	var err error
	if v.wants(ticket.StepChip) {
		if c, _, err = v.ask(ctx, tunnel.Ask{Step: ticket.StepChip}); err != nil {
			return err
		}
	}
	if c.Result == tunnel.TakenNotAvailable && v.bridge.Register != nil && v.registerQuestion().compares() {
		return v.byRegister(ctx) // a document without a chip
	}
	reading := len(v.steps)
	judge := v.bridge.Judge()
	v.trustList, v.step = judge.TrustList, stepReading
	var card emrtd.Card = v
	if c.Result != tunnel.TakenDone {
		card = silent{}
	}
	doc, err := judge.InspectWith(ctx, card, v.zone, password)
	v.step = stepAsking
	if v.broken != nil {
		return v.broken
	}
	if err != nil {
		return problem.New(problem.CodeStalled, "inspect document: %w", err)
	}
	defer clear(doc.Face.Image)
	for _, c := range doc.Checks {
		v.set(c.Name, c.Verdict, c.Reason)
	}
	// Where another try could not help, none is offered.
	if c.Result == tunnel.TakenNotAvailable || c.Result == tunnel.TakenDeclined || c.Reason == tunnel.ReasonPartBroken || c.Reason == tunnel.ReasonPartAbsent {
		v.set(emrtd.CheckAccess, interview.NotDone, emrtd.ReasonChipNotRead)
	}
	if c.Result == tunnel.TakenDone {
		v.steps[reading-1].Ended = v.watch(v.bridge.Now())
		v.steps[reading-1].Result = chipResult(doc)
	}
	if c.Result == tunnel.TakenDone && slices.ContainsFunc(doc.Checks, func(c interview.Check) bool { return c.Reason == emrtd.ReasonChipSilent }) {
		v.notice(ctx, PartDocument, emrtd.ReasonChipSilent) // once is a dead chip; often it is the reader
	}
	if doc.Check(emrtd.CheckDG2).Reason == emrtd.ReasonTooLarge {
		v.notice(ctx, PartDocument, emrtd.ReasonTooLarge)
	}
	if result, _, _ := v.bridge.Policy.decide(v.checks); result != tunnel.ResultJoin {
		return nil
	}
	if err := v.compareFace(ctx, emrtd.CheckFace, Image{Kind: "portrait", Format: doc.Face.Format, Bytes: doc.Face.Image}); err != nil {
		return err
	}
	return v.compareRegistered(ctx)
}

// forget overwrites pictures that were compared.
func forget(pictures []Image) {
	for _, p := range pictures {
		clear(p.Bytes)
	}
}

// silent is a reader on which nothing lies.
type silent struct{}

func (silent) Transmit(context.Context, []byte) ([]byte, error) { return nil, errSilent }

func chipResult(doc *emrtd.Document) ticket.StepResult {
	for _, name := range []string{emrtd.CheckAccess, emrtd.CheckSignature, emrtd.CheckDG1, emrtd.CheckDG2} {
		switch doc.Check(name).Verdict {
		case interview.Verified:
		case interview.Failed:
			return ticket.StepFailed
		default:
			return ticket.StepAsserted
		}
	}
	return ticket.StepVerified
}

// specimen tells the documents that states print to be shown.
func specimen(zone emrtd.MRZ) bool {
	return slices.Contains(strings.Fields(zone.Surname+" "+zone.GivenNames+" "+zone.Optional), "SPECIMEN")
}

// byBefore takes an identity that was found out before, where it is still valid
// and the person shows the same document: nothing is captured again (row B18). A
// second visit for the same seat goes the whole way: there somebody might want
// to take another's place.
func (v *visit) byBefore(ctx context.Context) (bool, error) {
	days := v.bridge.Policy.IdentityDays
	if days <= 0 || v.booking.Role != interview.RoleApplicant || len(v.zone.WrongDigits) > 0 {
		return false, nil
	}
	now := v.bridge.Now()
	earlier, found, err := v.bridge.Store.Identity(ctx, v.booking, now.AddDate(0, 0, -days))
	if err != nil || !found {
		return false, err
	}
	var kept keptZone
	if err := interview.OpenJSON(ctx, v.bridge.Sealer, earlier.Case, sealedUnder(earlier.ID), earlier.Sealed, &kept); err != nil {
		return false, fmt.Errorf("visit %s: %w", earlier.ID, err)
	}
	if len(kept.Zone) == 0 || strings.Join(kept.Zone, "") != v.zone.Text() {
		return false, nil // another document: the whole way
	}
	v.route = ticket.RouteReused
	v.before = &ticket.Before{Visit: earlier.ID, EvidenceSHA256: ticket.Hash([]byte(earlier.Evidence)), Ended: earlier.EndedAt / 1000}
	v.set(CheckShown, interview.Asserted, ReasonSameDocument)
	return true, nil
}

// order is in which way the person is asked to look: nobody knows it before, so
// that a film made before fits by chance alone.
func order() ([]string, error) {
	orders := [][]string{
		{"turn-left", "turn-right"}, {"turn-right", "turn-left"}, {"turn-left", "look-up"}, {"look-up", "turn-left"}, {"turn-right", "look-up"}, {"look-up", "turn-right"},
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(orders))))
	if err != nil {
		return nil, fmt.Errorf("choose an order: %w", err)
	}
	return append([]string{"look-ahead"}, orders[n.Int64()]...), nil
}

// compareFace compares live pictures with a reference; the check says with which.
// The pictures are taken once and live as long as the visit; nothing of them is
// stored (row B19).
func (v *visit) compareFace(ctx context.Context, check string, reference Image) error {
	switch {
	case v.bridge.Faces == nil:
		v.set(check, interview.NotDone, reasonNoEngine)
		return nil
	case len(reference.Bytes) == 0:
		v.set(check, interview.NotDone, reasonNoReference)
		return nil
	case !v.wants(ticket.StepFace):
		v.set(check, interview.NotDone, reasonNotTaken)
		return nil
	}
	again := len(v.live) > 0
	if !again {
		if err := v.takeFace(ctx, check); err != nil || len(v.live) == 0 {
			return err
		}
	}
	if plain := v.decoded(ctx, reference); reference.Format != plain.Format {
		reference = plain // a copy, which nobody else destroys
		defer clear(plain.Bytes)
	}
	if len(reference.Bytes) == 0 {
		v.set(check, interview.Undetermined, emrtd.ReasonUnreadable)
		return nil
	}
	if check == emrtd.CheckFace {
		v.grade(ctx, ticket.StepChip, PurposeDocument, reference)
	}
	f, err := v.bridge.Faces.Match(ctx, MatchQuestion{Modality: ModalityFace, Live: v.live, Reference: reference})
	if result := v.found(ctx, check, f, err); !again {
		v.steps[v.faceStep-1].Result = result
	}
	return nil
}

// takeFace has live pictures taken; where none are, the check says why.
func (v *visit) takeFace(ctx context.Context, check string) error {
	looks, err := order()
	if err != nil {
		return err
	}
	ask := tunnel.Ask{Step: ticket.StepFace, Order: looks}
	c, _, err := v.ask(ctx, ask)
	if err != nil {
		return err
	}
	if c.Result != tunnel.TakenDone || len(c.Pieces) == 0 {
		v.set(check, interview.NotDone, notTaken(c))
		return nil
	}
	v.faceStep = len(v.steps)
	for _, p := range c.Pieces {
		v.live = append(v.live, Image(p))
	}
	v.grade(ctx, ticket.StepFace, PurposeLive, v.live[0])
	if v.bridge.Liveness != nil {
		f, err := v.bridge.Liveness.Live(ctx, ModalityFace, v.live, ask.Order)
		v.found(ctx, CheckLiveness, f, err)
	}
	return nil
}

// decoded is a portrait that engines can open; empty where it cannot be made.
func (v *visit) decoded(ctx context.Context, i Image) Image {
	if i.Format != "image/jp2" {
		return i
	}
	if v.bridge.Decode == nil {
		return Image{}
	}
	plain, err := v.bridge.Decode(ctx, i)
	if err != nil {
		v.bridge.Log.Warn("a portrait in JPEG 2000 was not decoded", "visit", v.id)
		v.notice(ctx, PartDocument, emrtd.ReasonUnreadable)
		return Image{}
	}
	return plain
}

// notTaken is the reason of a check for which nothing was captured.
func notTaken(c tunnel.Capture) string {
	switch known := noticeCode(c.Reason); {
	case c.Result == tunnel.TakenDeclined:
		return tunnel.ReasonDeclined
	case c.Result == tunnel.TakenNotAvailable && c.Reason == tunnel.ReasonNotThere:
		return tunnel.ReasonNotThere
	case known != CodeOther:
		return known
	}
	return reasonNotTaken
}

func (v *visit) check(name string) interview.Check {
	for _, c := range v.checks {
		if c.Name == name {
			return c
		}
	}
	return interview.Check{Name: name, Verdict: interview.NotDone}
}

// found notes what an engine said, or that it did not answer, and gives what the
// step is worth by it.
func (v *visit) found(ctx context.Context, name string, f Finding, err error) ticket.StepResult {
	if err != nil {
		v.set(name, interview.Undetermined, reasonEngineAbsent)
		v.notice(ctx, PartEngine, reasonEngineAbsent)
		return ticket.StepAsserted
	}
	c := f.judge(name)
	v.set(name, c.Verdict, c.Reason)
	v.findings = append(v.findings, ticket.Finding{
		Check: name, Verdict: string(f.Verdict), Score: f.Score, Scale: 1_000_000, Threshold: f.Threshold, Engine: f.Engine, Unmeasured: f.Unmeasured,
	})
	// A measured engine that doubts sends the person to people; the reference
	// engine decides nothing, and its word travels to the interviewer.
	if !f.Unmeasured && (f.Reason == reasonNoMatch || f.Reason == reasonSuspected) {
		v.doubted = true
	}
	switch c.Verdict {
	case interview.Verified:
		return ticket.StepVerified
	case interview.Failed:
		return ticket.StepFailed
	default:
		return ticket.StepAsserted
	}
}

// What measured engines answer where they doubt.
const (
	reasonNoMatch   = "no-match"
	reasonSuspected = "attack-suspected"
)

// extras are the steps of a service beyond who the person is. None of them keeps
// anybody from going on.
func (v *visit) extras(ctx context.Context) error {
	for _, name := range []ticket.StepName{ticket.StepPhoto, ticket.StepSignature, ticket.StepScan} {
		if !v.wants(name) {
			continue
		}
		ask := tunnel.Ask{Step: name}
		if name == ticket.StepSignature {
			ask.Text = v.bridge.Policy.text(v.service, v.language)
			ask.TextSHA256 = ticket.Hash([]byte(ask.Text))
		}
		c, step, err := v.ask(ctx, ask)
		if err != nil {
			return err
		}
		if name == ticket.StepSignature && c.Result == tunnel.TakenDone {
			step.Result = v.signed(piece(c, "signature"), ask.TextSHA256)
			v.kept = append(v.kept, keptPiece{Kind: KindSignedText, Format: "text/plain", Bytes: []byte(ask.Text), step: name})
		}
		for _, p := range c.Pieces {
			kept := keptPiece{Kind: p.Kind, Format: p.Format, Bytes: p.Bytes, step: name}
			if name == ticket.StepPhoto {
				kept.Grade = v.gradePhoto(ctx, c, Image(p))
			}
			v.kept = append(v.kept, kept)
		}
	}
	return nil
}

// strokes are a signature as it was drawn, bound to the text that was shown.
type strokes struct {
	V          int       `json:"v"`
	TextSHA256 string    `json:"text_sha256"`
	Strokes    [][]point `json:"strokes"`
}

type point struct {
	X int64 `json:"x"`
	Y int64 `json:"y"`
	T int64 `json:"t"` // milliseconds
	P int64 `json:"p"` // pressure, thousandths
}

// signed checks that a signature is drawn over exactly the text that was asked
// for (row B6).
func (v *visit) signed(text []byte, sha256 string) ticket.StepResult {
	var s strokes
	points := 0
	if json.Unmarshal(text, &s) == nil {
		for _, stroke := range s.Strokes {
			points += len(stroke)
		}
	}
	switch {
	case s.V != 1 || points < 3:
		v.set(CheckSigned, interview.Undetermined, emrtd.ReasonUnreadable)
		return ticket.StepFailed
	case s.TextSHA256 != sha256:
		v.set(CheckSigned, interview.Failed, ReasonOtherText)
		return ticket.StepFailed
	}
	v.set(CheckSigned, interview.Verified, emrtd.ReasonOK)
	return ticket.StepVerified
}
