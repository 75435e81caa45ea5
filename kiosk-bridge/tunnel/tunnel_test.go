package tunnel

import (
	"errors"
	"strings"
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
)

func TestMessagesAreReadStrictly(t *testing.T) {
	t.Parallel()
	good, err := Encode(TypeAPDU, APDU{N: 3, Command: "AKQ="})
	if err != nil {
		t.Fatal(err)
	}
	var a APDU
	if err := Decode(good, TypeAPDU, &a); err != nil || a.N != 3 {
		t.Fatalf("%+v %v", a, err)
	}
	for name, text := range map[string]string{
		"empty":         "",
		"not JSON":      "hello",
		"another type":  `{"type":"vouch","body":{"visit":"x"}}`,
		"unknown field": `{"type":"apdu","body":{"n":3,"command":"AKQ=","le":1}}`,
		"unknown outer": `{"type":"apdu","body":{"n":3,"command":"AKQ="},"id":1}`,
		"named twice":   `{"type":"apdu","body":{"n":3,"n":4,"command":"AKQ="}}`,
		"more behind":   string(good) + "{}",
		"wrong kind":    `{"type":"apdu","body":{"n":"3","command":"AKQ="}}`,
		"no body":       `{"type":"apdu"}`,
		"too large":     `{"type":"apdu","body":{"n":3,"command":"` + strings.Repeat("A", MaxMessage) + `"}}`,
	} {
		if err := Decode([]byte(text), TypeAPDU, &APDU{}); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Encode(TypeAPDU, APDU{Command: strings.Repeat("A", MaxMessage)}); !errors.Is(err, ErrMessage) {
		t.Errorf("oversized message was written: %v", err)
	}
}

func TestProblemTakesThePlaceOfAnyMessage(t *testing.T) {
	t.Parallel()
	text, err := Encode(TypeProblem, problem.Of(problem.New(problem.CodeNotBooked, "nothing booked")))
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(text, TypeOutcome, &Outcome{}); problem.Of(err).Code != problem.CodeNotBooked {
		t.Errorf("%v", err)
	}
}

// Both ends hash the same exchange to the same name, and no other.
func TestTranscriptTellsExchangesApart(t *testing.T) {
	t.Parallel()
	visit := interview.NewVisitID()
	sums := map[string]string{}
	for name, add := range map[string]func(*Transcript){
		"none":     func(*Transcript) {},
		"one":      func(x *Transcript) { x.Add([]byte{1}, []byte{2}) },
		"swapped":  func(x *Transcript) { x.Add([]byte{2}, []byte{1}) },
		"silent":   func(x *Transcript) { x.Add([]byte{1}, nil) },
		"empty":    func(x *Transcript) { x.Add([]byte{1}, []byte{}) },
		"together": func(x *Transcript) { x.Add([]byte{1, 2}, []byte{}) },
	} {
		a, b := NewTranscript(visit), NewTranscript(visit)
		add(a)
		add(b)
		if a.Sum() != b.Sum() {
			t.Errorf("%s: two sums", name)
		}
		if other, twice := sums[a.Sum()]; twice {
			t.Errorf("%s and %s have one sum", name, other)
		}
		sums[a.Sum()] = name
	}
	if NewTranscript(interview.NewVisitID()).Sum() == NewTranscript(visit).Sum() {
		t.Error("two visits have one transcript")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"begin","body":{"reference":"K-1","service":"interview"}}`))
	f.Add([]byte(`{"type":"problem","body":{}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		for typ, body := range map[string]any{
			TypeHello: &Hello{}, TypeVisit: &Visit{}, TypeBegin: &Begin{}, TypeAsk: &Ask{}, TypeTaken: &Taken{}, TypeFinish: &Finish{}, TypeJournal: &Journal{},
			TypeAPDU: &APDU{}, TypeAnswer: &Answer{},
			TypeEvidence: &Evidence{}, TypeVouch: &Vouch{}, TypeOutcome: &Outcome{},
		} {
			_ = Decode(b, typ, body)
		}
		_, _ = Peek(b)
	})
}
