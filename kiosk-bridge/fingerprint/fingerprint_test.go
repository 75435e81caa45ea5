package fingerprint

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// record writes a record of one view, by the standard and not by Check.
func record(finger, quality, minutiae int, extended []byte) []byte {
	b := []byte("FMR\x00 20\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range []int{256, 360, 197, 197} {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	b = append(b, 1, 0, byte(finger), 0, byte(quality), byte(minutiae))
	for i := range minutiae {
		b = binary.BigEndian.AppendUint16(b, uint16(0x4000|(10+i)))
		b = binary.BigEndian.AppendUint16(b, uint16(20+i))
		b = append(b, byte(i), 60)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(extended)))
	b = append(b, extended...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
	return b
}

func TestARecordsFrameIsRead(t *testing.T) {
	t.Parallel()
	views, err := Check(record(7, 80, 40, []byte{0, 1, 0, 4}))
	if err != nil || len(views) != 1 || views[0] != (View{7, 80, 40}) {
		t.Errorf("%v, %v", views, err)
	}
	good := record(7, 80, 3, nil)
	change := func(at int, to byte) []byte {
		b := append([]byte{}, good...)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":              {},
		"another kind":         change(0, 'X'),
		"another version":      change(5, '3'),
		"a length of its own":  change(11, 200),
		"cut":                  good[:len(good)-1],
		"more behind it":       append(append([]byte{}, good...), 1),
		"no picture":           slices.Concat(good[:14], []byte{0, 0}, good[16:]),
		"no view":              change(22, 0),
		"two views announced":  change(22, 2),
		"an eleventh finger":   change(24, 11),
		"a quality of 101":     change(26, 101),
		"minutiae cut":         change(27, 200),
		"a minutia outside":    change(28, 0x7F),
		"too large altogether": make([]byte, MaxRecord+1),
	} {
		if _, err := Check(b); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(record(1, 50, 20, nil))
	f.Add(record(10, 0, 0, make([]byte, 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		views, err := Check(b)
		if err != nil {
			return
		}
		size := recordHead
		for _, v := range views {
			size += viewHead + v.Minutiae*minutiaSize + 2
		}
		if size > len(b) {
			t.Errorf("%d bytes hold %d", len(b), size)
		}
	})
}

// scanner gives qualities one after the other; below 0 it is an error.
type scanner struct {
	qualities []int
	asked     [][2]int
}

const (
	notLaid = -1
	broken  = -2
	garbage = -3
	missing = -4
	refused = -5
)

func (s *scanner) Scan(_ context.Context, finger, attempt int) (Impression, error) {
	s.asked = append(s.asked, [2]int{finger, attempt})
	if len(s.qualities) == 0 {
		return Impression{}, ErrNotLaid
	}
	q := s.qualities[0]
	s.qualities = s.qualities[1:]
	switch q {
	case notLaid:
		return Impression{}, ErrNotLaid
	case broken:
		return Impression{}, ErrBroken
	case missing:
		return Impression{}, ErrMissing
	case refused:
		return Impression{}, ErrDeclined
	case garbage:
		return Impression{Record: []byte("no record"), Quality: 90}, nil
	default:
		return Impression{Record: record(finger, q, 30, nil), Quality: q}, nil
	}
}

// B4: low quality is tried three times, then there is another way.
func TestFingersAreTriedThreeTimesAndThenThereIsAnotherWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		qualities []int
		positions []int
		needed    int
		taken     bool
		reason    string
		asked     int
	}{
		"good at once":                {[]int{60}, []int{2}, 1, true, "", 1},
		"good at the third try":       {[]int{5, 10, 60}, []int{2}, 1, true, "", 3},
		"good only at a fourth":       {[]int{5, 10, 20, 60}, []int{2}, 1, false, ReasonLowQuality, 3},
		"exactly at the floor":        {[]int{Floor}, []int{2}, 1, true, "", 1},
		"just below it, three times":  {[]int{Floor - 1, Floor - 1, Floor - 1}, []int{2}, 1, false, ReasonLowQuality, 3},
		"worn, but another is good":   {[]int{1, 2, 3, 70}, []int{2, 7}, 1, true, "", 4},
		"all are worn":                {[]int{1, 2, 3, 1, 2, 3}, []int{2, 7}, 1, false, ReasonLowQuality, 6},
		"two needed, one is there":    {[]int{70, 1, 2, 3}, []int{2, 7}, 2, false, ReasonLowQuality, 4},
		"two needed and there":        {[]int{70, 1, 70}, []int{2, 7}, 2, true, "", 3},
		"two needed, one asked for":   {[]int{70}, []int{2}, 2, false, ReasonMissing, 1},
		"nobody lays one down":        {[]int{notLaid, notLaid, notLaid}, []int{2}, 1, false, ReasonNotLaid, 3},
		"laid down at the second":     {[]int{notLaid, 60}, []int{2}, 1, true, "", 2},
		"the scanner breaks":          {[]int{10, broken, 60}, []int{2, 7}, 1, false, ReasonPartBroken, 2},
		"the scanner gives no record": {[]int{garbage, 60}, []int{2, 7}, 1, false, ReasonScannerWrong, 1},
		"that finger is not there":    {[]int{missing, 70}, []int{2, 7}, 1, true, "", 2},
		"no finger is there":          {[]int{missing, missing}, []int{2, 7}, 1, false, ReasonMissing, 2},
		"no fingers are given":        {[]int{10, refused, 70}, []int{2, 7}, 1, false, ReasonDeclined, 2},
		"none asked for":              {nil, nil, 1, false, ReasonMissing, 0},
	} {
		s := &scanner{qualities: c.qualities}
		r, err := Take(t.Context(), s, c.positions, c.needed, Floor)
		if err != nil || r.Taken != c.taken || r.Reason != c.reason || len(s.asked) != c.asked {
			t.Errorf("%s: %+v after %v, %v", name, r, s.asked, err)
		}
		for _, f := range r.Fingers {
			if f.Tries > Tries || f.Taken() != (len(f.Record) > 0) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func TestAPersonWhoLeavesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, &scanner{}, []int{2}, 1, Floor); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// B19.
func TestFingersAreForgotten(t *testing.T) {
	t.Parallel()
	r, err := Take(t.Context(), &scanner{qualities: []int{60}}, []int{2}, 1, Floor)
	if err != nil {
		t.Fatal(err)
	}
	r.Forget()
	for _, b := range r.Fingers[0].Record {
		if b != 0 {
			t.Fatal("a record is still there")
		}
	}
}
