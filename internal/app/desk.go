package app

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
	kioskbridge "kuule/kiosk-bridge"
)

// identifyQuestion is an officer's word with all that proves it.
type identifyQuestion struct {
	Evidence string `json:"evidence"`
	Word     person `json:"word"` // Consent is the kuule-identification+jws
}

// wordRoute is the route of an officer's word, as the access table names it.
const wordRoute = "PUT /api/desk/identifications/{visit}/word"

// officer names the caller as authority will: by the hash of issuer and subject.
func (d *door) officer(c interview.Caller) (kioskbridge.Officer, error) {
	if c.Subject == "" {
		return kioskbridge.Officer{}, problem.New(problem.CodeSignIn, "nobody is signed in")
	}
	return kioskbridge.Officer{Person: viewing.Person(d.in.Identity.Issuer, c.Subject), Device: c.Device}, nil
}

// registerWord takes officers' words. It is no operation of the typed interface,
// since authority needs the connection's certificate and the identity token.
func (d *door) registerWord(mux *http.ServeMux, desk *kioskbridge.Desk) {
	mux.HandleFunc(wordRoute, guarded(func(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
		return d.takeWord(w, r, c, desk)
	}))
}

func (d *door) takeWord(w http.ResponseWriter, r *http.Request, c interview.Caller, desk *kioskbridge.Desk) error {
	by, err := d.officer(c)
	if err != nil {
		return err
	}
	visit, err := interview.ParseVisitID(r.PathValue("visit"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	var in struct {
		Signed string `json:"signed"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	evidence, err := desk.Evidence(r.Context(), visit)
	if err != nil {
		return err
	}
	// Authority remembers the word before the door counts it: a ticket that it
	// would refuse is never written.
	q := identifyQuestion{Evidence: evidence, Word: personOf(r, in.Signed)}
	if err := d.conn.Call(r.Context(), bus.Main(bus.Authority), "identify", q, nil); err != nil {
		return err
	}
	out, err := desk.Word(r.Context(), by, visit, in.Signed)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

// PlaceOf implements kioskbridge.Places.
func (d *door) PlaceOf(ctx context.Context, device interview.DeviceID) (string, error) {
	p, err := d.placeOf(ctx, device)
	return placeText(p), err
}

// placeOf finds where an agreement in force lets the device stand.
func (d *door) placeOf(ctx context.Context, device interview.DeviceID) (interview.Place, error) {
	places, err := d.register.Places(ctx, time.Now())
	if err != nil {
		return interview.Place{}, err
	}
	for _, p := range places {
		if p.Device == device {
			return p, nil
		}
	}
	return interview.Place{}, problem.New(problem.CodeDeviceNotNamed, "no agreement in force names device %s", device)
}

func placeText(p interview.Place) string { return strings.Trim(p.Label+", "+p.Place, ", ") }

// identify checks an officer's word and remembers it: signed in as an officer,
// at a device that proves its state now and whose agreement names that person
// as an officer, and signed by that device for exactly this evidence.
func (a *authority) identify(ctx context.Context, q identifyQuestion) error {
	now := time.Now()
	device, err := a.devices.Device(ctx, q.Word.Certificate)
	if err != nil {
		return err
	}
	if _, err := a.devices.Fresh(device.DeviceID, now, postureAge); err != nil {
		return err
	}
	doc, err := a.shelf.covering(device.DeviceID)
	if err != nil {
		return problem.New(problem.CodeNoAgreement, "device %s: %w", device.DeviceID, err)
	}
	who, err := a.people.Verify(ctx, q.Word.Proof, device.DeviceID.String())
	if err != nil {
		return err
	}
	switch {
	case who.Role != string(interview.RoleOfficer):
		return problem.Refused(problem.CodeForbidden, "identify-by-officer", "role %s identifies nobody", who.Role)
	case !doc.Names(who.Subject, interview.RoleOfficer):
		return problem.Refused(problem.CodeForbidden, "identify-by-officer", "agreement %s names no such officer", doc.ID)
	}
	officer := viewing.Person(who.Issuer, who.Subject)
	i, err := ticket.VerifyIdentification(q.Word.Consent, q.Evidence, officer, a.deviceRoot, deviceOf, now)
	if err != nil {
		return problem.Refused(problem.CodeStatementInvalid, "identify-signed", "%w", err)
	}
	if i.Device != device.DeviceID {
		return problem.Refused(problem.CodeStatementInvalid, "identify-signed", "signed by another device than the one that brings it")
	}
	slog.Info("an officer stands for a person", "visit", i.Visit, "method", i.Method, "device", i.Device)
	return a.visits.stand(i.Visit, ticket.Hash([]byte(q.Evidence)), officer)
}
