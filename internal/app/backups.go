package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"kuule/internal/bus"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/ledger"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
)

// What the door keeps among a hearing's signed messages of back-ups.
const (
	keptGrant   = "backup-grant"
	keptRelease = "backup-release"
	keptLoss    = "backup-loss"
)

// Audit events of back-ups (H5).
const (
	eventBackupGranted  = "backup.granted"
	eventBackupTaken    = "backup.taken"
	eventBackupReleased = "backup.released"
)

// SettleBackups asks which room terminals may delete their back-ups of a hearing
// that has ended.
type SettleBackups struct {
	Hearing interview.HearingID `json:"hearing"`
	Loss    string              `json:"loss"` // JWS of the security office, on what is not to be had; or ""
}

// SettledBackups is the release for some devices or all, and what is wanted of the
// others.
type SettledBackups struct {
	Release  string               `json:"release"` // JWS, "" where no device may delete
	Released []interview.DeviceID `json:"released"`
	Wanted   []WantedBackup       `json:"wanted"`
	Missing  []coverage.Span      `json:"missing"`  // that nobody has
	Backup   interview.Micros     `json:"backup"`   // on record, taken in from a back-up
	Silent   []interview.MemberID `json:"silent"`   // recorders of which nothing is here
	Disputed []string             `json:"disputed"` // phases on which journals and the room's list differ
}

// WantedBackup is a device that was in the room where no recorder lived, and whose
// own sound is lacking there.
type WantedBackup struct {
	Device interview.DeviceID `json:"device"`
	Label  string             `json:"label"`
	Held   bool               `json:"held"` // its agent says that a back-up lies there
	Spans  []backup.Span      `json:"spans"`
}

// settleBackups makes the hearing's evidence once more and has authority judge it:
// from the bundle, what every recorder signs to have, and the office's word where one
// was brought; from nothing else.
func (d *door) settleBackups(ctx context.Context, q SettleBackups) (SettledBackups, error) {
	a, err := d.judgeBackups(ctx, q)
	if err != nil {
		return SettledBackups{}, err
	}
	out := SettledBackups{Release: a.Release, Released: a.Released, Wanted: []WantedBackup{}, Missing: a.Missing, Backup: a.Backup, Silent: a.Silent, Disputed: a.Disputed}
	for _, w := range a.Wanted {
		x := WantedBackup{Device: w.Device, Spans: w.Spans}
		if named, err := d.register.Device(ctx, w.Device); err == nil {
			x.Label = named.Label
		}
		if x.Held, err = d.db.NewSelect().Model((*backupRow)(nil)).Where("device_id = ? AND hearing_id = ? AND ended = ''", w.Device, q.Hearing).Exists(ctx); err != nil {
			return SettledBackups{}, err
		}
		out.Wanted = append(out.Wanted, x)
	}
	if a.Release == "" {
		return out, nil
	}
	messages, loss := map[string]string{keptRelease: a.Release}, ""
	if q.Loss != "" {
		messages[keptLoss], loss = q.Loss, jws.Hash(q.Loss)
	}
	devices := make([]string, len(a.Released))
	for i, id := range a.Released {
		devices[i] = id.String()
	}
	return out, d.keepBackup(ctx, q.Hearing, messages, interview.Event{
		Hearing: q.Hearing, Type: eventBackupReleased, Fields: map[string]any{"release": jws.Hash(a.Release), "devices": devices, "loss": loss},
	})
}

// releaseFor gives the newest release of a hearing that names a device, or "".
func (d *door) releaseFor(ctx context.Context, id interview.HearingID, device interview.DeviceID) (string, error) {
	kept, err := d.keeper.Kept(ctx, id, keptRelease)
	if err != nil {
		return "", err
	}
	for _, text := range slices.Backward(kept) {
		var r backup.Release
		if jws.Peek(text, backup.TypeRelease, &r) == nil && r.Names(device) {
			return text, nil
		}
	}
	return "", nil
}

// judgeBackups brings authority what it judges by.
func (d *door) judgeBackups(ctx context.Context, settle SettleBackups) (judgeAnswer, error) {
	id := settle.Hearing
	now, err := (hearings{d}).Phase(ctx, id)
	if err != nil {
		return judgeAnswer{}, err
	}
	if now.Phase != interview.PhaseEnded {
		return judgeAnswer{}, problem.New(problem.CodeRecordingState, "hearing %s has not ended", id)
	}
	f, err := os.CreateTemp(d.in.path("."), "settle-*.zip")
	if err != nil {
		return judgeAnswer{}, err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	if err := d.buildEvidence(ctx, id, f); err != nil {
		return judgeAnswer{}, err
	}
	signed, err := evidence.SignedManifest(f)
	if err != nil {
		return judgeAnswer{}, err
	}
	q := judgeQuestion{Hearing: id, Holdings: []string{}, Loss: settle.Loss}
	for _, name := range d.in.recorderNames() {
		var has holdsAnswer
		if err := d.conn.Call(ctx, name, "recorder.holds", holdsQuestion{Hearing: id, Bundle: jws.Hash(signed)}, &has); err != nil {
			return judgeAnswer{}, fmt.Errorf("what %s has of %s: %w", name, id, err)
		}
		q.Holdings = append(q.Holdings, has.Message)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return judgeAnswer{}, err
	}
	if err := inPieces(f, func(at int64, b []byte) error {
		return d.conn.Call(ctx, bus.Main(bus.Authority), "backup.proof", proofPiece{Hearing: id, Offset: at, Data: b}, nil)
	}); err != nil {
		return judgeAnswer{}, err
	}
	for {
		var a judgeAnswer
		if err := d.askLong(ctx, bus.Main(bus.Authority), "backup.judge", q, &a); err != nil || !a.Pending {
			return a, err
		}
	}
}

// askLong asks for work that may take its time; an answer may be that it goes on.
func (d *door) askLong(ctx context.Context, of bus.Name, what string, q, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askAgain+10*time.Second)
	defer cancel()
	return d.conn.Call(ctx, of, what, q, out)
}

// inPieces gives what r holds piece by piece.
func inPieces(r io.Reader, give func(at int64, b []byte) error) error {
	b := make([]byte, journalChunk)
	for at := int64(0); ; {
		n, err := io.ReadFull(r, b)
		if n > 0 {
			if err := give(at, b[:n]); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// keepBackup keeps signed messages about a hearing's back-ups and what happened.
// They are in the next bundle when it returns.
func (d *door) keepBackup(ctx context.Context, id interview.HearingID, messages map[string]string, events ...interview.Event) error {
	for _, e := range events {
		if err := (ledger.Outbox{}).Append(ctx, d.db, e); err != nil {
			return err
		}
	}
	for kind, text := range messages {
		d.keeper.Keep(id, kind, text)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for kind, text := range messages {
		for {
			kept, err := d.keeper.Kept(ctx, id, kind)
			if err != nil {
				return err
			}
			if slices.Contains(kept, text) {
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return problem.New(problem.CodeUnavailable, "the %s of %s was not kept: %w", kind, id, ctx.Err())
			}
		}
	}
	return nil
}

// BegunIntake is what a back-up is handed over to: whoever holds the back-up key
// seals it anew to the statement's key, after checking that authority admitted it
// under its own grant.
type BegunIntake struct {
	Grant     string           `json:"grant"`
	Statement string           `json:"statement"`
	Admission string           `json:"admission"`
	Missing   interview.Micros `json:"missing"` // that may be taken in
}

// EndedIntake is what came of it.
type EndedIntake struct {
	Taken   backup.Taken `json:"taken"`
	Message string       `json:"message"`
}

// recorder that takes in: the first.
func (d *door) taker() bus.Name { return d.in.recorderNames()[0] }

// beginIntake has authority grant, and a recorder prepare, a taking in.
func (d *door) beginIntake(ctx context.Context, q SettleBackups) (BegunIntake, error) {
	a, err := d.judgeBackups(ctx, q)
	if err != nil {
		return BegunIntake{}, err
	}
	if a.Grant == "" {
		return BegunIntake{}, problem.New(problem.CodeRecordingState, "nothing may be taken in of %s: recorders have all that was on record", q.Hearing)
	}
	out := BegunIntake{Grant: a.Grant, Missing: a.Length}
	var begun takeInAnswer
	if err := d.conn.Call(ctx, d.taker(), "recorder.takein", takeInQuestion{Grant: a.Grant}, &begun); err != nil {
		return BegunIntake{}, err
	}
	var admitted admitAnswer
	if err := d.conn.Call(ctx, bus.Main(bus.Authority), "backup.admit", takerQuestion{Grant: a.Grant, Statement: begun.Statement}, &admitted); err != nil {
		return BegunIntake{}, err
	}
	out.Statement, out.Admission = begun.Statement, admitted.Admission
	d.intakes.Store(q.Hearing, out)
	// Kept before anything is taken in: whatever is, can be verified.
	return out, d.keepBackup(ctx, q.Hearing, map[string]string{"statement": out.Statement, "admission": out.Admission, keptGrant: out.Grant}, interview.Event{
		Hearing: q.Hearing, Type: eventBackupGranted, Fields: map[string]any{"grant": jws.Hash(a.Grant), "spans": a.Spans, "length": a.Length},
	})
}

// bringBackup hands a back-up on that was sealed to who takes in. The door cannot
// open it.
func (d *door) bringBackup(w http.ResponseWriter, r *http.Request) {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	n, err2 := strconv.Atoi(r.PathValue("file"))
	if err = errors.Join(err, err2); err != nil {
		problem.Write(w, problem.New(problem.CodeMalformed, "%w", err))
		return
	}
	err = inPieces(http.MaxBytesReader(w, r.Body, intake.MaxFile), func(at int64, b []byte) error {
		return d.conn.Call(r.Context(), d.taker(), "recorder.backup", backupPiece{Hearing: id, File: n, Offset: at, Data: b}, nil)
	})
	if err != nil {
		problem.Write(w, err)
		return
	}
	_ = writeJSON(w, none{})
}

// endIntake has the recorder read what was brought, and keeps what came of it.
func (d *door) endIntake(ctx context.Context, q SettleBackups) (EndedIntake, error) {
	begun, ok := d.intakes.Load(q.Hearing)
	if !ok {
		return EndedIntake{}, problem.New(problem.CodeNotReady, "no taking in of %s was begun", q.Hearing)
	}
	b := begun.(BegunIntake)
	var a takenAnswer
	for a.Pending = true; a.Pending; {
		a = takenAnswer{}
		if err := d.askLong(ctx, d.taker(), "recorder.taken", takenQuestion{Hearing: q.Hearing, Admission: b.Admission}, &a); err != nil {
			return EndedIntake{}, err
		}
	}
	d.intakes.Delete(q.Hearing)
	names := make([]string, len(a.Taken.Recordings))
	for i, r := range a.Taken.Recordings {
		names[i] = r.String()
	}
	events := []interview.Event{{Hearing: q.Hearing, Type: eventBackupTaken, Fields: map[string]any{
		"grant": a.Taken.Grant, "member": a.Taken.Member, "recordings": names, "kept": a.Taken.Kept, "unproved": a.Taken.Unproved,
	}}}
	for _, h := range a.Heads {
		events = append(events, interview.Event{Hearing: q.Hearing, Type: evidence.EventHead, Fields: map[string]any{"recording": h.Recording, "seq": h.Seq, "head": h.Head}})
	}
	slog.Info("a back-up was taken in", "hearing", q.Hearing, "recordings", names, "frames", a.Taken.Kept)
	return EndedIntake{a.Taken, a.Message}, d.keepBackup(ctx, q.Hearing, nil, events...)
}

// takings gives what recorders say that they took in of a hearing.
func (d *door) takings(ctx context.Context, id interview.HearingID) ([]string, error) {
	var out []string
	for _, name := range d.in.recorderNames() {
		var a takingsAnswer
		if err := d.conn.Call(ctx, name, "recorder.takings", hearingQuestion{Hearing: id}, &a); err != nil {
			return nil, fmt.Errorf("what %s took in of %s: %w", name, id, err)
		}
		out = append(out, a.Messages...)
	}
	return out, nil
}

// SettleBackups asks a running installation about back-ups. loss is the security
// office's word on what is not to be had, or "".
func (c Console) SettleBackups(ctx context.Context, id interview.HearingID, loss string) (out SettledBackups, err error) {
	err = c.post(ctx, "/backups", SettleBackups{id, loss}, &out)
	return out, err
}

// BeginIntake asks for the grant to take back-ups in.
func (c Console) BeginIntake(ctx context.Context, id interview.HearingID) (out BegunIntake, err error) {
	err = c.post(ctx, "/backups/intake", SettleBackups{Hearing: id}, &out)
	return out, err
}

// BringBackup hands over the n-th back-up, sealed to who takes in.
func (c Console) BringBackup(ctx context.Context, id interview.HearingID, n int, content io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://door/backups/intake/%s/%d", id, n), content)
	if err != nil {
		return err
	}
	return c.read(r, &none{})
}

// EndIntake has what was brought taken in.
func (c Console) EndIntake(ctx context.Context, id interview.HearingID) (out EndedIntake, err error) {
	err = c.post(ctx, "/backups/intake/end", SettleBackups{Hearing: id}, &out)
	return out, err
}

// TrustOf reads an installation's own trust file.
func TrustOf(data string) (*trust.File, error) {
	in, err := openInstallation(data)
	if err != nil {
		return nil, err
	}
	return in.trust, nil
}
