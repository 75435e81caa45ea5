package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "kuule/"

// rooms are the top-level folders that never know each other.
var rooms = []string{"agreements", "attestation", "kiosk-bridge", "signaling", "sfu", "recorder", "transcript", "web"}

// production are the binaries that people run.
var production = []string{"cmd/kuule", "cmd/kuule-agent", "cmd/kuule-kiosk"}

type goPackage struct {
	ImportPath, Dir, Name              string
	Imports, TestImports, XTestImports []string
}

// inside is the path of the package in this module: "internal/bus".
func (p goPackage) inside() string { return strings.TrimPrefix(p.ImportPath, module) }

// top is the top-level folder.
func top(inside string) string {
	room, _, _ := strings.Cut(inside, "/")
	return room
}

// command is the command that a package belongs to: "cmd/kuule-demo", or "".
func command(inside string) string {
	parts := strings.SplitN(inside, "/", 3)
	if len(parts) < 2 || parts[0] != "cmd" {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

// packages lists this module's packages once for all tests.
var packages = sync.OnceValues(func() ([]goPackage, error) {
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,Imports,TestImports,XTestImports", "./...")
	command.Dir = "../.."
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, err
	}
	var all []goPackage
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if !strings.Contains(p.ImportPath, "/node_modules/") { // npm packages may hold Go
			all = append(all, p)
		}
	}
})

func list(t *testing.T) []goPackage {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}

// forbidden says why one package must not import the other, or "".
func forbidden(from, to string) string {
	app := to == "internal/app" || strings.HasPrefix(to, "internal/app/")
	fromApp := from == "internal/app" || strings.HasPrefix(from, "internal/app/")
	switch {
	case slices.Contains(rooms, top(from)) && slices.Contains(rooms, top(to)) && top(from) != top(to):
		return "a room never imports its neighbour: declare a small interface beside the use and let internal/app hand it over"
	case app && !fromApp && top(from) != "cmd" && top(from) != "test":
		return "only commands import internal/app"
	case top(from) == "internal" && !fromApp && (slices.Contains(rooms, top(to)) || top(to) == "interview"):
		return "internal packages know no hearing and no room"
	case top(from) == "interview" && slices.Contains(rooms, top(to)):
		return "interview is known by the rooms and knows none of them"
	case top(to) == "cmd" && command(from) != command(to):
		return "a command's packages are its own"
	case top(to) == "test" && top(from) != "test":
		return "these tests are imported by nobody"
	default:
		return ""
	}
}

func TestRoomsKnowOnlyWhomTheyMay(t *testing.T) {
	for _, p := range list(t) {
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if why := forbidden(p.inside(), to); why != "" {
				t.Errorf("%s imports %s: %s", p.inside(), to, why)
			}
		}
	}
}

// The rule itself must be able to fail.
func TestForbiddenImportsAreSeen(t *testing.T) {
	for _, c := range []struct {
		from, to string
		refused  bool
	}{
		{"recorder", "sfu", true},
		{"recorder/player", "signaling", true},
		{"recorder", "internal/app", true},
		{"internal/bus", "interview", true},
		{"internal/bus", "transcript", true},
		{"interview/admission", "agreements", true},
		{"sfu", "cmd/kuule", true},
		{"sfu", "test/house", true},
		{"cmd/kuule", "cmd/kuule-demo/stage", true},
		{"internal/app", "cmd/kuule", true},
		{"cmd/kuule-demo/rehearsal", "cmd/kuule-demo/people", false},
		{"cmd/kuule-demo", "cmd/kuule-demo/stage", false},
		{"recorder", "recorder/player", false},
		{"recorder", "interview/wire", false},
		{"recorder", "internal/keyring", false},
		{"internal/app", "recorder", false},
		{"internal/app", "interview", false},
		{"internal/audit/remote", "internal/bus", false},
		{"cmd/kuule", "internal/app", false},
	} {
		if got := forbidden(c.from, c.to) != ""; got != c.refused {
			t.Errorf("%s importing %s: refused is %v", c.from, c.to, got)
		}
	}
}

func TestProductionBinariesHoldNothingForTests(t *testing.T) {
	byPath := map[string]goPackage{}
	for _, p := range list(t) {
		byPath[p.inside()] = p
	}
	for _, binary := range production {
		if _, ok := byPath[binary]; !ok {
			t.Errorf("%s does not exist", binary)
		}
		seen := map[string]bool{}
		var visit func(inside string, way []string)
		visit = func(inside string, way []string) {
			if seen[inside] {
				return
			}
			seen[inside] = true
			way = append(way, inside)
			if strings.HasSuffix(filepath.Base(inside), "test") {
				t.Errorf("test package in a production binary: %s", strings.Join(way, " -> "))
				return
			}
			for _, path := range byPath[inside].Imports {
				if to, ours := strings.CutPrefix(path, module); ours {
					visit(to, slices.Clip(way))
				} else if path == "testing" {
					t.Errorf("package testing in a production binary: %s", strings.Join(way, " -> "))
				}
			}
		}
		visit(binary, nil)
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	const least = 3
	for _, p := range list(t) {
		path := filepath.Join(p.Dir, "doc.go")
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Errorf("%s: %v", p.inside(), err)
			continue
		}
		lines := 0
		for line := range strings.Lines(file.Doc.Text()) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if lines < least {
			t.Errorf("%s: its package comment in doc.go has %d lines, needs %d", p.inside(), lines, least)
		}
	}
}
