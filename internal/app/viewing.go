package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/viewing"
)

const (
	// keysWithin is how long after an approval the playback process gets keys.
	keysWithin = 10 * time.Minute
	// viewingLife bounds one opening, whoever watches.
	viewingLife = 6 * time.Hour
	// viewingIdle is how long a page may be silent before its viewing ends.
	viewingIdle = 2 * time.Minute
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

func newViewingDesk(d *door) *viewingDesk {
	return &viewingDesk{door: d, store: viewingStore{d.db, d.sealer}, live: map[string]*opening{}}
}

// register puts viewings on the interface. The access table decides who may
// ask at all; whose hearing or viewing it is is decided in each.
func (d *viewingDesk) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/hearings/{hearing}/viewings", d.seated(d.ask))
	mux.HandleFunc("GET /api/hearings/{hearing}/viewings", guarded(d.ofHearing))
	mux.HandleFunc("GET /api/viewings", d.seated(d.mine))
	mux.HandleFunc("POST /api/viewings/{viewing}/decision", guarded(d.decide))
	mux.HandleFunc("POST /api/viewings/{viewing}/open", d.seated(d.open))
	mux.HandleFunc("GET /api/viewings/{viewing}/outline", d.seated(d.outline))
	mux.HandleFunc("GET /api/viewings/{viewing}/media", d.seated(d.media))
	mux.HandleFunc("POST /api/viewings/{viewing}/heard", d.seated(d.heard))
	mux.HandleFunc("POST /api/viewings/{viewing}/export", guarded(d.export))
	mux.HandleFunc("GET /api/viewings/{viewing}/export", guarded(d.exportState))
	mux.HandleFunc("POST /api/viewings/{viewing}/release", guarded(d.release))
	mux.HandleFunc("POST /api/viewings/{viewing}/handed", guarded(d.handed))
	mux.HandleFunc("POST /api/viewings/{viewing}/close", d.seated(d.closeViewing))
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

// seated guards a route for callers who may be an applicant at a listening
// station: where nobody signed in, an interviewer's word who sits there counts
// as the applicant's role, on these routes alone.
func (d *viewingDesk) seated(serve func(http.ResponseWriter, *http.Request, interview.Caller) error) http.HandlerFunc {
	next := guarded(serve)
	return func(w http.ResponseWriter, r *http.Request) {
		caller, ok := interview.CallerFrom(r.Context())
		if !ok || caller.Subject != "" {
			next(w, r)
			return
		}
		rows, err := d.store.seated(r.Context(), caller.Device)
		if err != nil {
			problem.Write(w, err)
			return
		}
		for _, v := range rows {
			caller.Tickets = append(slices.Clip(caller.Tickets), interview.Ticket{Hearing: v.Hearing, Participant: v.Participant, Role: interview.RoleApplicant, Expires: time.Unix(v.Expires, 0)})
		}
		next(w, r.WithContext(interview.WithCaller(r.Context(), caller)))
	}
}

// asked reports whether the caller is who asked for the viewing: the person who
// signed in, or the hearing's applicant, by a ticket for the review or at the
// device where an interviewer said who sits there.
func (d *viewingDesk) asked(v *viewingRow, c interview.Caller) bool {
	switch {
	case v.Participant.IsZero():
		return c.Subject != "" && v.Asker == d.person(c.Subject)
	case !v.Station.IsZero():
		return v.Station == c.Device
	default:
		_, ok := reviewing(v.Hearing, c, v.Participant)
		return ok
	}
}

// reviewing is the applicant's ticket for the review of the hearing, redeemed
// at the caller's device; of the participant, if one is named.
func reviewing(h interview.HearingID, c interview.Caller, of interview.ParticipantID) (interview.Ticket, bool) {
	now := time.Now()
	i := slices.IndexFunc(c.Tickets, func(t interview.Ticket) bool {
		return t.Hearing == h && t.Role == interview.RoleApplicant && t.Purpose == interview.PurposeReview && now.Before(t.Expires) && (of.IsZero() || t.Participant == of)
	})
	if i < 0 {
		return interview.Ticket{}, false
	}
	return c.Tickets[i], true
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
	Role     interview.Role      `json:"role"` // of who asked
	Approver string              `json:"approver"`
	Reason   string              `json:"reason"`
	Created  int64               `json:"created"`
	Decided  int64               `json:"decided"`
	Expires  int64               `json:"expires"`
	Spans    []viewedSpan        `json:"spans"`
	Media    []viewedMedium      `json:"media"` // sealed, for hand-over
	Exports  []viewedExport      `json:"exports"`

	// Of the applicant who listens: whom the device's consent names, and whether
	// an interviewer said at this device who sits there.
	Participant interview.ParticipantID `json:"participant,omitzero"`
	Station     bool                    `json:"station,omitempty"`
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
		Viewing: v.ID, Hearing: v.Hearing, State: v.State, Own: v.Approver == "", Mine: d.asked(v, c), Participant: v.Participant, Station: !v.Station.IsZero(),
		Open: open, Purpose: v.words.Purpose, Asker: v.words.Asker, Role: v.words.Role, Approver: v.words.Approver, Reason: v.words.Reason,
		Created: v.Created, Decided: v.Decided, Expires: v.Expires, Spans: []viewedSpan{}, Media: []viewedMedium{}, Exports: []viewedExport{},
	}
	if out.Role == "" {
		out.Role = interview.RoleInterviewer
	}
	if v.State != viewingDeclined && time.Now().Unix() >= v.Expires {
		out.State = "expired"
	}
	out.Decide = out.State == viewingAsked && v.Approver == d.person(c.Subject)
	return out
}

// ask begins a viewing: of the own hearing for a written purpose, of another's
// once a named second interviewer has allowed it (H6), and so does counsel for a
// client's. Nobody looks hearings up here: who asks has to know its id.
func (d *viewingDesk) ask(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	var in struct {
		Purpose  string `json:"purpose"`
		Approver string `json:"approver"` // sign-in name; "": the hearing's own interviewer
		Seated   bool   `json:"seated"`   // an interviewer: the hearing's applicant sits at this device
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Purpose, err = written(in.Purpose); err != nil {
		return err
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return err
	}
	now := time.Now()
	v := &viewingRow{
		ID: "view-" + hex.EncodeToString(name), State: viewingAllowed,
		Created: now.Unix(), Expires: now.Add(ownLife).Unix(), Version: 1, words: viewingWords{Purpose: in.Purpose, Asker: c.Name},
	}
	if t, ok := reviewing(id, c, interview.ParticipantID{}); ok || in.Seated {
		return d.askForApplicant(w, r, c, v, id, t, in.Seated)
	}
	if c.Subject == "" {
		return problem.New(problem.CodeSignIn, "a viewing needs a person who signed in")
	}
	v.Asker = d.person(c.Subject)
	h, err := d.hearings.Own(r.Context(), c, id)
	if err != nil {
		if h, err = d.mayAsk(r.Context(), c, id); err != nil {
			return err
		}
		if !c.Holds(interview.RoleInterviewer, now) {
			v.words.Role = interview.RoleCounsel
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

// askForApplicant begins the viewing of the applicant who listens to the own
// hearing (H7; Regulation (EU) 2024/1348 article 14(6)): by a ticket for the
// review, then the hearing's own interviewer decides; or seated by an
// interviewer at the very device, who decides it there.
func (d *viewingDesk) askForApplicant(w http.ResponseWriter, r *http.Request, c interview.Caller, v *viewingRow, id interview.HearingID, t interview.Ticket, seated bool) error {
	now := time.Now()
	if seated && !c.Holds(interview.RoleInterviewer, now) {
		return problem.Refused(problem.CodeForbidden, "viewing-second-person", "an interviewer says who sits at a device")
	}
	h, err := d.hearings.Hearing(r.Context(), id)
	if err != nil {
		return err
	}
	if h.State.Phase != interview.PhaseEnded {
		return problem.New(problem.CodeNotReady, "hearing %s has not ended", id)
	}
	i := slices.IndexFunc(h.Participants, func(p interview.Participant) bool {
		return p.Role == interview.RoleApplicant && (seated || p.ID == t.Participant)
	})
	if i < 0 {
		return problem.New(problem.CodeNotFound, "hearing %s has no such applicant", id)
	}
	p := h.Participants[i]
	v.Case, v.Hearing, v.Participant, v.Asker = h.Case, h.ID, p.ID, viewing.Participant(h.ID, p.ID)
	v.State, v.Expires = viewingAsked, now.Add(approvalLife).Unix()
	v.words.Asker, v.words.Role = p.Name, interview.RoleApplicant
	if seated {
		v.Station, v.Approver = c.Device, d.person(c.Subject)
	} else if v.Approver, err = d.approver(h, ""); err != nil {
		return err
	}
	if err := d.store.add(r.Context(), v); err != nil {
		return err
	}
	return writeJSON(w, d.view(v, c))
}

// mayAsk is a hearing that the caller may ask for: any, for an interviewer who
// knows its id; for counsel the own client's alone (K1; Regulation (EU)
// 2024/1348 article 14(6)).
func (d *viewingDesk) mayAsk(ctx context.Context, c interview.Caller, id interview.HearingID) (*interview.Hearing, error) {
	h, err := d.hearings.Hearing(ctx, id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if c.Holds(interview.RoleInterviewer, now) {
		return h, nil
	}
	if p, ok := c.As(h, now); !ok || p.Role != interview.RoleCounsel {
		return nil, problem.New(problem.CodeNotFound, "hearing %s", id)
	}
	return h, nil
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
	where, args := []string{"station_id = ?"}, []any{c.Device}
	if c.Subject != "" {
		who := d.person(c.Subject)
		where, args = append(where, "asker = ?", "approver = ?"), append(args, who, who)
	}
	for _, t := range c.Tickets {
		where, args = append(where, "participant_id = ?"), append(args, t.Participant)
	}
	rows, err := d.store.list(r.Context(), strings.Join(where, " OR "), args...)
	if err != nil {
		return err
	}
	out := []viewingView{}
	for _, v := range rows {
		if seen := d.view(v, c); seen.Mine || c.Subject != "" && v.Approver == d.person(c.Subject) {
			out = append(out, seen)
		}
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
		exports, err := d.store.exports(r.Context(), v.ID)
		if err != nil {
			return err
		}
		for _, e := range exports {
			out[i].Exports = append(out[i].Exports, viewedExport{e.Form, e.Place, e.Sealed, e.Begun, e.Ended, e.Bytes, e.SHA256})
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
	if !v.Station.IsZero() && v.Station != c.Device {
		return problem.Refused(problem.CodeForbidden, "viewing-second-person", "who sits at a device is said there")
	}
	now := time.Now().Unix()
	if v.State != viewingAsked || now >= v.Expires {
		return problem.New(problem.CodeConflict, "viewing %s was decided before or has expired", v.ID)
	}
	v.State, v.Decided, v.words.Approver = viewingDeclined, now, c.Name
	if in.Allow {
		var a allowAnswer
		if err := d.conn.Call(r.Context(), bus.Main(bus.Authority), "view.allow", allowQuestion{
			Viewing: v.ID, Case: v.Case, Hearing: v.Hearing, Purpose: v.words.Purpose, Asker: v.Asker, Approver: personOf(r, in.Consent), Participant: seatedAt(v),
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

// seatedAt is who sits at the approver's own device, if the viewing is one of these.
func seatedAt(v *viewingRow) interview.ParticipantID {
	if v.Station.IsZero() {
		return interview.ParticipantID{}
	}
	return v.Participant
}

// listener is who opens a viewing, with what proves it.
func (d *viewingDesk) listener(r *http.Request, c interview.Caller, v *viewingRow, consent string) (person, error) {
	p := personOf(r, consent)
	if v.Participant.IsZero() {
		return p, nil
	}
	p.Proof, p.Participant = signin.Proof{}, v.Participant
	t, ok := reviewing(v.Hearing, c, v.Participant)
	if !v.Station.IsZero() || !ok {
		return p, nil
	}
	var err error
	p.Ticket, _, err = d.tickets.Proof(r.Context(), t.ID, c.Device)
	return p, err
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
	case !d.asked(v, c):
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
	asker, err := d.listener(r, c, v, in.Consent)
	if err != nil {
		return err
	}
	spec, err := d.spec(ctx, v, consent.Opening())
	if err != nil {
		return err
	}
	if err := d.store.event(ctx, v, eventOpened, map[string]any{"opening": spec.Viewing, "purpose_hash": jws.Hash(v.words.Purpose)}); err != nil {
		return err
	}
	if err := d.conn.Call(ctx, bus.Main(bus.Authority), "view", viewQuestion{
		Opening: spec.Viewing, Viewing: v.ID, Case: v.Case, Hearing: v.Hearing, Recordings: spec.Recordings, Purpose: v.words.Purpose,
		Asker: asker, Approval: v.Approval,
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

func (d *viewingDesk) outline(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	var out viewOutline
	if err := d.askProcess(r.Context(), o, "view.outline", none{}, &out); err != nil {
		return err
	}
	return writeJSON(w, out)
}

// closeViewing ends a viewing. The page sends what was heard last with it, so
// that no other request has to come before it.
func (d *viewingDesk) closeViewing(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		heardSpans
		Over bool `json:"over"` // who was seated here has finished, and somebody else may sit down
	}
	if r.ContentLength != 0 {
		if err := readBody(w, r, &in); err != nil {
			return err
		}
	}
	o, err := d.watching(r, c)
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context())
	told := d.hear(ctx, o, in.heardSpans)
	d.end(ctx, o)
	if in.Over && !o.row.Station.IsZero() {
		if err := d.store.over(ctx, o.row); err != nil {
			return err
		}
	}
	if told != nil {
		return told
	}
	return writeJSON(w, none{})
}
