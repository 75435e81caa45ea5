package house

import (
	"os/exec"
	"strings"
	"testing"
)

// One program links foreign code: the face engine, which runs in a sandbox. The
// server, the agent and the kiosk do not.
func TestForeignCodeStaysInTheFaceEngine(t *testing.T) {
	const foreign = "github.com/yalue/onnxruntime_go"
	holds := func(binary string) bool {
		command := exec.Command("go", "list", "-deps", "./"+binary)
		command.Dir, command.Env = "../..", append(command.Environ(), "CGO_ENABLED=1")
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), foreign)
	}
	for _, binary := range production {
		if holds(binary) {
			t.Errorf("%s holds %s", binary, foreign)
		}
	}
	if !holds("cmd/kuule-face") {
		t.Error("the face engine does not hold it: the test proves nothing")
	}
}
