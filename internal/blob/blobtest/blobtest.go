package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"kuule/internal/blob"
)

// Run checks a backend. fresh gives an empty store each time.
func Run(t *testing.T, fresh func(t testing.TB) blob.Store) {
	const name = "rec_1/000001.journal"
	content := []byte("0123456789")
	filled := func(t *testing.T) blob.Store {
		s := fresh(t)
		if err := s.Put(t.Context(), name, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	read := func(t *testing.T, s blob.Store, offset, length int64) (string, error) {
		r, err := s.Get(t.Context(), name, offset, length)
		if err != nil {
			return "", err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		return string(got), err
	}

	t.Run("what was put is read, whole and in ranges", func(t *testing.T) {
		s := filled(t)
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, -1, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"}, {10, -1, ""}, {10, 0, ""}} {
			if got, err := read(t, s, c.offset, c.length); err != nil || got != c.want {
				t.Errorf("from %d, %d bytes: %q, %v", c.offset, c.length, got, err)
			}
		}
		for _, c := range [][2]int64{{-1, 2}, {0, 11}, {11, -1}, {5, -2}, {1 << 62, 1 << 62}} {
			if _, err := read(t, s, c[0], c[1]); !errors.Is(err, blob.ErrRange) {
				t.Errorf("from %d, %d bytes: got %v, want ErrRange", c[0], c[1], err)
			}
		}
		info, err := s.Stat(t.Context(), name)
		if err != nil || info.Size != 10 || time.Since(info.Written).Abs() > time.Minute {
			t.Errorf("stat: %+v, %v", info, err)
		}
	})
	t.Run("what is kept is never changed", func(t *testing.T) {
		s := filled(t)
		if err := s.Put(t.Context(), name, strings.NewReader("other")); !errors.Is(err, blob.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
		if got, err := read(t, s, 0, -1); err != nil || got != string(content) {
			t.Errorf("now it is %q, %v", got, err)
		}
	})
	t.Run("of many writers of a name one succeeds", func(t *testing.T) {
		s := fresh(t)
		var won atomic.Int32
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				switch err := s.Put(t.Context(), name, bytes.NewReader(content)); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if won.Load() != 1 {
			t.Errorf("%d writers succeeded", won.Load())
		}
	})
	t.Run("a broken or cancelled put keeps nothing", func(t *testing.T) {
		s := fresh(t)
		broken := errors.New("source broke")
		if err := s.Put(t.Context(), name, io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, name, bytes.NewReader(content)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Stat(t.Context(), name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("something was kept: %v", err)
		}
	})
	t.Run("a source that gives little at a time is kept whole", func(t *testing.T) {
		s := fresh(t)
		if err := s.Put(t.Context(), name, iotest.OneByteReader(bytes.NewReader(content))); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, s, 0, -1); err != nil || got != string(content) {
			t.Errorf("kept %q, %v", got, err)
		}
	})
	t.Run("deleting removes, twice too", func(t *testing.T) {
		s := filled(t)
		for range 2 {
			if err := s.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := read(t, s, 0, -1); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if err := s.Put(t.Context(), name, bytes.NewReader(content)); err != nil {
			t.Errorf("name is not free again: %v", err)
		}
	})
	t.Run("what is locked is kept, and a lock is only extended (L5)", func(t *testing.T) {
		s := fresh(t)
		now := time.Now().Truncate(time.Second)
		if err := s.PutRetained(t.Context(), name, bytes.NewReader(content), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if info, err := s.Stat(t.Context(), name); err != nil || !info.Until.Equal(now.Add(time.Hour)) || info.Held {
			t.Errorf("stat: %+v, %v", info, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, blob.ErrLocked) {
			t.Errorf("delete before its time: got %v, want ErrLocked", err)
		}
		if err := s.Extend(t.Context(), name, now.Add(time.Minute)); !errors.Is(err, blob.ErrShorten) {
			t.Errorf("shortened: got %v, want ErrShorten", err)
		}
		if err := s.Extend(t.Context(), name, now.Add(2*time.Hour)); err != nil {
			t.Errorf("extend: %v", err)
		}
		if info, err := s.Stat(t.Context(), name); err != nil || !info.Until.Equal(now.Add(2*time.Hour)) {
			t.Errorf("after extending: %+v, %v", info, err)
		}
		if got, err := read(t, s, 0, -1); err != nil || got != string(content) {
			t.Errorf("what was locked reads %q, %v", got, err)
		}
	})
	t.Run("a lock that is over keeps nothing", func(t *testing.T) {
		s := fresh(t)
		until := time.Now().Add(2 * time.Second)
		if err := s.PutRetained(t.Context(), name, bytes.NewReader(content), until); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := s.Delete(t.Context(), name)
			if err == nil {
				break
			}
			if !errors.Is(err, blob.ErrLocked) || time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if time.Now().Before(until.Truncate(time.Second)) {
			t.Error("deleted before its time")
		}
	})
	t.Run("a hold keeps a file whatever its time (L2)", func(t *testing.T) {
		s := filled(t)
		if err := s.Hold(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
		if info, err := s.Stat(t.Context(), name); err != nil || !info.Held {
			t.Errorf("stat: %+v, %v", info, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, blob.ErrLocked) {
			t.Errorf("delete under a hold: got %v, want ErrLocked", err)
		}
		if err := s.Hold(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("after the hold: %v", err)
		}
		extend := s.Extend(t.Context(), name, time.Now().Add(time.Hour))
		hold := s.Hold(t.Context(), name, true)
		for what, err := range map[string]error{"extend": extend, "hold": hold} {
			if !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s of a missing file: got %v, want ErrNotFound", what, err)
			}
		}
	})
	t.Run("names that lead elsewhere", func(t *testing.T) {
		s := filled(t)
		for _, bad := range []string{"", "/", "a/", "/a", "../a", "a/../../b", "a//b", ".hidden", "A", "a b", "a\x00", strings.Repeat("a/", 9) + "a", strings.Repeat("a", 200)} {
			_, stat := s.Stat(t.Context(), bad)
			_, get := s.Get(t.Context(), bad, 0, -1)
			for what, err := range map[string]error{
				"put": s.Put(t.Context(), bad, bytes.NewReader(content)), "stat": stat, "get": get, "delete": s.Delete(t.Context(), bad),
				"extend": s.Extend(t.Context(), bad, time.Now()), "hold": s.Hold(t.Context(), bad, true),
			} {
				if err == nil {
					t.Errorf("%s %q was done", what, bad)
				}
			}
		}
		if _, err := s.Stat(t.Context(), "rec_1"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a part of a name is a file: %v", err)
		}
	})
}
