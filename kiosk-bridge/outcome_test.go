package kioskbridge

import (
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// B2, B12: where each single verdict leads, all others being those of a genuine
// document with keys, PACE and a revocation list.
func TestWhereEachVerdictLeads(t *testing.T) {
	t.Parallel()
	const (
		join, desk, again        = tunnel.ResultJoin, tunnel.ResultDesk, tunnel.ResultAgain
		failed, open, notDone    = interview.Failed, interview.Undetermined, interview.NotDone
		substantial, low, nobody = ticket.AssuranceSubstantial, ticket.AssuranceLow, ticket.AssuranceNone
	)
	genuine := map[string]interview.Check{}
	for _, name := range []string{
		emrtd.CheckMRZDigits, emrtd.CheckExpiry, emrtd.CheckAccess, emrtd.CheckSignature, emrtd.CheckChain, emrtd.CheckRevocation,
		emrtd.CheckDG1, emrtd.CheckDG2, emrtd.CheckDG14, emrtd.CheckDG15, emrtd.CheckDG1Optical, emrtd.CheckIssuer, emrtd.CheckDowngrade,
		emrtd.CheckActiveAuth, emrtd.CheckChipAuth, emrtd.CheckChipOriginal, CheckBooked,
	} {
		genuine[name] = interview.Check{Name: name, Verdict: interview.Verified, Reason: emrtd.ReasonOK}
	}
	genuine[emrtd.CheckFace] = interview.Check{Name: emrtd.CheckFace, Verdict: notDone, Reason: emrtd.ReasonNotBuilt}

	for _, c := range []struct {
		name    string
		verdict interview.Verdict
		reason  string
		result  tunnel.Result
		sure    ticket.Assurance
	}{
		{emrtd.CheckFace, notDone, emrtd.ReasonNotBuilt, join, substantial},
		{emrtd.CheckMRZDigits, failed, emrtd.ReasonDigitsWrong, again, nobody},
		{emrtd.CheckAccess, failed, emrtd.ReasonKeyRefused, again, nobody},
		{emrtd.CheckAccess, failed, emrtd.ReasonPACERefused, again, nobody},
		{emrtd.CheckAccess, open, emrtd.ReasonChipSilent, again, nobody},
		{emrtd.CheckAccess, open, emrtd.ReasonPACEFailed, desk, nobody},
		{emrtd.CheckAccess, failed, emrtd.ReasonNotGenuine, desk, nobody},
		{emrtd.CheckExpiry, failed, emrtd.ReasonExpired, join, low},
		{emrtd.CheckSignature, failed, emrtd.ReasonAltered, desk, nobody},
		{emrtd.CheckSignature, open, emrtd.ReasonAlgorithm, desk, nobody},
		{emrtd.CheckChain, open, emrtd.ReasonUnknownIssuer, join, low},
		{emrtd.CheckChain, failed, emrtd.ReasonForgedSigner, desk, nobody},
		{emrtd.CheckRevocation, failed, emrtd.ReasonSignerRevoked, desk, nobody},
		{emrtd.CheckRevocation, open, emrtd.ReasonSignerRevokedLater, join, low},
		{emrtd.CheckRevocation, open, emrtd.ReasonRevocationStale, join, low},
		{emrtd.CheckRevocation, notDone, emrtd.ReasonNoRevocationList, join, substantial},
		{emrtd.CheckDG1, failed, emrtd.ReasonAltered, desk, nobody},
		{emrtd.CheckDG2, open, emrtd.ReasonTooLarge, desk, nobody},
		{emrtd.CheckDG14, failed, emrtd.ReasonAltered, desk, nobody},
		{emrtd.CheckDG1Optical, failed, emrtd.ReasonMismatch, desk, nobody},
		{emrtd.CheckIssuer, open, emrtd.ReasonStateUnknown, join, low},
		{emrtd.CheckDowngrade, failed, emrtd.ReasonPACEWithheld, desk, nobody},
		{emrtd.CheckDowngrade, open, emrtd.ReasonNotListed, join, low},
		{emrtd.CheckDowngrade, notDone, emrtd.ReasonNotOffered, join, substantial},
		{emrtd.CheckChipOriginal, failed, emrtd.ReasonNotOriginal, desk, nobody},
		{emrtd.CheckChipOriginal, failed, emrtd.ReasonKeyWithheld, desk, nobody},
		{emrtd.CheckChipOriginal, open, emrtd.ReasonKeyNotProven, join, low},
		{emrtd.CheckChipOriginal, notDone, emrtd.ReasonCloningNotExcluded, join, substantial},
		{CheckBooked, open, emrtd.ReasonMismatch, join, low},
		{CheckBooked, failed, emrtd.ReasonMismatch, desk, nobody},
	} {
		var checks []interview.Check
		for name, check := range genuine {
			if name == c.name {
				check = interview.Check{Name: c.name, Verdict: c.verdict, Reason: c.reason}
			}
			checks = append(checks, check)
		}
		result, way, sure := StandardPolicy().decide(checks)
		if result != c.result || sure != c.sure {
			t.Errorf("%s %s, %s: %s with assurance %s, want %s with %s", c.name, c.verdict, c.reason, result, sure, c.result, c.sure)
		}
		if want := map[tunnel.Result]problem.Way{join: problem.WayInterviewer, desk: problem.WayAskStaff, again: problem.WayRetry}[result]; way != want {
			t.Errorf("%s %s: the way is %s", c.name, c.verdict, way)
		}
	}
}
