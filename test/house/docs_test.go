package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kuule/internal/config"
)

// pages are the tracked texts for people.
func pages(t *testing.T) []string {
	t.Helper()
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Skip("no git checkout: only the project's own texts are looked at")
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if len(names) < 5 {
		t.Fatalf("found only %q", names)
	}
	return names
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			continue // removed but not committed yet
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s leads to %s: %v", name, m[1], err)
			}
		}
	}
}

var (
	testNamed   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]+)`")
	testDefined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// What a text says is proved by a test must be proved by a test that exists.
func TestTestsNamedInTheDocsExist(t *testing.T) {
	defined := map[string]bool{}
	for _, p := range list(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testDefined.FindAllStringSubmatch(string(text), -1) {
				defined[m[1]] = true
			}
		}
	}
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			continue
		}
		for _, m := range testNamed.FindAllStringSubmatch(string(text), -1) {
			if !defined[m[1]] {
				t.Errorf("%s names %s, and no such test exists", name, m[1])
			}
		}
	}
}

// The map of the folders in the README is the folders.
func TestTheReadmeNamesEveryFolder(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, row := range rows(t, string(text), "folder", "holds") {
		for _, folder := range ticked(row[0]) {
			named = append(named, strings.TrimSuffix(folder, "/"))
		}
	}
	for _, p := range list(t) {
		if folder := top(p.inside()); !slices.Contains(named, folder) {
			t.Errorf("README.md does not say what %s holds", folder)
		}
	}
	for _, folder := range named {
		if _, err := os.Stat(filepath.Join("../..", folder)); err != nil {
			t.Errorf("README.md names %s: %v", folder, err)
		}
	}
}

// The example of a configuration is one that is read.
func TestTheExampleOfAConfigurationIsRead(t *testing.T) {
	page, err := os.ReadFile("../../docs/installation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```json\n")
	example, _, ended := strings.Cut(example, "```")
	if !found || !ended {
		t.Fatal("docs/installation.md shows no configuration")
	}
	if _, err := config.Parse([]byte(example)); err != nil {
		t.Errorf("docs/installation.md: %v", err)
	}
}

var target = regexp.MustCompile(`(?m)^([a-z][a-z-]*):.*?## `)

// Commands that the texts tell people to type exist.
func TestMakeTargetsNamedInTheDocsExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	named := regexp.MustCompile("(?m)(?:`|^\\s*)make ([a-z][a-z-]*)(?:`|\\s|$)")
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if !targets[m[1]] {
				t.Errorf("%s says make %s, and the Makefile has no such target", name, m[1])
			}
		}
	}
}
