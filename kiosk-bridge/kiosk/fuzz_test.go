package kiosk

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

type answering []byte

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a))}, nil
}

// FuzzPayment has a terminal for payments answer whatever comes: a state that is
// known and of this payment, or an error.
func FuzzPayment(f *testing.F) {
	f.Add([]byte(`{"v":1,"payment":"p1","state":"approved"}`))
	f.Add([]byte(`{"v":1,"payment":"p2","state":"approved"}`))
	f.Add([]byte(`{"v":1,"payment":"p1","state":"free"}`))
	f.Add([]byte(`{"v":1,"payment":"p1","state":"pending","more":1}`))
	f.Add(bytes.Repeat([]byte("{"), 64))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p := Payments{URL: "http://127.0.0.1:1", HTTP: &http.Client{Transport: answering(answer)}}
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodDelete} {
			state, err := p.ask(t.Context(), method, "p1", nil)
			if err != nil {
				continue
			}
			if state != PaymentApproved && state != PaymentDeclined && state != PaymentCancelled && (state != PaymentPending || method == http.MethodDelete) {
				t.Errorf("%s: %q of %q", method, state, answer)
			}
		}
	})
}
