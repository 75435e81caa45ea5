package house

import (
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kuule/internal/bus"
	"kuule/interview"
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

// rows reads the rows of the table whose header begins with these cells. Cells
// are trimmed; the table's place on the page does not matter.
func rows(t *testing.T, page string, header ...string) [][]string {
	t.Helper()
	var found [][]string
	inside := false
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case slices.Equal(cells, header):
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			if len(cells) != len(header) {
				t.Errorf("row %q has %d cells, its table %d", cells[0], len(cells), len(header))
				continue
			}
			found = append(found, cells)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no table with the header %q", header)
	}
	return found
}

var backticked = regexp.MustCompile("`([^`]+)`")

// ticked lists what a cell says in backticks.
func ticked(cell string) []string {
	var found []string
	for _, m := range backticked.FindAllStringSubmatch(cell, -1) {
		found = append(found, m[1])
	}
	return found
}

// literals collects the string literals of the module's code, tests left out,
// that match a pattern.
func literals(t *testing.T, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok {
				if value, ok := quoted(literal); ok && pattern.MatchString(value) {
					found[value] = true
				}
			}
			return true
		})
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
	for _, source := range sources(t) {
		for _, prefix := range prefixes(source.file) {
			inCode[prefix] = true
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
func prefixes(file *ast.File) []string {
	var found []string
	for _, declaration := range file.Decls {
		method, ok := declaration.(*ast.FuncDecl)
		if !ok || method.Recv == nil || method.Name.Name != "Prefix" || method.Body == nil || len(method.Body.List) != 1 {
			continue
		}
		if answer, ok := method.Body.List[0].(*ast.ReturnStmt); ok && len(answer.Results) == 1 {
			if value, ok := quoted(answer.Results[0]); ok {
				found = append(found, value)
			}
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

// The closed sets of words, by the name of their type.
func TestProtocolNamesEveryWord(t *testing.T) {
	kinds := map[string]string{
		"role": "Role", "mode": "Mode", "purpose": "Purpose", "phase": "Phase", "cause": "Cause",
		"recorder state": "RecorderState", "verdict": "Verdict", "source": "Source",
	}
	inCode, inText := map[string]bool{}, map[string]bool{}
	for _, c := range constants(t, "interview") {
		for word, kind := range kinds {
			if c.kind == kind {
				inCode[word+" "+c.value] = true
			}
		}
	}
	for _, row := range rows(t, protocol(t), "word", "values") {
		for _, value := range ticked(row[1]) {
			inText[row[0]+" "+value] = true
		}
	}
	compare(t, "word", inCode, inText)
}

func TestProtocolSaysWhoMayCallEachRoute(t *testing.T) {
	inCode, inText := map[string]bool{}, map[string]bool{}
	for route, who := range interview.Access() {
		var names []string
		if who.AnyDevice {
			names = append(names, "any device")
		}
		for _, role := range who.Roles {
			names = append(names, string(role))
		}
		inCode[route+" for "+strings.Join(names, ", ")] = true
	}
	for _, row := range rows(t, protocol(t), "route", "who") {
		inText[strings.Join(ticked(row[0]), "")+" for "+row[1]] = true
	}
	compare(t, "route", inCode, inText)
}

// A route that nobody registers any more must leave the table, and one that is
// registered past interview.Handle must be in it.
func TestEveryRouteOfTheTableIsServedAndNoOther(t *testing.T) {
	served := map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			operation, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if kind, ok := operation.Type.(*ast.SelectorExpr); !ok || kind.Sel.Name != "Operation" {
				return true
			}
			var method, path string
			for _, element := range operation.Elts {
				pair, ok := element.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				switch key, _ := pair.Key.(*ast.Ident); key.Name {
				case "Method":
					if m, ok := pair.Value.(*ast.SelectorExpr); ok {
						method = strings.ToUpper(strings.TrimPrefix(m.Sel.Name, "Method"))
					}
				case "Path":
					path, _ = quoted(pair.Value)
				}
			}
			if method == "" || path == "" {
				t.Errorf("%s: an operation whose method or path is not written out", s.path)
			}
			served[method+" "+path] = true
			return true
		})
	}
	for route := range muxed(t, "internal/app") {
		if strings.Contains(route, " /api/") {
			served[route] = true
		}
	}
	table := map[string]bool{}
	for route := range interview.Access() {
		table[route] = true
	}
	for _, route := range sorted(served) {
		if !table[route] {
			t.Errorf("%s is served and not in interview.Access", route)
		}
	}
	for _, route := range sorted(table) {
		if !served[route] {
			t.Errorf("%s is in interview.Access and nobody serves it", route)
		}
	}
}

// muxed lists the patterns that a package gives to a ServeMux.
func muxed(t *testing.T, inside string) map[string]bool {
	t.Helper()
	named := constants(t, inside)
	found := map[string]bool{}
	for _, c := range calls(t, inside) {
		if c.name != "Handle" && c.name != "HandleFunc" || len(c.args) != 2 {
			continue
		}
		pattern, ok := text(c.args[0], named)
		switch {
		case ok:
			found[pattern] = true
		case c.name == "HandleFunc" || c.of == "mux" || c.of == "api":
			t.Errorf("%s: a path that is not written out", c.source.path)
		}
	}
	return found
}

func TestProtocolNamesEveryOtherPathOfTheDoor(t *testing.T) {
	inCode, inText := muxed(t, "internal/app"), map[string]bool{}
	maps.DeleteFunc(inCode, func(pattern string, _ bool) bool {
		return pattern == "/" || strings.Contains(pattern, "/api/") // nothing is there; the table of routes
	})
	for _, row := range slices.Concat(rows(t, protocol(t), "path", "for"), rows(t, protocol(t), "path", "command")) {
		for _, path := range ticked(row[0]) {
			inText[path] = true
		}
	}
	compare(t, "path", inCode, inText)
}

func TestProtocolNamesEveryPathOfTheGateway(t *testing.T) {
	const inside = "attestation/agent/gateway"
	named := constants(t, inside)
	inCode, inText := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t, inside) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			routes, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			array, ok := routes.Type.(*ast.ArrayType)
			if !ok {
				return true
			}
			if element, ok := array.Elt.(*ast.Ident); !ok || element.Name != "Route" {
				return true
			}
			for _, e := range routes.Elts {
				route, ok := e.(*ast.CompositeLit)
				if !ok || len(route.Elts) < 4 {
					t.Fatalf("%s: a route of another shape", s.path)
				}
				path, _ := text(route.Elts[0], named)
				kind, _ := text(route.Elts[2], named)
				bearer := "no"
				if b, ok := route.Elts[3].(*ast.Ident); ok && b.Name == "true" {
					bearer = "yes"
				}
				inCode[path+" "+kind+", bearer "+bearer] = true
			}
			return true
		})
	}
	for _, row := range rows(t, protocol(t), "path", "kind", "bearer", "does") {
		inText[strings.Join(ticked(row[0]), "")+" "+row[1]+", bearer "+row[2]] = true
	}
	compare(t, "path of the gateway", inCode, inText)
}

func TestProtocolSaysWhatTheBusGrants(t *testing.T) {
	for _, c := range []struct {
		variable string
		header   []string
	}{
		{"requests", []string{"from", "to", "what"}},
		{"hearing", []string{"listener", "speaker", "topic"}},
	} {
		inCode, inText := map[string]bool{}, map[string]bool{}
		for _, element := range variable(t, "internal/bus", c.variable).Elts {
			rule := element.(*ast.CompositeLit)
			who := strings.ToLower(rule.Elts[0].(*ast.Ident).Name + " " + rule.Elts[1].(*ast.Ident).Name)
			for _, subject := range rule.Elts[2].(*ast.CompositeLit).Elts {
				what, _ := quoted(subject)
				inCode[who+" "+what] = true
			}
		}
		for _, row := range rows(t, protocol(t), c.header...) {
			for _, what := range ticked(row[2]) {
				inText[row[0]+" "+row[1]+" "+what] = true
			}
		}
		compare(t, "grant of the bus", inCode, inText)
	}
}

func TestProtocolNamesEveryRequestThatIsAnswered(t *testing.T) {
	inCode, inText := map[string]bool{}, map[string]bool{}
	for _, c := range calls(t) {
		if c.of != "bus" || c.name != "Handle" && c.name != "HandleHTTP" || len(c.args) < 2 {
			continue
		}
		what, ok := text(c.args[1], constants(t, c.source.inside))
		switch {
		case ok:
			inCode[what] = true
		case c.source.inside != "internal/keyring/remote": // its names are made of kind and operation
			t.Errorf("%s answers a request whose name is not written out", c.source.path)
		}
	}
	for _, row := range rows(t, protocol(t), "request", "answered by", "does") {
		for _, what := range ticked(row[0]) {
			inText[what] = true
		}
	}
	compare(t, "request", inCode, inText)
}

// Who may send what to the door of a room: the page's words for signaling's.
func TestProtocolSaysWhoMaySendEachMessage(t *testing.T) {
	words := map[string]string{"stranger": "not joined", "waiting": "waiting", "chair": "chair", "seated": "other page", "recorder": "recorder"}
	types := map[string]string{}
	for _, c := range constants(t, "interview/wire") {
		if c.kind == "Type" {
			types[c.name] = c.value
		}
	}
	inCode, ruled := map[string]bool{}, map[string]bool{}
	for _, element := range variable(t, "signaling", "rules").Elts {
		rule := element.(*ast.KeyValueExpr)
		message := types[rule.Key.(*ast.SelectorExpr).Sel.Name]
		for _, who := range alternatives(rule.Value) {
			if words[who] == "" {
				t.Fatalf("no word for %q", who)
			}
			inCode[message+" by "+words[who]] = true
		}
		ruled[message] = true
	}
	inText := map[string]bool{}
	for _, row := range rows(t, protocol(t), "message", "who may send it", "does") {
		for who := range strings.SplitSeq(row[1], ", ") {
			inText[strings.Join(ticked(row[0]), "")+" by "+who] = true
		}
	}
	compare(t, "message to the door", inCode, inText)

	// A message that is both sent on and sent by the door is named once.
	others, said := map[string]bool{}, map[string]bool{}
	for _, message := range types {
		if !ruled[message] {
			others[message] = true
		}
	}
	for _, row := range rows(t, protocol(t), "message", "says") {
		for _, message := range ticked(row[0]) {
			said[message] = true
		}
	}
	compare(t, "message from the door", others, said)
}

// alternatives lists the names of an expression a | b | c; admitted is spelled
// out as signaling defines it.
func alternatives(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return append(alternatives(e.X), alternatives(e.Y)...)
	case *ast.Ident:
		if e.Name == "admitted" {
			return []string{"chair", "seated", "recorder"}
		}
		return []string{e.Name}
	default:
		return nil
	}
}

func TestProtocolNamesEveryMessageOfAgentsAndKiosks(t *testing.T) {
	for _, c := range []struct {
		inside, prefix string
		header         []string
	}{
		{"attestation/wire", "Kind", []string{"kind", "from", "says"}},
		{"kiosk-bridge/tunnel", "Type", []string{"message", "from", "says"}},
	} {
		inCode, inText := map[string]bool{}, map[string]bool{}
		for _, constant := range constants(t, c.inside) {
			if strings.HasPrefix(constant.name, c.prefix) {
				inCode[constant.value] = true
			}
		}
		for _, row := range rows(t, protocol(t), c.header...) {
			inText[strings.Join(ticked(row[0]), "")] = true
		}
		compare(t, "message of "+c.inside, inCode, inText)
	}
}

func TestProtocolNamesEveryAuditEvent(t *testing.T) {
	inCode, inText := map[string]bool{}, map[string]bool{}
	for _, c := range calls(t) {
		if c.of != "audit" || c.name != "Define" {
			continue
		}
		name, _ := quoted(c.args[0])
		version, ok := c.args[1].(*ast.BasicLit)
		if name == "" || !ok {
			t.Fatalf("%s defines an event whose name or version is not written out", c.source.path)
		}
		var fields []string
		for _, a := range c.args[2:] {
			field, _ := quoted(a)
			fields = append(fields, field)
		}
		inCode[name+" "+version.Value+": "+strings.Join(fields, ", ")] = true
	}
	for _, row := range rows(t, protocol(t), "type", "version", "fields") {
		inText[strings.Join(ticked(row[0]), "")+" "+row[1]+": "+row[2]] = true
	}
	compare(t, "audit event", inCode, inText)
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
