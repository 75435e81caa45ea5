package canon_test

import (
	"errors"
	"testing"

	"kuule/internal/canon"
)

func TestOneValueHasOneText(t *testing.T) {
	t.Parallel()
	got, err := canon.Marshal(map[string]any{"b": 1, "a": []string{"ä", "\u2028"}, "é": nil})
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\"a\":[\"ä\",\"\u2028\"],\"b\":1,\"é\":null}"; string(got) != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestOnlyIntegersAreSigned(t *testing.T) {
	t.Parallel()
	for _, v := range []any{1.5, 1e300, int64(1) << 53} {
		if _, err := canon.Marshal(v); !errors.Is(err, canon.ErrNumber) {
			t.Errorf("%v: got %v, want ErrNumber", v, err)
		}
	}
}

func TestSignedTextIsReadStrictly(t *testing.T) {
	t.Parallel()
	var v struct {
		A int `json:"a"`
	}
	for name, text := range map[string]string{
		"space":     `{"a": 1}`,
		"unknown":   `{"a":1,"b":2}`,
		"duplicate": `{"a":1,"a":2}`,
		"trailing":  `{"a":1}{}`,
		"fraction":  `{"a":1.0}`,
		"nothing":   ``,
	} {
		if err := canon.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s: %q was accepted", name, text)
		}
	}
	if err := canon.Unmarshal([]byte(`{"a":1}`), &v); err != nil || v.A != 1 {
		t.Fatalf("the canonical text was refused: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,true]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if canon.Unmarshal(text, &v) != nil {
			return
		}
		again, err := canon.Marshal(v)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%q was accepted but its canonical form is %q (%v)", text, again, err)
		}
	})
}
