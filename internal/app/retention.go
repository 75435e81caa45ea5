package app

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kuule/internal/bus"
	"kuule/internal/jobs"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/keyring/renewal"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
	"kuule/interview/viewing"
)

// keepingDesk is the door's side of retention: what staff asks for, what the
// clock ends, and that door and authority know the same tombstones.
type keepingDesk struct {
	*door
	store   *retention.Store
	sealing crypto.PublicKey // authority's, of tombstones
}

func newKeepingDesk(d *door) (*keepingDesk, error) {
	sealing, err := d.in.trust.Sealing()
	if err != nil {
		return nil, err
	}
	store := retention.NewStore(d.db, retention.Current(), d.sealer, keyringremote.New(d.conn), ledger.Outbox{}, sealing, time.Now)
	return &keepingDesk{d, store, sealing}, nil
}

// register puts retention on the interface.
func (d *keepingDesk) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/hearings/{hearing}/keeping", guarded(d.view))
	mux.HandleFunc("POST /api/hearings/{hearing}/matters", guarded(d.move))
	mux.HandleFunc("POST /api/hearings/{hearing}/holds", guarded(d.place))
	mux.HandleFunc("POST /api/holds/{hold}/lift", guarded(d.lift))
	mux.HandleFunc("POST /api/hearings/{hearing}/extensions", guarded(d.extend))
	mux.HandleFunc("POST /api/extensions/{extension}/approve", guarded(d.approveExtension))
	mux.HandleFunc("PUT /api/hearings/{hearing}/secrecy", guarded(d.mark))
	mux.HandleFunc("POST /api/hearings/{hearing}/notes", guarded(d.note))
	mux.HandleFunc("GET /api/hearings/{hearing}/notes", guarded(d.notes))
	mux.HandleFunc("POST /api/notes/{note}/needless", guarded(d.needless))
	mux.HandleFunc("POST /api/hearings/{hearing}/erasure", guarded(d.order))
	mux.HandleFunc("GET /api/erasures", guarded(d.orders))
	mux.HandleFunc("POST /api/erasures/{erasure}/confirm", guarded(d.confirm))
}

func (d *keepingDesk) authority(ctx context.Context, what string, in, out any) error {
	return d.conn.Call(ctx, bus.Main(bus.Authority), what, in, out)
}

// own gives the hearing of a request if the caller is its interviewer.
func (d *keepingDesk) own(r *http.Request, c interview.Caller) (*interview.Hearing, error) {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		return nil, problem.New(problem.CodeMalformed, "%w", err)
	}
	return d.hearings.Own(r.Context(), c, id)
}

func (d *keepingDesk) view(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	v, err := d.store.View(r.Context(), h.Case, h.ID)
	if err != nil {
		return err
	}
	files, err := d.filesLeft(r.Context(), h.Case)
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		retention.View
		WriteOnce bool      `json:"write_once"` // the storage itself keeps finished files until then
		Files     FilesLeft `json:"files"`
	}{v, d.in.Blobs.Backend == "s3", files})
}

func (d *keepingDesk) move(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in struct {
		Kind   retention.EventKind `json:"kind"`
		Matter string              `json:"matter,omitempty"`
		On     string              `json:"on"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if err := d.store.Move(r.Context(), h, in.Kind, in.Matter, in.On, c.Subject); err != nil {
		return err
	}
	return d.view(w, r, c)
}

func (d *keepingDesk) place(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in struct {
		Ground string `json:"ground"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	hold, err := d.store.Place(r.Context(), h, in.Ground, c.Subject, func(hold retention.Hold) error {
		return d.authority(r.Context(), "erasure.hold", caseHold{Case: h.Case, Hold: hold.ID, On: true}, nil)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, hold)
}

func (d *keepingDesk) lift(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	hold, err := d.store.HoldOf(r.Context(), r.PathValue("hold"))
	if err != nil {
		return err
	}
	// Who lifts a hold again tells authority again: it may have been away the
	// first time, and would hold the case for ever.
	if again := hold.LiftedAt != 0 && hold.LiftedBy == c.Subject; !again {
		if err := d.store.Lift(r.Context(), hold, c.Subject); err != nil {
			return err
		}
	}
	if err := d.authority(r.Context(), "erasure.hold", caseHold{Case: hold.Case, Hold: hold.ID}, nil); err != nil {
		return err
	}
	return writeJSON(w, hold)
}

func (d *keepingDesk) extend(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in struct {
		Until string `json:"until"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	e, err := d.store.Extend(r.Context(), h, in.Until, c.Subject)
	if err != nil {
		return err
	}
	return writeJSON(w, e)
}

func (d *keepingDesk) approveExtension(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	e, err := d.store.ExtensionOf(r.Context(), r.PathValue("extension"))
	if err != nil {
		return err
	}
	err = d.store.Approve(r.Context(), e, c.Subject, func(until time.Time) error {
		return d.authority(r.Context(), "erasure.lock", lockQuestion{Case: e.Case, Until: until.Unix()}, nil)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, e)
}

func (d *keepingDesk) mark(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in retention.Mark
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if err := d.store.Mark(r.Context(), h, in, c.Subject); err != nil {
		return err
	}
	return d.view(w, r, c)
}

func (d *keepingDesk) note(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in struct {
		Class retention.Class     `json:"class"`
		Words retention.NoteWords `json:"words"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	n, err := d.store.Note(r.Context(), h, in.Class, in.Words, c.Subject)
	if err != nil {
		return err
	}
	return writeJSON(w, n)
}

func (d *keepingDesk) notes(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	list, err := d.store.Notes(r.Context(), h.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		Notes []retention.Note `json:"notes"`
	}{append([]retention.Note{}, list...)})
}

// needless erases a note at once (L3).
func (d *keepingDesk) needless(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	id, err := interview.ParseNoteID(r.PathValue("note"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	n, err := d.store.NoteOf(r.Context(), id)
	if err != nil {
		return err
	}
	if _, err := d.hearings.Own(r.Context(), c, n.Hearing); err != nil {
		return err
	}
	if err := d.store.Needless(r.Context(), n, c.Subject); err != nil {
		return err
	}
	if err := d.eraseNote(r.Context(), n); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (d *keepingDesk) eraseNote(ctx context.Context, n retention.Note) error {
	var out erasureAnswer
	if err := d.authority(ctx, "erasure.needless", needlessQuestion{Note: n.ID}, &out); err != nil {
		return err
	}
	_, err := d.bury(ctx, out.Message)
	return err
}

// bury enters a tombstone. What is open of its case in this process's reach is
// closed first: a data key in memory, and recordings that are being watched.
func (d *keepingDesk) bury(ctx context.Context, message string) (fresh bool, err error) {
	t, err := retention.VerifyTombstone(message, d.sealing)
	if err != nil {
		return false, err
	}
	if c, err := interview.ParseCaseID(t.Subject); err == nil { // else a note's
		d.sealer.forget(c)
		d.viewings.endAll(context.WithoutCancel(ctx), func(o *opening) bool { return o.row.Case == c })
	}
	return d.store.Bury(ctx, message)
}

// order begins an erasure before its time: the first of two persons.
func (d *keepingDesk) order(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	h, err := d.own(r, c)
	if err != nil {
		return err
	}
	var in struct {
		Erasure string `json:"erasure"` // the page's choice: the consent names it
		Purpose string `json:"purpose"`
		Consent string `json:"consent"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Purpose, err = written(in.Purpose); err != nil {
		return err
	}
	if !viewing.CheckErasure(in.Erasure) {
		return problem.New(problem.CodeMalformed, "an order's id is erase- and 32 hexadecimal digits")
	}
	var out erasureAnswer
	err = d.authority(r.Context(), "erasure.order", orderQuestion{
		Erasure: in.Erasure, Case: h.Case, Hearing: h.ID, Purpose: in.Purpose,
		Person: personOf(r, in.Consent),
	}, &out)
	if err != nil {
		return err
	}
	o, err := d.store.Order(r.Context(), h, in.Erasure, out.Message, in.Purpose, c.Subject)
	if err != nil {
		return err
	}
	return writeJSON(w, o)
}

func (d *keepingDesk) orders(w http.ResponseWriter, r *http.Request, _ interview.Caller) error {
	list, err := d.store.Orders(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		Erasures []retention.Ordered `json:"erasures"`
	}{list})
}

// confirm erases a case on the word of a second person.
func (d *keepingDesk) confirm(w http.ResponseWriter, r *http.Request, _ interview.Caller) error {
	var in struct {
		Consent string `json:"consent"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	o, err := d.store.OrderOf(r.Context(), r.PathValue("erasure"))
	if err != nil {
		return err
	}
	var out erasureAnswer
	err = d.authority(r.Context(), "erasure.confirm", confirmQuestion{
		Order: o.Message, Hearing: o.Hearing, Purpose: o.Purpose,
		Person: personOf(r, in.Consent),
	}, &out)
	if err != nil {
		return err
	}
	if _, err := d.bury(r.Context(), out.Message); err != nil {
		return err
	}
	// Its notes go with it; one that could not goes with the next look.
	var report ErasureReport
	if err := errors.Join(d.eraseNotes(r.Context(), &report), d.clearFiles(r.Context(), &report)); err != nil || len(report.Failed) > 0 {
		slog.Error("notes or files of an erased case stay until the next look", "case", o.Case, "failed", len(report.Failed), "err", err)
	}
	return writeJSON(w, struct {
		Proof string `json:"proof"`
	}{out.Message})
}

// ErasureReport is what one look at all cases found and did.
type ErasureReport struct {
	Due    []retention.DueCase `json:"due"`
	Notes  []interview.NoteID  `json:"notes"` // whose time has come
	Erased int                 `json:"erased"`
	Files  int                 `json:"files"`  // that went after their keys
	Failed []string            `json:"failed"` // by id, with what stood in the way
}

// look finds what is due and, unless it only looks, tells authority of every
// case's period and has what is due erased. It can be repeated at any time.
func (d *keepingDesk) look(ctx context.Context, only bool) (ErasureReport, error) {
	out := ErasureReport{Due: []retention.DueCase{}, Notes: []interview.NoteID{}, Failed: []string{}}
	err := d.store.EachCase(ctx, func(c interview.CaseID, f retention.Facts, due retention.DueCase) error {
		locks := d.locks(f)
		for _, kind := range due.Kinds {
			delete(locks, kind) // what authority was never told of is not erased by the clock
		}
		if !only && len(locks) > 0 {
			if err := d.authority(ctx, "erasure.lock", lockQuestion{Case: c, Kinds: locks}, nil); err != nil {
				out.failed(c, err)
			}
		}
		if _, erased := f.Erased[keyring.Recording]; !only && !erased && !slices.Contains(due.Kinds, keyring.Recording) {
			d.lockFiles(ctx, c, f, &out)
		}
		if len(due.Kinds) == 0 {
			return ctx.Err()
		}
		out.Due = append(out.Due, due)
		if only {
			return nil
		}
		var answer erasureAnswer
		if err := d.authority(ctx, "erasure.due", dueQuestion{Case: c, Kinds: due.Kinds}, &answer); err != nil {
			out.failed(c, err)
			return ctx.Err()
		}
		if _, err := d.bury(ctx, answer.Message); err != nil {
			return err
		}
		out.Erased++
		return nil
	})
	if err != nil {
		return out, err
	}
	if !only {
		return out, errors.Join(d.eraseNotes(ctx, &out), d.clearFiles(ctx, &out))
	}
	notes, err := d.store.NotesDue(ctx)
	for _, n := range notes {
		out.Notes = append(out.Notes, n.ID)
	}
	return out, err
}

func (r *ErasureReport) failed(what fmt.Stringer, err error) {
	r.Failed = append(r.Failed, what.String()+": "+err.Error())
}

// eraseNotes erases every note whose time has come.
func (d *keepingDesk) eraseNotes(ctx context.Context, out *ErasureReport) error {
	notes, err := d.store.NotesDue(ctx)
	if err != nil {
		return err
	}
	for _, n := range notes {
		out.Notes = append(out.Notes, n.ID)
		if err := d.eraseNote(ctx, n); err != nil {
			out.failed(n.ID, err)
			continue
		}
		out.Erased++
	}
	return nil
}

// locks are the periods of a case's keys that authority holds to by itself, in
// Unix seconds: of each the longest of the classes that are sealed under it, its
// own once it runs, and what was extended while a matter is open.
func (d *keepingDesk) locks(f retention.Facts) map[keyring.Kind]int64 {
	out := map[keyring.Kind]int64{}
	for _, rule := range d.store.Rules().Classes {
		if rule.Key != keyring.Recording && rule.Key != keyring.Records {
			continue
		}
		until := time.Time{}
		k := d.store.Rules().Keep(rule.Class, f, time.Now())
		switch k.State {
		case retention.StateRunning, retention.StateDue:
			until = k.Until
		case retention.StatePending, retention.StateHeld:
			until = f.Extended
		}
		if !until.IsZero() {
			out[rule.Key] = max(out[rule.Key], until.Unix())
		}
	}
	return out
}

// agree gives door and authority the same tombstones: each takes what only the
// other knows, so that neither's back-up brings anything back (L7).
func (d *keepingDesk) agree(ctx context.Context) error {
	own, err := d.store.Tombstones(ctx)
	if err != nil {
		return err
	}
	for len(own) > 0 {
		part := own[:min(100, len(own))]
		if err := d.authority(ctx, "erasure.tell", tombstones{Messages: part}, nil); err != nil {
			return err
		}
		own = own[len(part):]
	}
	var theirs tombstones
	if err := d.authority(ctx, "erasure.list", none{}, &theirs); err != nil {
		return err
	}
	for _, m := range theirs.Messages {
		fresh, err := d.bury(ctx, m)
		if err != nil {
			return err
		}
		if fresh {
			slog.Warn("an erasure that was not in the records was entered again")
		}
	}
	return nil
}

// RenewReport is what a rotation of keys did.
type RenewReport struct {
	Renewed  []renewal.Report `json:"renewed"`
	Problems []string         `json:"problems"`
}

// renew rotates keys and rewraps what they wrapped: of one case, or of all.
func (d *keepingDesk) renew(ctx context.Context, subject string, retire bool) (RenewReport, error) {
	out := RenewReport{Renewed: []renewal.Report{}, Problems: []string{}}
	var list keyList
	if err := d.authority(ctx, "keys.list", none{}, &list); err != nil {
		return out, err
	}
	for _, key := range list.Keys {
		if subject != "" && key.Case != subject {
			continue
		}
		var answer renewAnswer
		err := d.authority(ctx, "keys.renew", renewQuestion{Key: key, Retire: retire}, &answer)
		switch {
		case errors.Is(err, problem.New(problem.CodeUnavailable, "")):
			return out, err
		case err != nil:
			out.Problems = append(out.Problems, key.String()+": "+err.Error())
			continue
		case answer.Problem != "":
			out.Problems = append(out.Problems, answer.Problem)
		}
		out.Renewed = append(out.Renewed, answer.Report)
	}
	if subject != "" && len(out.Renewed)+len(out.Problems) == 0 {
		return out, problem.New(problem.CodeNotFound, "no key of %s is registered", strings.TrimSpace(subject))
	}
	return out, nil
}

// The administrator's questions. An administrator sees what is due and can have
// it erased when its time has come; nobody erases anything earlier from here.
type (
	// EraseDue asks for what is due; Run erases it.
	EraseDue struct {
		Run bool `json:"run"`
	}
	// RenewKeys asks for new versions of keys.
	RenewKeys struct {
		Case   string `json:"case"` // empty: all
		Retire bool   `json:"retire"`
	}
	// Tombstones are the proofs of everything that was erased.
	Tombstones struct {
		Messages []string `json:"messages"`
	}
)

// administer puts these on the administrator's socket.
func (d *keepingDesk) administer(mux *http.ServeMux) {
	mux.HandleFunc("POST /retention/due", answer(func(ctx context.Context, in EraseDue) (ErasureReport, error) { return d.look(ctx, !in.Run) }))
	mux.HandleFunc("POST /keys/renew", answer(func(ctx context.Context, in RenewKeys) (RenewReport, error) { return d.renew(ctx, in.Case, in.Retire) }))
	mux.HandleFunc("POST /tombstones", answer(func(ctx context.Context, in Tombstones) (Tombstones, error) {
		for _, m := range in.Messages {
			if _, err := d.bury(ctx, m); err != nil {
				return Tombstones{}, problem.New(problem.CodeMalformed, "%w", err)
			}
		}
		if err := d.agree(ctx); err != nil {
			return Tombstones{}, err
		}
		list, err := d.store.Tombstones(ctx)
		return Tombstones{list}, err
	}))
}

// Jobs of retention (package jobs).
const (
	lookEvery  = 24 * time.Hour
	agreeEvery = time.Hour
	jobTimeout = 30 * time.Minute
	jobsFile   = "jobs.db" // in the door's folder
)

// jobs are what retention does by itself.
func (d *keepingDesk) jobs() []jobs.Job {
	return []jobs.Job{
		{Name: "agree-on-tombstones", Every: agreeEvery, Timeout: jobTimeout, Run: d.agree},
		{Name: "erase-what-is-due", Every: lookEvery, Timeout: jobTimeout, Run: func(ctx context.Context) error {
			report, err := d.look(ctx, false)
			if err != nil {
				return err
			}
			if report.Erased > 0 || len(report.Failed) > 0 {
				slog.Info("retention", "due", len(report.Due)+len(report.Notes), "erased", report.Erased, "kept", len(report.Failed))
			}
			for _, failed := range report.Failed {
				slog.Warn("retention: not erased", "what", failed)
			}
			return nil
		}},
	}
}

// runJobs runs them until ctx ends.
func (d *keepingDesk) runJobs(ctx context.Context) {
	address := d.in.DatabaseAddress()
	if strings.HasPrefix(address, "sqlite:") {
		address = "sqlite:" + filepath.Join(d.in.layout.Door(), jobsFile)
	}
	if err := jobs.Run(ctx, address, d.jobs()...); err != nil && ctx.Err() == nil {
		slog.Error("jobs do not run: nothing is erased when its time comes", "err", err)
	}
}
