package outside

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
)

// systemPython is the interpreter that Debian's packages are for (.ci/packages:
// python3-aiortc).
const systemPython = "/usr/bin/python3"

// A client in another language, over a WebRTC library of other people, publishes
// and subscribes: stranger.py, written from docs/protocol.md alone.
func TestAClientInAnotherLanguage(t *testing.T) {
	if out, err := exec.Command(systemPython, "-c", "import aiortc").CombinedOutput(); err != nil {
		t.Skipf("needs python3-aiortc (.ci/packages): %v\n%s", err, out)
	}
	base := node(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, systemPython, "stranger.py", base, "stranger").Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		t.Fatalf("%v\n%s", err, ended.Stderr)
	}
	var came struct{ Audio, Video int }
	if err != nil || json.Unmarshal(out, &came) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if came.Audio < 100 || came.Video < 30 {
		t.Errorf("%d frames of sound and %d pictures came and were decoded", came.Audio, came.Video)
	}
	t.Logf("%d frames of sound and %d pictures came and were decoded", came.Audio, came.Video)
}
