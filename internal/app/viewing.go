package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/viewing"
	"kuule/recorder/playback"
)

const (
	// keysWithin is how long after an approval the playback process gets keys.
	keysWithin = 10 * time.Minute
	// viewingLife bounds one opening, whoever watches.
	viewingLife = 6 * time.Hour
	// viewingIdle is how long a page may be silent before its viewing ends.
	viewingIdle = 2 * time.Minute
	// exportTimeout bounds one export, to the last byte: a mixed file of a long hearing takes about a third of its time.
	exportTimeout = 3 * time.Hour
	// maxPurpose bounds a written purpose or reason in bytes.
	maxPurpose = 2000
	// spanFlush is how long a span may grow before it is logged.
	spanFlush = 10 * time.Minute
	// maxSpans bounds what one opening writes into the log.
	maxSpans = 5000
	// ownLife is how long the own hearing's viewing may be opened again.
	ownLife = 12 * time.Hour
)

// viewings is the door's side of viewings: who asks, who allows, and the
// openings that are under way.
type viewingDesk struct {
	*door
	store viewingStore

	mu   sync.Mutex
	live map[string]*opening // by viewing
}

// opening is one playback process and who watches.
type opening struct {
	row    *viewingRow
	spec   viewingSpec
	device interview.DeviceID
	until  time.Time

	mu    sync.Mutex
	seen  time.Time
	count int64
	spans map[string]*spanRow // served and heard, as far as they go
	ended bool
}

func newViewingDesk(d *door) *viewingDesk {
	return &viewingDesk{door: d, store: viewingStore{d.db, d.sealer}, live: map[string]*opening{}}
}

// register puts viewings on the interface. The access table decides who may
// ask at all; whose hearing or viewing it is is decided in each.
func (d *viewingDesk) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/hearings/{hearing}/viewings", guarded(d.ask))
	mux.HandleFunc("GET /api/hearings/{hearing}/viewings", guarded(d.ofHearing))
	mux.HandleFunc("GET /api/viewings", guarded(d.mine))
	mux.HandleFunc("POST /api/viewings/{viewing}/decision", guarded(d.decide))
	mux.HandleFunc("POST /api/viewings/{viewing}/open", guarded(d.open))
	mux.HandleFunc("GET /api/viewings/{viewing}/outline", guarded(d.outline))
	mux.HandleFunc("GET /api/viewings/{viewing}/media", guarded(d.media))
	mux.HandleFunc("POST /api/viewings/{viewing}/heard", guarded(d.heard))
	mux.HandleFunc("POST /api/viewings/{viewing}/export", guarded(d.export))
	mux.HandleFunc("POST /api/viewings/{viewing}/close", guarded(d.closeViewing))
}

// guarded asks the access table about the route that was matched.
func guarded(serve func(http.ResponseWriter, *http.Request, interview.Caller) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, ok := interview.CallerFrom(r.Context())
		err := interview.Allowed(r.Pattern, caller, time.Now())
		if !ok {
			err = problem.New(problem.CodeSignIn, "nobody asks")
		}
		w.Header().Set("Cache-Control", "no-store")
		if err == nil {
			err = serve(w, r, caller)
		}
		if err != nil {
			problem.Write(w, err)
		}
	}
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
	if o.ended {
		return problem.New(problem.CodeNotFound, "viewing %s has ended", o.row.ID)
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

// readBody reads the bounded JSON body of a request.
func readBody(w http.ResponseWriter, r *http.Request, in any) error {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(readHeaderTimeout)) // always supported by net/http
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<10))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem.New(problem.CodeTooLarge, "request is larger than %d bytes", large.Limit)
	case err != nil:
		return problem.New(problem.CodeMalformed, "request ended early")
	}
	if err := canon.Strict(text, in); err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	_ = controller.SetReadDeadline(time.Time{}) // else the wait for the answer would end with it
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// written checks words that a person has to give.
func written(text string) (string, error) {
	if text = strings.TrimSpace(text); text == "" || len(text) > maxPurpose {
		return "", problem.New(problem.CodePurposeNeeded, "give a purpose of at most %d bytes", maxPurpose)
	}
	return text, nil
}

func (d *viewingDesk) person(subject string) string {
	return viewing.Person(d.in.Identity.Issuer, subject)
}

// viewingView is a viewing as its asker, its approver and the hearing's own
// interviewer see it.
type viewingView struct {
	Viewing  string              `json:"viewing"`
	Hearing  interview.HearingID `json:"hearing"`
	State    string              `json:"state"` // asked, allowed, declined or expired
	Own      bool                `json:"own"`   // needs no second person
	Mine     bool                `json:"mine"`  // the caller asked
	Decide   bool                `json:"decide"`
	Open     bool                `json:"open"` // is being watched now
	Purpose  string              `json:"purpose"`
	Asker    string              `json:"asker"`
	Approver string              `json:"approver"`
	Reason   string              `json:"reason"`
	Created  int64               `json:"created"`
	Decided  int64               `json:"decided"`
	Expires  int64               `json:"expires"`
	Spans    []viewedSpan        `json:"spans"`
	Media    []viewedMedium      `json:"media"` // sealed, for hand-over
}

type viewedSpan struct {
	Kind  string           `json:"kind"` // served or heard
	From  interview.Micros `json:"from"`
	To    interview.Micros `json:"to"`
	First int64            `json:"first"`
	Last  int64            `json:"last"`
}

func (d *viewingDesk) view(v *viewingRow, c interview.Caller) viewingView {
	d.mu.Lock()
	_, open := d.live[v.ID]
	d.mu.Unlock()
	out := viewingView{
		Viewing: v.ID, Hearing: v.Hearing, State: v.State, Own: v.Approver == "", Mine: v.Asker == d.person(c.Subject),
		Open: open, Purpose: v.words.Purpose, Asker: v.words.Asker, Approver: v.words.Approver, Reason: v.words.Reason,
		Created: v.Created, Decided: v.Decided, Expires: v.Expires, Spans: []viewedSpan{}, Media: []viewedMedium{},
	}
	if v.State != viewingDeclined && time.Now().Unix() >= v.Expires {
		out.State = "expired"
	}
	out.Decide = out.State == viewingAsked && v.Approver == d.person(c.Subject)
	return out
}

// ask begins a viewing: of the own hearing for a written purpose, of another's
// once a named second interviewer has allowed it (H6). Nobody looks hearings
// up here: who asks for another's has to know its id.
func (d *viewingDesk) ask(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	var in struct {
		Purpose  string `json:"purpose"`
		Approver string `json:"approver"` // sign-in name; "": the hearing's own interviewer
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Purpose, err = written(in.Purpose); err != nil {
		return err
	}
	if c.Subject == "" {
		return problem.New(problem.CodeSignIn, "a viewing needs a person who signed in")
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return err
	}
	now := time.Now()
	v := &viewingRow{
		ID: "view-" + hex.EncodeToString(name), Asker: d.person(c.Subject), State: viewingAllowed,
		Created: now.Unix(), Expires: now.Add(ownLife).Unix(), Version: 1, words: viewingWords{Purpose: in.Purpose, Asker: c.Name},
	}
	h, err := d.hearings.Own(r.Context(), c, id)
	if err != nil {
		if h, err = d.hearings.Hearing(r.Context(), id); err != nil {
			return err
		}
		v.State, v.Expires = viewingAsked, now.Add(approvalLife).Unix()
		if v.Approver, err = d.approver(h, in.Approver); err != nil {
			return err
		}
		if v.Approver == v.Asker {
			return problem.Refused(problem.CodeForbidden, "viewing-second-person", "nobody approves the own request")
		}
	}
	v.Case, v.Hearing = h.Case, h.ID
	if err := d.store.add(r.Context(), v); err != nil {
		return err
	}
	return writeJSON(w, d.view(v, c))
}

// approver is whom a request names: by sign-in name, or the hearing's own
// interviewer.
func (d *viewingDesk) approver(h *interview.Hearing, named string) (string, error) {
	if named = strings.TrimSpace(named); named == "" {
		i := slices.IndexFunc(h.Participants, func(p interview.Participant) bool { return p.Role == interview.RoleInterviewer && p.Subject != "" })
		if i < 0 {
			return "", problem.New(problem.CodeMalformed, "name who is to approve: hearing %s has no interviewer", h.ID)
		}
		named = h.Participants[i].Subject
	}
	if len(named) > 255 {
		return "", problem.New(problem.CodeMalformed, "sign-in name of the approver is too long")
	}
	return d.person(named), nil
}

func (d *viewingDesk) mine(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	if c.Subject == "" {
		return problem.New(problem.CodeSignIn, "viewings are a person's")
	}
	who := d.person(c.Subject)
	rows, err := d.store.list(r.Context(), "asker = ? OR approver = ?", who, who)
	if err != nil {
		return err
	}
	out := make([]viewingView, len(rows))
	for i, v := range rows {
		out[i] = d.view(v, c)
	}
	return writeJSON(w, map[string]any{"viewings": out})
}

// ofHearing is who listened to a hearing, why and when (906/2019 17 §), for its
// own interviewer.
func (d *viewingDesk) ofHearing(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	if _, err := d.hearings.Own(r.Context(), c, id); err != nil {
		return err
	}
	rows, err := d.store.list(r.Context(), "hearing_id = ?", id)
	if err != nil {
		return err
	}
	out := make([]viewingView, len(rows))
	for i, v := range rows {
		out[i] = d.view(v, c)
		spans, err := d.store.spans(r.Context(), v.ID)
		if err != nil {
			return err
		}
		for _, s := range spans {
			out[i].Spans = append(out[i].Spans, viewedSpan{s.Kind, s.From, s.To, s.First, s.Last})
		}
		media, err := d.store.media(r.Context(), v.ID)
		if err != nil {
			return err
		}
		for _, m := range media {
			out[i].Media = append(out[i].Media, viewedMedium{m.ID, m.Form, m.Made, m.words.Intended, m.words.Receiver, m.Handed})
		}
	}
	return writeJSON(w, map[string]any{"viewings": out})
}

// decide is the named second person's word. Authority signs it only where the
// person proves to be another interviewer, and then opens by that signature.
func (d *viewingDesk) decide(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		Allow   bool   `json:"allow"`
		Reason  string `json:"reason"`
		Consent string `json:"consent"` // kuule-consent+jws; to decline needs none
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	v, err := d.found(r)
	if err != nil {
		return err
	}
	if c.Subject == "" || v.Approver != d.person(c.Subject) {
		return problem.New(problem.CodeNotFound, "viewing %s", v.ID)
	}
	if v.words.Reason, err = written(in.Reason); err != nil {
		return err
	}
	now := time.Now().Unix()
	if v.State != viewingAsked || now >= v.Expires {
		return problem.New(problem.CodeConflict, "viewing %s was decided before or has expired", v.ID)
	}
	v.State, v.Decided, v.words.Approver = viewingDeclined, now, c.Name
	if in.Allow {
		var a allowAnswer
		if err := d.conn.Call(r.Context(), bus.Main(bus.Authority), "view.allow", allowQuestion{
			Viewing: v.ID, Case: v.Case, Hearing: v.Hearing, Purpose: v.words.Purpose, Asker: v.Asker, Approver: personOf(r, in.Consent),
		}, &a); err != nil {
			return err
		}
		v.State, v.Approval, v.Expires = viewingAllowed, a.Approval, a.Expires
	}
	if err := d.store.decide(r.Context(), v); err != nil {
		return err
	}
	return writeJSON(w, d.view(v, c))
}

func personOf(r *http.Request, consent string) person {
	return person{Certificate: r.TLS.PeerCertificates[0].Raw, Proof: proofOf(r), Consent: consent}
}

func (d *viewingDesk) found(r *http.Request) (*viewingRow, error) {
	id := r.PathValue("viewing")
	if !viewing.CheckID(id) {
		return nil, problem.New(problem.CodeNotFound, "no such viewing")
	}
	return d.store.find(r.Context(), id)
}

// open starts the playback process of an allowed viewing.
func (d *viewingDesk) open(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		Consent string `json:"consent"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	v, err := d.found(r)
	if err != nil {
		return err
	}
	switch {
	case c.Subject == "" || v.Asker != d.person(c.Subject):
		return problem.New(problem.CodeNotFound, "viewing %s", v.ID)
	case v.State != viewingAllowed:
		return problem.Refused(problem.CodeForbidden, "viewing-second-person", "viewing %s is %s", v.ID, v.State)
	case time.Now().Unix() >= v.Expires:
		return problem.Refused(problem.CodeForbidden, "viewing-expired", "viewing %s has expired: ask again", v.ID)
	}
	var consent viewing.Consent
	if err := jws.Peek(in.Consent, viewing.TypeConsent, &consent); err != nil || consent.Check() != nil || consent.Viewing != v.ID {
		return problem.Refused(problem.CodeStatementInvalid, "viewing-consent", "the device's consent does not read")
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	within(w, time.Minute)
	spec, err := d.spec(ctx, v, consent.Opening())
	if err != nil {
		return err
	}
	if err := d.store.event(ctx, v, eventOpened, map[string]any{"opening": spec.Viewing, "purpose_hash": jws.Hash(v.words.Purpose)}); err != nil {
		return err
	}
	if err := d.conn.Call(ctx, bus.Main(bus.Authority), "view", viewQuestion{
		Opening: spec.Viewing, Viewing: v.ID, Case: v.Case, Hearing: v.Hearing, Recordings: spec.Recordings, Purpose: v.words.Purpose,
		Asker: personOf(r, in.Consent), Approval: v.Approval,
	}, nil); err != nil {
		return err
	}
	d.mu.Lock()
	before := d.live[v.ID]
	d.mu.Unlock()
	if before != nil {
		d.end(context.WithoutCancel(ctx), before)
	}
	if err := d.conn.Call(ctx, bus.Main(bus.Supervisor), "playback.start", spec, nil); err != nil {
		return err
	}
	now := time.Now()
	o := &opening{row: v, spec: spec, device: c.Device, until: now.Add(viewingLife), seen: now, spans: map[string]*spanRow{}}
	if until := time.Unix(v.Expires, 0); v.Approver != "" && until.Before(o.until) {
		o.until = until
	}
	d.mu.Lock()
	before = d.live[v.ID] // of a page that opened it at the same moment
	d.live[v.ID] = o
	d.mu.Unlock()
	if before != nil {
		d.end(context.WithoutCancel(ctx), before)
	}
	return writeJSON(w, map[string]any{"opening": spec.Viewing, "until": o.until.Unix(), "idle": int(viewingIdle / time.Second)})
}

// spec names what the playback process is started for.
func (d *viewingDesk) spec(ctx context.Context, v *viewingRow, name string) (viewingSpec, error) {
	files, err := d.recorded(ctx, v.Hearing)
	if err != nil {
		return viewingSpec{}, err
	}
	spec := viewingSpec{Viewing: name, Case: v.Case, Hearing: v.Hearing}
	for _, f := range files {
		if !slices.Contains(spec.Recordings, f.Recording) {
			spec.Recordings = append(spec.Recordings, f.Recording)
		}
	}
	if len(spec.Recordings) == 0 {
		return viewingSpec{}, problem.New(problem.CodeNotFound, "nothing was recorded of %s", v.Hearing)
	}
	return spec, nil
}

// watching is the opening that the caller opened at this device.
func (d *viewingDesk) watching(r *http.Request, c interview.Caller) (*opening, error) {
	d.mu.Lock()
	o := d.live[r.PathValue("viewing")]
	d.mu.Unlock()
	if o == nil || o.row.Asker != d.person(c.Subject) || o.device != c.Device {
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

func (o *opening) process() bus.Name { return bus.Name{Role: bus.Playback, Instance: o.spec.Viewing} }

func (d *viewingDesk) outline(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	var out viewOutline
	if err := d.conn.Call(r.Context(), o.process(), "view.outline", none{}, &out); err != nil {
		return err
	}
	return writeJSON(w, out)
}

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
	if err := d.conn.Call(r.Context(), o.process(), "view.segment", q, &p); err != nil {
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

// heard takes the page's own word about what was played.
func (d *viewingDesk) heard(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		Spans []struct {
			From interview.Micros `json:"from"`
			To   interview.Micros `json:"to"`
		} `json:"spans"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	if len(in.Spans) > 64 {
		return problem.New(problem.CodeTooLarge, "at most 64 spans")
	}
	for _, s := range in.Spans {
		if s.From < 0 || s.To < s.From || s.To-s.From > interview.Micros(viewingLife.Microseconds()) {
			return problem.New(problem.CodeMalformed, "span from %d to %d", s.From, s.To)
		}
		if err := d.span(r.Context(), o, "heard", s.From, s.To); err != nil {
			return err
		}
	}
	return writeJSON(w, none{})
}

func (d *viewingDesk) closeViewing(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	d.end(context.WithoutCancel(r.Context()), o)
	return writeJSON(w, none{})
}

// export gives out a file of an open viewing.
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
		return problem.New(problem.CodeForbidden, "keys of a recording leave at the console alone, where a second person stands")
	}
	return d.sendExport(w, r, o, in)
}

// sendExport has the process make a file and hands it on, piece by piece.
func (d *viewingDesk) sendExport(w http.ResponseWriter, r *http.Request, o *opening, q viewExport) error {
	within(w, exportTimeout)
	ctx, cancel := context.WithTimeout(r.Context(), exportTimeout)
	defer cancel()
	if err := q.check(); err != nil {
		return err
	}
	if err := d.store.event(ctx, o.row, eventExported, map[string]any{"opening": o.spec.Viewing, "form": q.Form}); err != nil {
		return err
	}
	q.Offset = 0
	take, end := d.noted(o, q)
	for {
		o.mu.Lock()
		o.seen = time.Now()
		o.mu.Unlock()
		var p viewPiece
		if err := d.conn.Call(ctx, o.process(), "view.export", q, &p); err != nil {
			if q.Offset > 0 {
				panic(http.ErrAbortHandler) // the reader must not take a part for the whole
			}
			return err
		}
		if !p.Ready {
			select {
			case <-ctx.Done():
				return problem.New(problem.CodeUnavailable, "export of %s took too long", o.row.Hearing)
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		if q.Offset == 0 {
			kind, name := q.file()
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		}
		q.Offset += int64(len(p.Data))
		take(p.Data)
		if _, err := w.Write(p.Data); err != nil {
			panic(http.ErrAbortHandler) // the reader has left
		}
		if !p.End {
			continue
		}
		if err := end(ctx); err != nil {
			slog.Error("a sealed medium was not noted, so it was not given out whole", "viewing", o.row.ID, "err", err)
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// Opened is an open viewing, as an export at the console sees it.
type Opened struct {
	Viewing string              `json:"viewing"`
	Hearing interview.HearingID `json:"hearing"`
	Lanes   []OpenedLane        `json:"lanes"`
}

// OpenedLane is one track of it.
type OpenedLane struct {
	Name string `json:"name"`
	File string `json:"file"` // name of its file
}

// atConsole is a viewing that an interviewer holds open now: the console opens
// none by itself, so that who runs the machine opens no recording.
func (d *viewingDesk) atConsole(r *http.Request) (*opening, error) {
	d.mu.Lock()
	o := d.live[r.PathValue("viewing")]
	d.mu.Unlock()
	if o == nil {
		return nil, problem.New(problem.CodeNotFound, "no interviewer holds that viewing open: open it on the page first, and leave it open")
	}
	return o, nil
}

func (d *viewingDesk) consoleOutline(w http.ResponseWriter, r *http.Request) {
	o, err := d.atConsole(r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	var out viewOutline
	for err == nil && !out.Done {
		if err = d.conn.Call(r.Context(), o.process(), "view.outline", none{}, &out); err == nil && !out.Done {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err != nil {
		problem.Write(w, err)
		return
	}
	answer := Opened{Viewing: o.row.ID, Hearing: o.row.Hearing, Lanes: []OpenedLane{}}
	for i, l := range out.Lanes {
		answer.Lanes = append(answer.Lanes, OpenedLane{l.Name, playback.LaneFile(i, playback.Lane{Name: l.Name})})
	}
	_ = writeJSON(w, answer)
}

func (d *viewingDesk) consoleExport(w http.ResponseWriter, r *http.Request) {
	var in viewExport
	err := readBody(w, r, &in)
	var o *opening
	if err == nil {
		o, err = d.atConsole(r)
	}
	if err == nil {
		err = d.sendExport(w, r, o, in)
	}
	if err != nil {
		problem.Write(w, err)
	}
}
