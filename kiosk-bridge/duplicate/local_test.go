package duplicate

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func faceProbe(t []int8) []Probe {
	b := make([]byte, len(t))
	for i, v := range t {
		b[i] = byte(v)
	}
	return []Probe{{"face", FormatFace512, b}}
}

func await(t *testing.T, l *Local, key string) Standing {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		s, err := l.Standing(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if s.Done {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("no result")
		}
	}
}

func TestALocalSearchIsSignedAndMadeOnce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(20, 21))
	who := random(r)
	l := NewLocal(open(t, write(t, 3000, map[int][]int8{2500: noisy(r, who)})), newKey(t))
	defer l.Close()
	const key = "vis-0123456789abcdef"
	probes := faceProbe(who)
	if _, err := l.Search(t.Context(), key, probes); err != nil {
		t.Fatal(err)
	}
	first := await(t, l, key)
	got, err := ReadResult(first.Result, l.key.Public(), key, Sum(probes))
	if err != nil || len(got.Candidates) != 1 || got.Candidates[0].Reference != "REG-00002500" || got.Size != 3000 {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := l.Search(t.Context(), key, probes)
	if err != nil || again != first {
		t.Errorf("again: %v, %v", again, err)
	}
	if _, err := l.Search(t.Context(), key, faceProbe(random(r))); !errors.Is(err, ErrConflict) {
		t.Errorf("the same key for another person: %v", err)
	}
	if _, err := l.Standing(t.Context(), "vis-of-nobody-at-all"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown key: %v", err)
	}
	for name, p := range map[string][]Probe{
		"none": nil, "another format": {{"face", "image/jpeg", []byte{1}}}, "a short one": {{"face", FormatFace512, []byte{1}}},
	} {
		if _, err := l.Search(t.Context(), "vis-other-0123456789", p); !errors.Is(err, ErrResult) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A gallery that breaks gives no result: an officer searches by hand.
func TestABrokenGalleryFindsNobodyAndSaysSo(t *testing.T) {
	t.Parallel()
	path := write(t, 100, nil)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l := NewLocal(open(t, path), newKey(t))
	const key = "vis-0123456789abcdef"
	if _, err := l.Search(t.Context(), key, faceProbe(random(rand.New(rand.NewPCG(1, 1))))); err != nil {
		t.Fatal(err)
	}
	l.work.Wait()
	if _, err := l.Standing(t.Context(), key); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	l.Close()
	if _, err := l.Search(t.Context(), "vis-after-the-close-1", faceProbe(random(rand.New(rand.NewPCG(1, 1))))); !errors.Is(err, ErrFull) {
		t.Errorf("after Close: %v", err)
	}
}
