package kioskbridge

import (
	"slices"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// essential are the checks without which nobody goes on from the kiosk alone. A
// policy may ask for more, never for less.
var essential = []string{
	emrtd.CheckMRZDigits, emrtd.CheckAccess, emrtd.CheckSignature,
	emrtd.CheckDG1, emrtd.CheckDG2, emrtd.CheckDG1Optical,
}

// harmless are the checks that may fail without a word on who the person is.
var harmless = []string{emrtd.CheckExpiry, CheckSigned}

// decide turns verdicts into where the person goes, with what assurance. It
// never says no: what the machine cannot settle goes to a person.
//
// An unknown issuer and an expired document are ordinary among those who ask
// for protection: they lower the assurance, which the interviewer is shown, and
// close no door.
func (p Policy) decide(checks []interview.Check) (tunnel.Result, problem.Way, ticket.Assurance) {
	verdict := map[string]interview.Check{}
	for _, c := range checks {
		verdict[c.Name] = c
	}
	access := verdict[emrtd.CheckAccess]
	if access.Reason == emrtd.ReasonKeyRefused || access.Reason == emrtd.ReasonPACERefused || access.Reason == emrtd.ReasonChipSilent ||
		verdict[emrtd.CheckMRZDigits].Verdict == interview.Failed {
		return tunnel.ResultAgain, problem.WayRetry, ticket.AssuranceNone
	}
	for _, c := range checks {
		if c.Verdict == interview.Failed && !slices.Contains(harmless, c.Name) {
			return tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
		}
	}
	if slices.ContainsFunc(p.Essential, func(name string) bool { return verdict[name].Verdict != interview.Verified }) {
		return tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
	}
	for _, name := range []string{emrtd.CheckChain, emrtd.CheckIssuer, emrtd.CheckExpiry, CheckBooked} {
		if verdict[name].Verdict != interview.Verified {
			return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceLow
		}
	}
	// What an issuer gave no means for (a chip without keys, no list of withdrawn
	// signers) is said and lowers nothing; what it gave and did not come about does.
	for _, name := range []string{emrtd.CheckChipOriginal, emrtd.CheckRevocation, emrtd.CheckDowngrade} {
		if verdict[name].Verdict == interview.Undetermined {
			return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceLow
		}
	}
	high := func(name string) bool { return verdict[name].Verdict == interview.Verified }
	if high(emrtd.CheckChipOriginal) && high(emrtd.CheckFace) && high(CheckLiveness) {
		return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceHigh
	}
	return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceSubstantial
}

// decideRegister is the same for the way by the register. What engines only
// assert lets the person go on with a low assurance; what they leave open goes
// to an officer, who has the pictures and eyes.
func decideRegister(checks []interview.Check) (tunnel.Result, problem.Way, ticket.Assurance) {
	if withoutFinger(checks) {
		return tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
	}
	verdict := map[string]interview.Verdict{}
	for _, c := range checks {
		if c.Verdict == interview.Failed && !slices.Contains(harmless, c.Name) {
			return tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
		}
		verdict[c.Name] = c.Verdict
	}
	holds := func(name string) bool {
		return verdict[name] == interview.Verified || verdict[name] == interview.Asserted
	}
	if !holds(CheckRegister) || !holds(CheckRegisterFace) && !holds(CheckFingers) {
		return tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
	}
	if verdict[CheckRegisterFace] == interview.Verified && verdict[CheckFingers] == interview.Verified && verdict[CheckLiveness] == interview.Verified {
		return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceSubstantial
	}
	return tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceLow
}

// fingerReasons are those for which a finger that the register has was not
// compared, and which lie with the person or the finger, not with the scanner.
var fingerReasons = []string{tunnel.ReasonDeclined, tunnel.ReasonNotThere, tunnel.ReasonTimedOut, tunnel.ReasonLowQuality}

// withoutFinger says that a finger was asked for and none came that could be
// compared. Who says so, waits until the time is over, or lays down what no
// scanner can take is seen by officers: on the way by the register that is no
// reason to be looked at by a machine less closely (row B12).
func withoutFinger(checks []interview.Check) bool {
	return slices.ContainsFunc(checks, func(c interview.Check) bool {
		return c.Name == CheckFingers && c.Verdict == interview.NotDone && slices.Contains(fingerReasons, c.Reason)
	})
}

// biometricsFailed says that a visit ended because of a biometric: no finger
// could be had on the way by the register, or an engine does not find the person
// in a picture. Two officers stand for that person then.
func biometricsFailed(route ticket.Route, checks []interview.Check) bool {
	return route == ticket.RouteRegister && withoutFinger(checks) || slices.ContainsFunc(checks, func(c interview.Check) bool {
		return slices.Contains([]string{CheckFingers, CheckRegisterFace, emrtd.CheckFace}, c.Name) && c.Reason == reasonNoMatch
	})
}

// decide is where this visit leads.
func (v *visit) decide() (result tunnel.Result, way problem.Way, assurance ticket.Assurance) {
	switch v.route {
	case ticket.RouteNobody:
		return tunnel.ResultDone, problem.WayRetry, ticket.AssuranceNone
	case ticket.RouteRegister:
		result, way, assurance = decideRegister(v.checks)
	case ticket.RouteReused:
		// Who the document's holder is was found out before; that its holder is
		// who stands there now, nothing here compared.
		result, way, assurance = tunnel.ResultJoin, problem.WayInterviewer, ticket.AssuranceLow
		if v.check(CheckBooked).Verdict == interview.Failed {
			result, way, assurance = tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
		}
	default:
		result, way, assurance = v.bridge.Policy.decide(v.checks)
	}
	if result == tunnel.ResultJoin && (v.doubted || v.suspect) {
		result, way, assurance = tunnel.ResultDesk, problem.WayAskStaff, ticket.AssuranceNone
	}
	if result == tunnel.ResultJoin && v.service != tunnel.ServiceInterview {
		result = tunnel.ResultDone
	}
	return result, way, assurance
}
