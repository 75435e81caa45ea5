package kioskbridge_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// judged is a document on a reader that says something of its print.
func judged(p *emrtdtest.Passport, said any) *hands {
	h := with(p)
	h.take[ticket.StepDocument] = func(tunnel.Ask) (tunnel.Capture, error) {
		text, err := canon.Marshal(said)
		return done(tunnel.Piece{Kind: "zone", Format: "text/plain", Bytes: []byte(p.Printed)}, tunnel.Piece{Kind: "print", Format: "application/json", Bytes: text}), err
	}
	return h
}

func printOf(verdict string) tunnel.Print {
	return tunnel.Print{V: 1, Verdict: verdict, Engine: "Maker reader 3", Features: []tunnel.PrintFeature{{Name: "uv-brightness", Verdict: verdict}}, Images: []tunnel.PrintImage{}}
}

// B2: the print, the issuer's signature and the chip's own keys end in one word of
// three, with its reason. A reader's praise raises nothing, its doubt leads to
// the desk, and what is proven to be wrong fails whatever the reader says.
func TestADocumentsAuthenticityIsOneWordOfThree(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chip    emrtdtest.Variant
		print   string
		result  tunnel.Result
		verdict interview.Verdict
		reason  string
	}{
		"genuine throughout":               {emrtdtest.WithAll, tunnel.PrintGenuine, tunnel.ResultJoin, interview.Verified, emrtd.ReasonOK},
		"genuine, and no reader judges it": {emrtdtest.WithAll, "", tunnel.ResultJoin, interview.Verified, emrtd.ReasonOK},
		"a chip without keys":              {emrtdtest.Genuine, tunnel.PrintGenuine, tunnel.ResultJoin, interview.Undetermined, emrtd.ReasonCloningNotExcluded},
		"an issuer that nobody knows":      {emrtdtest.UnknownIssuer, tunnel.PrintGenuine, tunnel.ResultJoin, interview.Undetermined, emrtd.ReasonUnknownIssuer},
		"a print that is suspect":          {emrtdtest.WithAll, tunnel.PrintSuspect, tunnel.ResultDesk, interview.Undetermined, kioskbridge.ReasonSuspect},
		"a reader that cannot say":         {emrtdtest.WithAll, tunnel.PrintUndecided, tunnel.ResultJoin, interview.Undetermined, "print-undecided"},
		"an altered group":                 {emrtdtest.AlteredDG1, tunnel.PrintGenuine, tunnel.ResultDesk, interview.Failed, emrtd.ReasonAltered},
		"a copy of a chip":                 {emrtdtest.ClonedActive, tunnel.PrintGenuine, tunnel.ResultDesk, interview.Failed, emrtd.ReasonNotOriginal},
		"a chip that is dead":              {emrtdtest.DeadChip, tunnel.PrintGenuine, tunnel.ResultAgain, interview.Undetermined, emrtd.ReasonChipNotRead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.passport(c.chip)
			h := with(p)
			if c.print != "" {
				h = judged(p, printOf(c.print))
			}
			out, err := w.visit(h, tunnel.ServiceInterview)
			if err != nil || out.Result != c.result || (out.Handover != "") != (c.result == tunnel.ResultDesk) {
				t.Fatalf("%+v %v, want %s", out, err, c.result)
			}
			checks, err := w.last().Verdicts()
			if err != nil {
				t.Fatal(err)
			}
			if want := (interview.Check{Name: kioskbridge.CheckAuthentic, Verdict: c.verdict, Reason: c.reason}); !slices.Contains(checks, want) {
				t.Errorf("%+v, want %+v", checks, want)
			}
			i := slices.IndexFunc(checks, func(c interview.Check) bool { return c.Name == kioskbridge.CheckPrint })
			if (i >= 0) != (c.print != "") || i >= 0 && (checks[i].Verdict == interview.Asserted) != (c.print == tunnel.PrintGenuine) || i >= 0 && checks[i].Verdict == interview.Verified {
				t.Errorf("of the print: %+v", checks)
			}
			// What the reader said is in the evidence, and its hash in what the kiosk signed.
			said := strings.Join(w.said(), "\n")
			if want := fmt.Sprintf("document.print.uv-brightness %s 0/0 Maker reader 3", c.print); c.print != "" && !strings.Contains(said, want) {
				t.Errorf("%q is not among %s", want, said)
			}
			if step := w.lastSteps().Steps[1]; c.print != "" && (step.Step != ticket.StepDocument || len(step.Artefacts) != 1 || step.Artefacts[0].Kind != "print") {
				t.Errorf("the step: %+v", step)
			}
		})
	}
}

// B2, B11: what is no reader's word ends the visit and leaves nothing.
func TestAPrintThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := printOf("perfect")
	if _, err := w.visit(judged(w.passport(emrtdtest.Genuine), wrong), tunnel.ServiceInterview); problem.Of(err).Code != problem.CodeMalformed {
		t.Errorf("%v", err)
	}
	if n := w.count("kiosk_visit"); n != 0 {
		t.Errorf("%d visits were kept", n)
	}
}

// B2: the whole way, from a maker's reader behind the contract through the kiosk's
// screen to the desk. A specimen that the reader takes for genuine leads there too.
func TestAReadersDoubtReachesTheDesk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who   emrtdtest.Person
		spoil func(*vendorport.Inspected)
		check interview.Check
	}{
		"suspect": {holder, func(i *vendorport.Inspected) {
			i.Verdict, i.Features[0].Verdict = vendorport.Suspect, vendorport.Suspect
		}, interview.Check{Name: kioskbridge.CheckPrint, Verdict: interview.Undetermined, Reason: kioskbridge.ReasonSuspect}},
		"specimen": {emrtdtest.Person{Surname: "SPECIMEN", GivenNames: "ANNA", DocumentNumber: "L898902C3", DateOfBirth: "740812", Sex: "F"}, func(*vendorport.Inspected) {},
			interview.Check{Name: kioskbridge.CheckSpecimen, Verdict: interview.Failed, Reason: kioskbridge.ReasonSpecimen}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, err := w.state.Issue(c.who, emrtdtest.WithAll)
			if err != nil {
				t.Fatal(err)
			}
			w.booking.Person.Name = c.who.GivenNames + " " + c.who.Surname
			reader := vendorporttest.Client(t, vendorporttest.Optics(func() *vendorport.Inspected {
				said := vendorporttest.Specimen(p.Printed)
				c.spoil(said)
				return said
			}))
			d, url, _ := w.screen(t, func(s *kiosk.Screen) {
				s.Optics = &kiosk.OpticsPart{Client: reader}
				s.OpenCard = func(context.Context) (kiosk.Card, error) { return &opened{Card: p.Card()}, nil }
			})
			conn := dialScreen(t, d, url)
			_, last := hold(t, conn, reference, nil)
			if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDesk || last.Outcome.Handover == "" {
				t.Fatalf("%+v %+v", last.Outcome, last.Problem)
			}
			taken, err := w.desk().TakeOver(t.Context(), officer("a"), last.Outcome.Handover)
			if err != nil || !slices.Contains(taken.Checks, c.check) {
				t.Errorf("the desk is told %+v %v, want %+v", taken.Checks, err, c.check)
			}
			if said := strings.Join(w.said(), "\n"); !strings.Contains(said, "Simulator play of optics 1") {
				t.Errorf("the reader is not named: %s", said)
			}
		})
	}
}
