package kiosk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // what scanimage is asked for
	"os/exec"
	"strings"
	"time"

	"kuule/kiosk-bridge/tunnel"
)

// Scanner reads papers on a scanner that SANE knows, through its program
// scanimage. It is safe for concurrent use; SANE lets one at a time have the
// device.
type Scanner struct {
	Device  string        // as `scanimage -L` names it
	Program string        // empty: scanimage of the PATH
	Within  time.Duration // for one page; 0: a minute
}

const (
	scanWithin = time.Minute
	maxPage    = 8 << 20 // bytes of one page, as the bridge takes it
	maxSide    = 12_000  // pixels: A3 at 600 to the inch is smaller
	maxTold    = 4 << 10 // bytes of what scanimage says beside it; the rest is not kept
	scanDPI    = "200"   // text of a form is read easily, and a page is below a megabyte
)

// PartError says why a part of the kiosk did nothing, with the reason that the
// bridge and the staff are told.
type PartError struct {
	Part   string // scanner, printer, camera...
	Reason string // one of tunnel's reasons
	err    error
}

// Error implements error.
func (e *PartError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Part, e.Reason, e.err) }

// Unwrap gives the cause.
func (e *PartError) Unwrap() error { return e.err }

// ReasonOf is the reason of a part's error; part-broken for any other.
func ReasonOf(err error) string {
	var part *PartError
	switch {
	case errors.As(err, &part):
		return part.Reason
	case errors.Is(err, context.DeadlineExceeded):
		return tunnel.ReasonTimedOut
	default:
		return tunnel.ReasonPartBroken
	}
}

// Statuses of SANE with which scanimage ends
// (https://sane-project.gitlab.io/standard/api.html#status-type).
var saneReasons = map[int]string{
	3:  tunnel.ReasonPartBroken, // busy
	6:  tunnel.ReasonPartBroken, // jammed
	7:  tunnel.ReasonNoPaper,
	8:  tunnel.ReasonPartBroken, // cover open
	9:  tunnel.ReasonPartBroken, // input or output
	11: tunnel.ReasonPartAbsent, // access denied
}

// Page reads one page as JPEG. The page exists in memory alone. Errors are of
// type *PartError.
func (s Scanner) Page(ctx context.Context) ([]byte, error) {
	fail := func(reason string, err error) ([]byte, error) { return nil, &PartError{"scanner", reason, err} }
	within, program := s.Within, s.Program
	if within == 0 {
		within = scanWithin
	}
	if program == "" {
		program = "scanimage"
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	page, said := bounded{most: maxPage, full: cancel}, first{most: maxTold}
	cmd := exec.CommandContext(ctx, program, "--device-name="+s.Device, "--format=jpeg", "--mode=Color", "--resolution="+scanDPI)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.WaitDelay = &page, &said, "/", 5*time.Second
	cmd.Env = []string{"LC_ALL=C", "HOME=/nonexistent"}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case page.over:
		return fail(tunnel.ReasonPartBroken, fmt.Errorf("a page of more than %d bytes", maxPage))
	case ctx.Err() != nil:
		return fail(tunnel.ReasonTimedOut, ctx.Err())
	case errors.As(err, &exit) && saneReasons[exit.ExitCode()] != "":
		return fail(saneReasons[exit.ExitCode()], errors.New(strings.TrimSpace(said.buf.String())))
	case err != nil:
		return fail(tunnel.ReasonPartAbsent, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.buf.String())))
	}
	shape, format, err := image.DecodeConfig(bytes.NewReader(page.buf.Bytes()))
	if err != nil || format != "jpeg" {
		return fail(tunnel.ReasonPartBroken, errors.New("what came is no JPEG"))
	}
	if shape.Width < 16 || shape.Height < 16 || shape.Width > maxSide || shape.Height > maxSide {
		return fail(tunnel.ReasonPartBroken, fmt.Errorf("a page of %dx%d pixels", shape.Width, shape.Height))
	}
	return page.buf.Bytes(), nil
}

// first keeps the first bytes that a program says, and takes the rest, so that a
// program that talks much is neither blocked nor ended.
type first struct {
	buf  bytes.Buffer
	most int
}

// Write implements io.Writer.
func (f *first) Write(p []byte) (int, error) {
	f.buf.Write(p[:min(len(p), f.most-f.buf.Len())])
	return len(p), nil
}

// bounded takes so many bytes; more are an error, which ends the writer. It
// reads nothing by itself: bytes.Buffer's own ReadFrom would know no bound.
type bounded struct {
	buf  bytes.Buffer
	most int
	over bool
	full func() // ends who writes: it would wait for a reader for ever
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.most {
		b.over = true
		b.full()
		return 0, errors.New("too much")
	}
	return b.buf.Write(p)
}
