package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	// exportTimeout bounds one export, to the last byte: a mixed file of a long hearing takes about a third of its time.
	exportTimeout = 3 * time.Hour
	// exportBegins is how long an answer waits for the first byte: a gateway
	// waits a minute for its head. What fails later breaks off.
	exportBegins = 20 * time.Second
	// releaseLife is how long the console may write what was released to it.
	releaseLife = 15 * time.Minute
)

// Places that an export goes to.
const (
	atPage    = "page"
	atConsole = "console"
)

// exporting is the export of an opening that is under way, or the last one.
type exporting struct {
	row     exportRow
	over    bool
	problem *problem.Document
}

// release is an interviewer's word that the console may write one sealed file,
// for whom the interviewer named: who runs the machine cannot open it.
type release struct {
	form  viewExport
	until time.Time
}

// exportView is how far an export is, as its page sees it.
type exportView struct {
	Form    string            `json:"form"`
	Bytes   int64             `json:"bytes"` // given out
	Done    int               `json:"done"`  // thousandths of the work
	Over    bool              `json:"over"`
	SHA256  string            `json:"sha256"` // hex, once it is whole
	Medium  string            `json:"medium"` // its name as a sealed medium, or ""
	Problem *problem.Document `json:"problem"`
}

// export makes a file of an open viewing and gives it to the page. What leaves
// in clear leaves to who opened the viewing, at the device where that person
// consented; nobody else is given any.
func (d *viewingDesk) export(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in viewExport
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	if in.Form == formOpen {
		return problem.Refused(problem.CodeForbidden, "viewing-keys", "keys of a recording leave at the console alone, where a second person stands")
	}
	return d.sendExport(w, r, o, in, atPage)
}

// exportState tells how far the export is.
func (d *viewingDesk) exportState(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	o.mu.Lock()
	e := o.export
	if e == nil {
		o.mu.Unlock()
		return problem.New(problem.CodeNotFound, "viewing %s was not exported", o.row.ID)
	}
	out := exportView{Form: e.row.Form, Bytes: e.row.Bytes, Over: e.over, SHA256: e.row.SHA256, Problem: e.problem}
	if e.row.Sealed {
		out.Medium = e.row.SHA256
	}
	o.mu.Unlock()
	switch {
	case out.SHA256 != "":
		out.Done = 1000
	case !out.Over:
		var p viewProgress
		if err := d.askProcess(r.Context(), o, "view.progress", none{}, &p); err != nil {
			return err
		}
		out.Done = min(p.Done, 999)
	}
	return writeJSON(w, out)
}

// begin notes an export before a byte of it leaves.
func (d *viewingDesk) begin(ctx context.Context, o *opening, q viewExport, place string) (*exporting, error) {
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return nil, err
	}
	e := &exporting{row: exportRow{
		ID: hex.EncodeToString(name), Viewing: o.row.ID, Hearing: o.row.Hearing, Form: q.Form, Lane: int64(q.Lane), Place: place, Sealed: q.sealed(), Begun: time.Now().Unix(),
	}}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return nil, problem.New(problem.CodeNotFound, "viewing %s has ended", o.row.ID)
	}
	if o.export != nil && !o.export.over {
		return nil, problem.New(problem.CodeConflict, "another export of %s is under way", o.row.ID)
	}
	if err := d.store.addExport(ctx, o.row, o.spec.Viewing, &e.row); err != nil {
		return nil, err
	}
	o.export = e
	return e, nil
}

// finish keeps how an export ended; whole says that all of it was given out.
func (d *viewingDesk) finish(ctx context.Context, o *opening, e *exporting, sum hash.Hash, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	o.mu.Lock()
	e.over, e.row.Ended = true, time.Now().Unix()
	if err == nil {
		e.row.SHA256 = hex.EncodeToString(sum.Sum(nil))
	} else {
		doc := problem.Of(err)
		e.problem = &doc
	}
	row := e.row
	o.mu.Unlock()
	if err := d.store.endExport(ctx, &row); err != nil {
		slog.Error("the end of an export was not kept", "viewing", o.row.ID, "err", err)
	}
	if err == nil {
		return
	}
	if err := d.conn.Call(ctx, o.process(), "view.cancel", none{}, nil); err != nil {
		slog.Warn("an export was not cancelled", "viewing", o.row.ID, "err", err)
	}
}

// errLeft says that whoever asked for an export left before its end.
var errLeft = errors.New("the reader left before the end of the export")

// sendExport has the process make a file and hands it on, piece by piece.
func (d *viewingDesk) sendExport(w http.ResponseWriter, r *http.Request, o *opening, q viewExport, place string) (err error) {
	q.Offset = 0
	q.To = strings.TrimSpace(q.To)
	if err := q.check(); err != nil {
		return err
	}
	within(w, exportTimeout)
	ctx, cancel := context.WithTimeout(r.Context(), exportTimeout)
	defer cancel()
	e, err := d.begin(ctx, o, q, place)
	if err != nil {
		return err
	}
	sum := sha256.New()
	out := &answering{w: w, q: q}
	err = d.hand(ctx, o, e, q, func(b []byte) error {
		sum.Write(b)
		return out.write(b)
	}, func() error {
		if time.Since(time.Unix(e.row.Begun, 0)) < exportBegins {
			return nil
		}
		return out.begin()
	})
	if err == nil && q.sealed() {
		// Before the reader has all of it: a medium that nobody knows of is none.
		err = d.store.addMedium(ctx, &mediumRow{
			ID: hex.EncodeToString(sum.Sum(nil)), Case: o.row.Case, Hearing: o.row.Hearing, Viewing: o.row.ID, Form: q.Form, Made: time.Now().Unix(), Version: 1,
			words: mediumWords{Intended: q.To},
		})
	}
	if err == nil {
		err = out.end()
	}
	d.finish(ctx, o, e, sum, err)
	if err != nil && out.begun {
		slog.Warn("an export broke off", "viewing", o.row.ID, "form", q.Form, "err", err)
		panic(http.ErrAbortHandler) // the reader must not take a part for the whole
	}
	return err
}

// hand asks for the pieces of a file in order; wait is called while none is ready.
func (d *viewingDesk) hand(ctx context.Context, o *opening, e *exporting, q viewExport, take func([]byte) error, wait func() error) error {
	for {
		o.mu.Lock()
		o.seen = time.Now()
		over := o.ended
		o.mu.Unlock()
		if over || time.Now().After(o.until) {
			return problem.Refused(problem.CodeForbidden, "viewing-expired", "viewing %s ended before its export did", o.row.ID)
		}
		var p viewPiece
		if err := d.conn.Call(ctx, o.process(), "view.export", q, &p); err != nil {
			return err
		}
		if !p.Ready {
			if err := wait(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return errors.Join(errLeft, ctx.Err())
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		if err := take(p.Data); err != nil {
			return errors.Join(errLeft, err)
		}
		q.Offset += int64(len(p.Data))
		o.mu.Lock()
		e.row.Bytes = q.Offset
		o.mu.Unlock()
		if p.End {
			return nil
		}
	}
}

// answering is the answer to an export. It keeps the newest piece back until
// the end, so that nobody has all of a file that was not noted.
type answering struct {
	w     http.ResponseWriter
	q     viewExport
	begun bool
	last  []byte
}

func (a *answering) begin() error {
	if a.begun {
		return nil
	}
	a.begun = true
	kind, name := a.q.file()
	a.w.Header().Set("Content-Type", kind)
	a.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	return http.NewResponseController(a.w).Flush()
}

func (a *answering) write(b []byte) error {
	before := a.last
	a.last = b
	if len(before) == 0 {
		return nil
	}
	if err := a.begin(); err != nil {
		return err
	}
	_, err := a.w.Write(before)
	return err
}

func (a *answering) end() error {
	if err := a.begin(); err != nil {
		return err
	}
	_, err := a.w.Write(a.last)
	return err
}

// releasable are the forms that the console may write: sealed ones alone.
var releasable = map[string]bool{formSealed: true, formMixed: true, formOpen: true}

// release lets the console write one sealed file of the viewing that its asker
// holds open here, for whom the asker names.
func (d *viewingDesk) release(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in viewExport
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	in.Offset, in.Lane, in.To = 0, 0, strings.TrimSpace(in.To)
	switch {
	case !releasable[in.Form]:
		return problem.New(problem.CodeMalformed, "the console writes sealed, mixed or open, not %q", in.Form)
	case !in.sealed():
		return problem.Refused(problem.CodeForbidden, "release-sealed", "the console writes nothing that is not sealed: give a passphrase or a recipient")
	case in.To == "":
		return problem.New(problem.CodeMalformed, "name whom it is for")
	}
	if err := in.check(); err != nil {
		return err
	}
	if err := d.store.event(r.Context(), o.row, eventReleased, map[string]any{"opening": o.spec.Viewing, "form": in.Form, "intended_hash": jws.Hash(in.To)}); err != nil {
		return err
	}
	given := &release{form: in, until: time.Now().Add(releaseLife)}
	o.mu.Lock()
	o.release = given
	o.mu.Unlock()
	return writeJSON(w, map[string]any{"until": given.until.Unix()})
}

// Opened is what the console may write of a viewing.
type Opened struct {
	Viewing string              `json:"viewing"`
	Hearing interview.HearingID `json:"hearing"`
	Form    string              `json:"form"` // sealed, mixed or open
	Name    string              `json:"name"` // of its file
	To      string              `json:"to"`   // whom it is for
}

// released is what an interviewer, who holds the viewing open now, released to
// the console. By itself it opens and writes nothing: who runs the machine opens
// no recording (promise 7).
func (d *viewingDesk) released(r *http.Request) (*opening, *release, error) {
	d.mu.Lock()
	o := d.live[r.PathValue("viewing")]
	d.mu.Unlock()
	now := time.Now()
	if o == nil || now.After(o.until) {
		return nil, nil, problem.New(problem.CodeNotFound, "no interviewer holds that viewing open: open it on the page first, and leave it open")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.release == nil || now.After(o.release.until) {
		return nil, nil, problem.Refused(problem.CodeForbidden, "release", "nothing was released to the console: whoever opened viewing %s does so on its page, for %s", o.row.ID, releaseLife)
	}
	return o, o.release, nil
}

func (d *viewingDesk) consoleReleased(w http.ResponseWriter, r *http.Request) {
	o, given, err := d.released(r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	q := given.form
	_, name := q.file()
	_ = writeJSON(w, Opened{Viewing: o.row.ID, Hearing: o.row.Hearing, Form: q.Form, Name: name, To: q.To})
}

// consoleExport writes what was released, once.
func (d *viewingDesk) consoleExport(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Form string `json:"form"`
	}
	err := readBody(w, r, &in)
	var o *opening
	var given *release
	if err == nil {
		o, given, err = d.released(r)
	}
	if err == nil && in.Form != given.form.Form {
		err = problem.Refused(problem.CodeForbidden, "release", "%q was released to the console, not %q", given.form.Form, in.Form)
	}
	if err == nil {
		o.mu.Lock()
		if o.release != given {
			err = problem.New(problem.CodeConflict, "what was released of viewing %s was taken by another", o.row.ID)
		} else {
			o.release = nil
		}
		o.mu.Unlock()
	}
	if err == nil {
		err = d.sendExport(w, r, o, given.form, atConsole)
	}
	if err != nil {
		problem.Write(w, err)
	}
}
