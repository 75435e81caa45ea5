package app

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/viewing"
)

// told reads an answer.
func (c *caller) told(method, path, body string, out any) {
	c.g.t.Helper()
	r, err := http.NewRequestWithContext(c.g.t.Context(), method, "https://"+c.name+path, strings.NewReader(body))
	if err != nil {
		c.g.t.Fatal(err)
	}
	c.proof.SetHeader(r.Header)
	resp, err := c.Do(r)
	if err != nil {
		c.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		c.g.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		c.g.t.Fatalf("%s: %v", text, err)
	}
}

// consentTo is a consent as the door sees it; authority is who checks it.
func consentTo(t *testing.T, v viewingView) string {
	t.Helper()
	text, err := jws.Sign(viewing.Consent{
		V: 1, Act: viewing.ActView, Viewing: v.Viewing, Hearing: v.Hearing, Purpose: jws.Hash(v.Purpose), Nonce: nonce1,
		Device: interview.NewDeviceID(), IssuedAt: time.Now().Unix(),
	}, viewing.TypeConsent, testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return `{"consent":"` + text + `"}`
}

// H6: interviewers alone, with a purpose; the own hearing at once.
func TestWhoMayOpenARecording(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	ask := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	const purpose = `{"purpose":"appeal"}`
	for _, subject := range []string{"sub-interpreter", "sub-representative", "sub-security-office", "sub-administrator"} {
		other := g.at(interview.NewDeviceID()).signIn(subject)
		other.want(subject+" asks", "POST", ask, purpose, problem.CodeForbidden)
		other.want(subject+" reads who listened", "GET", ask, "", problem.CodeForbidden)
		other.want(subject+" decides", "POST", "/api/viewings/"+viewingID+"/decision", `{"allow":true,"reason":"r","consent":""}`, problem.CodeForbidden)
		other.want(subject+" opens", "POST", "/api/viewings/"+viewingID+"/open", `{"consent":""}`, problem.CodeForbidden)
	}
	g.at(g.world.Desk).want("nobody asks", "POST", ask, purpose, problem.CodeSignIn)
	desk := g.at(g.world.Desk).signIn("sub-interviewer")
	for what, body := range map[string]string{"no purpose": `{"purpose":" "}`, "long purpose": `{"purpose":"` + strings.Repeat("x", maxPurpose+1) + `"}`} {
		desk.want(what, "POST", ask, body, problem.CodePurposeNeeded)
	}
	for what, body := range map[string]string{"not JSON": `{"purpose":`, "unknown field": `{"purpose":"p","x":1}`, "twice": `{"purpose":"p","purpose":"q"}`} {
		desk.want(what, "POST", ask, body, problem.CodeMalformed)
	}
	desk.want("oversized", "POST", ask, `{"purpose":"`+strings.Repeat("x", 33<<10)+`"}`, problem.CodeTooLarge)
	desk.want("no hearing's id", "POST", "/api/hearings/..%2f..%2fetc/viewings", purpose, problem.CodeMalformed)
	desk.want("no viewing's id", "GET", "/api/viewings/..%2f..%2fetc/outline", "", problem.CodeNotFound)

	var v viewingView
	desk.told("POST", ask, purpose, &v)
	if v.State != viewingAllowed || !v.Own || !v.Mine || v.Purpose != "appeal" {
		t.Fatalf("own: %+v", v)
	}
	desk.want("not opened", "GET", "/api/viewings/"+v.Viewing+"/outline", "", problem.CodeNotFound)
	desk.want("no consent", "POST", "/api/viewings/"+v.Viewing+"/open", `{"consent":""}`, problem.CodeStatementInvalid)
	other := v
	other.Viewing = viewingID
	desk.want("consent to another", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, other), problem.CodeStatementInvalid)
	g.at(g.world.Desk).signIn("sub-colleague").want("another's", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, v), problem.CodeNotFound)
	if n := g.views.Load(); n != 0 {
		t.Errorf("authority was asked %d times", n)
	}
	desk.want("own", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, v), problem.CodeNotReady) // what authority says here
	if n := g.views.Load(); n != 1 {
		t.Errorf("authority was asked %d times for the interviewer", n)
	}
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	desk.told("GET", ask, "", &list)
	if len(list.Viewings) != 1 || list.Viewings[0].Asker == "" {
		t.Errorf("who listened: %+v", list)
	}
}

// H6: another's hearing waits for the named second person, who says why.
func TestASecondPersonDecides(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	ask := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	colleague := g.at(g.world.Desk).signIn("sub-colleague")
	owner := g.at(g.world.Desk).signIn("sub-interviewer")
	colleague.want("names herself", "POST", ask, `{"purpose":"quality review","approver":"sub-colleague"}`, problem.CodeForbidden)
	colleague.want("no such hearing", "POST", "/api/hearings/"+interview.NewHearingID().String()+"/viewings", `{"purpose":"p"}`, problem.CodeNotFound)
	colleague.want("reads who listened", "GET", ask, "", problem.CodeNotFound)

	request := func() viewingView {
		var v viewingView
		colleague.told("POST", ask, `{"purpose":"quality review"}`, &v)
		if v.State != viewingAsked || v.Own || !v.Mine || v.Decide {
			t.Fatalf("asked: %+v", v)
		}
		colleague.want("before the decision", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, v), problem.CodeForbidden)
		return v
	}
	v := request()
	decision := "/api/viewings/" + v.Viewing + "/decision"
	const allow = `{"allow":true,"reason":"agreed with the unit","consent":"x"}`
	colleague.want("the asker decides", "POST", decision, allow, problem.CodeNotFound)
	owner.want("without a reason", "POST", decision, `{"allow":true,"reason":" ","consent":"x"}`, problem.CodePurposeNeeded)
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	owner.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || !list.Viewings[0].Decide || list.Viewings[0].Purpose != "quality review" {
		t.Fatalf("to decide: %+v", list)
	}
	var decided viewingView
	owner.told("POST", decision, allow, &decided)
	if decided.State != viewingAllowed || decided.Approver == "" || decided.Reason == "" || decided.Expires <= time.Now().Unix() {
		t.Fatalf("decided: %+v", decided)
	}
	owner.want("a second time", "POST", decision, allow, problem.CodeConflict)
	owner.want("the approver opens it", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, v), problem.CodeNotFound)
	colleague.want("allowed", "POST", "/api/viewings/"+v.Viewing+"/open", consentTo(t, v), problem.CodeNotReady) // what authority says here

	w := request()
	owner.told("POST", "/api/viewings/"+w.Viewing+"/decision", `{"allow":false,"reason":"no need","consent":""}`, &decided)
	if decided.State != viewingDeclined {
		t.Fatalf("declined: %+v", decided)
	}
	colleague.want("declined", "POST", "/api/viewings/"+w.Viewing+"/open", consentTo(t, w), problem.CodeForbidden)
}

// K1: counsel asks for the own client's recording alone, waits for an
// interviewer's decision, and takes no copy.
func TestCounselListensWithAnInterviewersPermission(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	ask := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	counsel := g.at(g.world.Chambers).signIn("sub-counsel")
	owner := g.at(g.world.Desk).signIn("sub-interviewer")
	counsel.want("without a purpose", "POST", ask, `{"purpose":" "}`, problem.CodePurposeNeeded)
	counsel.want("who listened", "GET", ask, "", problem.CodeForbidden)
	b := g.world.Booking
	b.Participants = slices.Clone(b.Participants[:2])
	b.Opens, b.Closes = b.Opens.AddDate(0, 0, 3), b.Closes.AddDate(0, 0, 3)
	other, err := g.world.Store.Book(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	counsel.want("another's client", "POST", "/api/hearings/"+other.ID.String()+"/viewings", `{"purpose":"appeal"}`, problem.CodeNotFound)

	var v viewingView
	counsel.told("POST", ask, `{"purpose":"appeal"}`, &v)
	if v.State != viewingAsked || v.Own || v.Role != interview.RoleCounsel {
		t.Fatalf("asked: %+v", v)
	}
	path := "/api/viewings/" + v.Viewing
	counsel.want("before the decision", "POST", path+"/open", consentTo(t, v), problem.CodeForbidden)
	counsel.want("decides it", "POST", path+"/decision", `{"allow":true,"reason":"r","consent":"x"}`, problem.CodeForbidden)
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	owner.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || !list.Viewings[0].Decide || list.Viewings[0].Role != interview.RoleCounsel {
		t.Fatalf("to decide: %+v", list)
	}
	owner.told("POST", path+"/decision", `{"allow":true,"reason":"appeal is pending","consent":"x"}`, &v)
	counsel.want("allowed", "POST", path+"/open", consentTo(t, v), problem.CodeNotReady) // what authority says here
	for what, at := range map[string]string{"a copy": "/export", "a release": "/release", "a receipt": "/handed"} {
		counsel.want(what, "POST", path+at, `{}`, problem.CodeForbidden)
	}
}
