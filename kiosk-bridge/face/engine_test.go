package face

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A machine without the engine still identifies people.
func TestAMissingEngineIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), t.TempDir())
	if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "make face-engine") {
		t.Errorf("an empty folder: %v", err)
	}
	_, err = Open(t.Context(), "") // beside the test's own binary there is none
	if !errors.Is(err, ErrNoEngine) {
		t.Errorf("no folder: %v", err)
	}
}

func TestOtherModelsAreNotTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{FileProgram, FileLibrary, FileDetect, FileLandmark, FileFeature} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("something else"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), dir); err == nil || errors.Is(err, ErrNoEngine) {
		t.Errorf("other models: %v", err)
	}
}

// engine is one whose program is a shell script.
func engine(t *testing.T, script string) *Engine {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileProgram), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Engine{dir: dir, turns: make(chan struct{}, 1), wait: 30 * time.Second}
}

func TestAnEngineThatMisbehavesIsAnError(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"it says nothing":       "exit 0",
		"it fails":              "echo broken >&2; exit 3",
		"it prints garbage":     "exec head -c 100 /dev/zero",
		"it never stops saying": "exec head -c 10000000 /dev/zero",
		"it answers too little": `printf '\000\000\000\050{"v":1,"engine":"e","looks":[],"scores":[]}'`,
	} {
		_, err := engine(t, script).Look(t.Context(), []byte("picture"))
		if !errors.Is(err, ErrEngine) || strings.Contains(err.Error(), "picture ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEngineThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	e := engine(t, "exec sleep 600")
	e.wait = 200 * time.Millisecond
	if _, err := e.Look(t.Context(), []byte("picture")); !errors.Is(err, ErrTimeout) {
		t.Errorf("a program that hangs: %v", err)
	}
	// Its turn is free again, and a caller who leaves is not kept.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Look(ctx, []byte("picture")); !errors.Is(err, ErrTimeout) {
		t.Errorf("a caller who left: %v", err)
	}
}

// B19: the process can keep nothing and tell nobody.
func TestTheEnginesProcessCanWriteNothing(t *testing.T) {
	t.Parallel()
	// All of it by the shell itself: it can start no other program.
	e := engine(t, `{ echo x > "$1/kept"; } 2>/dev/null && echo "wrote beside the models" >&2
for f in /tmp /var/tmp /dev/shm; do { echo x > "$f/kuule-face-kept"; } 2>/dev/null && echo "wrote into $f" >&2; done
{ read -r line < /etc/passwd; } 2>/dev/null && echo "read the system's files" >&2
cat /dev/null 2>/dev/null && echo "a program, so it could have read" >&2
exit 1`)
	_, err := e.Look(t.Context(), []byte("picture"))
	if !errors.Is(err, ErrEngine) {
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "wrote") || strings.Contains(err.Error(), "read") {
		t.Error(err)
	}
}
