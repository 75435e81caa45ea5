package agreementstest

import (
	"context"
	"crypto"

	"kuule/agreements"
	"kuule/interview/agreement"
)

// InForce requests, assesses and decides an agreement, signs doc for it with the
// office's key, and imports it. doc gets the agreement's id, version and
// revision; it says organisation, criteria, names and validity.
func InForce(ctx context.Context, s *agreements.Store, office crypto.Signer, doc *agreement.Document) (agreements.Agreement, error) {
	a, err := s.Request(ctx, doc.Organisation, doc.Criteria, "office")
	if err != nil {
		return agreements.Agreement{}, err
	}
	for _, to := range []agreements.State{agreements.Negotiation, agreements.Assessment, agreements.Decision} {
		if a, err = s.Step(ctx, a.ID, a.Version, to, "demonstration", "office"); err != nil {
			return agreements.Agreement{}, err
		}
	}
	doc.V, doc.ID, doc.Revision = 1, a.ID, 1
	signed, err := agreement.Sign(doc, office)
	if err != nil {
		return agreements.Agreement{}, err
	}
	return s.Import(ctx, a.ID, signed, "office")
}
