package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/facetest"
)

// B3: the kiosk's rehearsal compares faces, so without an engine it says at once
// what to do, and where it looked.
func TestKioskRehearsalRefusesWithoutAnEngine(t *testing.T) {
	t.Parallel()
	bin, other := t.TempDir(), t.TempDir()
	half := filepath.Join(bin, "half")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, face.FileProgram), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ faces, looked string }{
		"beside the programs":    {"", filepath.Join(bin, "face")},
		"in the named folder":    {other, other},
		"program without models": {half, half},
	} {
		err := rehearseCommand{Faces: c.faces}.engine(t.Context(), bin)
		if !errors.Is(err, face.ErrNoEngine) || !strings.Contains(err.Error(), "make face-engine") || !strings.Contains(err.Error(), c.looked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (rehearseCommand{Faces: "none"}).engine(t.Context(), bin); err == nil || !strings.Contains(err.Error(), "--faces none") {
		t.Errorf("none: %v", err)
	}
}

// With an engine, named or beside the programs, it goes on.
func TestKioskRehearsalFindsTheEngine(t *testing.T) {
	t.Parallel()
	facetest.Engine(t) // skips where there is none
	folder, err := filepath.Abs(os.Getenv("KUULE_TEST_FACE"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (rehearseCommand{Faces: folder}).engine(t.Context(), t.TempDir()); err != nil {
		t.Error(err)
	}
	bin := t.TempDir()
	if err := os.CopyFS(filepath.Join(bin, "face"), os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := (rehearseCommand{}).engine(t.Context(), bin); err != nil {
		t.Error(err)
	}
}
