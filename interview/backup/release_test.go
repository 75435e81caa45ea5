package backup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing/sealingtest"
)

// H5: a release counts for the devices that it names, under the sealing key alone.
func TestAReleaseNamesItsDevices(t *testing.T) {
	t.Parallel()
	key := sealingtest.NewKey(t)
	own, other := interview.NewDeviceID(), interview.NewDeviceID()
	text, err := jws.Sign(backup.Release{V: 2, Hearing: interview.NewHearingID(), Devices: []interview.DeviceID{own}, At: 1}, backup.TypeRelease, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.VerifyRelease(text, key.Public())
	if err != nil || !r.Names(own) || r.Names(other) || r.Names(interview.DeviceID{}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := backup.VerifyRelease(text, sealingtest.NewKey(t).Public()); err == nil {
		t.Error("under another key")
	}
	if _, err := backup.VerifyLoss(text, key.Public(), time.Now()); err == nil {
		t.Error("as the office's word")
	}
}

// What is left of spans beside others, however they stand.
func TestWithout(t *testing.T) {
	t.Parallel()
	type spans = []backup.Span
	for name, c := range map[string]struct{ of, others, want spans }{
		"nothing taken":      {spans{{0, 10}}, nil, spans{{0, 10}}},
		"all":                {spans{{0, 10}, {20, 30}}, spans{{0, 30}}, spans{}},
		"the middle":         {spans{{0, 10}}, spans{{3, 5}}, spans{{0, 3}, {5, 10}}},
		"both ends":          {spans{{0, 10}}, spans{{8, 20}, {0, 2}}, spans{{2, 8}}},
		"touching":           {spans{{0, 10}}, spans{{10, 20}}, spans{{0, 10}}},
		"overlapping others": {spans{{0, 10}}, spans{{2, 6}, {4, 8}}, spans{{0, 2}, {8, 10}}},
		"out of order":       {spans{{20, 30}, {0, 10}}, spans{{25, 26}}, spans{{0, 10}, {20, 25}, {26, 30}}},
		"nothing to take of": {nil, spans{{0, 1}}, nil},
	} {
		if got := backup.Without(c.of, c.others); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Whatever is brought as the office's word, what is taken for it is within bounds.
func FuzzLoss(f *testing.F) {
	key := sealingtest.NewKey(f)
	good, err := jws.Sign(backup.Loss{V: 1, Hearing: interview.NewHearingID(), Devices: []interview.DeviceID{interview.NewDeviceID()}, Recorders: []interview.MemberID{}, Reason: "its disk broke", At: 1}, backup.TypeLoss, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := backup.VerifyLoss(text, key.Public(), time.Now())
		if err == nil && (text != good || l.Check() != nil) {
			t.Errorf("%+v", l)
		}
	})
}
