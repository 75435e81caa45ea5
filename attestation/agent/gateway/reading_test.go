package gateway

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

// B6, B7, B16: the device signs a reading for an officer or an interviewer who is
// signed in at it, for one visit and purpose, and for nobody else.
func TestTheDeviceSignsAReading(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	visit, hearing := interview.NewVisitID(), interview.NewHearingID()
	in := map[string]any{"visit": visit, "hearing": hearing, "purpose": ticket.Hash([]byte("The photograph is approved."))}
	ask := func() (identificationAnswer, error) {
		t.Helper()
		var out identificationAnswer
		return out, page.Call(t.Context(), http.MethodPost, "/gw/reading", in, &out)
	}
	if _, err := ask(); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("nobody signed in: %v", err)
	}
	if err := page.SignIn(t.Context(), f.idp, "c1"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !isProblem(err, problem.CodeSignIn) {
		t.Errorf("counsel signed in: %v", err)
	}
	if err := page.SignIn(t.Context(), f.idp, "o1"); err != nil {
		t.Fatal(err)
	}
	out, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.key.cert)
	var r ticket.Reading
	if _, err := jws.VerifyChain(out.Signed, ticket.TypReading, roots, time.Now(), &r); err != nil || r.Visit != visit || r.Hearing != hearing || r.Device != f.cfg.Device.ID || r.Reader == "" {
		t.Errorf("signed %+v %v", r, err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"no visit":   func(m map[string]any) { delete(m, "visit") },
		"no hearing": func(m map[string]any) { delete(m, "hearing") },
		"no purpose": func(m map[string]any) { m["purpose"] = "" },
	} {
		whole := in
		in = map[string]any{"visit": visit, "hearing": hearing, "purpose": whole["purpose"]}
		spoil(in)
		if _, err := ask(); !isProblem(err, problem.CodeStatementInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		in = whole
	}
	in["reader"] = "another" // is not the page's to say
	if _, err := ask(); !isProblem(err, problem.CodeMalformed) {
		t.Errorf("a reader of the page's choice: %v", err)
	}
}
