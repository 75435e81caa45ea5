package agreements_test

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/agreements"
	"kuule/agreements/agreementstest"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/interview/interviewtest"
)

type office struct {
	store   *agreements.Store
	db      *bun.DB
	private ed25519.PrivateKey
	outbox  *interviewtest.Outbox
	now     time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{db: storetest.Open(t), private: private, outbox: &interviewtest.Outbox{}, now: time.Now()}
	o.store = agreements.NewStore(o.db, pub, o.outbox, func() time.Time { return o.now })
	return o
}

func (o *office) document() *agreement.Document {
	room := interview.NewPremisesID()
	return &agreement.Document{
		Organisation: agreement.Organisation{Name: "Firm", Number: "1234567-8", Kind: "law-firm"},
		Criteria:     agreement.Criteria{Set: "room", Version: "1", Level: "IV"},
		Premises:     []agreement.Premises{{ID: room, Label: "Room 2", Address: "Street 1", Room: "2"}},
		Devices: []agreement.Device{{
			ID: interview.NewDeviceID(), PermanentIdentifier: "ek-" + room.String(), Serial: "S1", Model: "M", Label: "Laptop", Owner: "Firm", Premises: []interview.PremisesID{room},
		}},
		Persons:   []agreement.Person{{Subject: "sub-counsel", Role: interview.RoleCounsel}},
		ValidFrom: o.now.Add(-time.Hour).Unix(), ValidUntil: o.now.AddDate(1, 0, 0).Unix(),
	}
}

func (o *office) inForce(t *testing.T) (agreements.Agreement, *agreement.Document) {
	t.Helper()
	doc := o.document()
	a, err := agreementstest.InForce(t.Context(), o.store, o.private, doc)
	if err != nil {
		t.Fatal(err)
	}
	return a, doc
}

func code(err error) problem.Code {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// C3, C4, C11: one device, at one premises, while one agreement is in force.
func TestARegisteredDeviceIsCoveredAtItsPremisesAndNowhereElse(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	a, doc := o.inForce(t)
	device, room := doc.Devices[0], doc.Premises[0].ID
	named, err := o.store.ForDevice(t.Context(), device.PermanentIdentifier)
	if err != nil || named.Device != device.ID || named.Agreement != a.ID || !slices.Contains(named.Premises, room) {
		t.Fatalf("named: %+v, %v", named, err)
	}
	if _, err := o.store.ForDevice(t.Context(), "ek-unknown"); code(err) != problem.CodeDeviceNotNamed {
		t.Errorf("unknown TPM: %v", err)
	}
	covered, err := o.store.Covers(t.Context(), device.ID, room, o.now)
	if err != nil || covered.Place != "Room 2" || covered.Agreement != a.ID {
		t.Fatalf("covered: %+v, %v", covered, err)
	}
	for name, c := range map[string]struct {
		device interview.DeviceID
		room   interview.PremisesID
		at     time.Time
		want   problem.Code
	}{
		"another device":   {interview.NewDeviceID(), room, o.now, problem.CodeDeviceNotNamed},
		"another premises": {device.ID, interview.NewPremisesID(), o.now, problem.CodePremises},
		"before it holds":  {device.ID, room, o.now.Add(-2 * time.Hour), problem.CodeDeviceNotNamed},
		"after it ended":   {device.ID, room, o.now.AddDate(2, 0, 0), problem.CodeDeviceNotNamed},
	} {
		if _, err := o.store.Covers(t.Context(), c.device, c.room, c.at); code(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// What a booking may choose from is what it would be accepted with.
func TestPlacesAreThoseThatAreCovered(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, doc := o.inForce(t)
	places, err := o.store.Places(t.Context(), o.now)
	want := interview.Place{Device: doc.Devices[0].ID, Label: "Laptop", Premises: doc.Premises[0].ID, Place: "Room 2"}
	if err != nil || !slices.Equal(places, []interview.Place{want}) {
		t.Fatalf("places: %+v, %v", places, err)
	}
	if _, err := o.store.Covers(t.Context(), places[0].Device, places[0].Premises, o.now); err != nil {
		t.Errorf("a place that is listed is not covered: %v", err)
	}
	if places, err := o.store.Places(t.Context(), o.now.AddDate(2, 0, 0)); err != nil || len(places) != 0 {
		t.Errorf("after it ended: %v, %v", places, err)
	}
}

// C6: the persons of the organisation are named too.
func TestCoverageNamesPersonsInTheirRole(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, doc := o.inForce(t)
	ask := func(subject string, role interview.Role) agreements.Coverage {
		c, err := o.store.Coverage(t.Context(), doc.Devices[0].ID, doc.Premises[0].ID, subject, role, o.now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := ask("sub-counsel", interview.RoleCounsel); !c.Device || !c.Premises || !c.Person || c.Signed == "" {
		t.Errorf("named counsel: %+v", c)
	}
	if ask("sub-other", interview.RoleCounsel).Person || ask("sub-counsel", interview.RoleInterpreter).Person || ask("", "").Person {
		t.Error("a person who is not named, or not in that role, was covered")
	}
}

func TestSuspensionRevocationAndEndCountAtOnceAndRaiseTheGeneration(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	a, doc := o.inForce(t)
	device := doc.Devices[0]
	raised := func() func() {
		before, _ := o.store.Generation(t.Context())
		return func() {
			if after, _ := o.store.Generation(t.Context()); after <= before {
				t.Errorf("generation stayed at %d", after)
			}
		}
	}
	step := func(to agreements.State) {
		t.Helper()
		check := raised()
		var err error
		if a, err = o.store.Step(t.Context(), a.ID, a.Version, to, "reason", "office"); err != nil {
			t.Fatal(err)
		}
		check()
	}
	want := func(when string, c problem.Code) {
		t.Helper()
		if _, err := o.store.ForDevice(t.Context(), device.PermanentIdentifier); code(err) != c {
			t.Errorf("%s: got %v, want %q", when, err, c)
		}
	}
	places := func(when string, n int) {
		t.Helper()
		if got, err := o.store.Places(t.Context(), o.now); err != nil || len(got) != n {
			t.Errorf("%s: places %v, %v; want %d", when, got, err, n)
		}
	}
	step(agreements.Suspended)
	want("suspended", problem.CodeDeviceNotNamed)
	places("suspended", 0)
	step(agreements.Signed)
	want("reinstated", "")
	places("reinstated", 1)
	check := raised()
	if _, err := o.store.RevokeDevice(t.Context(), a.ID, device.ID, "stolen", "office"); err != nil {
		t.Fatal(err)
	}
	check()
	want("device revoked", problem.CodeDeviceRevoked)
	places("device revoked", 0)
	step(agreements.Ended)
	want("ended", problem.CodeDeviceNotNamed)
}

func TestOnlyTheNamedStepsExist(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	doc := o.document()
	a, err := o.store.Request(t.Context(), doc.Organisation, doc.Criteria, "office")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []agreements.State{agreements.Signed, agreements.Suspended, agreements.Decision, agreements.Requested, "no-such"} {
		if _, err := o.store.Step(t.Context(), a.ID, a.Version, to, "r", "office"); code(err) != problem.CodeAgreementState {
			t.Errorf("requested to %s: %v", to, err)
		}
	}
	doc.V, doc.ID, doc.Revision = 1, a.ID, 1
	signed, err := agreement.Sign(doc, o.private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.store.Import(t.Context(), a.ID, signed, "office"); code(err) != problem.CodeAgreementState {
		t.Errorf("signed before it was decided: %v", err)
	}
	if _, err := o.store.Step(t.Context(), a.ID, a.Version+1, agreements.Negotiation, "r", "office"); err == nil {
		t.Error("a step at another version than the register's went through")
	}
	if _, err := o.store.Step(t.Context(), a.ID, a.Version, agreements.Negotiation, " ", "office"); code(err) != problem.CodeMalformed {
		t.Errorf("a step without a reason: %v", err)
	}
}

func TestImportTakesOnlyTheRightDocument(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	a, doc := o.inForce(t)
	_, forger, _ := ed25519.GenerateKey(nil)
	try := func(key ed25519.PrivateKey, change func(*agreement.Document)) error {
		next := *doc
		next.Revision = 2
		change(&next)
		signed, err := agreement.Sign(&next, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.store.Import(t.Context(), a.ID, signed, "office")
		return err
	}
	for name, c := range map[string]struct {
		key    ed25519.PrivateKey
		change func(*agreement.Document)
		want   problem.Code
	}{
		"signed by somebody else":   {forger, func(*agreement.Document) {}, problem.CodeAgreementSignature},
		"of another agreement":      {o.private, func(d *agreement.Document) { d.ID = interview.NewAgreementID() }, problem.CodeAgreementState},
		"of another organisation":   {o.private, func(d *agreement.Document) { d.Organisation.Number = "7" }, problem.CodeAgreementState},
		"an old revision once more": {o.private, func(d *agreement.Document) { d.Revision = 1 }, problem.CodeAgreementState},
	} {
		if err := try(c.key, c.change); code(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if err := try(o.private, func(d *agreement.Document) { d.Devices = nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := o.store.ForDevice(t.Context(), doc.Devices[0].PermanentIdentifier); code(err) != problem.CodeDeviceNotNamed {
		t.Errorf("a device that the new revision no longer names: %v", err)
	}
	other := o.document()
	other.Devices[0].PermanentIdentifier = "ek-shared"
	if _, err := agreementstest.InForce(t.Context(), o.store, o.private, other); err != nil {
		t.Fatal(err)
	}
	third := o.document()
	third.Devices[0].PermanentIdentifier = "ek-shared"
	if _, err := agreementstest.InForce(t.Context(), o.store, o.private, third); code(err) != problem.CodeAgreementState {
		t.Errorf("one TPM in two agreements: %v", err)
	}
}

// A row that somebody put into the database names nothing.
func TestWhatTheOfficeDidNotSignNamesNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	a, _ := o.inForce(t)
	_, forger, _ := ed25519.GenerateKey(nil)
	evil := o.document()
	evil.V, evil.ID, evil.Revision = 1, a.ID, 2
	signed, err := agreement.Sign(evil, forger)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		"INSERT INTO agreement_document VALUES ('" + a.ID.String() + "', 2, '" + signed + "')",
		"INSERT INTO agreement_device VALUES ('" + a.ID.String() + "', 2, '" + evil.Devices[0].ID.String() + "', 'ek-evil')",
		"UPDATE agreement SET revision = 2",
	} {
		if _, err := o.db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if named, err := o.store.ForDevice(t.Context(), "ek-evil"); err == nil {
		t.Errorf("a forged row named %v", named.Device)
	}
	for _, q := range []string{"UPDATE agreement_document SET signed = ''", "DELETE FROM agreement_step", "DELETE FROM agreement_device"} {
		if _, err := o.db.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s went through", q)
		}
	}
}

func TestEveryRouteAsEveryRole(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	agreements.Register(api, o.store)
	interviewtest.CheckAccess(t, mux, api)
}

func TestAnAgreementComesIntoForceOverHTTP(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	mux := http.NewServeMux()
	agreements.Register(interview.NewAPI(mux), o.store)
	me := interview.Caller{Device: interview.NewDeviceID(), Subject: "office", Roles: []interview.Role{interview.RoleSecurityOffice}}
	a, doc := o.inForce(t)
	status, body := interviewtest.Do(mux, me, "POST", "/api/agreements/"+a.ID.String()+"/steps", map[string]any{"to": "suspended", "reason": "incident", "version": a.Version})
	if status != http.StatusOK || !strings.Contains(string(body), `"suspended"`) {
		t.Fatalf("suspend: %d %s", status, body)
	}
	if _, err := o.store.Covers(t.Context(), doc.Devices[0].ID, doc.Premises[0].ID, o.now); code(err) != problem.CodeDeviceNotNamed {
		t.Errorf("suspended over HTTP: %v", err)
	}
	status, body = interviewtest.Do(mux, me, "POST", "/api/agreements/"+a.ID.String()+"/steps", map[string]any{"to": "signed", "reason": "r", "version": a.Version})
	if status != http.StatusConflict || interviewtest.Code(body) != problem.CodeConflict {
		t.Errorf("at an old version: %d %s", status, body)
	}
	if status, body = interviewtest.Do(mux, me, "GET", "/api/agreements", nil); status != http.StatusOK || !strings.Contains(string(body), a.ID.String()) {
		t.Errorf("list: %d %s", status, body)
	}
}
