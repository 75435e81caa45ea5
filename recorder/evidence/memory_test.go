package evidence_test

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

// watched is a bundle whose reading, from several sides at once, is watched: how
// much memory is in use meanwhile.
type watched struct {
	in         io.ReaderAt
	mu         sync.Mutex
	read, look int64
	most       uint64
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.in.ReadAt(p, off)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.read += int64(n); w.read > w.look {
		w.look += 4 << 20
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		w.most = max(w.most, s.HeapAlloc)
	}
	return n, err
}

// H3: verifying takes the same memory whatever the length: that of a block and of
// those read ahead, not of the bundle.
func TestVerifyingALongBundleTakesLittleMemory(t *testing.T) { // not parallel: memory is counted
	const blocks, each, size = 24, 8, 256 << 10 // 48 MiB
	h := hold(t, func(h *hearing, j *journal.Writer) {
		body := make([]byte, size)
		for b := range blocks {
			for k := range each {
				must(t, j.Append(h.sender.Seal(interview.Micros(1_000_000+b*each+k), false, body)))
			}
			seq := j.Durable().Seq
			j.Flush()
			for end := time.Now().Add(60 * time.Second); j.Durable().Seq == seq; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("no block")
				}
			}
		}
	})
	f, err := os.Create(t.TempDir() + "/long.zip")
	must(t, err)
	defer f.Close()
	must(t, evidence.Build(context.Background(), f, h.content, sealer{h.Sealing}))
	st, err := f.Stat()
	must(t, err)
	if st.Size() < blocks*each*size {
		t.Fatalf("%d bytes", st.Size())
	}
	for name, o := range map[string]evidence.Options{"sealed": {}, "opened": h.options()} {
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := &watched{in: f}
		if _, err := evidence.Verify(w, st.Size(), h.Trust(), o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.read < st.Size() {
			t.Errorf("%s: %d of %d bytes were read", name, w.read, st.Size())
		}
		if grown := int64(w.most) - int64(before.HeapAlloc); grown > 24<<20 {
			t.Errorf("%s: %d bytes took %d bytes of memory", name, st.Size(), grown)
		}
	}
}
