package kioskbridge

import (
	"slices"
	"testing"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// B2: the essential checks of the rules that are signed into every visit's
// evidence are the ones by which people go on; rules may ask for more of them and
// never for less, and another set is another version.
func TestThePolicysEssentialChecksDecide(t *testing.T) {
	t.Parallel()
	var checks []interview.Check
	for _, name := range append([]string{emrtd.CheckChain, emrtd.CheckIssuer, emrtd.CheckExpiry, CheckBooked}, essential...) {
		checks = append(checks, interview.Check{Name: name, Verdict: interview.Verified, Reason: emrtd.ReasonOK})
	}
	standard := StandardPolicy()
	if result, _, _ := standard.decide(checks); result != tunnel.ResultJoin {
		t.Fatalf("by the standard: %s", result)
	}
	strict := StandardPolicy()
	strict.Essential = append(slices.Clone(strict.Essential), emrtd.CheckChipOriginal)
	if result, _, _ := strict.decide(checks); result != tunnel.ResultDesk {
		t.Errorf("a chip that proved nothing goes on where that is essential: %s", result)
	}
	if err := strict.check(); err != nil {
		t.Errorf("more is refused: %v", err)
	}
	before, err := standard.Version()
	if err != nil {
		t.Fatal(err)
	}
	if after, err := strict.Version(); err != nil || after == before {
		t.Errorf("another set is the same version: %v", err)
	}
	for _, name := range essential {
		less := StandardPolicy()
		less.Essential = slices.DeleteFunc(slices.Clone(less.Essential), func(n string) bool { return n == name })
		if less.check() == nil {
			t.Errorf("rules without %s were taken", name)
		}
	}
}
