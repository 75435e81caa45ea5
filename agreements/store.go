package agreements

import (
	"cmp"
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/agreement"
)

// Types of the events of this room.
const (
	EventAgreementStep = "agreement.step"
	EventDeviceRevoked = "agreement.device-revoked"
)

// MaxReason bounds the reason of a step in bytes.
const MaxReason = 2 << 10

// Agreement is an agreement as the register shows it.
type Agreement struct {
	ID           interview.AgreementID  `json:"agreement"`
	Organisation agreement.Organisation `json:"organisation"`
	Criteria     agreement.Criteria     `json:"criteria"`
	State        State                  `json:"state"`
	Generation   int64                  `json:"generation"`
	Version      int64                  `json:"version"`
	Document     *agreement.Document    `json:"document,omitempty"` // of the revision in use
}

// Named is what the register says of one device.
type Named struct {
	Device      interview.DeviceID
	Agreement   interview.AgreementID
	Label       string
	Premises    []interview.PremisesID // where it may be used
	Until       time.Time              // end of the agreement
	Generation  int64                  // of the register when this was read
	Signed      string                 // the agreement itself: the fact's own proof
	Description agreement.Device
}

// Coverage says, part by part, what an agreement in force covers, for the
// admission rules: a missing part is a reason of its own.
type Coverage struct {
	Agreement interview.AgreementID
	Device    bool // an agreement in force names the device
	Premises  bool // ... and these premises for it
	Person    bool // ... and the person in the role
	Revoked   bool
	Signed    string
}

// Store is the register. It is safe for concurrent use.
type Store struct {
	db     *bun.DB
	office crypto.PublicKey
	outbox interview.Outbox
	now    func() time.Time
}

// Interface guard: bookings ask the register.
var _ interview.DeviceRegister = (*Store)(nil)

// NewStore makes the register. office is the key that the installation file
// pins; now is the time by which agreements hold (nil: time.Now).
func NewStore(db *bun.DB, office crypto.PublicKey, outbox interview.Outbox, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{db: db, office: office, outbox: outbox, now: now}
}

type agreementRow struct {
	bun.BaseModel `bun:"table:agreement"`
	ID            interview.AgreementID `bun:"id,pk"`
	Name          string                `bun:"organisation_name"`
	Number        string                `bun:"organisation_number"`
	Kind          string                `bun:"organisation_kind"`
	Set           string                `bun:"criteria_set"`
	SetVersion    string                `bun:"criteria_version"`
	Level         string                `bun:"criteria_level"`
	State         State                 `bun:"state"`
	Revision      int64                 `bun:"revision"`
	Generation    int64                 `bun:"generation"`
	Version       int64                 `bun:"version"`
}

type stepRow struct {
	bun.BaseModel `bun:"table:agreement_step"`
	Agreement     interview.AgreementID `bun:"agreement_id"`
	Generation    int64                 `bun:"generation"`
	State         State                 `bun:"state"`
	Reason        string                `bun:"reason"`
	By            string                `bun:"by_subject"`
	At            int64                 `bun:"at"`
}

type documentRow struct {
	bun.BaseModel `bun:"table:agreement_document"`
	Agreement     interview.AgreementID `bun:"agreement_id"`
	Revision      int64                 `bun:"revision"`
	Signed        string                `bun:"signed"`
}

type deviceRow struct {
	bun.BaseModel       `bun:"table:agreement_device"`
	Agreement           interview.AgreementID `bun:"agreement_id"`
	Revision            int64                 `bun:"revision"`
	Device              interview.DeviceID    `bun:"device_id"`
	PermanentIdentifier string                `bun:"permanent_identifier"`
}

type revocationRow struct {
	bun.BaseModel `bun:"table:device_revocation"`
	Device        interview.DeviceID `bun:"device_id,pk"`
	Reason        string             `bun:"reason"`
	By            string             `bun:"by_subject"`
	At            int64              `bun:"at"`
	Generation    int64              `bun:"generation"`
}

// Office is the key whose signature makes an agreement.
func (s *Store) Office() crypto.PublicKey { return s.office }

// Generation is the number of the register's last change.
func (s *Store) Generation(ctx context.Context) (int64, error) { return generation(ctx, s.db) }

func generation(ctx context.Context, db bun.IDB) (n int64, err error) {
	err = db.NewRaw("SELECT generation FROM register_generation WHERE id = 1").Scan(ctx, &n)
	return n, err
}

func raise(ctx context.Context, tx bun.Tx) (int64, error) {
	if _, err := tx.ExecContext(ctx, "UPDATE register_generation SET generation = generation + 1 WHERE id = 1"); err != nil {
		return 0, err
	}
	return generation(ctx, tx)
}

// Request enters an organisation's request for an agreement.
func (s *Store) Request(ctx context.Context, o agreement.Organisation, c agreement.Criteria, by string) (Agreement, error) {
	row := agreementRow{
		ID: interview.NewAgreementID(), Name: o.Name, Number: o.Number, Kind: o.Kind,
		Set: c.Set, SetVersion: c.Version, Level: c.Level, State: Requested, Version: 1,
	}
	// The request holds what a document without names would hold.
	probe := agreement.Document{V: 1, ID: row.ID, Revision: 1, Organisation: o, Criteria: c, ValidUntil: 1}
	if err := probe.Check(); err != nil {
		return Agreement{}, err
	}
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if row.Generation, err = raise(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		return s.note(ctx, tx, row, "requested", by)
	})
	if err != nil {
		return Agreement{}, fmt.Errorf("request agreement: %w", err)
	}
	return row.view(nil), nil
}

// note keeps the step that led to the row's state, and its audit event.
func (s *Store) note(ctx context.Context, tx bun.Tx, row agreementRow, reason, by string) error {
	step := stepRow{Agreement: row.ID, Generation: row.Generation, State: row.State, Reason: reason, By: by, At: s.now().UnixMilli()}
	if _, err := tx.NewInsert().Model(&step).Exec(ctx); err != nil {
		return err
	}
	return s.outbox.Append(ctx, tx, interview.Event{Type: EventAgreementStep, Fields: map[string]any{
		"agreement": row.ID, "state": row.State, "revision": row.Revision, "generation": row.Generation,
	}})
}

// Step moves an agreement on, at the version that the caller saw. A suspension
// counts from the commit: the next question already hears it.
func (s *Store) Step(ctx context.Context, id interview.AgreementID, version int64, to State, reason, by string) (Agreement, error) {
	if strings.TrimSpace(reason) == "" || len(reason) > MaxReason {
		return Agreement{}, problem.New(problem.CodeMalformed, "a step needs its reason, of at most %d bytes", MaxReason)
	}
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return Agreement{}, err
	}
	if err := row.State.step(to); err != nil {
		return Agreement{}, err
	}
	row.State = to
	if err := s.change(ctx, &row, version, reason, by, nil); err != nil {
		return Agreement{}, err
	}
	return s.read(ctx, row)
}

// Import takes a document that the security office signed into use. The
// agreement must be decided, or signed by an earlier revision; no device may be
// named by another agreement at the same time.
func (s *Store) Import(ctx context.Context, id interview.AgreementID, signed, by string) (Agreement, error) {
	doc, err := agreement.Verify(signed, s.office)
	if err != nil {
		return Agreement{}, err
	}
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return Agreement{}, err
	}
	if err := row.State.importable(); err != nil {
		return Agreement{}, err
	}
	if doc.ID != id || doc.Organisation.Number != row.Number || doc.Organisation.Kind != row.Kind {
		return Agreement{}, problem.Refused(problem.CodeAgreementState, "agreement-of-this-organisation", "the document is for another agreement or organisation than %s", id)
	}
	if doc.Revision <= row.Revision {
		return Agreement{}, problem.Refused(problem.CodeAgreementState, "agreement-revision-grows", "revision %d is not newer than %d", doc.Revision, row.Revision)
	}
	version := row.Version
	row.State, row.Revision, row.Name = Signed, doc.Revision, doc.Organisation.Name
	row.Set, row.SetVersion, row.Level = doc.Criteria.Set, doc.Criteria.Version, doc.Criteria.Level
	err = s.change(ctx, &row, version, "signed document imported", by, func(ctx context.Context, tx bun.Tx) error {
		return s.keepDocument(ctx, tx, doc, signed)
	})
	if err != nil {
		return Agreement{}, err
	}
	return row.view(doc), nil
}

func (s *Store) keepDocument(ctx context.Context, tx bun.Tx, doc *agreement.Document, signed string) error {
	kept := documentRow{Agreement: doc.ID, Revision: doc.Revision, Signed: signed}
	if _, err := tx.NewInsert().Model(&kept).Exec(ctx); err != nil {
		return err
	}
	for _, d := range doc.Devices {
		var others int
		err := tx.NewRaw(`SELECT count(*) FROM agreement_device AS d JOIN agreement AS a ON a.id = d.agreement_id AND a.revision = d.revision
			WHERE a.id <> ? AND a.state IN (?, ?) AND (d.device_id = ? OR d.permanent_identifier = ?)`,
			doc.ID, Signed, Suspended, d.ID, d.PermanentIdentifier).Scan(ctx, &others)
		if err != nil {
			return err
		}
		if others > 0 {
			return problem.Refused(problem.CodeAgreementState, "agreement-device-named-once", "device %s is named by another agreement", d.ID)
		}
		row := deviceRow{Agreement: doc.ID, Revision: doc.Revision, Device: d.ID, PermanentIdentifier: d.PermanentIdentifier}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// change writes a row at the version that was seen, with its step and event.
func (s *Store) change(ctx context.Context, row *agreementRow, version int64, reason, by string, also func(context.Context, bun.Tx) error) error {
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if row.Generation, err = raise(ctx, tx); err != nil {
			return err
		}
		err = store.CompareAndSet(ctx, tx.NewUpdate().Model(row).
			Column("organisation_name", "criteria_set", "criteria_version", "criteria_level", "state", "revision", "generation").WherePK(), version)
		if err != nil {
			return err
		}
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return err
			}
		}
		return s.note(ctx, tx, *row, reason, by)
	})
	if err != nil {
		return fmt.Errorf("change agreement %s: %w", row.ID, err)
	}
	row.Version = version + 1
	return nil
}

// RevokeDevice withdraws the approval of one device that the agreement names.
// It counts from the commit and is final for this device id.
func (s *Store) RevokeDevice(ctx context.Context, id interview.AgreementID, device interview.DeviceID, reason, by string) (generation int64, err error) {
	if strings.TrimSpace(reason) == "" || len(reason) > MaxReason {
		return 0, problem.New(problem.CodeMalformed, "a revocation needs its reason, of at most %d bytes", MaxReason)
	}
	a, err := s.Agreement(ctx, id)
	if err != nil {
		return 0, err
	}
	if a.Document == nil {
		return 0, problem.New(problem.CodeNotFound, "agreement %s names no device", id)
	}
	if _, ok := a.Document.Device(device); !ok {
		return 0, problem.New(problem.CodeNotFound, "agreement %s does not name device %s", id, device)
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if generation, err = raise(ctx, tx); err != nil {
			return err
		}
		row := revocationRow{Device: device, Reason: reason, By: by, At: s.now().UnixMilli(), Generation: generation}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			if store.IsDuplicate(err) {
				return problem.New(problem.CodeDeviceRevoked, "device %s is revoked already", device)
			}
			return err
		}
		return s.outbox.Append(ctx, tx, interview.Event{Type: EventDeviceRevoked, Fields: map[string]any{"device": device, "agreement": id, "generation": generation}})
	})
	return generation, err
}

func (s *Store) row(ctx context.Context, db bun.IDB, id interview.AgreementID) (agreementRow, error) {
	row := agreementRow{ID: id}
	err := db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, problem.New(problem.CodeNotFound, "agreement %s", id)
	}
	return row, err
}

func (r agreementRow) view(doc *agreement.Document) Agreement {
	return Agreement{
		ID: r.ID, Organisation: agreement.Organisation{Name: r.Name, Number: r.Number, Kind: r.Kind},
		Criteria: agreement.Criteria{Set: r.Set, Version: r.SetVersion, Level: r.Level},
		State:    r.State, Generation: r.Generation, Version: r.Version, Document: doc,
	}
}

// read adds the document in use, verified.
func (s *Store) read(ctx context.Context, row agreementRow) (Agreement, error) {
	doc, _, err := s.document(ctx, row.ID, row.Revision)
	if err != nil {
		return Agreement{}, err
	}
	return row.view(doc), nil
}

func (s *Store) document(ctx context.Context, id interview.AgreementID, revision int64) (*agreement.Document, string, error) {
	if revision == 0 {
		return nil, "", nil
	}
	var kept documentRow
	if err := s.db.NewSelect().Model(&kept).Where("agreement_id = ?", id).Where("revision = ?", revision).Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("read document of agreement %s: %w", id, err)
	}
	doc, err := agreement.Verify(kept.Signed, s.office)
	if err != nil {
		return nil, "", err
	}
	if doc.ID != id || doc.Revision != revision {
		return nil, "", problem.New(problem.CodeAgreementSignature, "the document kept for agreement %s revision %d is another one", id, revision)
	}
	return doc, kept.Signed, nil
}

// Agreement returns one agreement, or CodeNotFound.
func (s *Store) Agreement(ctx context.Context, id interview.AgreementID) (Agreement, error) {
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return Agreement{}, err
	}
	return s.read(ctx, row)
}

// List returns all agreements, oldest first, at most 1000.
func (s *Store) List(ctx context.Context) ([]Agreement, error) {
	var rows []agreementRow
	if err := s.db.NewSelect().Model(&rows).Order("id").Limit(1000).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list agreements: %w", err)
	}
	out := make([]Agreement, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = s.read(ctx, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inForce finds the signed document, valid at a time, that names what column
// holds; nil where there is none.
func (s *Store) inForce(ctx context.Context, column, value string, at time.Time) (*agreement.Document, string, error) {
	var rows []deviceRow
	err := s.db.NewSelect().Model(&rows).
		Join("JOIN agreement AS a ON a.id = device_row.agreement_id AND a.revision = device_row.revision").
		Where("device_row.? = ?", bun.Ident(column), value).Where("a.state = ?", Signed).Scan(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("look for the agreement of a device: %w", err)
	}
	for _, row := range rows {
		doc, signed, err := s.document(ctx, row.Agreement, row.Revision)
		if err != nil {
			return nil, "", err
		}
		if doc.Valid(at) {
			return doc, signed, nil
		}
	}
	return nil, "", nil
}

// InUse is an agreement's signed text for those who keep their own copy, and
// whether it is off: suspended or ended.
type InUse struct {
	Signed string
	Off    bool
}

// InUse lists the newest signed revision of every agreement that has one.
func (s *Store) InUse(ctx context.Context) ([]InUse, error) {
	var rows []agreementRow
	if err := s.db.NewSelect().Model(&rows).Where("revision > 0").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list agreements in use: %w", err)
	}
	out := make([]InUse, 0, len(rows))
	for _, row := range rows {
		_, signed, err := s.document(ctx, row.ID, row.Revision)
		if err != nil {
			return nil, err
		}
		out = append(out, InUse{Signed: signed, Off: row.State != Signed})
	}
	return out, nil
}

// Revoked lists the devices whose approval was withdrawn, with the reason.
func (s *Store) Revoked(ctx context.Context) (map[interview.DeviceID]string, error) {
	var rows []revocationRow
	if err := s.db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list revoked devices: %w", err)
	}
	out := map[interview.DeviceID]string{}
	for _, row := range rows {
		out[row.Device] = row.Reason
	}
	return out, nil
}

func (s *Store) revoked(ctx context.Context, device interview.DeviceID) (bool, error) {
	return s.db.NewSelect().Model(&revocationRow{Device: device}).WherePK().Exists(ctx)
}

// ForDevice says which agreement in force now names the TPM with a permanent
// identifier. Problems: CodeDeviceNotNamed, CodeDeviceRevoked.
func (s *Store) ForDevice(ctx context.Context, permanentIdentifier string) (Named, error) {
	doc, signed, err := s.inForce(ctx, "permanent_identifier", permanentIdentifier, s.now())
	if err != nil {
		return Named{}, err
	}
	if doc != nil {
		for _, d := range doc.Devices {
			if d.PermanentIdentifier == permanentIdentifier {
				return s.named(ctx, doc, d, signed)
			}
		}
	}
	return Named{}, problem.Refused(problem.CodeDeviceNotNamed, "agreement-names-device", "no agreement in force names this device")
}

// Device is ForDevice by the register's own id.
func (s *Store) Device(ctx context.Context, id interview.DeviceID) (Named, error) {
	doc, signed, err := s.inForce(ctx, "device_id", id.String(), s.now())
	if err != nil {
		return Named{}, err
	}
	if doc != nil {
		if d, ok := doc.Device(id); ok {
			return s.named(ctx, doc, d, signed)
		}
	}
	return Named{}, problem.Refused(problem.CodeDeviceNotNamed, "agreement-names-device", "no agreement in force names device %s", id)
}

func (s *Store) named(ctx context.Context, doc *agreement.Document, d agreement.Device, signed string) (Named, error) {
	revoked, err := s.revoked(ctx, d.ID)
	if err != nil {
		return Named{}, err
	}
	if revoked {
		return Named{}, problem.Refused(problem.CodeDeviceRevoked, "agreement-device-not-revoked", "device %s is revoked", d.ID)
	}
	generation, err := s.Generation(ctx)
	if err != nil {
		return Named{}, err
	}
	return Named{
		Device: d.ID, Agreement: doc.ID, Label: d.Label, Premises: d.Premises, Until: doc.Until(),
		Generation: generation, Signed: signed, Description: d,
	}, nil
}

// Coverage says what an agreement in force at a time covers of a device, its
// premises and a person in a role. It refuses nothing: the rules do.
func (s *Store) Coverage(ctx context.Context, device interview.DeviceID, premises interview.PremisesID, subject string, role interview.Role, at time.Time) (Coverage, error) {
	revoked, err := s.revoked(ctx, device)
	if err != nil {
		return Coverage{}, err
	}
	doc, signed, err := s.inForce(ctx, "device_id", device.String(), at)
	if err != nil || doc == nil {
		return Coverage{Revoked: revoked}, err
	}
	d, ok := doc.Device(device)
	if !ok {
		return Coverage{Revoked: revoked}, nil
	}
	out := Coverage{Agreement: doc.ID, Device: true, Person: doc.Names(subject, role), Revoked: revoked, Signed: signed}
	for _, p := range d.Premises {
		out.Premises = out.Premises || p == premises
	}
	return out, nil
}

// Places implements interview.DeviceRegister: every device that is named by an
// agreement in force at a time and not revoked, at each of its premises, by
// label.
func (s *Store) Places(ctx context.Context, at time.Time) ([]interview.Place, error) {
	use, err := s.InUse(ctx)
	if err != nil {
		return nil, err
	}
	revoked, err := s.Revoked(ctx)
	if err != nil {
		return nil, err
	}
	var out []interview.Place
	for _, u := range use {
		doc, err := agreement.Verify(u.Signed, s.office)
		if err != nil {
			return nil, err
		}
		if u.Off || !doc.Valid(at) {
			continue
		}
		for _, d := range doc.Devices {
			if _, gone := revoked[d.ID]; !gone {
				out = append(out, placesOf(doc, d)...)
			}
		}
	}
	slices.SortFunc(out, func(a, b interview.Place) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Place, b.Place))
	})
	return out, nil
}

func placesOf(doc *agreement.Document, d agreement.Device) []interview.Place {
	var out []interview.Place
	for _, p := range doc.Premises {
		if slices.Contains(d.Premises, p.ID) {
			out = append(out, interview.Place{Device: d.ID, Label: d.Label, Premises: p.ID, Place: p.Label})
		}
	}
	return out
}

// Covers implements interview.DeviceRegister: the device, at the premises, at a
// time. Problems: CodeDeviceNotNamed, CodeDeviceRevoked, CodePremises.
func (s *Store) Covers(ctx context.Context, device interview.DeviceID, premises interview.PremisesID, at time.Time) (interview.Covered, error) {
	c, err := s.Coverage(ctx, device, premises, "", "", at)
	switch {
	case err != nil:
		return interview.Covered{}, err
	case c.Revoked:
		return interview.Covered{}, problem.Refused(problem.CodeDeviceRevoked, "agreement-device-not-revoked", "device %s is revoked", device)
	case !c.Device:
		return interview.Covered{}, problem.Refused(problem.CodeDeviceNotNamed, "agreement-names-device", "no agreement in force then names device %s", device)
	case !c.Premises:
		return interview.Covered{}, problem.Refused(problem.CodePremises, "agreement-names-premises", "agreement %s does not place device %s at premises %s", c.Agreement, device, premises)
	}
	doc, err := agreement.Verify(c.Signed, s.office)
	if err != nil {
		return interview.Covered{}, err
	}
	place, _ := doc.Place(premises)
	return interview.Covered{Agreement: doc.ID, Place: place.Label, Until: doc.Until()}, nil
}
