package kioskbridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
)

// B16: over HTTP: a kiosk draws, the screen sees, officers alone call; and nothing
// that the screen sees says what anybody came for.
func TestQueuesOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	w := newWorld(t)
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	who := func(c interview.Caller) (kioskbridge.Officer, error) {
		return kioskbridge.Officer{Person: c.Subject, Device: c.Device}, nil
	}
	kioskbridge.RegisterQueues(api, h.Queues, who)
	kioskbridge.RegisterPaid(api, w.desk())
	kioskbridge.RegisterDesk(api, w.desk(), who)
	kiosk := interview.Caller{Device: h.kiosk}
	olga := interview.Caller{Device: interview.NewDeviceID(), Subject: "olga", Roles: []interview.Role{interview.RoleOfficer}}
	call := func(c interview.Caller, method, path string, body any, into any) int {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(interview.WithCaller(context.WithoutCancel(t.Context()), c), method, path, bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, r)
		if into != nil && answer.Code < 300 {
			if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
				t.Fatalf("%s: %v", answer.Body, err)
			}
		}
		return answer.Code
	}
	var drawn struct{ Number *kioskbridge.Drawn }
	if code := call(kiosk, "POST", "/api/kiosk/numbers", map[string]string{"draw": "0123456789abcdef", "matter": "other", "language": "ar"}, &drawn); code != 200 || drawn.Number == nil || drawn.Number.Text != "A1" {
		t.Fatalf("%d %+v", code, drawn.Number)
	}
	drawn.Number = nil
	if code := call(kiosk, "POST", "/api/kiosk/numbers", map[string]string{"draw": "0123456789abcdeg", "matter": "pay", "language": "ar"}, &drawn); code != 200 || drawn.Number != nil {
		t.Errorf("B17: a quick matter: %d %+v", code, drawn.Number)
	}
	for _, path := range []string{"/api/desk/queues/help/next", "/api/desk/numbers/" + interview.NewNumberID().String()} {
		if code := call(kiosk, "POST", path, map[string]string{"desk": "Desk 1", "act": "done"}, nil); code != http.StatusForbidden && code != http.StatusUnauthorized {
			t.Errorf("%s by a kiosk: %d", path, code)
		}
	}
	if code := call(kiosk, "GET", "/api/desk/queues", nil, nil); code != http.StatusForbidden && code != http.StatusUnauthorized {
		t.Errorf("the list of who waits to a kiosk: %d", code)
	}
	var next struct{ Number *kioskbridge.Waiter }
	if code := call(olga, "POST", "/api/desk/queues/help/next", map[string]string{"desk": "Desk 1"}, &next); code != 200 || next.Number == nil || next.Number.Language != "ar" {
		t.Fatalf("%d %+v", code, next.Number)
	}
	var seen map[string]any
	if code := call(interview.Caller{Device: interview.NewDeviceID()}, "GET", "/api/queues", nil, &seen); code != 200 {
		t.Fatal(code)
	}
	text, err := json.Marshal(seen["called"])
	if err != nil || !bytes.Contains(text, []byte(`"A1"`)) || !bytes.Contains(text, []byte(`"Desk 1"`)) {
		t.Errorf("the screen sees %s %v", text, err)
	}
	for _, word := range []string{"other", `"ar"`, "olga", h.kiosk.String()} {
		if bytes.Contains(text, []byte(word)) {
			t.Errorf("the screen says %s: %s", word, text)
		}
	}
	if code := call(olga, "POST", "/api/desk/numbers/"+next.Number.ID.String(), map[string]string{"act": "done"}, nil); code != http.StatusNoContent {
		t.Errorf("done: %d", code)
	}
	if code := call(olga, "POST", "/api/desk/numbers/"+next.Number.ID.String(), map[string]string{"act": "lunch"}, nil); code != http.StatusUnprocessableEntity && code != http.StatusBadRequest {
		t.Errorf("an act of its own: %d", code)
	}
	// B14: an officer who has one queue open watches that one.
	var desk struct {
		Queues []kioskbridge.Answers
	}
	if code := call(olga, "GET", "/api/desk?queue=desk", nil, &desk); code != 200 || len(desk.Queues) != 1 || !desk.Queues[0].Staffed {
		t.Errorf("%d %+v", code, desk.Queues)
	}
	if code := call(kiosk, "POST", "/api/kiosk/payments", map[string]any{"visit": interview.NewVisitID()}, nil); code != http.StatusNotFound {
		t.Errorf("a payment of no visit: %d", code)
	}
}
