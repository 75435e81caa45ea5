package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const requirements = "docs/requirements.md"

var (
	comment  = regexp.MustCompile(`(?m)(?://|--|/?\*).*$`)
	rowsSaid = regexp.MustCompile(`(?:(?://|--|\*) (?:[Pp]romises? [0-9, and]+, ?)?|[Rr]ows? )([A-O][0-9]{1,2}(?:(?:, | and )[A-O][0-9]{1,2})*)(?:[:,.;)]|\s|$)`)
	promises = regexp.MustCompile(`[Pp]romises? ([0-9]{1,2}(?:(?:, | and )[0-9]{1,2})*)`)
	one      = regexp.MustCompile(`[A-O]?[0-9]{1,2}`)
	stands   = regexp.MustCompile(`(?m)^\| ([A-O]?[0-9]{1,2}) \|`)
)

// A row or promise that code names is explained, and one that is explained has a
// test that names it.
func TestRequirementsAreExplainedAndTested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../..", requirements))
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, m := range stands.FindAllStringSubmatch(string(text), -1) {
		tested[m[1]] = false
	}
	if len(tested) < 50 {
		t.Fatalf("found only %d rows in %s", len(tested), requirements)
	}
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.go", "*.ts", "*.tsx", "*.mjs", "*.sql")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Skip("no git checkout: only the project's own files are looked at")
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil || name == "test/house/requirements_test.go" {
			continue
		}
		isTest := strings.HasSuffix(name, "_test.go") || strings.Contains(name, ".test.ts") || strings.HasPrefix(name, "web/test/") || strings.HasPrefix(name, "cmd/kuule-demo/rehearsal/")
		for _, id := range named(string(text)) {
			if _, ok := tested[id]; !ok {
				t.Errorf("%s names %s, which %s does not explain", name, id, requirements)
				continue
			}
			tested[id] = tested[id] || isTest
		}
	}
	for id, ok := range tested {
		if !ok {
			t.Errorf("%s has %s, and no test names it", requirements, id)
		}
	}
}

// named gives the rows and promises in the comments of a source file.
func named(text string) []string {
	var all []string
	for _, line := range comment.FindAllString(text, -1) {
		for _, said := range append(rowsSaid.FindAllStringSubmatch(line, -1), promises.FindAllStringSubmatch(line, -1)...) {
			all = append(all, one.FindAllString(said[1], -1)...)
		}
	}
	return all
}
