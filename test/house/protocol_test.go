package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kuule/internal/bus"
)

// protocol reads docs/protocol.md.
func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// literals collects the string literals of the module's code, tests left out,
// that match a pattern.
func literals(t *testing.T, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, p := range list(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if value, err := strconv.Unquote(literal.Value); err == nil && pattern.MatchString(value) {
						found[value] = true
					}
				}
				return true
			})
		}
	}
	return found
}

func TestProtocolNamesEverySignedMessage(t *testing.T) {
	inCode := literals(t, regexp.MustCompile(`^kuule-[a-z-]+\+jws$`))
	inText := map[string]bool{}
	for _, match := range regexp.MustCompile("\\| `(kuule-[a-z-]+\\+jws)` \\|").FindAllStringSubmatch(protocol(t), -1) {
		inText[match[1]] = true
	}
	compare(t, "signed message", inCode, inText)
}

func TestProtocolNamesEveryKindOfID(t *testing.T) {
	inCode := map[string]bool{}
	for _, p := range list(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, prefix := range prefixes(t, path) {
				inCode[prefix] = true
			}
		}
	}
	words, _, _ := strings.Cut(protocol(t), "## Canonical form")
	inText := map[string]bool{}
	for _, match := range regexp.MustCompile("`([a-z]{2,4})_`").FindAllStringSubmatch(words, -1) {
		inText[match[1]] = true
	}
	compare(t, "prefix of an id", inCode, inText)
}

// prefixes finds what methods "Prefix() string" return.
func prefixes(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, declaration := range file.Decls {
		method, ok := declaration.(*ast.FuncDecl)
		if !ok || method.Recv == nil || method.Name.Name != "Prefix" || method.Body == nil || len(method.Body.List) != 1 {
			continue
		}
		answer, ok := method.Body.List[0].(*ast.ReturnStmt)
		if !ok || len(answer.Results) != 1 {
			continue
		}
		if literal, ok := answer.Results[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, value)
		}
	}
	return found
}

func TestProtocolNamesEveryProcess(t *testing.T) {
	_, table, _ := strings.Cut(protocol(t), "## Processes and the bus")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, role := range bus.Roles() {
		if role != bus.Supervisor && !strings.Contains(table, "| `"+string(role)+"` |") {
			t.Errorf("docs/protocol.md does not say what process %s holds", role)
		}
	}
}

func compare(t *testing.T, what string, inCode, inText map[string]bool) {
	t.Helper()
	if len(inText) == 0 {
		t.Fatalf("docs/protocol.md names no %s: has its table changed?", what)
	}
	for _, name := range sorted(inCode) {
		if !inText[name] {
			t.Errorf("%s %s is in the code and not in docs/protocol.md", what, name)
		}
	}
	for _, name := range sorted(inText) {
		if !inCode[name] {
			t.Errorf("%s %s is in docs/protocol.md and not in the code", what, name)
		}
	}
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
