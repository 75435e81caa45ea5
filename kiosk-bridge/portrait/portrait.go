package portrait

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/sandbox"
	"kuule/kiosk-bridge/emrtd"
)

// Bounds of a portrait. Real ones have 10 to 40 kB and below a million pixels.
const (
	MaxBytes  = 1 << 20
	MaxSide   = 4096    // pixels
	MaxPixels = 4 << 20 // pixels
)

// What is wrong with a portrait. The texts hold nothing of its content.
var (
	ErrUnreadable = errors.New("portrait cannot be read")
	ErrTooLarge   = errors.New("portrait is larger than allowed")
	ErrNoDecoder  = errors.New("no decoder for JPEG 2000: install libopenjp2-tools")
)

// decoder bounds OpenJPEG's program: four million pixels of four components
// need 200 MB. It cannot start threads that outlive it, nor write more than one
// picture.
var decoder = sandbox.Limits{Memory: 768 << 20, CPU: 10, File: 96 << 20, Files: 16}

// waiting is how long one picture may take on a busy machine.
const waiting = 20 * time.Second

// turns bounds how many pictures are decoded at once.
var turns = make(chan struct{}, 4)

// Plain returns a portrait that can be opened anywhere: JPEG as it is, JPEG 2000
// as PNG. It is safe for concurrent use; beyond four at once it waits.
func Plain(ctx context.Context, f emrtd.Face) (emrtd.Face, error) {
	if len(f.Image) > MaxBytes {
		return emrtd.Face{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(f.Image))
	}
	switch f.Format {
	case "image/jpeg":
		c, err := jpeg.DecodeConfig(bytes.NewReader(f.Image))
		if err != nil {
			return emrtd.Face{}, unreadable("JPEG without a header")
		}
		return f, shape{width: c.Width, height: c.Height}.bounded()
	case "image/jp2":
		s, err := parseHeader(f.Image)
		if err != nil {
			return emrtd.Face{}, err
		}
		out, err := decode(ctx, f.Image, s)
		if err != nil {
			return emrtd.Face{}, err
		}
		return emrtd.Face{Format: "image/png", Image: out}, nil
	}
	return emrtd.Face{}, unreadable("format %q", f.Format)
}

func decode(ctx context.Context, in []byte, s shape) ([]byte, error) {
	program, err := exec.LookPath("opj_decompress")
	if err != nil {
		return nil, ErrNoDecoder
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	names, err := names()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(names) }()
	source, err := memory(in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	result, err := memory(nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = result.Close() }()

	name := "picture.j2k"
	if s.file {
		name = "picture.jp2"
	}
	ctx, cancel := context.WithTimeout(ctx, waiting)
	defer cancel()
	c := exec.CommandContext(ctx, program, "-threads", "1", "-i", filepath.Join(names, name), "-o", filepath.Join(names, "picture.png"))
	c.ExtraFiles = []*os.File{source, result}
	if err := sandbox.Start(c, decoder); err != nil {
		return nil, fmt.Errorf("decode a portrait: %w", err)
	}
	err = c.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("decode a portrait: %w", ctx.Err())
	}
	if err != nil {
		return nil, unreadable("decoder ended with %v", err)
	}
	return picture(result, s)
}

// picture takes what the decoder wrote, which has to be what the header said.
func picture(f *os.File, s shape) ([]byte, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, int64(decoder.File)))
	if err != nil {
		return nil, fmt.Errorf("read a decoded portrait: %w", err)
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width != s.width || c.Height != s.height {
		return nil, unreadable("decoder made another picture")
	}
	return b, nil
}

// memory is a file that is on no disk.
func memory(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("portrait", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make room for a portrait: %w", err)
	}
	f := os.NewFile(uintptr(fd), "portrait")
	if _, err := f.WriteAt(content, 0); err != nil {
		return nil, fmt.Errorf("make room for a portrait: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}

// names makes a folder of names for the two descriptors that the program gets:
// it knows formats by the ends of names. Nothing else is ever in there.
func names() (string, error) {
	folder, err := os.MkdirTemp("", "kuule-portrait-")
	if err != nil {
		return "", fmt.Errorf("decode a portrait: %w", err)
	}
	for name, descriptor := range map[string]string{"picture.jp2": "3", "picture.j2k": "3", "picture.png": "4"} {
		if err := os.Symlink("/proc/self/fd/"+descriptor, filepath.Join(folder, name)); err != nil {
			return "", fmt.Errorf("decode a portrait: %w", errors.Join(err, os.RemoveAll(folder)))
		}
	}
	return folder, nil
}
