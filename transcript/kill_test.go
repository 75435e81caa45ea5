package transcript_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/record"
)

// typistDatabase names the database in which the child below types.
const typistDatabase = "KUULE_TEST_TYPIST_DATABASE"

// TestTypist is the child of the test below: it types one line, letter by
// letter as the page saves it, and says which version was answered.
func TestTypist(t *testing.T) {
	path := os.Getenv(typistDatabase)
	if path == "" {
		t.Skip("runs only as the child of TestWhatWasAnsweredSurvivesAKill")
	}
	d := newDesk(t, func(t testing.TB) *interviewtest.World {
		db, err := store.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatal(err)
		}
		return interviewtest.NewWorld(t, db)
	})
	id := interview.NewUtteranceID()
	for version := int64(0); ; version++ {
		d.must(interview.RoleInterviewer, "PUT", d.line(id), d.body(version, 1, record.Answer, fmt.Sprintf("%s %d", answer, version)), nil)
		if _, err := fmt.Printf("answered %s %d\n", id, version+1); err != nil {
			return
		}
	}
}

// Promise 10: a killed server costs at most what was not answered yet, which the
// page keeps and sends again: of the page's 250 ms between saves nothing more.
func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "kuule.db")
		child := exec.Command(os.Args[0], "-test.run=^TestTypist$", "-test.timeout=1m")
		child.Env = append(os.Environ(), typistDatabase+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var id string
		var answered int64
		lines := bufio.NewScanner(out)
		for answered < int64(7+13*round) && lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "answered %s %d", &id, &answered)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had answered before the end counts too
			_, _ = fmt.Sscanf(lines.Text(), "answered %s %d", &id, &answered)
		}
		_ = child.Wait()
		if answered == 0 {
			t.Fatal("the child typed nothing")
		}
		db, err := store.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatal(err)
		}
		var kept int64
		if err := db.NewSelect().Table("utterance").ColumnExpr("max(version)").Where("id = ?", id).Scan(t.Context(), &kept); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if kept < answered {
			t.Errorf("version %d was answered and %d is kept", answered, kept)
		}
	}
}
