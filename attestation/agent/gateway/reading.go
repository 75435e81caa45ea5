package gateway

import (
	"net/http"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
)

// postReading signs that the person at this device reads back what was given in a
// visit at a kiosk. Only the page can ask for it, and only while an officer or an
// interviewer is signed in: the server alone can read nothing of it.
func (g *Gateway) postReading(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Visit   interview.VisitID   `json:"visit"`
		Hearing interview.HearingID `json:"hearing"`
		Purpose string              `json:"purpose"` // hash
	}
	if err := read(w, r, &in); err != nil {
		g.refuse(w, r, err)
		return
	}
	word := ticket.Reading{V: 1, Visit: in.Visit, Hearing: in.Hearing, Purpose: in.Purpose, Device: g.cfg.Device.ID, IssuedAt: time.Now().Unix()}
	if err := word.Check(); err != nil {
		g.refuse(w, r, problem.New(problem.CodeStatementInvalid, "%w", err))
		return
	}
	who, _ := g.signedIn(sessionOf(r))
	if who == nil || who.Role != string(interview.RoleOfficer) && who.Role != string(interview.RoleInterviewer) {
		g.refuse(w, r, problem.New(problem.CodeSignIn, "no officer and no interviewer is signed in at the device"))
		return
	}
	word.Reader = viewing.Person(who.Issuer, who.Subject)
	signed, err := g.sign(word, ticket.TypReading)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	answer(w, identificationAnswer{Signed: signed})
}
