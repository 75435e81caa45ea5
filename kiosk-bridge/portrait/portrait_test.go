package portrait

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kuule/kiosk-bridge/emrtd"
)

// encode makes a JPEG 2000 picture with OpenJPEG's own program.
func encode(t testing.TB, img image.Image, name string, options ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("opj_compress")
	if err != nil {
		t.Skip("needs libopenjp2-tools, see .ci/packages")
	}
	folder := t.TempDir()
	in, out := filepath.Join(folder, "in.png"), filepath.Join(folder, name)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(program, append([]string{"-i", in, "-o", out}, options...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	coded, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return coded
}

func colours(width, height int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	return img
}

func grey(width, height int) image.Image {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	return img
}

func jp2(b []byte) emrtd.Face { return emrtd.Face{Format: "image/jp2", Image: b} }

// B1: a portrait in JPEG 2000 comes out pixel by pixel, in colour and grey, as a
// file and as a bare codestream, whole and in tiles.
func TestPortraitInJPEG2000IsDecoded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		img     image.Image
		file    string
		options []string
	}{
		"colour":       {colours(240, 320), "out.jp2", nil},
		"grey":         {grey(240, 320), "out.jp2", nil},
		"codestream":   {colours(240, 320), "out.j2k", nil},
		"grey, stream": {grey(100, 100), "out.j2k", nil},
		"tiles":        {colours(240, 320), "out.jp2", []string{"-t", "100,100"}},
	} {
		f, err := Plain(t.Context(), jp2(encode(t, c.img, c.file, c.options...)))
		if err != nil || f.Format != "image/png" {
			t.Errorf("%s: %s %v", name, f.Format, err)
			continue
		}
		got, err := png.Decode(bytes.NewReader(f.Image))
		if err != nil || got.Bounds() != c.img.Bounds() {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, at := range []image.Point{{0, 0}, {99, 99}, {17, 63}} {
			r, g, b, _ := got.At(at.X, at.Y).RGBA()
			wr, wg, wb, _ := c.img.At(at.X, at.Y).RGBA()
			if r != wr || g != wg || b != wb {
				t.Errorf("%s: pixel %v is another", name, at)
			}
		}
	}
	// The largest that is allowed stays within the sandbox's memory.
	large := image.NewNRGBA(image.Rect(0, 0, MaxSide, MaxPixels/MaxSide))
	if f, err := Plain(t.Context(), jp2(encode(t, large, "out.jp2"))); err != nil || len(f.Image) == 0 {
		t.Errorf("the largest: %v", err)
	}
	// As small as chips have them: with loss, near enough.
	f, err := Plain(t.Context(), jp2(encode(t, colours(480, 600), "out.jp2", "-r", "40")))
	if err != nil || len(f.Image) == 0 {
		t.Errorf("with loss: %v", err)
	}
}

// JPEG goes through as it is, and no further than its bounds.
func TestPortraitInJPEG(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, colours(240, 320), nil); err != nil {
		t.Fatal(err)
	}
	f, err := Plain(t.Context(), emrtd.Face{Format: "image/jpeg", Image: b.Bytes()})
	if err != nil || !bytes.Equal(f.Image, b.Bytes()) || f.Format != "image/jpeg" {
		t.Errorf("%s %v", f.Format, err)
	}
	huge := slices.Clone(b.Bytes())
	i := bytes.Index(huge, []byte{0xFF, 0xC0})
	copy(huge[i+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	if _, err := Plain(t.Context(), emrtd.Face{Format: "image/jpeg", Image: huge}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("65535 by 65535: %v", err)
	}
	for name, bad := range map[string]emrtd.Face{
		"cut":            {Format: "image/jpeg", Image: b.Bytes()[:10]},
		"another format": {Format: "image/gif", Image: b.Bytes()},
		"nothing":        {},
	} {
		if _, err := Plain(t.Context(), bad); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A few hundred bytes that would unfold to gigabytes are refused by their header,
// before a decoder sees them; so are 20 MB.
func TestJPEG2000BombsAreRefusedByTheirHeader(t *testing.T) {
	t.Parallel()
	file, stream := encode(t, grey(64, 64), "out.jp2"), encode(t, grey(64, 64), "out.j2k")
	with := func(b []byte, offset int, numbers ...uint32) []byte {
		b = slices.Clone(b)
		for i, n := range numbers {
			binary.BigEndian.PutUint32(b[offset+4*i:], n)
		}
		return b
	}
	const size = 8 // of SIZ's numbers in a codestream
	ihdr := bytes.Index(file, []byte("ihdr")) + 4
	siz := bytes.Index(file, []byte{0xFF, 0x4F, 0xFF, 0x51}) + size
	both := with(with(file, ihdr, 60000, 60000), siz, 60000, 60000, 0, 0, 60000, 60000)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"stream of 60000 by 60000":      {with(stream, size, 60000, 60000, 0, 0, 60000, 60000), ErrTooLarge},
		"file of 60000 by 60000":        {both, ErrTooLarge},
		"longest numbers":               {with(stream, size, 1<<32-1, 1<<32-1, 0, 0, 1<<32-1, 1<<32-1), ErrTooLarge},
		"long and thin":                 {with(stream, size, 100_000, 1, 0, 0, 100_000, 1), ErrTooLarge},
		"more pixels than sides allow":  {with(stream, size, MaxSide, MaxSide, 0, 0, MaxSide, MaxSide), ErrTooLarge},
		"small picture far out":         {with(stream, size, 1<<31, 1<<31, 1<<31-64, 1<<31-64, 1<<31, 1<<31), ErrTooLarge},
		"tiles of one pixel":            {with(stream, size+16, 1, 1), ErrTooLarge},
		"the file says less":            {with(file, siz, 2048, 2048, 0, 0, 2048, 2048), ErrUnreadable},
		"the file says more":            {with(file, ihdr, 60000, 60000), ErrUnreadable},
		"no width":                      {with(stream, size, 64, 64, 64, 0), ErrUnreadable},
		"tile without a size":           {with(stream, size+16, 0, 64), ErrUnreadable},
		"tile that begins in the midst": {with(stream, size+16, 64, 64, 1, 1), ErrUnreadable},
		"20 MB":                         {append(slices.Clone(stream), make([]byte, 20<<20)...), ErrTooLarge},
	} {
		if _, err := Plain(t.Context(), jp2(c.b)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is cut off or damaged is unreadable, wherever the damage is: the decoder
// may fall over it, this process does not.
func TestDamagedJPEG2000IsUnreadable(t *testing.T) {
	t.Parallel()
	whole := encode(t, colours(64, 80), "out.jp2")
	for _, n := range []int{0, 1, 8, 12, 40, 85, 90, 120, 200, len(whole) / 2, len(whole) - 10} {
		if _, err := Plain(t.Context(), jp2(whole[:n])); !errors.Is(err, ErrUnreadable) {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for i := 0; i < len(whole); i += len(whole) / 24 {
		b := slices.Clone(whole)
		for k := range min(8, len(b)-i) {
			b[i+k] ^= 0xA5
		}
		f, err := Plain(t.Context(), jp2(b))
		if err != nil && !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("bytes from %d: %v", i, err)
		}
		if err == nil { // other pixels, but a picture
			if _, err := png.Decode(bytes.NewReader(f.Image)); err != nil {
				t.Errorf("bytes from %d: %v", i, err)
			}
		}
	}
}

// Many at once take turns, and nothing stays behind.
func TestPortraitsTakeTurns(t *testing.T) {
	picture := encode(t, colours(64, 80), "out.jp2")
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, err := Plain(t.Context(), jp2(picture)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("%d left: %v", len(left), err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Plain(gone, jp2(picture)); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it any more: %v", err)
	}
}

// Without OpenJPEG's program the reason is told apart from a bad picture.
func TestWithoutADecoder(t *testing.T) {
	picture := encode(t, grey(64, 64), "out.jp2")
	t.Setenv("PATH", "")
	if _, err := Plain(t.Context(), jp2(picture)); !errors.Is(err, ErrNoDecoder) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkPortrait(b *testing.B) {
	picture := encode(b, colours(480, 600), "out.jp2", "-r", "40")
	for b.Loop() {
		if _, err := Plain(b.Context(), jp2(picture)); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(encode(f, colours(64, 64), "out.jp2"))
	f.Add(encode(f, grey(64, 64), "out.j2k"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseHeader(b)
		if err == nil && (s.bounded() != nil || s.components < 1 || s.components > maxComponents) {
			t.Errorf("accepted %+v", s)
		}
	})
}
