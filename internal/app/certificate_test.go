package app

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/config"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ledger"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/certificate"
	"kuule/kiosk-bridge/tunnel"
)

// counter is a door with its two routes of certificates, and a world with visits.
type counter struct {
	t     *testing.T
	door  *door
	world *interviewtest.World
	mux   *http.ServeMux
	kiosk interview.DeviceID
}

func newCounter(t *testing.T, db *bun.DB) *counter {
	t.Helper()
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	in := &installation{Config: c, layout: c.Layout()}
	if err := in.layout.Make(in.layout.Door()); err != nil {
		t.Fatal(err)
	}
	if _, err := makeKey(in.path(bridgeKeyFile)); err != nil {
		t.Fatal(err)
	}
	world := interviewtest.NewWorld(t, db)
	at := &counter{t: t, world: world, mux: http.NewServeMux(), kiosk: interview.NewDeviceID()}
	at.door = &door{in: in, hearings: world.Store, tickets: kioskbridge.NewSQL(db, ledger.Outbox{})}
	at.door.registerCertificates(at.mux)
	return at
}

func (c *counter) participant(role interview.Role) interview.ParticipantID {
	i := slices.IndexFunc(c.world.Hearing.Participants, func(p interview.Participant) bool { return p.Role == role })
	return c.world.Hearing.Participants[i].ID
}

// visit is one of the applicant at the kiosk that ended just now.
func (c *counter) visit(change func(*kioskbridge.Record)) interview.VisitID {
	c.t.Helper()
	now := time.Now().UnixMilli()
	r := kioskbridge.Record{
		ID: interview.NewVisitID(), Case: c.world.Case.ID, Hearing: c.world.Hearing.ID, Participant: c.participant(interview.RoleApplicant),
		Role: interview.RoleApplicant, Purpose: interview.PurposeHearing, Kiosk: c.kiosk, Site: interview.NewPremisesID().String(), Route: "document",
		Result: tunnel.ResultJoin, Assurance: "substantial", StartedAt: now - 60_000, EndedAt: now, Sealed: []byte("x"),
	}
	change(&r)
	if err := c.door.tickets.Save(c.t.Context(), r, kioskbridge.Kept{}); err != nil {
		c.t.Fatal(err)
	}
	return r.ID
}

// ask posts a body as the caller, or as nobody.
func (c *counter) ask(by *interview.Caller, path string, body any) (*httptest.ResponseRecorder, problem.Code) {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, path, bytes.NewReader(text))
	if by != nil {
		r = r.WithContext(interview.WithCaller(r.Context(), *by))
	}
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	var d problem.Document
	if w.Code >= http.StatusBadRequest {
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
			c.t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return w, d.Code
}

// B16: a kiosk has a certificate of a visit that was its own, identified the
// applicant, and has just ended. Each condition missing alone refuses it.
func TestAKioskPrintsOnlyAfterItsOwnVisit(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.Open(t))
	const path = "/api/kiosk/certificates"
	own := interview.Caller{Device: c.kiosk}
	for _, result := range []tunnel.Result{tunnel.ResultJoin, tunnel.ResultDone} {
		visit := c.visit(func(r *kioskbridge.Record) { r.Result = result })
		w, code := c.ask(&own, path, map[string]any{"visit": visit})
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(w.Body.Bytes(), []byte("%PDF-")) {
			t.Errorf("%s: %d %q %q", result, w.Code, code, w.Header().Get("Content-Type"))
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", result, got)
		}
	}
	same := func(*kioskbridge.Record) {}
	other := interview.Caller{Device: interview.NewDeviceID()}
	for name, refused := range map[string]struct {
		by     *interview.Caller
		change func(*kioskbridge.Record)
		want   problem.Code
	}{
		"nobody asks":           {nil, same, problem.CodeSignIn},
		"another kiosk":         {&other, same, problem.CodeNotFound},
		"sent to the desk":      {&own, func(r *kioskbridge.Record) { r.Result = tunnel.ResultDesk }, problem.CodeNotReady},
		"to be done again":      {&own, func(r *kioskbridge.Record) { r.Result = tunnel.ResultAgain }, problem.CodeNotReady},
		"over for long":         {&own, func(r *kioskbridge.Record) { r.EndedAt -= (certificateWithin + time.Minute).Milliseconds() }, problem.CodeTooLate},
		"counsel's":             {&own, func(r *kioskbridge.Record) { r.Participant = c.participant(interview.RoleCounsel) }, problem.CodeForbidden},
		"of nobody in hearings": {&own, func(r *kioskbridge.Record) { r.Participant = interview.NewParticipantID() }, problem.CodeNotFound},
	} {
		visit := c.visit(refused.change)
		if w, code := c.ask(refused.by, path, map[string]any{"visit": visit}); code != refused.want || bytes.Contains(w.Body.Bytes(), []byte("%PDF")) {
			t.Errorf("%s: %d %q, want %q", name, w.Code, code, refused.want)
		}
	}
	if _, code := c.ask(&own, path, map[string]any{"visit": interview.NewVisitID()}); code != problem.CodeNotFound {
		t.Errorf("no such visit: %q", code)
	}
	if _, code := c.ask(&own, path, map[string]any{"visit": "x"}); code != problem.CodeMalformed {
		t.Errorf("no id of a visit: %q", code)
	}
}

// B16: officers, and nobody else, learn whether a code is of a certificate made
// here, and what it says.
func TestOfficersLearnWhetherACertificateIsGenuine(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.Open(t))
	const path = "/api/desk/certificates"
	key, err := readKey(c.door.in.path(bridgeKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	claims := certificate.Claims{V: 1, Visit: interview.NewVisitID(), Kiosk: c.kiosk, Diary: "MIG-2026-10482", Name: "Samir Haddad", Issued: time.Now().Unix()}
	sign := func(change func(*certificate.Claims)) string {
		said := claims
		change(&said)
		code, err := certificate.Sign(said, key)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	genuine := sign(func(*certificate.Claims) {})
	foreign, err := certificate.Sign(claims, testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	officer := c.world.Caller(interview.RoleOfficer)
	w, code := c.ask(&officer, path, map[string]any{"code": genuine[:40] + "\r\n" + genuine[40:]})
	var got certificate.Claims
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || code != "" || got != claims {
		t.Errorf("genuine: %d %q %+v %v", w.Code, code, got, err)
	}

	changed := []byte(genuine)
	changed[len(changed)/2] ^= 1
	for name, code := range map[string]string{
		"altered": string(changed), "another installation's": foreign, "of an appointment": "K7M2-9QXA-4RTB", "empty": "",
		"too long": genuine + string(bytes.Repeat([]byte("a"), certificate.MaxCode)), "of tomorrow": sign(func(c *certificate.Claims) { c.Issued += 86400 }),
	} {
		if w, got := c.ask(&officer, path, map[string]any{"code": code}); got != problem.CodeEvidence || bytes.Contains(w.Body.Bytes(), []byte("Samir")) {
			t.Errorf("%s: %d %q", name, w.Code, got)
		}
	}

	device := interview.Caller{Device: c.kiosk}
	refused := map[string]*interview.Caller{"nobody": nil, "the kiosk itself": &device}
	for _, role := range interviewtest.Roles {
		if role != interview.RoleOfficer {
			by := c.world.Caller(role)
			refused[string(role)] = &by
		}
	}
	for name, by := range refused {
		if w, code := c.ask(by, path, map[string]any{"code": genuine}); code == "" || bytes.Contains(w.Body.Bytes(), []byte("Samir")) {
			t.Errorf("%s: %d %q", name, w.Code, code)
		}
	}
}
