package duplicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var galleryKey = bytes.Repeat([]byte{7}, 32)

func random(r *rand.Rand) []int8 {
	t := make([]int8, Dimensions)
	for i := range t {
		t[i] = int8(max(-127, min(127, 30*r.NormFloat64())))
	}
	return t
}

// noisy is the same face on another picture: its cosine with t is about 0.9.
func noisy(r *rand.Rand, t []int8) []int8 {
	out := make([]int8, Dimensions)
	for i, v := range t {
		out[i] = int8(max(-127, min(127, float64(v)+14*r.NormFloat64())))
	}
	return out
}

// write writes a gallery of so many random entries, some of them planted.
func write(t testing.TB, count int, planted map[int][]int8) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "gallery")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	err = WriteGallery(f, galleryKey, time.Unix(1_800_000_000, 0), count, func() (Entry, error) {
		n++
		e := Entry{Reference: fmt.Sprintf("REG-%08d", n), Template: planted[n]}
		if e.Template == nil {
			e.Template = random(r)
		}
		return e, nil
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *Gallery {
	t.Helper()
	g, err := OpenGallery(path, galleryKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// B5: a planted duplicate is found wherever it lies, the last block included.
func TestAPlantedDuplicateIsFound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	who := random(r)
	const count = 2*perBlock + 3
	for _, at := range []int{0, perBlock - 1, perBlock, count - 1} {
		g := open(t, write(t, count, map[int][]int8{at: noisy(r, who)}))
		found, err := g.Search(t.Context(), [][]int8{who}, 600_000, 5)
		if err != nil || len(found) != 1 || found[0].Reference != fmt.Sprintf("REG-%08d", at) || found[0].Score < 800_000 {
			t.Errorf("planted at %d: %v, %v", at, found, err)
		}
	}
}

// The scan is exact: it finds what comparing one by one in floating point finds.
func TestTheScanFindsTheBestInOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	const count, top = 700, 20
	planted := map[int][]int8{}
	all := make([][]int8, count)
	for i := range all {
		all[i] = random(r)
		planted[i] = all[i]
	}
	who, other := random(r), random(r)
	g := open(t, write(t, count, planted))
	got, err := g.Search(t.Context(), [][]int8{who, other}, -1_000_000, top)
	if err != nil {
		t.Fatal(err)
	}
	var want []Candidate
	for i, v := range all {
		want = append(want, Candidate{"face", fmt.Sprintf("REG-%08d", i), max(cosine(who, v), cosine(other, v))})
	}
	slices.SortStableFunc(want, func(a, b Candidate) int { return b.Score - a.Score })
	if len(got) != top {
		t.Fatalf("%d found", len(got))
	}
	for i := range got {
		if got[i].Score != want[i].Score {
			t.Errorf("place %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func cosine(a, b []int8) int {
	var p, x, y float64
	for i := range a {
		p, x, y = p+float64(a[i])*float64(b[i]), x+float64(a[i])*float64(a[i]), y+float64(b[i])*float64(b[i])
	}
	return int(math.Round(p * (1e6 / math.Sqrt(x)) / math.Sqrt(y)))
}

func TestOneEntryIsListedOnce(t *testing.T) {
	t.Parallel()
	b := best{most: 3}
	for _, c := range []struct {
		name  string
		score int
	}{{"a", 5}, {"b", 7}, {"a", 9}, {"a", 6}, {"c", 1}, {"d", 2}, {"e", 8}} {
		b.add([]byte(c.name+"\x00\x00"), c.score)
	}
	if got := fmt.Sprint(b.list()); got != "[{face a 9} {face e 8} {face b 7}]" {
		t.Error(got)
	}
}

// A gallery that was changed in any way gives no result, rather than one less.
func TestAGalleryThatIsNotWholeGivesNothing(t *testing.T) {
	t.Parallel()
	path := write(t, 2*perBlock+10, nil)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := perBlock*recordSize + tagSize
	for name, change := range map[string]func([]byte) []byte{
		"a byte of a template": func(b []byte) []byte { b[headerSize+100] ^= 1; return b },
		"the last byte":        func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"two blocks exchanged": func(b []byte) []byte {
			return slices.Concat(b[:headerSize], b[headerSize+block:headerSize+2*block], b[headerSize:headerSize+block], b[headerSize+2*block:])
		},
		"its end":               func(b []byte) []byte { return b[:len(b)-recordSize] },
		"its last block":        func(b []byte) []byte { return b[:headerSize+2*block] },
		"its count":             func(b []byte) []byte { b[23]--; return b[:len(b)-recordSize] },
		"its date":              func(b []byte) []byte { b[31] ^= 1; return b },
		"its salt":              func(b []byte) []byte { b[40] ^= 1; return b },
		"its kind":              func(b []byte) []byte { b[7] = '2'; return b },
		"something was added":   func(b []byte) []byte { return append(b, 0) },
		"a count of many":       func(b []byte) []byte { b[16] = 0xFF; return b },
		"nothing but its title": func(b []byte) []byte { return b[:8] },
	} {
		changed := filepath.Join(t.TempDir(), "gallery")
		if err := os.WriteFile(changed, change(slices.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := OpenGallery(changed, galleryKey)
		if err == nil {
			_, err = g.Search(t.Context(), [][]int8{random(rand.New(rand.NewPCG(1, 1)))}, 0, 5)
			_ = g.Close()
		}
		if !errors.Is(err, ErrGallery) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g, err := OpenGallery(path, bytes.Repeat([]byte{8}, 32))
	if err == nil {
		_, err = g.Search(t.Context(), [][]int8{random(rand.New(rand.NewPCG(1, 1)))}, 0, 5)
		_ = g.Close()
	}
	if !errors.Is(err, ErrGallery) {
		t.Errorf("another key: %v", err)
	}
	if _, err := OpenGallery(path, nil); !errors.Is(err, ErrGallery) {
		t.Errorf("no key: %v", err)
	}
}

// B19: a template is a person's: a file that is carried away names nobody.
func TestAGalleryShowsNothingWithoutItsKey(t *testing.T) {
	t.Parallel()
	who := random(rand.New(rand.NewPCG(9, 9)))
	text, err := os.ReadFile(write(t, 10, map[int][]int8{4: who}))
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, Dimensions)
	for i, v := range who {
		raw[i] = byte(v)
	}
	if bytes.Contains(text, raw[:16]) || bytes.Contains(text, []byte("REG-")) {
		t.Error("a template or a reference stands in the file")
	}
}

func TestEntriesThatCannotBeAreNotWritten(t *testing.T) {
	t.Parallel()
	good := random(rand.New(rand.NewPCG(1, 1)))
	for name, e := range map[string]Entry{
		"no reference":       {"", good},
		"a long one":         {strings.Repeat("x", MaxReference+1), good},
		"one with a space":   {"A B", good},
		"a short template":   {"A", good[:100]},
		"a template of zero": {"A", make([]int8, Dimensions)},
	} {
		if err := WriteGallery(io.Discard, galleryKey, time.Now(), 1, func() (Entry, error) { return e, nil }); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestASearchEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	g := open(t, write(t, 10, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Search(ctx, [][]int8{random(rand.New(rand.NewPCG(1, 1)))}, 0, 5); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzOpenGallery(f *testing.F) {
	var b bytes.Buffer
	_ = WriteGallery(&b, galleryKey, time.Unix(1, 0), 2, func() (Entry, error) {
		return Entry{"A", random(rand.New(rand.NewPCG(1, 1)))}, nil
	})
	f.Add(b.Bytes())
	path := filepath.Join(f.TempDir(), "gallery")
	who := random(rand.New(rand.NewPCG(1, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := OpenGallery(path, galleryKey)
		if err != nil {
			return
		}
		defer func() { _ = g.Close() }()
		_, _ = g.Search(context.Background(), [][]int8{who}, 0, 5)
	})
}

// BenchmarkSearch scans so many templates as KUULE_GALLERY says, or 100,000.
func BenchmarkSearch(b *testing.B) {
	count := 100_000
	if s := os.Getenv("KUULE_GALLERY"); s != "" {
		if _, err := fmt.Sscan(s, &count); err != nil {
			b.Fatal(err)
		}
	}
	who := random(rand.New(rand.NewPCG(11, 12)))
	path := write(b, count, map[int][]int8{count / 3: who})
	g := open(b, path)
	b.ReportAllocs()
	for b.Loop() {
		found, err := g.Search(b.Context(), [][]int8{who}, LocalThresholdScore, localTop)
		if err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)*1e6/float64(count), "ms/million")
}
