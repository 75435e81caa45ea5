package sframe

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
)

func pair(t testing.TB) (*Sealer, *Opener) {
	t.Helper()
	key := make([]byte, KeyBytes)
	rand.Read(key)
	s, err := NewSealer(key, 77)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(key, 77)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func seal(t testing.TB, s *Sealer, frame string) []byte {
	t.Helper()
	out, _, err := s.Seal(nil, []byte("trk"), []byte(frame))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAFrameOpensOnceUnderItsKeyAndMetadata(t *testing.T) {
	t.Parallel()
	s, o := pair(t)
	_, stranger := pair(t)
	sealed := seal(t, s, "said")
	if bytes.Contains(sealed, []byte("said")) {
		t.Fatal("the frame stands in clear")
	}
	if _, err := stranger.Open(nil, []byte("trk"), sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("under another key: %v", err)
	}
	if _, err := o.Open(nil, []byte("other"), sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("with other metadata: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := o.Open(nil, []byte("trk"), bad); err == nil {
			t.Errorf("opens with byte %d flipped", i)
		}
	}
	got, err := o.Open([]byte("x"), []byte("trk"), sealed)
	if err != nil || string(got) != "xsaid" {
		t.Fatalf("got %q %v", got, err)
	}
	if _, err := o.Open(nil, []byte("trk"), sealed); !errors.Is(err, ErrReplay) {
		t.Errorf("a second time: %v", err)
	}
}

func TestFramesMayComeLateButNeverTwice(t *testing.T) {
	t.Parallel()
	s, o := pair(t)
	frames := make([][]byte, 3*Window)
	for i := range frames {
		frames[i] = seal(t, s, "f")
	}
	open := func(i int) error { _, err := o.Open(nil, []byte("trk"), frames[i]); return err }
	for _, i := range []int{5, 3, 4, 0, 200, 64, 199} {
		if err := open(i); err != nil {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	if err := open(2 * Window); err != nil { // clears the whole window
		t.Fatal(err)
	}
	if err := open(Window + 1); err != nil {
		t.Errorf("at the window's edge: %v", err)
	}
	for _, i := range []int{2 * Window, Window + 1, Window, 6, 0} {
		if err := open(i); !errors.Is(err, ErrReplay) {
			t.Errorf("frame %d again or too old: %v", i, err)
		}
	}
}

func TestACounterIsNeverUsedTwice(t *testing.T) {
	t.Parallel()
	s, _ := pair(t)
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				out, c, err := s.Seal(nil, nil, []byte("f"))
				h, _ := ParseHeader(out)
				mu.Lock()
				if err != nil || seen[c] || h.Counter != c {
					t.Errorf("counter %d: %v", c, err)
				}
				seen[c] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestAUsedUpCounterIsRefused(t *testing.T) {
	t.Parallel()
	s, o := pair(t)
	s.next = math.MaxUint64
	last := seal(t, s, "last")
	if _, err := o.Open(nil, []byte("trk"), last); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := s.Seal(nil, nil, []byte("f")); !errors.Is(err, ErrExhausted) {
			t.Fatalf("after the last counter: %v", err)
		}
	}
}

func TestBoundsAreRefused(t *testing.T) {
	t.Parallel()
	s, o := pair(t)
	if _, _, err := s.Seal(nil, nil, make([]byte, MaxFrame)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("seal: %v", err)
	}
	if _, err := o.Open(nil, nil, make([]byte, MaxFrame+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("open: %v", err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := NewSealer(make([]byte, n), 1); !errors.Is(err, ErrKey) {
			t.Errorf("sealer with %d bytes: %v", n, err)
		}
		if _, err := NewOpener(make([]byte, n), 1); !errors.Is(err, ErrKey) {
			t.Errorf("opener with %d bytes: %v", n, err)
		}
	}
	if _, err := o.Open(nil, nil, AppendHeader(nil, 78, 1)); !errors.Is(err, ErrKID) {
		t.Errorf("another key id: %v", err)
	}
}

func TestAHeaderHasOneFormOnly(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, {0x08}, {0x08, 0x07}, {0x80, 0x07}, {0x09, 0x00, 0xff}, {0x90, 0x00, 0xff}, {0x80}} {
		if _, err := ParseHeader(b); !errors.Is(err, ErrHeader) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	s, o := pair(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "sealer", s, "opener", o)
	for _, text := range []string{fmt.Sprintf("%v", s), fmt.Sprintf("%+v %#v", s, s), fmt.Sprintf("%v %+v %#v", o, o, o), log.String()} {
		if !strings.Contains(text, "redacted") || strings.Contains(text, "salt") {
			t.Errorf("prints %q", text)
		}
	}
}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	s, o := pair(t)
	frame, meta := make([]byte, 1200), []byte("trk_019a0000-0000-7000-8000-000000000000")
	sealed, opened := make([]byte, 0, 2048), make([]byte, 0, 2048)
	n := testing.AllocsPerRun(200, func() {
		out, _, err := s.Seal(sealed, meta, frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(opened, meta, out); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkSealAndOpen(b *testing.B) {
	s, o := pair(b)
	frame, meta := make([]byte, 1200), []byte("trk")
	sealed, opened := make([]byte, 0, 2048), make([]byte, 0, 2048)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		out, _, _ := s.Seal(sealed, meta, frame)
		if _, err := o.Open(opened, meta, out); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte{0x99, 1, 0x23, 0x45, 0x67})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		if again := AppendHeader(nil, h.KID, h.Counter); !bytes.Equal(again, b[:h.Len]) {
			t.Fatalf("%x reads as %+v, which is written %x", b, h, again)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s, o := pair(f)
	f.Add(seal(f, s, "frame"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		fresh := Opener{key: o.key, kid: o.kid}
		if out, err := fresh.Open(nil, []byte("another"), sealed); err == nil {
			t.Fatalf("%x opens as %q", sealed, out)
		}
	})
}
