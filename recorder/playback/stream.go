package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrChanged says that recordings were not the same when they were read again.
var ErrChanged = errors.New("recording changed while it was exported")

// headBytes is how much of a file is kept until its cues and duration are
// known: all of it up to the first cluster.
const headBytes = cuesSize + 64<<10

// Stream writes what Export writes to a file that can be written at, cues and
// duration included, from front to end: journals are read twice, and nothing
// of the media is kept between. Its memory does not grow with the hearing.
func Stream(ctx context.Context, out io.Writer, o Options, journals ...Journal) (Report, error) {
	overview, err := o.survey(ctx, journals)
	if err != nil {
		return Report{Overview: overview}, err
	}
	lanes := o.lanes(overview)
	if len(lanes) == 0 {
		return Report{Overview: overview}, ErrNothing
	}
	plans, err := planned(ctx, overview, [][]Lane{lanes}, journals)
	if err != nil {
		return Report{Overview: overview}, err
	}
	again := plans[0].again(out)
	reports, err := write(ctx, overview, []file{{again, lanes}}, journals)
	if err == nil {
		err = again.check()
	}
	return reports[0], err
}

// planned goes through the journals to learn size and head of each file.
func planned(ctx context.Context, overview Overview, of [][]Lane, journals []Journal) ([]*plan, error) {
	plans := make([]*plan, len(of))
	files := make([]file, len(of))
	for i, lanes := range of {
		plans[i] = &plan{body: sha256.New()}
		files[i] = file{plans[i], lanes}
	}
	_, err := write(ctx, overview, files, journals)
	return plans, err
}

// plan is a file that is known and not kept, but for its head.
type plan struct {
	head []byte
	size int64
	body hash.Hash // of what follows the head
}

// Write implements io.Writer.
func (p *plan) Write(b []byte) (int, error) {
	n := min(len(b), headBytes-len(p.head))
	p.head = append(p.head, b[:n]...)
	p.size += int64(len(b))
	p.body.Write(b[n:])
	return len(b), nil
}

// WriteAt implements io.WriterAt, for cues and duration.
func (p *plan) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(b)) > int64(len(p.head)) {
		return 0, fmt.Errorf("write WebM: byte %d is not of the head", off)
	}
	return copy(p.head[off:], b), nil
}

func (p *plan) again(out io.Writer) *replay { return &replay{plan: p, out: out, body: sha256.New()} }

// replay writes a planned file with its head as it is in the end.
type replay struct {
	plan *plan
	out  io.Writer
	at   int64
	body hash.Hash
}

// Write implements io.Writer.
func (r *replay) Write(b []byte) (int, error) {
	n := max(0, min(int64(len(b)), int64(len(r.plan.head))-r.at))
	if n > 0 {
		if _, err := r.out.Write(r.plan.head[r.at : r.at+n]); err != nil {
			return 0, err
		}
	}
	r.at += int64(len(b))
	if r.at > r.plan.size {
		return 0, ErrChanged
	}
	r.body.Write(b[n:])
	if int(n) == len(b) {
		return len(b), nil
	}
	_, err := r.out.Write(b[n:])
	return len(b), err
}

// WriteAt implements io.WriterAt: the head was written as it is in the end.
func (r *replay) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (r *replay) check() error {
	if r.at != r.plan.size || !bytes.Equal(r.body.Sum(nil), r.plan.body.Sum(nil)) {
		return ErrChanged
	}
	return nil
}
