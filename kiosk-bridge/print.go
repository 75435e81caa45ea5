package kioskbridge

import (
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// Names of the checks of the document as a whole.
const (
	CheckPrint     = "document-print"        // what a document reader says of the print; asserted at most
	CheckAuthentic = "document-authenticity" // print, passive authentication and the chip's own keys together (row B2)
)

// ReasonSuspect is a print of which the reader doubts.
const ReasonSuspect = "print-suspect"

// print keeps what the document reader says of the print, feature by feature, as
// asserted. A doubt sends the person to the desk: eyes and lenses are there.
func (v *visit) print(c tunnel.Capture) error {
	text := piece(c, "print")
	if text == nil {
		return nil
	}
	p, err := tunnel.ReadPrint(text)
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	switch p.Verdict {
	case tunnel.PrintGenuine:
		v.set(CheckPrint, interview.Asserted, emrtd.ReasonOK)
	case tunnel.PrintSuspect:
		v.set(CheckPrint, interview.Undetermined, ReasonSuspect)
		v.suspect = true
	default:
		v.set(CheckPrint, interview.Undetermined, "print-"+p.Verdict)
	}
	for _, f := range p.Features {
		v.findings = append(v.findings, ticket.Finding{Check: string(ticket.StepDocument) + ".print." + f.Name, Verdict: f.Verdict, Engine: p.Engine})
	}
	return nil
}

// signed and whole: what passive authentication needs all of.
var authentic = []string{emrtd.CheckSignature, emrtd.CheckChain, emrtd.CheckIssuer, emrtd.CheckDG1, emrtd.CheckDG2, emrtd.CheckDG1Optical}

// authenticity puts into one word what is known of a document with a chip (row
// B2, after BSI TR-03135): failed where something is proven to be wrong; verified
// where the issuer's signature holds for all that was read, the chip proved to be
// no copy and no reader doubts the print; otherwise undetermined, with the first
// reason. A reader's praise raises nothing: it only asserts.
func authenticity(checks []interview.Check) (interview.Verdict, string) {
	verdict := map[string]interview.Check{}
	for _, c := range checks {
		verdict[c.Name] = c
	}
	needed := append(append([]string{}, authentic...), emrtd.CheckChipOriginal)
	for _, name := range append([]string{CheckSpecimen}, needed...) {
		if c := verdict[name]; c.Verdict == interview.Failed {
			return interview.Failed, c.Reason
		}
	}
	if c := verdict[CheckPrint]; c.Verdict == interview.Undetermined {
		return interview.Undetermined, c.Reason
	}
	for _, name := range needed {
		c := verdict[name]
		if c.Verdict == interview.Verified {
			continue
		}
		if c.Reason == "" {
			return interview.Undetermined, emrtd.ReasonChipNotRead
		}
		return interview.Undetermined, c.Reason
	}
	return interview.Verified, emrtd.ReasonOK
}
