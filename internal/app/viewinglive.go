package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
)

// opening is one playback process and who watches.
type opening struct {
	row    *viewingRow
	spec   viewingSpec
	device interview.DeviceID
	until  time.Time

	mu    sync.Mutex
	seen  time.Time
	count int64
	told  int64               // how many spans the page has told
	spans map[string]*spanRow // served and heard, as far as they go
	ended bool

	export  *exporting // under way, or the last
	release *release   // to the console, until it is used
}

// run ends the openings whose page is gone or whose time is over.
func (d *viewingDesk) run(ctx context.Context) {
	if err := d.store.logOpen(ctx); err != nil && ctx.Err() == nil {
		slog.Error("spans of viewings were not logged", "err", err)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.endAll(context.WithoutCancel(ctx), func(*opening) bool { return true })
			return
		case now := <-tick.C:
			d.endAll(ctx, func(o *opening) bool {
				o.mu.Lock()
				defer o.mu.Unlock()
				return now.Sub(o.seen) > viewingIdle || now.After(o.until)
			})
		}
	}
}

func (d *viewingDesk) endAll(ctx context.Context, which func(*opening) bool) {
	d.mu.Lock()
	var over []*opening
	for _, o := range d.live {
		if which(o) {
			over = append(over, o)
		}
	}
	d.mu.Unlock()
	for _, o := range over {
		d.end(ctx, o)
	}
}

// end stops the process and logs what was given out. It may be called again.
func (d *viewingDesk) end(ctx context.Context, o *opening) {
	d.mu.Lock()
	if d.live[o.row.ID] == o {
		delete(d.live, o.row.ID)
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o.mu.Lock()
	over := o.ended
	o.ended = true
	for kind := range o.spans {
		d.flush(ctx, o, kind)
	}
	o.mu.Unlock()
	if over {
		return
	}
	if err := d.conn.Call(ctx, bus.Main(bus.Supervisor), "playback.stop", o.spec, nil); err != nil {
		slog.Warn("playback was not stopped", "viewing", o.spec.Viewing, "err", err)
	}
}

// flush logs one span; o.mu is held.
func (d *viewingDesk) flush(ctx context.Context, o *opening, kind string) {
	if r := o.spans[kind]; r != nil {
		if err := d.store.keepSpan(ctx, r, true); err != nil {
			slog.Error("a span of a viewing was not logged", "opening", o.spec.Viewing, "err", err)
			return // it stays as it is, and is logged at the next start
		}
		delete(o.spans, kind)
	}
}

// slack is by how much spans of one kind may miss each other and still be one.
const slack = interview.Micros(1_000_000)

// span notes that something was given out or heard, before it is: contiguous
// spans become one row, and one event once they end.
func (d *viewingDesk) span(ctx context.Context, o *opening, kind string, from, to interview.Micros) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return d.noteSpan(ctx, o, kind, from, to)
}

// noteSpan is span; o.mu is held.
func (d *viewingDesk) noteSpan(ctx context.Context, o *opening, kind string, from, to interview.Micros) error {
	if o.ended {
		return o.over()
	}
	r := o.spans[kind]
	if r != nil && (from > r.To+slack || to < r.From-slack || from < r.From || time.Since(time.Unix(r.First, 0)) > spanFlush) {
		d.flush(ctx, o, kind)
		r = nil
	}
	if r != nil && to <= r.To {
		return nil // another track of the same moment
	}
	if r == nil {
		if o.count >= maxSpans {
			return problem.New(problem.CodeTooFast, "viewing %s has %d spans: open it anew", o.row.ID, o.count)
		}
		o.count++
		r = &spanRow{Opening: o.spec.Viewing, Number: o.count, Viewing: o.row.ID, Hearing: o.row.Hearing, Kind: kind, From: from, To: to, First: time.Now().Unix()}
		o.spans[kind] = r
	}
	r.To = max(r.To, to)
	return d.store.keepSpan(ctx, r, false)
}

// watching is the opening that the caller opened at this device.
func (d *viewingDesk) watching(r *http.Request, c interview.Caller) (*opening, error) {
	d.mu.Lock()
	o := d.live[r.PathValue("viewing")]
	d.mu.Unlock()
	if o == nil || !d.asked(o.row, c) || o.device != c.Device {
		return nil, problem.New(problem.CodeNotFound, "no such viewing is open here")
	}
	now := time.Now()
	if now.After(o.until) {
		d.end(context.WithoutCancel(r.Context()), o)
		return nil, problem.Refused(problem.CodeForbidden, "viewing-expired", "viewing %s has expired: ask again", o.row.ID)
	}
	o.mu.Lock()
	o.seen = now
	o.mu.Unlock()
	return o, nil
}

func (o *opening) over() error {
	return problem.New(problem.CodeNotFound, "viewing %s has ended", o.row.ID)
}

// surveying is how long an answer may wait until the process has read the
// recording as far as is asked: it begins with the first page that looks.
const surveying = 20 * time.Second

// askProcess has the viewing's process answer. What was on its way when the viewing
// ended is told that it has, not that a process is gone.
func (d *viewingDesk) askProcess(ctx context.Context, o *opening, what string, q, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, surveying)
	defer cancel()
	err := d.conn.Call(ctx, o.process(), what, q, answer)
	if err == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return o.over()
	}
	return err
}

func (o *opening) process() bus.Name { return bus.Name{Role: bus.Playback, Instance: o.spec.Viewing} }

// media gives out one segment, once it is noted that it is.
func (d *viewingDesk) media(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	q, err := segmentQuestion(r)
	if err != nil {
		return err
	}
	var p viewPiece
	if err := d.askProcess(r.Context(), o, "view.segment", q, &p); err != nil {
		return err
	}
	if err := d.span(r.Context(), o, "served", q.From, q.To); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "video/webm")
	w.Header().Set("Kuule-From", strconv.FormatInt(int64(p.From), 10))
	for {
		if _, err := w.Write(p.Data); err != nil {
			panic(http.ErrAbortHandler) // the reader has left
		}
		if p.End {
			return nil
		}
		q.Offset += int64(len(p.Data))
		if err := d.conn.Call(r.Context(), o.process(), "view.segment", q, &p); err != nil {
			panic(http.ErrAbortHandler) // the reader must not take a part for the whole
		}
	}
}

func segmentQuestion(r *http.Request) (viewSegment, error) {
	v := r.URL.Query()
	lane, err1 := strconv.Atoi(v.Get("lane"))
	from, err2 := strconv.ParseInt(v.Get("from"), 10, 64)
	to, err3 := strconv.ParseInt(v.Get("to"), 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return viewSegment{}, problem.New(problem.CodeMalformed, "lane, from and to are numbers")
	}
	return viewSegment{Lane: lane, From: interview.Micros(from), To: interview.Micros(to), Begin: v.Get("begin") == "1"}, nil
}

// heardSpans is what a page says was played, in the order in which it was. A
// page that has no answer yet tells it again with the next request; after is how
// many spans it told before these, and tells what came twice.
type heardSpans struct {
	After *int64      `json:"after"`
	Spans []heardSpan `json:"spans"`
}

type heardSpan struct {
	From interview.Micros `json:"from"`
	To   interview.Micros `json:"to"`
}

// heard takes the page's own word about what was played.
func (d *viewingDesk) heard(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in heardSpans
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	if err := d.hear(r.Context(), o, in); err != nil {
		return err
	}
	return writeJSON(w, none{})
}

// hear notes what was heard, each span once.
func (d *viewingDesk) hear(ctx context.Context, o *opening, in heardSpans) error {
	if len(in.Spans) > 64 {
		return problem.New(problem.CodeTooLarge, "at most 64 spans")
	}
	for _, s := range in.Spans {
		if s.From < 0 || s.To < s.From || s.To-s.From > interview.Micros(viewingLife.Microseconds()) {
			return problem.New(problem.CodeMalformed, "span from %d to %d", s.From, s.To)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.told
	if in.After != nil {
		at = *in.After
	}
	for _, s := range in.Spans {
		if at++; at <= o.told {
			continue
		}
		if err := d.noteSpan(ctx, o, "heard", s.From, s.To); err != nil {
			return err
		}
		o.told = at
	}
	return nil
}
