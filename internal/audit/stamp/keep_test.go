package stamp_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/audit/stamp"
	"kuule/internal/audit/stamp/stamptest"
)

// The log is stamped by itself: what grew since the last stamp, once, and again
// after an authority that did not answer.
func TestTheNewestCheckpointIsStampedAgainAndAgain(t *testing.T) {
	t.Parallel()
	a := stamptest.New(t)
	var size, asked atomic.Uint64
	size.Store(3)
	folder := filepath.Join(t.TempDir(), "stamps")
	k := stamp.Keeper{Address: "http://127.0.0.1:1", Roots: a.Roots, Folder: folder, Every: time.Millisecond, Newest: func(context.Context) (string, uint64, error) {
		asked.Add(1)
		return fmt.Sprintf("the log has %d entries\n", size.Load()), size.Load(), nil
	}}
	during(t, k, func() bool { return asked.Load() > 3 }) // nobody answers there
	if _, err := os.Stat(folder); err == nil {
		t.Fatal("something was kept that nobody stamped")
	}
	k.Address = a.Serve()
	kept := func() []stamp.Kept {
		all, err := stamp.Read(folder, a.Roots)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	during(t, k, func() bool { return len(kept()) == 1 })
	size.Store(5)
	during(t, k, func() bool { return len(kept()) == 2 })
	before := asked.Load()
	during(t, k, func() bool { return asked.Load() > before+5 })
	if all := kept(); len(all) != 2 || all[0].Text != "the log has 3 entries\n" || all[1].Name != "checkpoint-5.tsr" {
		t.Errorf("kept: %+v", all)
	}

	if err := os.WriteFile(filepath.Join(folder, "checkpoint-3.txt"), []byte("the log has 4 entries\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stamp.Read(folder, a.Roots); err == nil {
		t.Error("a checkpoint that was changed holds under its stamp")
	}
}

// during runs the keeper until something holds.
func during(t *testing.T, k stamp.Keeper, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan struct{})
	go func() { defer close(ended); k.Run(ctx) }()
	for !holds() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	late := ctx.Err() != nil
	cancel()
	<-ended
	if late {
		t.Fatal("it did not come to that within a minute")
	}
}
