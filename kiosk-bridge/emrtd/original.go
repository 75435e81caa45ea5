package emrtd

import (
	"bytes"
	"errors"
	"slices"

	"kuule/interview"
)

// judgeDowngrade compares what the chip offered in the clear with what its
// issuer signed in DG14 (9303-11, 4.4.2): whoever sits between chip and bridge
// could strip PACE from the offer, or put another one into it.
func (in *inspection) judgeDowngrade(c *openChip, sod *securityObject, sound bool) {
	var offered [][]byte
	if c.offered != nil {
		offered = c.offered.paces
	}
	if sod == nil || !sound {
		in.add(CheckDowngrade, interview.NotDone, ReasonSignatureNotSound)
		return
	}
	if _, listed := sod.groups[14]; !listed {
		if len(offered) > 0 {
			in.add(CheckDowngrade, interview.Undetermined, ReasonNotListed)
			return
		}
		in.add(CheckDowngrade, interview.NotDone, ReasonNotOffered)
		return
	}
	if g := in.doc.Check(CheckDG14); g.Verdict != interview.Verified {
		in.add(CheckDowngrade, interview.Undetermined, g.Reason)
		return
	}
	signed, err := parseDG14(c.groups[14].b)
	switch {
	case err != nil:
		in.add(CheckDowngrade, interview.Undetermined, ReasonUnreadable)
	case len(signed.paces) == 0 && len(offered) == 0:
		in.add(CheckDowngrade, interview.NotDone, ReasonNotOffered)
	case !contains(offered, signed.paces):
		in.add(CheckDowngrade, interview.Failed, ReasonPACEWithheld)
	case !contains(signed.paces, offered):
		in.add(CheckDowngrade, interview.Failed, ReasonInfosDiffer)
	default:
		in.add(CheckDowngrade, interview.Verified, ReasonOK)
	}
}

func contains(all, some [][]byte) bool {
	return !slices.ContainsFunc(some, func(s []byte) bool {
		return !slices.ContainsFunc(all, func(a []byte) bool { return bytes.Equal(a, s) })
	})
}

// judgeOriginal reports each proof, and what they say together. A chip whose
// issuer signed for no key can be copied, and is said to be so.
func (in *inspection) judgeOriginal(c *openChip) {
	proofs := []interview.Check{
		in.judgeProof(CheckActiveAuth, CheckDG15, c.active),
		in.judgeProof(CheckChipAuth, CheckDG14, c.chip),
	}
	if c.access == ReasonPACECAM {
		proofs = append(proofs, in.judgeMapping(c))
	}
	in.doc.Checks = append(in.doc.Checks, proofs...)

	withheld := false
	for _, n := range []int{14, 15} {
		var status *StatusError
		g, listed := c.groups[n]
		withheld = withheld || errors.As(g.err, &status)
		in.doc.HasChipKeys = in.doc.HasChipKeys || (listed && (n == 15 || g.err != nil))
	}
	in.doc.HasChipKeys = in.doc.HasChipKeys || c.chip.offered || c.access == ReasonPACECAM

	with := func(v interview.Verdict) (interview.Check, bool) {
		// The last proofs are the stronger ones.
		for _, p := range slices.Backward(proofs) {
			if p.Verdict == v {
				return p, true
			}
		}
		return interview.Check{}, false
	}
	if p, found := with(interview.Failed); found {
		in.add(CheckChipOriginal, interview.Failed, p.Reason)
	} else if withheld {
		in.add(CheckChipOriginal, interview.Failed, ReasonKeyWithheld)
	} else if p, found := with(interview.Verified); found {
		in.add(CheckChipOriginal, interview.Verified, p.Name)
	} else if in.doc.HasChipKeys {
		in.add(CheckChipOriginal, interview.Undetermined, ReasonKeyNotProven)
	} else {
		in.add(CheckChipOriginal, interview.NotDone, ReasonCloningNotExcluded)
	}
}

// judgeProof counts a proof only under a key that the issuer signed.
func (in *inspection) judgeProof(name, group string, p proof) interview.Check {
	out := interview.Check{Name: name, Verdict: interview.NotDone}
	switch {
	case !p.offered:
		out.Reason = ReasonNotOffered
	case in.doc.Check(group).Verdict != interview.Verified:
		out.Reason = in.doc.Check(group).Reason
	default:
		out.Verdict, out.Reason = wordsOfProof(p.err)
	}
	return out
}

func (in *inspection) judgeMapping(c *openChip) interview.Check {
	out := interview.Check{Name: CheckMapping, Verdict: interview.Undetermined}
	if c.security.err != nil {
		out.Reason = reasonOfRead(c.security.err)
		return out
	}
	security, err := parseCardSecurity(c.security.b)
	if err != nil {
		out.Reason = ReasonUnreadable
		return out
	}
	signer, err := c.pace.verifyMapping(security, in.trust, in.now)
	out.Verdict, out.Reason = wordsOfProof(err)
	if err != nil {
		return out
	}
	switch want, known := alpha2[in.doc.MRZ.IssuingState]; {
	case !known:
		out.Verdict, out.Reason = interview.Undetermined, ReasonStateUnknown
	case want != signer.Country: // another state's chip carries these data
		out.Verdict, out.Reason = interview.Failed, ReasonMismatch
	}
	return out
}

func wordsOfProof(err error) (interview.Verdict, string) {
	switch {
	case err == nil:
		return interview.Verified, ReasonOK
	case errors.Is(err, ErrNotOriginal):
		return interview.Failed, ReasonNotOriginal
	case errors.Is(err, errTampered):
		return interview.Failed, ReasonAltered
	case errors.Is(err, errUnknownSigner):
		return interview.Undetermined, ReasonUnknownIssuer
	case errors.Is(err, ErrAlgorithm), errors.Is(err, ErrCurve):
		return interview.Undetermined, ReasonAlgorithm
	}
	return interview.Undetermined, reasonOfRead(err)
}
