package duplicate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"math"
	"strings"
	"testing"

	"kuule/internal/jws"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func result() Result {
	return Result{
		V: 1, Search: "search-0123456789", ProbesSHA256: "probes", Gallery: "g1", Size: 1000, AsOf: 1_800_000_000, Algorithm: "a", Threshold: "t", ThresholdScore: 600_000,
		Candidates: []Candidate{{"face", "REG-1", 900_000}, {"face", "REG-2", 600_000}},
	}
}

// B5: a result counts only as its register signed it, for this search and these
// probes.
func TestAResultCountsOnlyForItsSearch(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	good, err := SignResult(result(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResult(good, &key.PublicKey, "search-0123456789", "probes"); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"another register's key": func() error {
			_, err := ReadResult(good, &newKey(t).PublicKey, "search-0123456789", "probes")
			return err
		},
		"another search": func() error {
			_, err := ReadResult(good, &key.PublicKey, "search-9999999999", "probes")
			return err
		},
		"other probes": func() error {
			_, err := ReadResult(good, &key.PublicKey, "search-0123456789", "others")
			return err
		},
		"changed": func() error {
			_, err := ReadResult(good[:len(good)-4]+"AAAA", &key.PublicKey, "search-0123456789", "probes")
			return err
		},
		"another kind of message": func() error {
			other, err := jws.Sign(result(), "kuule-identification+jws", key)
			if err != nil {
				return err
			}
			_, err = ReadResult(other, &key.PublicKey, "search-0123456789", "probes")
			return err
		},
	} {
		if err := f(); !errors.Is(err, ErrResult) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Result){
		"another version":           func(r *Result) { r.V = 2 },
		"a candidate below":         func(r *Result) { r.Candidates[1].Score = 599_999 },
		"candidates out of order":   func(r *Result) { r.Candidates[0].Score = 599_999 + 1; r.Candidates[1].Score = 700_000 },
		"a candidate without name":  func(r *Result) { r.Candidates[0].Reference = "" },
		"one with a page as name":   func(r *Result) { r.Candidates[0].Reference = strings.Repeat("x", MaxReference+1) },
		"one with a line break":     func(r *Result) { r.Candidates[0].Reference = "A\nB" },
		"too many":                  func(r *Result) { r.Candidates = make([]Candidate, MaxCandidates+1) },
		"no list":                   func(r *Result) { r.Candidates = nil },
		"no gallery":                func(r *Result) { r.Gallery = "" },
		"no threshold":              func(r *Result) { r.Threshold = "" },
		"no algorithm":              func(r *Result) { r.Algorithm = "" },
		"a register of minus one":   func(r *Result) { r.Size = -1 },
		"a register of no date":     func(r *Result) { r.AsOf = 0 },
		"a modality without a name": func(r *Result) { r.Candidates[0].Modality = "" },
	} {
		r := result()
		change(&r)
		signed, err := jws.Sign(r, TypResult, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadResult(signed, &key.PublicKey, r.Search, r.ProbesSHA256); !errors.Is(err, ErrResult) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadResult(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good, err := SignResult(result(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ReadResult(s, &key.PublicKey, "search-0123456789", "probes"); err == nil && s != good {
			t.Error("a result counts that nobody signed")
		}
	})
}

func TestProbesAreNamedOneWay(t *testing.T) {
	t.Parallel()
	a := Sum([]Probe{{"face", "x", []byte("ab")}})
	for _, other := range [][]Probe{
		{{"face", "xa", []byte("b")}}, {{"fac", "ex", []byte("ab")}}, {{"face", "x", []byte("a")}, {"", "", []byte("b")}}, {},
	} {
		if Sum(other) == a {
			t.Errorf("%d probes have the same name", len(other))
		}
	}
}

// B5: the arithmetic of false hits, against numbers worked out by hand.
func TestFalseHitsAreCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size       int
		fmr        float64
		fpir, mean float64
	}{
		{1, 1e-3, 1e-3, 1e-3},
		{2, 0.5, 0.75, 1},
		{1_000_000, 1e-6, 1 - math.Exp(-1), 1}, // 63 honest people in 100
		{1_000_000, 1e-8, 0.00995017, 0.01},
		{1_000_000, 1e-9, 0.0009995, 0.001},
		{0, 1e-6, 0, 0},
	} {
		a := Count(c.size, c.fmr, 200)
		if math.Abs(a.FPIR-c.fpir) > 1e-6*math.Max(c.fpir, 1e-2) || math.Abs(a.PerVisit-c.mean) > 1e-12 || math.Abs(a.PerDay-200*a.FPIR) > 1e-12 {
			t.Errorf("%d at %g: %+v, want %g and %g", c.size, c.fmr, a, c.fpir, c.mean)
		}
	}
	for _, fpir := range []float64{0.5, 0.01, 1e-6} {
		if back := Count(1_000_000, Needed(1_000_000, fpir), 1).FPIR; math.Abs(back-fpir) > 1e-9 {
			t.Errorf("needed for %g gives %g", fpir, back)
		}
	}
	var b strings.Builder
	if err := PrintThresholds(&b, 1_000_000, 200); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"63.2121%", "126.42", "0.9950%", "FMR 1.0e-08"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
