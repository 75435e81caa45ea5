package kiosk

import (
	"errors"
	"testing"
)

func FuzzIPP(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x01\x01\x47\x00\x12attributes-charset\x00\x05utf-8\x02\x21\x00\x06job-id\x00\x04\x00\x00\x00\x07\x03"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x01\x44\x00\x00\x00\x01x\x03"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseIPP(b, 1)
		if err != nil {
			if !errors.Is(err, errIPP) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		total := 0
		for name, values := range a.attributes {
			for _, v := range values {
				total += len(v)
			}
			_ = a.number(name)
		}
		if total > len(b) {
			t.Errorf("%d bytes of values in %d", total, len(b))
		}
	})
}
