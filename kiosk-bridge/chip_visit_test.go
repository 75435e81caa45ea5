package kioskbridge_test

import (
	"testing"

	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// B1, B2, B12: chips with PACE and keys through the kiosk's tunnel: the original
// goes on, a copy goes to a person, a misread zone is read again.
func TestChipsWithKeysThroughTheTunnel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for v, want := range map[emrtdtest.Variant]tunnel.Result{
		emrtdtest.WithAll:         tunnel.ResultJoin,
		emrtdtest.WithMapping:     tunnel.ResultJoin,
		emrtdtest.AlteredDG11:     tunnel.ResultDesk,
		emrtdtest.AlteredDG14:     tunnel.ResultDesk,
		emrtdtest.ClonedActive:    tunnel.ResultDesk,
		emrtdtest.ClonedAgreement: tunnel.ResultDesk,
		emrtdtest.ClonedMapping:   tunnel.ResultDesk,
		emrtdtest.StrippedKeys:    tunnel.ResultDesk,
		emrtdtest.StrippedPACE:    tunnel.ResultDesk,
		emrtdtest.LyingPACE:       tunnel.ResultDesk,
		emrtdtest.WrongMRZPACE:    tunnel.ResultAgain,
	} {
		w.kiosk = w.newDevice()
		p := w.passport(v)
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil {
			t.Errorf("%s: %v", v, err)
			continue
		}
		if out.Result != want {
			t.Errorf("%s: %+v, want %s", v, out, want)
		}
		if want != tunnel.ResultJoin {
			continue
		}
		if got := w.claims(t, out.Ticket).Assurance; got != ticket.AssuranceSubstantial {
			t.Errorf("%s: assurance %s", v, got)
		}
	}
}
