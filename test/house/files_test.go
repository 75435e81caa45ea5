package house

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unwanted is what no file of the project holds, and why.
var unwanted = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(^|[\s"'=(:])/(work|root|home/[a-z][a-z0-9_-]*)/`), "a path of one machine"},
	{regexp.MustCompile(`"resolved":\s*"https?://`), "a registry's address: npm config omit-lockfile-registry-resolved"},
	{regexp.MustCompile(`(?i)\b(registry|goproxy|index-url)\b["']?\s*[=:]\s*["']?https?://`), "a registry's address: it belongs into the machine's own settings"},
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`), "an unfinished place: finish it, or file an issue"},
	{regexp.MustCompile(`^(<<<<<<<|>>>>>>>) `), "a merge that was not finished"},
}

func TestFilesHoldNothingOfOneMachine(t *testing.T) {
	command := exec.Command("git", "ls-files", "-z")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Skip("no git checkout: only tracked files are looked at")
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if name == "test/house/files_test.go" || name == "go.sum" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue // removed but not committed yet, or no text
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			for _, u := range unwanted {
				if u.pattern.MatchString(line) {
					t.Errorf("%s:%d holds %s", name, number, u.why)
				}
			}
		}
	}
}

func TestUnwantedIsSeen(t *testing.T) {
	for _, line := range []string{
		`path := "/root/x"`, "cd /work/y", `"resolved": "https://registry.example/x.tgz"`, "// TO" + "DO: later",
		"/home/someone/kuule", "registry=https://registry.example/", "export GOPROXY=http://proxy.example", "<<<<<<< HEAD",
	} {
		seen := false
		for _, u := range unwanted {
			seen = seen || u.pattern.MatchString(line)
		}
		if !seen {
			t.Errorf("%q was not seen", line)
		}
	}
	for _, line := range []string{"network/root/x", "https://host/work/x", "the root / of all", "todos", "/home of all", "the registry at https://host"} {
		for _, u := range unwanted {
			if u.pattern.MatchString(line) {
				t.Errorf("%q was taken for %s", line, u.why)
			}
		}
	}
}
