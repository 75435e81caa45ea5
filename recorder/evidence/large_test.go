package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"kuule/recorder/evidence"
)

// sparse gives zeros without keeping them.
type sparse struct{ left int64 }

func (s *sparse) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), s.left)
	clear(b[:n])
	s.left -= n
	return int(n), nil
}

func (s *sparse) Close() error { return nil }

// holes writes zeros as holes of a file.
type holes struct {
	f  *os.File
	at int64
}

func (h *holes) Write(b []byte) (int, error) {
	if bytes.Count(b, []byte{0}) != len(b) {
		if _, err := h.f.WriteAt(b, h.at); err != nil {
			return 0, err
		}
	}
	h.at += int64(len(b))
	return len(b), nil
}

// H3: a bundle of more than 4 GiB verifies, standard programs read it, and a
// flipped bit in its directory is named.
func TestSoakBundleOverFourGigabytes(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("KUULE_SOAK=1 runs it: it makes and hashes a sparse file of 4.5 GB")
	}
	h := hold(t)
	// What stands in audit/ is for the log's verifier; here it fills the bundle.
	for _, name := range []string{"a", "b", "c"} {
		h.content.Audit = append(h.content.Audit, evidence.Blob{Name: name, Open: func() (io.ReadCloser, error) { return &sparse{3 << 29}, nil }})
	}
	f, err := os.Create(t.TempDir() + "/large.zip")
	must(t, err)
	defer f.Close()
	out := &holes{f: f}
	must(t, evidence.Build(context.Background(), out, h.content, sealer{h.Sealing}))
	must(t, f.Truncate(out.at))
	if out.at < 1<<32 {
		t.Fatalf("%d bytes", out.at)
	}
	z, err := zip.NewReader(f, out.at)
	must(t, err)
	if got := len(z.File); got < 10 {
		t.Fatalf("%d files", got)
	}
	last, err := z.File[len(z.File)-1].Open()
	must(t, err)
	text, err := io.ReadAll(last)
	must(t, err)
	if !bytes.HasPrefix(text, []byte("ey")) { // transcript/records lie behind the 4 GiB
		t.Fatalf("%q", text)
	}
	_, err = evidence.Verify(f, out.at, h.Trust(), evidence.Options{})
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, out.at-60)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, out.at-60)
	must(t, err)
	var p *evidence.PlaceError
	if _, err := evidence.Verify(f, out.at, h.Trust(), evidence.Options{}); !errors.As(err, &p) || p.Offset != out.at-60 {
		t.Fatalf("a byte of the directory's 64-bit end was flipped: %v", err)
	}
}
