package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"kuule/internal/durable"
)

func TestWriteFileReplacesAndLeavesNothingBeside(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	for _, content := range []string{"one", "two"} {
		if err := durable.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v", info.Mode(), err)
	}
	wantFiles(t, folder, 1)
}

func TestCreateRefusesASecondContent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := durable.Create(path, strings.NewReader("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(path, strings.NewReader("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("got %v, want fs.ErrExist", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Fatalf("got %q", got)
	}
	wantFiles(t, folder, 1)
}

func TestAnInterruptedWriteLeavesTheOldContent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	broken := errors.New("source broke")
	err := durable.Create(filepath.Join(folder, "a"), iotest.ErrReader(broken), 0o600)
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	wantFiles(t, folder, 0)
}

func wantFiles(t *testing.T, folder string, want int) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != want {
		t.Fatalf("folder holds %v, %v; want %d files", entries, err, want)
	}
}
