package house

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"kuule/internal/problem"
)

var update = flag.Bool("update", false, "write docs/problems.md anew")

const problemsPage = "../../docs/problems.md"

const problemsHead = `# Problems

Every refusal and failure has a code, the same over HTTP, in a room, at a kiosk and in a refusal by a rule (RFC 9457 problem documents, ` + "`internal/problem`" + `). Each names the way that is still open: a machine's "no" never ends a person's access to the procedure. People read the texts of ` + "`web/src/i18n`" + ` in their language; these titles are for the log.

This page is made from the registry: ` + "`go test ./test/house -run Problems -update`" + `.

| code | HTTP | says | way still open |
|---|---|---|---|
`

func TestProblemsPageIsTheRegistry(t *testing.T) {
	var page strings.Builder
	page.WriteString(problemsHead)
	for _, code := range problem.Codes() {
		e := problem.Lookup(code)
		fmt.Fprintf(&page, "| `%s` | %d | %s | `%s` |\n", code, e.Status, e.Title, e.Way)
	}
	if *update {
		if err := os.WriteFile(problemsPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(problemsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page.String() {
		t.Error("docs/problems.md is not what the registry says: go test ./test/house -run Problems -update")
	}
}
