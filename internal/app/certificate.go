package app

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/certificate"
	"kuule/kiosk-bridge/tunnel"
)

// certificateWithin is how long after a visit its kiosk may print.
const certificateWithin = 15 * time.Minute

// registerCertificates adds the two routes of certificates (row B16): a kiosk
// fetches the paper after a visit of its own, and officers ask whether one that
// they are shown is genuine.
func (d *door) registerCertificates(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/kiosk/certificates", guarded(d.makeCertificate))
	mux.HandleFunc("POST /api/desk/certificates", guarded(d.checkCertificate))
}

// makeCertificate answers the kiosk at which a person was identified just now.
func (d *door) makeCertificate(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		Visit interview.VisitID `json:"visit"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	visit, err := d.tickets.Visit(r.Context(), in.Visit)
	if err != nil {
		return err
	}
	now := time.Now()
	switch {
	case visit.Kiosk != c.Device: // as if it did not exist: it is not this kiosk's
		return problem.New(problem.CodeNotFound, "visit %s", in.Visit)
	case visit.Result != tunnel.ResultJoin && visit.Result != tunnel.ResultDone, visit.Assurance == ticket.AssuranceNone:
		return problem.New(problem.CodeNotReady, "nobody was identified in visit %s", in.Visit)
	case now.Sub(time.UnixMilli(visit.EndedAt)) > certificateWithin:
		return problem.New(problem.CodeTooLate, "visit %s is over", in.Visit)
	}
	h, err := d.hearings.HearingOf(r.Context(), visit.Participant)
	if err != nil {
		return err
	}
	p, ok := h.Participant(visit.Participant)
	if !ok || p.Role != interview.RoleApplicant {
		return problem.New(problem.CodeForbidden, "certificates are for whose matter it is")
	}
	key, err := readKey(d.in.path(bridgeKeyFile))
	if err != nil {
		return err
	}
	claims := certificate.Claims{V: 1, Visit: visit.ID, Kiosk: visit.Kiosk, Diary: h.Diary, Name: p.Name, Issued: now.Unix()}
	code, err := certificate.Sign(claims, key)
	if err != nil {
		return err
	}
	pdf, err := certificate.PDF(claims, code, now.Location())
	if err != nil {
		return problem.New(problem.CodeNotReady, "certificate of visit %s: %w", visit.ID, err)
	}
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Length", strconv.Itoa(len(pdf)))
	_, err = w.Write(pdf)
	return err
}

// checkCertificate tells an officer what a code from a paper says, if it is one.
func (d *door) checkCertificate(w http.ResponseWriter, r *http.Request, _ interview.Caller) error {
	var in struct {
		Code string `json:"code"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	key, err := readKey(d.in.path(bridgeKeyFile))
	if err != nil {
		return err
	}
	claims, err := certificate.Verify(in.Code, key.Public(), time.Now())
	if errors.Is(err, certificate.ErrInvalid) {
		return problem.New(problem.CodeEvidence, "%w", err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, claims)
}
