package app

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
)

// H5: a taking in is bounded by time too: when its own is over, what was brought goes,
// and nothing more is kept; one that was begun after it stays.
func TestATakingInIsDroppedWithItsTime(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	x := &takingIn{folder: folder}
	defer x.close()
	limits := intake.DefaultLimits()
	limits.Files, limits.LeastFree = 1, 0
	begun := func() *oneTaking {
		return &oneTaking{grant: backup.Grant{Hearing: interview.NewHearingID()}, until: time.Now().Add(takeInLife), spool: intake.NewSpool(folder, limits)}
	}
	files := func() int {
		left, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(left)
	}
	first, second := begun(), begun()
	piece := func(of *oneTaking, n int) error {
		return x.put(backupPiece{Hearing: of.grant.Hearing, File: n, Data: []byte("sealed")})
	}
	x.now = first
	if err := piece(first, 0); err != nil || files() != 1 {
		t.Fatalf("%d files, %v", files(), err)
	}
	if err := piece(first, 1); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
		t.Errorf("one back-up more than may be: %v", err)
	}
	if err := piece(first, 0); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("a piece twice: %v", err)
	}
	x.over(second) // of another time
	if x.now != first || files() != 1 {
		t.Error("another's time ended it")
	}
	x.over(first)
	if x.now != nil || files() != 0 {
		t.Errorf("%d files are left", files())
	}
	if err := piece(first, 0); !errors.Is(err, problem.New(problem.CodeNotReady, "")) {
		t.Errorf("after its time: %v", err)
	}
	x.now = second
	x.now.until = time.Now().Add(-time.Second)
	if err := piece(second, 0); !errors.Is(err, problem.New(problem.CodeNotReady, "")) || files() != 0 {
		t.Errorf("late: %v", err)
	}
}

// H5: a bundle that authority judges is bounded, and what goes beyond is said.
func TestABundleToJudgeHasItsBound(t *testing.T) {
	t.Parallel()
	j := &backupJudge{folder: t.TempDir()}
	defer j.close()
	h := interview.NewHearingID()
	piece := func(n int) error {
		return j.put(proofPiece{Hearing: h, Offset: j.size, Data: make([]byte, n)})
	}
	if err := piece(10); err != nil {
		t.Fatal(err)
	}
	j.size = maxProof - 5 // as after many pieces
	if err := piece(6); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
		t.Errorf("a byte more than the bound: %v", err)
	}
	if err := piece(5); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if err := piece(1); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
		t.Errorf("beyond the bound: %v", err)
	}
	j.keepers = []string{"recorder"}
	if err := j.whole(evidence.Report{}, []string{"x", "y"}); err == nil || !strings.Contains(err.Error(), "2 recorders spoke") {
		t.Errorf("more words than recorders: %v", err)
	}
}
