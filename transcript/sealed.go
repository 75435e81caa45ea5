package transcript

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/record"
)

type recordRow struct {
	bun.BaseModel `bun:"table:transcript_record"`
	ID            interview.RecordID  `bun:"id,pk"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Version       int64               `bun:"version"`
	Signed        string              `bun:"signed"`
	Sealed        []byte              `bun:"sealed"`
	At            int64               `bun:"at"`
}

type deliveryRow struct {
	bun.BaseModel `bun:"table:record_delivery"`
	Record        interview.RecordID      `bun:"record_id"`
	Participant   interview.ParticipantID `bun:"participant_id"`
	Language      string                  `bun:"language"`
	Rule          string                  `bun:"rule"`
	At            int64                   `bun:"at"`
	Deadline      int64                   `bun:"deadline"`
}

type receiptRow struct {
	bun.BaseModel `bun:"table:record_receipt"`
	Record        interview.RecordID      `bun:"record_id"`
	Participant   interview.ParticipantID `bun:"participant_id"`
	At            int64                   `bun:"at"`
}

type amendmentRow struct {
	bun.BaseModel `bun:"table:amendment"`
	ID            interview.AmendmentID `bun:"id,pk"`
	Hearing       interview.HearingID   `bun:"hearing_id"`
	Record        interview.RecordID    `bun:"record_id"`
	Number        int64                 `bun:"number"`
	Sealed        []byte                `bun:"sealed"`
	At            int64                 `bun:"at"`
	Late          bool                  `bun:"late"`
}

type replyRow struct {
	bun.BaseModel `bun:"table:amendment_reply"`
	Amendment     interview.AmendmentID `bun:"amendment_id,pk"`
	Sealed        []byte                `bun:"sealed"`
	At            int64                 `bun:"at"`
}

type outcomeRow struct {
	bun.BaseModel `bun:"table:record_outcome"`
	Hearing       interview.HearingID `bun:"hearing_id,pk"`
	Record        interview.RecordID  `bun:"record_id"`
	Outcome       record.Outcome      `bun:"outcome"`
	Sealed        []byte              `bun:"sealed"`
	At            int64               `bun:"at"`
}

func recordAAD(id interview.RecordID) string       { return "transcript_record|" + id.String() }
func amendmentAAD(id interview.AmendmentID) string { return "amendment|" + id.String() }
func replyAAD(id interview.AmendmentID) string     { return "amendment_reply|" + id.String() }
func outcomeAAD(id interview.HearingID) string     { return "record_outcome|" + id.String() }

// Sealed is one sealed version: the record as the authority signed it, and the
// content's exact text. It verifies with interview/record alone.
type Sealed struct {
	Record  interview.RecordID  `json:"record"`
	Hearing interview.HearingID `json:"hearing"`
	Version int64               `json:"version"`
	Signed  string              `json:"signed"`
	Content string              `json:"content"` // canonical JSON, see docs/record-format.md
	At      int64               `json:"at"`
}

// After is what followed the sealing of version 1.
type After struct {
	Deliveries []record.Delivery  `json:"deliveries"`
	Amendments []record.Amendment `json:"amendments"`
	Ending     *record.Ending     `json:"ending,omitempty"`
}

// Seal seals the next version. Version 1 needs the hearing's end and at least
// one line; version 2 needs the outcome and an answer to every amendment.
// Problems: CodeNotReady, CodeSealed (there is nothing further to seal),
// CodeConflict (somebody typed meanwhile), CodeUnavailable.
func (s *Store) Seal(ctx context.Context, h *interview.Hearing) (Sealed, error) {
	versions, err := s.Versions(ctx, h)
	if err != nil {
		return Sealed{}, err
	}
	var content *record.Content
	var previous string
	edits := int64(-1)
	switch len(versions) {
	case 0:
		content, edits, err = s.first(ctx, h)
	case 1:
		previous = jws.Hash(versions[0].Signed)
		content, err = s.second(ctx, h, versions[0])
	default:
		err = problem.Refused(problem.CodeSealed, "transcript-two-versions", "the transcript of %s is sealed with its outcome", h.ID)
	}
	if err != nil {
		return Sealed{}, err
	}
	text, r, err := record.Seal(content, previous, s.cfg.Now().Unix())
	if err != nil {
		return Sealed{}, fmt.Errorf("seal transcript of %s: %w", h.ID, err)
	}
	signed, err := s.sign(ctx, r)
	if err != nil {
		return Sealed{}, err
	}
	sealed, err := s.cfg.Sealer.Seal(ctx, h.Case, recordAAD(r.ID), text)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal content of %s: %w", r.ID, err)
	}
	row := recordRow{ID: r.ID, Hearing: h.ID, Version: r.Version, Signed: signed, Sealed: sealed, At: r.SealedAt}
	if err := s.keep(ctx, row, r, edits); err != nil {
		return Sealed{}, fmt.Errorf("keep record %s: %w", r.ID, err)
	}
	return Sealed{Record: r.ID, Hearing: h.ID, Version: r.Version, Signed: signed, Content: string(text), At: r.SealedAt}, nil
}

// sign has the authority seal a record and believes only what verifies.
func (s *Store) sign(ctx context.Context, r record.Record) (string, error) {
	signed, err := s.cfg.Authority.SealRecord(ctx, r)
	if err != nil {
		return "", problem.New(problem.CodeUnavailable, "authority did not seal record %s: %w", r.ID, err)
	}
	got, err := record.Verify(signed, s.cfg.SealingKey)
	if err != nil || *got != r {
		return "", problem.New(problem.CodeUnavailable, "authority sealed something else than record %s", r.ID)
	}
	return signed, nil
}

func (s *Store) keep(ctx context.Context, row recordRow, r record.Record, edits int64) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if r.Version == 1 {
			// Only what was read is sealed: a line typed meanwhile is a conflict.
			result, err := tx.NewUpdate().Model(&transcriptRow{Hearing: row.Hearing}).Set("state = ?", stateSealed).
				WherePK().Where("state = ?", stateDraft).Where("edits = ?", edits).Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, store.ErrConflict)
			}
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			if store.IsDuplicate(err) {
				return store.ErrConflict
			}
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: row.Hearing, Type: EventSealed, Fields: map[string]any{
			"record": row.ID, "version": r.Version, "previous": r.Previous, "hash": jws.Hash(row.Signed),
		}})
	})
}

// first gathers version 1 from the draft, and how many edits it stands on.
func (s *Store) first(ctx context.Context, h *interview.Hearing) (*record.Content, int64, error) {
	if h.State.Phase != interview.PhaseEnded {
		return nil, 0, problem.Refused(problem.CodeNotReady, "record-after-end", "hearing %s has not ended", h.ID)
	}
	draft := transcriptRow{Hearing: h.ID}
	err := s.db.NewSelect().Model(&draft).WherePK().Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, err
	}
	lines, err := s.Lines(ctx, h)
	if err != nil {
		return nil, 0, err
	}
	lines = slices.DeleteFunc(lines, func(u record.Utterance) bool { return strings.TrimSpace(u.Text) == "" })
	if len(lines) == 0 {
		return nil, 0, problem.Refused(problem.CodeNotReady, "record-has-lines", "the transcript of %s has no line", h.ID)
	}
	there := map[interview.UtteranceID]bool{}
	for _, u := range lines {
		there[u.ID] = true
	}
	for i, u := range lines {
		if !there[u.Renders] {
			lines[i].Renders = interview.UtteranceID{} // what it rendered was struck
		}
	}
	rule, err := ruleAt(s.cfg.Rules, s.cfg.Now())
	if err != nil {
		return nil, 0, err
	}
	c := &record.Content{
		Record: interview.NewRecordID(), Hearing: h.ID, Case: h.Case, Version: 1, Diary: h.Diary, Language: h.Language, Mode: h.Mode,
		Justification: h.Justification, OpenedAt: h.OpenedAt.UnixMicro(), EndedAt: h.State.Since, Utterances: lines,
		Notice:     record.Notice{Rule: rule.ID, Days: rule.Days, Source: rule.Source, Language: h.Language},
		Deliveries: []record.Delivery{}, Amendments: []record.Amendment{},
	}
	for _, p := range h.Participants {
		i := slices.IndexFunc(h.Seats, func(t interview.Seat) bool { return t.Participant == p.ID })
		c.Participants = append(c.Participants, record.Participant{ID: p.ID, Role: p.Role, Name: p.Name, Place: h.Seats[i].Place})
	}
	return c, draft.Edits, nil
}

// second repeats version 1 with everything that followed it.
func (s *Store) second(ctx context.Context, h *interview.Hearing, first Sealed) (*record.Content, error) {
	after, err := s.After(ctx, h, first)
	if err != nil {
		return nil, err
	}
	if after.Ending == nil {
		return nil, problem.Refused(problem.CodeNotReady, "record-has-outcome", "record %s has no outcome yet", first.Record)
	}
	if slices.ContainsFunc(after.Amendments, func(a record.Amendment) bool { return a.Reply == nil }) {
		return nil, problem.Refused(problem.CodeNotReady, "amendments-answered", "an amendment to record %s has no answer yet", first.Record)
	}
	c, err := s.content(first)
	if err != nil {
		return nil, err
	}
	c.Record, c.Version = interview.NewRecordID(), 2
	c.Deliveries, c.Amendments, c.Ending = after.Deliveries, after.Amendments, after.Ending
	return c, nil
}

// content opens a version's text against its signed record.
func (s *Store) content(v Sealed) (*record.Content, error) {
	r, err := record.Verify(v.Signed, s.cfg.SealingKey)
	if err != nil {
		return nil, err
	}
	return record.Open(r, []byte(v.Content))
}

// Versions returns the sealed versions of a hearing's transcript, in order: what
// an evidence bundle holds.
func (s *Store) Versions(ctx context.Context, h *interview.Hearing) ([]Sealed, error) {
	var rows []recordRow
	if err := s.db.NewSelect().Model(&rows).Where("hearing_id = ?", h.ID).Order("version").Scan(ctx); err != nil {
		return nil, fmt.Errorf("read records of %s: %w", h.ID, err)
	}
	out := make([]Sealed, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = s.open(ctx, h, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) open(ctx context.Context, h *interview.Hearing, row recordRow) (Sealed, error) {
	text, err := s.cfg.Sealer.Open(ctx, h.Case, recordAAD(row.ID), row.Sealed)
	if err != nil {
		return Sealed{}, fmt.Errorf("open record %s: %w", row.ID, err)
	}
	return Sealed{Record: row.ID, Hearing: row.Hearing, Version: row.Version, Signed: row.Signed, Content: string(text), At: row.At}, nil
}

// find returns a record, its hearing, and who of its participants the caller is.
// To somebody without a part in it the record does not exist.
func (s *Store) find(ctx context.Context, c interview.Caller, id interview.RecordID) (*interview.Hearing, Sealed, interview.Participant, error) {
	missing := problem.New(problem.CodeNotFound, "record %s", id)
	row := recordRow{ID: id}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, Sealed{}, interview.Participant{}, missing
	}
	if err != nil {
		return nil, Sealed{}, interview.Participant{}, fmt.Errorf("read record %s: %w", id, err)
	}
	h, err := s.cfg.Hearings.Hearing(ctx, row.Hearing)
	if err != nil {
		return nil, Sealed{}, interview.Participant{}, err
	}
	p, err := s.reader(c, h)
	if err != nil {
		return nil, Sealed{}, interview.Participant{}, missing
	}
	v, err := s.open(ctx, h, row)
	return h, v, p, err
}

// reader is the participant that the caller is, if that one reads records: the
// interviewer and the applicant's side, by sign-in or by a ticket for review.
func (s *Store) reader(c interview.Caller, h *interview.Hearing) (interview.Participant, error) {
	p, ok := c.As(h, s.cfg.Now(), interview.PurposeReview)
	if !ok || (p.Role != interview.RoleInterviewer && !side(p.Role)) {
		return interview.Participant{}, problem.New(problem.CodeNotFound, "no part in the records of %s", h.ID)
	}
	return p, nil
}

// side reports whether a participant is on the applicant's side: who gets the
// record and may amend it.
func side(r interview.Role) bool {
	return r == interview.RoleApplicant || r == interview.RoleCounsel || r == interview.RoleRepresentative
}

// Deliver hands a version over to the applicant's side, with the notice of the
// right to correct in a language. Delivering again changes nothing.
func (s *Store) Deliver(ctx context.Context, h *interview.Hearing, v Sealed, lang string) ([]record.Delivery, error) {
	if err := checkText("", lang); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	rule, err := ruleAt(s.cfg.Rules, now)
	if err != nil {
		return nil, err
	}
	deadline, err := rule.Deadline(now)
	if err != nil {
		return nil, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, p := range h.Participants {
			if !side(p.Role) {
				continue
			}
			row := deliveryRow{Record: v.Record, Participant: p.ID, Language: lang, Rule: rule.ID, At: now.Unix(), Deadline: deadline.Unix()}
			result, err := tx.NewInsert().Model(&row).On("CONFLICT (record_id, participant_id) DO NOTHING").Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				if err != nil {
					return err
				}
				continue
			}
			err = s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: h.ID, Type: EventDelivered, Fields: map[string]any{
				"record": v.Record, "participant": p.ID, "language": lang, "rule": rule.ID, "deadline": row.Deadline,
			}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deliver record %s: %w", v.Record, err)
	}
	return s.deliveries(ctx, s.db, v.Record)
}

func (s *Store) deliveries(ctx context.Context, db bun.IDB, id interview.RecordID) ([]record.Delivery, error) {
	var rows []deliveryRow
	if err := db.NewSelect().Model(&rows).Where("record_id = ?", id).Order("participant_id").Scan(ctx); err != nil {
		return nil, err
	}
	var receipts []receiptRow
	if err := db.NewSelect().Model(&receipts).Where("record_id = ?", id).Scan(ctx); err != nil {
		return nil, err
	}
	received := map[interview.ParticipantID]int64{}
	for _, r := range receipts {
		received[r.Participant] = r.At
	}
	out := []record.Delivery{}
	for _, r := range rows {
		out = append(out, record.Delivery{Participant: r.Participant, Language: r.Language, At: r.At, Deadline: r.Deadline, Received: received[r.Participant]})
	}
	return out, nil
}

// delivered returns the hand-over to one participant, or CodeNotDelivered.
func (s *Store) delivered(ctx context.Context, v Sealed, p interview.ParticipantID) (record.Delivery, error) {
	list, err := s.deliveries(ctx, s.db, v.Record)
	if err != nil {
		return record.Delivery{}, err
	}
	i := slices.IndexFunc(list, func(d record.Delivery) bool { return d.Participant == p })
	if i < 0 {
		return record.Delivery{}, problem.Refused(problem.CodeNotDelivered, "record-handed-over", "record %s", v.Record)
	}
	return list[i], nil
}

// Receive notes that a participant has the record; once more changes nothing.
func (s *Store) Receive(ctx context.Context, h *interview.Hearing, v Sealed, p interview.ParticipantID) (record.Delivery, error) {
	if _, err := s.delivered(ctx, v, p); err != nil {
		return record.Delivery{}, err
	}
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row := receiptRow{Record: v.Record, Participant: p, At: s.cfg.Now().Unix()}
		result, err := tx.NewInsert().Model(&row).On("CONFLICT (record_id, participant_id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: h.ID, Type: EventReceived, Fields: map[string]any{"record": v.Record, "participant": p}})
	})
	if err != nil {
		return record.Delivery{}, fmt.Errorf("receipt of record %s: %w", v.Record, err)
	}
	return s.delivered(ctx, v, p)
}

// lockOpen refuses what comes after the outcome, or for another version than the
// first: corrections are made to what was handed over.
func (s *Store) lockOpen(ctx context.Context, tx bun.Tx, h *interview.Hearing, v Sealed) error {
	if v.Version != 1 {
		return problem.Refused(problem.CodeSealed, "record-corrected-once", "record %s has its outcome", v.Record)
	}
	if err := lock(ctx, tx, h.ID, stateSealed, problem.New(problem.CodeNotReady, "the transcript of %s is not sealed", h.ID)); err != nil {
		return err
	}
	done, err := tx.NewSelect().Model(&outcomeRow{Hearing: h.ID}).WherePK().Exists(ctx)
	if err != nil {
		return err
	}
	if done {
		return problem.Refused(problem.CodeOutcomeSet, "record-one-outcome", "record %s has its outcome", v.Record)
	}
	return nil
}

// Amend adds a numbered amendment by a participant who got the record. It is
// taken after the time limit too, and then marked late. The original stands.
func (s *Store) Amend(ctx context.Context, h *interview.Hearing, v Sealed, by interview.Participant, a record.Amendment) (record.Amendment, error) {
	if err := s.checkAmendment(h, v, by, a); err != nil {
		return record.Amendment{}, err
	}
	d, err := s.delivered(ctx, v, by.ID)
	if err != nil {
		return record.Amendment{}, err
	}
	a.ID, a.By, a.At, a.Number, a.Reply = interview.NewAmendmentID(), by.ID, s.cfg.Now().Unix(), 0, nil
	a.Late = a.At >= d.Deadline
	sealed, err := interview.SealJSON(ctx, s.cfg.Sealer, h.Case, amendmentAAD(a.ID), a)
	if err != nil {
		return record.Amendment{}, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockOpen(ctx, tx, h, v); err != nil {
			return err
		}
		count, err := tx.NewSelect().Model((*amendmentRow)(nil)).Where("hearing_id = ?", h.ID).Count(ctx)
		if err != nil {
			return err
		}
		if count >= MaxAmendments {
			return problem.New(problem.CodeTooLarge, "a record has at most %d amendments", MaxAmendments)
		}
		a.Number = count + 1
		row := amendmentRow{ID: a.ID, Hearing: h.ID, Record: v.Record, Number: a.Number, Sealed: sealed, At: a.At, Late: a.Late}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: h.ID, Type: EventAmended, Fields: map[string]any{
			"record": v.Record, "amendment": a.ID, "number": a.Number, "kind": a.Kind, "by": a.By, "channel": a.Channel, "late": a.Late,
		}})
	})
	if err != nil {
		return record.Amendment{}, fmt.Errorf("amend record %s: %w", v.Record, err)
	}
	return a, nil
}

func (s *Store) checkAmendment(h *interview.Hearing, v Sealed, by interview.Participant, a record.Amendment) error {
	malformed := func(what string) error { return problem.New(problem.CodeMalformed, "amendment: %s", what) }
	if err := checkText(a.Text, a.Language); err != nil {
		return err
	}
	switch {
	case !side(by.Role):
		return problem.Refused(problem.CodeForbidden, "amend-applicants-side", "role %s does not amend", by.Role)
	case strings.TrimSpace(a.Text) == "":
		return malformed("has no text")
	case !slices.Contains(record.AmendmentKinds, a.Kind):
		return malformed("kind is not known")
	case !slices.Contains(record.Channels, a.Channel):
		return malformed("channel is not known")
	case a.Utterance.IsZero() && (a.Kind == "correction" || a.Kind == "translation"):
		return malformed("a correction needs the line that it corrects")
	}
	if !a.OnBehalf.IsZero() {
		if p, ok := h.Participant(a.OnBehalf); !ok || p.Role != interview.RoleApplicant || by.Role == interview.RoleApplicant {
			return malformed("only counsel or a representative amends on the applicant's behalf")
		}
	}
	if a.Utterance.IsZero() {
		return nil
	}
	c, err := s.content(v)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Utterances, func(u record.Utterance) bool { return u.ID == a.Utterance }) {
		return malformed("the record has no such line")
	}
	return nil
}

// Reply keeps the interviewer's answer to an amendment: one, and it stays.
func (s *Store) Reply(ctx context.Context, c interview.Caller, id interview.AmendmentID, r record.Reply) (record.Reply, error) {
	if err := checkText(r.Text, "und"); err != nil {
		return record.Reply{}, err
	}
	if !slices.Contains(record.Decisions, r.Decision) || strings.TrimSpace(r.Text) == "" {
		return record.Reply{}, problem.New(problem.CodeMalformed, "an answer needs a known decision and its words")
	}
	row := amendmentRow{ID: id}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return record.Reply{}, problem.New(problem.CodeNotFound, "amendment %s", id)
	}
	if err != nil {
		return record.Reply{}, err
	}
	h, err := s.cfg.Hearings.Own(ctx, c, row.Hearing)
	if err != nil {
		return record.Reply{}, err
	}
	r.At = s.cfg.Now().Unix()
	sealed, err := interview.SealJSON(ctx, s.cfg.Sealer, h.Case, replyAAD(id), r)
	if err != nil {
		return record.Reply{}, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		kept := replyRow{Amendment: id, Sealed: sealed, At: r.At}
		if _, err := tx.NewInsert().Model(&kept).Exec(ctx); err != nil {
			if store.IsDuplicate(err) {
				return problem.Refused(problem.CodeSealed, "amendment-answered-once", "amendment %s has its answer", id)
			}
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: h.ID, Type: EventAnswered, Fields: map[string]any{"amendment": id, "decision": r.Decision}})
	})
	if err != nil {
		return record.Reply{}, fmt.Errorf("answer amendment %s: %w", id, err)
	}
	return r, nil
}

// End sets the one outcome. Confirming and refusing belong to the applicant's
// side; that nobody replied is noted by the interviewer, after the time limit.
// Problems: CodeReasonsNeeded, CodeOutcomeSet, CodeNotDelivered, CodeNotReady,
// CodeForbidden, CodeConflict (the outcome does not fit the amendments).
func (s *Store) End(ctx context.Context, h *interview.Hearing, v Sealed, by interview.Participant, e record.Ending) (record.Ending, error) {
	if err := s.checkEnding(ctx, h, v, by, e); err != nil {
		return record.Ending{}, err
	}
	e.By, e.At = by.ID, s.cfg.Now().Unix()
	sealed, err := interview.SealJSON(ctx, s.cfg.Sealer, h.Case, outcomeAAD(h.ID), e)
	if err != nil {
		return record.Ending{}, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockOpen(ctx, tx, h, v); err != nil {
			return err
		}
		count, err := tx.NewSelect().Model((*amendmentRow)(nil)).Where("hearing_id = ?", h.ID).Count(ctx)
		if err != nil {
			return err
		}
		if e.Outcome == record.Confirmed && count > 0 || e.Outcome == record.ConfirmedWithAmendments && count == 0 {
			return problem.Refused(problem.CodeConflict, "outcome-fits-amendments", "outcome %s with %d amendments", e.Outcome, count)
		}
		row := outcomeRow{Hearing: h.ID, Record: v.Record, Outcome: e.Outcome, Sealed: sealed, At: e.At}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, interview.Event{Hearing: h.ID, Type: EventOutcome, Fields: map[string]any{"record": v.Record, "outcome": e.Outcome, "by": e.By}})
	})
	if err != nil {
		return record.Ending{}, fmt.Errorf("outcome of record %s: %w", v.Record, err)
	}
	return e, nil
}

func (s *Store) checkEnding(ctx context.Context, h *interview.Hearing, v Sealed, by interview.Participant, e record.Ending) error {
	if err := checkText(e.Reasons, "und"); err != nil {
		return err
	}
	reasons := strings.TrimSpace(e.Reasons) != ""
	switch e.Outcome {
	case record.Confirmed, record.ConfirmedWithAmendments:
		if reasons || e.DeclinedReasons {
			return problem.New(problem.CodeMalformed, "reasons belong to a refusal")
		}
	case record.Refused:
		if reasons == e.DeclinedReasons {
			return problem.Refused(problem.CodeReasonsNeeded, "refusal-has-reasons", "a refusal has either reasons or the words that none were given")
		}
	case record.NoReply:
		return s.checkSilence(ctx, h, v, by)
	default:
		return problem.New(problem.CodeMalformed, "outcome is not known")
	}
	if !side(by.Role) {
		return problem.Refused(problem.CodeForbidden, "outcome-applicants-side", "role %s does not confirm or refuse", by.Role)
	}
	_, err := s.delivered(ctx, v, by.ID)
	return err
}

// checkSilence: the interviewer alone, and only when the limit has passed for
// everyone who got the record.
func (s *Store) checkSilence(ctx context.Context, h *interview.Hearing, v Sealed, by interview.Participant) error {
	if by.Role != interview.RoleInterviewer {
		return problem.Refused(problem.CodeForbidden, "silence-noted-by-interviewer", "role %s does not note that nobody replied", by.Role)
	}
	for _, p := range h.Participants {
		if !side(p.Role) {
			continue
		}
		d, err := s.delivered(ctx, v, p.ID)
		if err != nil {
			return err
		}
		if s.cfg.Now().Unix() < d.Deadline {
			return problem.Refused(problem.CodeNotReady, "silence-after-limit", "the time limit of record %s has not passed", v.Record)
		}
	}
	return nil
}

// After returns what followed the sealing of version 1.
func (s *Store) After(ctx context.Context, h *interview.Hearing, first Sealed) (After, error) {
	out := After{Amendments: []record.Amendment{}}
	var err error
	if out.Deliveries, err = s.deliveries(ctx, s.db, first.Record); err != nil {
		return After{}, err
	}
	var rows []amendmentRow
	if err := s.db.NewSelect().Model(&rows).Where("hearing_id = ?", h.ID).Order("number").Scan(ctx); err != nil {
		return After{}, err
	}
	for _, row := range rows {
		var a record.Amendment
		if err := interview.OpenJSON(ctx, s.cfg.Sealer, h.Case, amendmentAAD(row.ID), row.Sealed, &a); err != nil {
			return After{}, err
		}
		a.Number = row.Number
		if a.Reply, err = s.replyTo(ctx, h, row.ID); err != nil {
			return After{}, err
		}
		out.Amendments = append(out.Amendments, a)
	}
	row := outcomeRow{Hearing: h.ID}
	err = s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return After{}, err
	}
	out.Ending = &record.Ending{}
	return out, interview.OpenJSON(ctx, s.cfg.Sealer, h.Case, outcomeAAD(h.ID), row.Sealed, out.Ending)
}

func (s *Store) replyTo(ctx context.Context, h *interview.Hearing, id interview.AmendmentID) (*record.Reply, error) {
	row := replyRow{Amendment: id}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record.Reply
	return &r, interview.OpenJSON(ctx, s.cfg.Sealer, h.Case, replyAAD(id), row.Sealed, &r)
}
