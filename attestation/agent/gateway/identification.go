package gateway

import (
	"net/http"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
)

type identificationAnswer struct {
	Signed string `json:"signed"`
}

// postIdentification signs that the officer at this device stands for evidence
// of who a person is. Only the page can ask for it, and only while an officer is
// signed in: the server alone can identify nobody.
func (g *Gateway) postIdentification(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Evidence string `json:"evidence"`
	}
	if err := read(w, r, &in); err != nil {
		g.refuse(w, r, err)
		return
	}
	who, _ := g.signedIn(sessionOf(r))
	if who == nil || who.Role != string(interview.RoleOfficer) {
		g.refuse(w, r, problem.New(problem.CodeSignIn, "no officer is signed in at the device"))
		return
	}
	i, err := ticket.Identify(in.Evidence, viewing.Person(who.Issuer, who.Subject), g.cfg.Device.ID, time.Now())
	if err != nil {
		g.refuse(w, r, problem.New(problem.CodeStatementInvalid, "%w", err))
		return
	}
	signed, err := g.sign(i, ticket.TypIdentification)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	answer(w, identificationAnswer{Signed: signed})
}
