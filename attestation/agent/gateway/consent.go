package gateway

import (
	"net/http"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/viewing"
)

type consentAnswer struct {
	Consent string `json:"consent"`
}

// postConsent signs that the person at this device opens a recording, or allows
// another to. Only the page can ask for it, so the server alone can open none.
func (g *Gateway) postConsent(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Act     viewing.Act         `json:"act"`
		Viewing string              `json:"viewing"`
		Hearing interview.HearingID `json:"hearing"`
		Purpose string              `json:"purpose"` // hash
		Nonce   string              `json:"nonce"`

		// Participant listens to the own hearing here and signs in nowhere.
		Participant interview.ParticipantID `json:"participant"`
	}
	if err := read(w, r, &in); err != nil {
		g.refuse(w, r, err)
		return
	}
	c := viewing.Consent{
		V: 1, Act: in.Act, Viewing: in.Viewing, Hearing: in.Hearing, Purpose: in.Purpose, Nonce: in.Nonce,
		Device: g.cfg.Device.ID, IssuedAt: time.Now().Unix(), Participant: in.Participant,
	}
	if err := c.Check(); err != nil {
		g.refuse(w, r, problem.New(problem.CodeStatementInvalid, "%w", err))
		return
	}
	if c.Participant.IsZero() {
		who, _ := g.signedIn(sessionOf(r))
		if who == nil {
			g.refuse(w, r, problem.New(problem.CodeSignIn, "nobody is signed in at the device"))
			return
		}
		c.Person = viewing.Person(who.Issuer, who.Subject)
	}
	signed, err := g.sign(c, viewing.TypeConsent)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	answer(w, consentAnswer{Consent: signed})
}
