package evidence_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"kuule/interview"
	"kuule/recorder/evidence"
)

func TestKeyFileOpensABundleForItsRecipient(t *testing.T) {
	t.Parallel()
	h := hold(t)
	text, err := evidence.MakeKeyFile("counsel", h.Hearing, map[interview.RecordingID][]byte{h.Recording: h.Raw})
	must(t, err)
	recipient, hearing, keys, err := evidence.ParseKeyFile(text)
	must(t, err)
	if recipient != "counsel" || hearing != h.Hearing {
		t.Fatalf("for %s of %s", recipient, hearing)
	}
	r, err := verify(h.build(t), h.Trust(), evidence.Options{Keys: keys})
	if err != nil || !r.Recordings[0].Open {
		t.Fatalf("%+v %v", r, err)
	}
	// A key for a recording that is not in the bundle is a mistake to be told.
	_, _, keys, err = evidence.ParseKeyFile(bytes.ReplaceAll(text, []byte(h.Recording.String()), []byte(interview.NewRecordingID().String())))
	must(t, err)
	if _, err := verify(h.build(t), h.Trust(), evidence.Options{Keys: keys}); !errors.Is(err, evidence.ErrKeyFile) {
		t.Fatalf("a key for nothing: %v", err)
	}
	for _, bad := range []string{"", "{}", string(text) + " ", strings.Replace(string(text), `"v":1`, `"v":2`, 1), strings.Replace(string(text), `"key":"`, `"key":"AA`, 1)} {
		if _, _, _, err := evidence.ParseKeyFile([]byte(bad)); !errors.Is(err, evidence.ErrKeyFile) || strings.Contains(err.Error(), string(h.Raw)) {
			t.Fatalf("%q: %v", bad, err)
		}
	}
}

func FuzzParseKeyFile(f *testing.F) {
	text, err := evidence.MakeKeyFile("x", interview.NewHearingID(), map[interview.RecordingID][]byte{interview.NewRecordingID(): make([]byte, 32)})
	must(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) { _, _, _, _ = evidence.ParseKeyFile(b) })
}
