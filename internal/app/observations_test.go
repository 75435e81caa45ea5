package app

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/audit"
	"kuule/internal/jws"
	"kuule/internal/leaktest"
	"kuule/interview"
	"kuule/interview/ledger"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/emrtd"
)

// planted are words that staff, officers and machines have left about a person,
// each where nothing else says it, and the answers in which it may stand: role
// and route. "own" is the interviewer of that very hearing.
var planted = map[string][]string{
	"Seenwordnine":      {"own GET /api/hearings/{hearing}/notes"}, // an observation (615/2020 7 §)
	"Guardwordnine":     {"own GET /api/hearings/{hearing}/notes"}, // its source
	"Hearsaywordnine":   {"own GET /api/hearings/{hearing}/notes"}, // how far it can be relied on
	"Illnesswordnine":   {"own GET /api/hearings/{hearing}/notes"}, // a special category
	"Lookedatwordnine":  {"officer GET /api/desk"},                 // what an officer looked at
	"REGISTERWORDNINE":  {"officer GET /api/desk/duplicates"},      // somebody else's entry
	"Enginewordnine":    {"own GET /api/hearings/{hearing}/faces/{participant}"},
	"Thresholdwordnine": {"own GET /api/hearings/{hearing}/faces/{participant}"},
	"Checkwordnine":     nil, // the interviewer is told at the door alone, with the knock
	"Settledwordnine":   nil, // an officer's note on a hit that was settled
	"Purposewordnine":   nil, // for what something was read back
}

// plant has each of them written where it belongs.
func (g *gatehouse) plant() (applicant interview.Participant) {
	t, d, w := g.t, g.door, g.world
	t.Helper()
	ctx := t.Context()
	insert := func(table string, values map[string]any) {
		t.Helper()
		if _, err := d.db.NewInsert().Model(&values).Table(table).Exec(ctx); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	sealed := func(bound string, content any) []byte {
		t.Helper()
		b, err := interview.SealJSON(ctx, d.sealer, w.Case.ID, bound, content)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	own := g.at(w.Desk).signIn("sub-interviewer")
	notes := "/api/hearings/" + w.Hearing.ID.String() + "/notes"
	var ignored any
	own.told("POST", notes, `{"class":"observation","words":{"text":"Seenwordnine ääni","source":"Guardwordnine","reliability":"Hearsaywordnine"}}`, &ignored)
	own.told("POST", notes, `{"class":"special","words":{"text":"Illnesswordnine"}}`, &ignored)

	applicant = g.redeemed(interview.PurposeHearing, time.Now().Add(time.Hour), func(r *kioskbridge.Record) {
		r.Checks = `{"checks":[{"name":"face","reason":"Checkwordnine","verdict":"undetermined"}],"salt":""}`
	})
	officer := g.at(interview.NewDeviceID()).signIn("sub-officer")
	officer.told("POST", "/api/desk/identifications", `{"reference":"`+string(interview.ReferenceOf(applicant.ID))+`","method":"known","note":"Lookedatwordnine, and a face that is known"}`, &ignored)

	var ticket kioskbridge.TicketRecord
	if err := d.db.NewSelect().Model(&ticket).Where("t.participant_id = ?", applicant.ID).Limit(1).Scan(ctx); err != nil {
		t.Fatal(err)
	}
	insert("kiosk_face", map[string]any{
		"ticket_id": ticket.ID, "n": 1, "case_id": w.Case.ID, "hearing_id": w.Hearing.ID, "participant_id": applicant.ID, "occasion": "entered", "compared_at": 1, "said": "", "said_at": 0, "version": 1,
		"sealed": sealed("kiosk_face.sealed:"+ticket.ID.String()+"|1", map[string]any{"word": "other", "reason": "reference-far", "engine": "Enginewordnine", "threshold": "Thresholdwordnine", "score": 1, "unmeasured": true}),
	})
	insert("kiosk_reading", map[string]any{
		"id": interview.NewEventID(), "visit_id": ticket.Visit, "reader": "r", "device": w.Desk, "at": 1, "pieces": 1,
		"sealed": sealed("kiosk_reading.sealed:x", map[string]any{"purpose": "Purposewordnine"}),
	})
	result, err := jws.Sign(duplicate.Result{V: 1, Candidates: []duplicate.Candidate{{Modality: "face", Reference: "REGISTERWORDNINE", Score: 99}}}, duplicate.TypResult, g.sealing)
	if err != nil {
		t.Fatal(err)
	}
	for _, settled := range []bool{false, true} {
		visit, row := interview.NewVisitID(), map[string]any{
			"case_id": w.Case.ID, "participant_id": applicant.ID, "submitted_at": time.Now().UnixMilli(), "probes": "", "state": "hits", "reason": "", "ended_at": 1,
			"settlement": "", "settled_by": "", "settled_at": 0, "version": 1,
		}
		content := map[string]any{"result": result, "note": ""}
		if settled {
			row["settlement"], row["settled_by"], row["settled_at"], content["note"] = "same-person", "officer", 1, "Settledwordnine"
		}
		row["visit_id"], row["sealed"] = visit, sealed("kiosk_duplicate.sealed:"+visit.String(), content)
		insert("kiosk_duplicate", row)
	}
	return applicant
}

// askedAs is somebody who asks.
type askedAs struct {
	who    string
	caller *caller
}

// everybody are people of each role at the devices where they may be, and devices
// at which nobody signed in.
func (g *gatehouse) everybody() []askedAs {
	w := g.world
	out := []askedAs{
		{"own", g.at(w.Desk).signIn("sub-interviewer")}, {"applicant", g.at(w.Terminal)}, {"counsel", g.at(w.Chambers).signIn("sub-counsel")},
		{"device", g.at(interview.NewDeviceID())},
	}
	for _, who := range []string{"colleague", "interpreter", "representative", "security-office", "administrator", "officer"} {
		out = append(out, askedAs{who, g.at(interview.NewDeviceID()).signIn("sub-" + who)})
	}
	return out
}

// body asks and gives the whole answer, a refusal too.
func (c *caller) body(path string) (string, int) {
	c.g.t.Helper()
	r, err := http.NewRequestWithContext(c.g.t.Context(), http.MethodGet, "https://"+c.name+path, nil)
	if err != nil {
		c.g.t.Fatal(err)
	}
	if c.proof.IDToken != "" {
		c.proof.SetHeader(r.Header)
	}
	resp, err := c.Do(r)
	if err != nil {
		c.g.t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.g.t.Fatal(err)
	}
	return string(text), resp.StatusCode
}

// sealRecord types a line, has it sealed and hands it over.
func (g *gatehouse) sealRecord(applicant interview.Participant) (record string, sealed []byte) {
	g.t.Helper()
	if _, err := g.world.Store.OpenRoom(g.t.Context(), g.world.Hearing.ID, 1); err != nil {
		g.t.Fatal(err)
	}
	own := g.at(g.world.Desk).signIn("sub-interviewer")
	var ignored any
	hearing := "/api/hearings/" + g.world.Hearing.ID.String()
	own.told("PUT", hearing+"/utterances/"+interview.NewUtteranceID().String(), `{"version":0,"kind":"answer","at":0,"speaker":"`+applicant.ID.String()+`","language":"ar","text":"Said in the hearing."}`, &ignored)
	g.over()
	var v struct {
		Record string `json:"record"`
	}
	own.told("POST", hearing+"/records", "{}", &v)
	own.told("POST", "/api/records/"+v.Record+"/deliver", `{"language":"ar"}`, &ignored)
	text, status := own.body("/api/records/" + v.Record)
	if status != http.StatusOK || !strings.Contains(text, "Said in the hearing.") {
		g.t.Fatalf("the sealed record: %d %s", status, text)
	}
	return v.Record, []byte(text)
}

// K10, B5: what staff, officers and machines leave about a person stands in no
// answer but those that are for it: every route that reads is asked by everybody,
// so that one that comes later is asked too. Nor does it stand in the sealed
// record, or in the events of the hearing, which are what a bundle has of the log.
func TestObservationsStandInNoOtherAnswer(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, func(g *gatehouse) {
		d := g.door
		d.in.Biometrics.FaceEngine = "none"
		var err error
		if d.biometrics, err = d.openBiometrics(t.Context(), g.sealing); err != nil {
			t.Fatal(err)
		}
		if err := d.hearLegs(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.quality.Close)
		d.records = newTranscripts(d, d.db, ledger.Outbox{}, g.sealing.Public())
		g.bridge, err = kioskbridge.New(kioskbridge.Config{
			Kiosks: d, Bookings: d, Judge: func() kioskbridge.Judge { return kioskbridge.Judge{Inspector: &emrtd.Inspector{}} },
			Store: d.tickets, Sealer: d.sealer, Key: g.sealing, Pieces: pieceSealer{d.ring},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.bridge.Close)
	})
	applicant := g.plant()
	record, sealed := g.sealRecord(applicant)
	g.redeemed(interview.PurposeReview, time.Now().Add(time.Hour))
	words := make([]string, 0, len(planted))
	for w := range planted {
		words = append(words, w)
	}
	if found := leaktest.Find(sealed, words...); found != nil {
		t.Errorf("the sealed record holds %v", found)
	}

	fill := strings.NewReplacer("{hearing}", g.world.Hearing.ID.String(), "{participant}", applicant.ID.String(), "{record}", record)
	stands := map[string]bool{}
	answered := map[string]int{}
	people := g.everybody()
	for route := range interview.Access() {
		path, reads := strings.CutPrefix(route, "GET ")
		if !reads {
			continue
		}
		for _, x := range people {
			text, status := x.caller.body(fill.Replace(path))
			if status == http.StatusOK {
				answered[x.who]++
			}
			for _, w := range leaktest.Find([]byte(text), words...) {
				stands[w] = true
				if !slices.Contains(planted[w], x.who+" "+route) {
					t.Errorf("%s is told %s by %s", x.who, w, route)
				}
			}
		}
	}
	for w, where := range planted {
		if len(where) > 0 && !stands[w] {
			t.Errorf("%s was planted and stands nowhere: this test would find nothing", w)
		}
	}
	for _, who := range []string{"own", "applicant", "counsel", "officer"} {
		if answered[who] < 3 {
			t.Errorf("%s was answered by %d routes", who, answered[who])
		}
	}

	rows, err := audit.Events(t.Context(), g.door.db, g.world.Hearing.ID.String())
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d events, %v", len(rows), err)
	}
	for _, r := range rows {
		if found := leaktest.Find([]byte(r.Body), words...); found != nil {
			t.Errorf("the log has %v: %s", found, r.Body)
		}
		var e struct {
			Type   string         `json:"type"`
			Fields map[string]any `json:"fields"`
		}
		if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
			t.Fatal(err)
		}
		// That somebody noted an observation, or that the register found somebody, is
		// in the log, and names no hearing: so it is in no bundle.
		if e.Fields["class"] == "observation" || strings.Contains(e.Type, "duplicate") {
			t.Errorf("the hearing's bundle would tell of %s", r.Body)
		}
	}
}
