package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/audit"
	"kuule/internal/bus"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/recorder"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

// buildEvidence writes the bundle of a hearing that has ended.
func (d *door) buildEvidence(ctx context.Context, id interview.HearingID, out io.Writer) error {
	h, err := d.hearings.Hearing(ctx, id)
	if err != nil {
		return err
	}
	if h.State.Phase != interview.PhaseEnded {
		return problem.New(problem.CodeRecordingState, "hearing %s has not ended: the interviewer ends it in the room, or, where nobody can come back, `kuule hearing close %s --reason …` does", id, id)
	}
	if err := d.cosign(ctx, id); err != nil {
		return fmt.Errorf("log of %s: %w", id, err)
	}
	c := evidence.Content{Case: h.Case, Hearing: id, MadeAt: time.Now()}
	for kind, into := range map[string]*[]string{"statement": &c.Statements, "admission": &c.Admissions, "roster": &c.Rosters, keptGrant: &c.Grants} {
		if *into, err = d.keeper.Kept(ctx, id, kind); err != nil {
			return err
		}
	}
	states, err := d.hearings.Phases(ctx, id)
	if err != nil {
		return err
	}
	for _, s := range states {
		c.Phases = append(c.Phases, journal.Phase{Phase: s.Phase, Cause: s.Cause, Since: s.Since, By: s.By})
	}
	versions, err := d.records.Versions(ctx, h)
	if err != nil {
		return err
	}
	for _, v := range versions {
		c.Records = append(c.Records, v.Signed)
	}
	if c.Journals, err = d.journals(ctx, id); err != nil && !lostAll(err, c.Phases) {
		return err
	}
	if c.Taken, err = d.takings(ctx, id); err != nil {
		return err
	}
	if c.Checkpoint, c.Audit, err = d.auditBlobs(ctx, id); err != nil {
		return err
	}
	return evidence.Build(ctx, out, c, busSeal{d.conn})
}

// lostAll reports whether recorders have nothing of a hearing that was on record: a
// bundle says so, and back-ups are taken in by it.
func lostAll(err error, phases []journal.Phase) bool {
	return errors.Is(err, problem.New(problem.CodeNotFound, "")) && slices.ContainsFunc(phases, func(p journal.Phase) bool { return p.Phase == interview.PhaseOnRecord })
}

// journals gives the recorder's files as blobs that are read over the bus.
func (d *door) journals(ctx context.Context, id interview.HearingID) ([][]evidence.Blob, error) {
	files, err := d.recorded(ctx, id)
	if err != nil {
		return nil, err
	}
	var out [][]evidence.Blob
	last := interview.RecordingID{}
	for _, f := range files {
		if f.Recording != last {
			out = append(out, nil)
			last = f.Recording
		}
		out[len(out)-1] = append(out[len(out)-1], evidence.Blob{Name: f.Name, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(readRemote(ctx, d.conn, id, f)), nil
		}})
	}
	return out, nil
}

// recorded gives the journal files of a hearing that has ended. A recorder that
// was not there when the hearing ended is told first.
func (d *door) recorded(ctx context.Context, id interview.HearingID) ([]recordedFile, error) {
	now, err := (hearings{d}).Phase(ctx, id)
	if err != nil {
		return nil, err
	}
	if now.Phase == interview.PhaseEnded {
		for name, err := range d.askRecorders(ctx, "recorder.end", hearingQuestion{Hearing: id}) {
			slog.Warn("recording was not closed", "recorder", name, "hearing", id, "err", err)
		}
	}
	return recordedFiles(ctx, d.conn, d.in.recorderNames(), id)
}

// recordedFile is one file of a journal and the recorder that keeps it.
type recordedFile struct {
	recorder.File
	keeper bus.Name
}

// recordedFiles asks every recorder for the journal files of a hearing: those
// of each recorder in order. A recorder that does not answer is an error, since
// what it keeps would be missing without a word; one that was never in the room
// has nothing to keep, as long as another was.
func recordedFiles(ctx context.Context, conn *bus.Conn, keepers []bus.Name, id interview.HearingID) ([]recordedFile, error) {
	var out []recordedFile
	var absent error
	for _, name := range keepers {
		var list journalList
		err := conn.Call(ctx, name, "recorder.files", hearingQuestion{Hearing: id}, &list)
		if errors.Is(err, problem.New(problem.CodeNotFound, "")) {
			absent = err
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("journals of %s at %s: %w", id, name, err)
		}
		for _, f := range list.Files {
			out = append(out, recordedFile{f, name})
		}
	}
	if len(out) == 0 && absent != nil {
		return nil, absent
	}
	return out, nil
}

// readRemote reads one of those files from its beginning.
func readRemote(ctx context.Context, conn *bus.Conn, id interview.HearingID, f recordedFile) io.Reader {
	return &remoteFile{ctx: ctx, conn: conn, keeper: f.keeper, q: journalQuestion{Hearing: id, Recording: f.Recording, Name: f.Name}}
}

// remoteFile reads a journal file of its recorder, piece by piece.
type remoteFile struct {
	ctx    context.Context
	conn   *bus.Conn
	keeper bus.Name
	q      journalQuestion
	have   []byte
	end    bool
}

func (f *remoteFile) Read(b []byte) (int, error) {
	for len(f.have) == 0 {
		if f.end {
			return 0, io.EOF
		}
		var a journalAnswer
		if err := f.conn.Call(f.ctx, f.keeper, "recorder.read", f.q, &a); err != nil {
			return 0, err
		}
		f.q.Offset += int64(len(a.Data))
		f.have, f.end = a.Data, len(a.Data) == 0
	}
	n := copy(b, f.have)
	f.have = f.have[n:]
	return n, nil
}

// auditBlobs gathers the proofs that the hearing's events are in the log, under
// a checkpoint that devices cosigned, and what shows whose the cosignatures are.
func (d *door) auditBlobs(ctx context.Context, id interview.HearingID) (checkpoint string, blobs []evidence.Blob, err error) {
	rows, err := audit.Events(ctx, d.db, id.String())
	if err != nil {
		return "", nil, err
	}
	var entries []evidence.LogEntry
	for _, r := range rows {
		if r.LogIndex == nil {
			return "", nil, fmt.Errorf("event %s of %s is not in the log yet", r.ID, id)
		}
		p, err := d.log.Prove(ctx, uint64(*r.LogIndex))
		if err != nil {
			return "", nil, err
		}
		entries = append(entries, evidence.LogEntry{Proof: p, Body: r.Body, Salt: r.Salt})
		checkpoint = p.Checkpoint
	}
	cosigners, err := d.keeper.Kept(ctx, id, keptCosigner)
	if err != nil {
		return "", nil, err
	}
	stamps, err := d.stampsOf(ctx, entries)
	if err != nil {
		return "", nil, err
	}
	blobs, err = evidence.LogFiles(entries, cosigners, stamps...)
	return checkpoint, blobs, err
}

// agencyKind is the kind of organisation whose cosignatures count as the
// agency's own word.
const agencyKind = "agency"

// cosignerLine shows whose a cosigning key is: the device's own vouching, and
// the agreement, signed by the security office, that names the device.
func cosignerLine(vouching, signedAgreement string) string { return vouching + " " + signedAgreement }

// VerifyLog checks the audit log's part of a bundle. A cosignature counts as
// from outside where a device vouches for the key, and the office's agreement
// names that device for an organisation other than the agency.
var VerifyLog = evidence.AuditLog(outsideCosigner)

// VerifyStampedLog is VerifyLog that checks time stamps too, under their authority's
// roots.
func VerifyStampedLog(roots *x509.CertPool) evidence.LogVerifier {
	return evidence.StampedLog(outsideCosigner, roots)
}

func outsideCosigner(t *trust.File, line string) (string, error) {
	vouching, signed, ok := strings.Cut(line, " ")
	if !ok {
		return "", errors.New("a cosigner needs its agreement")
	}
	office, err := trust.Key(t.OfficeKey)
	if err != nil {
		return "", err
	}
	roots, err := trust.Pool(t.DeviceRoots)
	if err != nil {
		return "", err
	}
	var c wire.Cosigner
	if err := jws.Peek(vouching, wire.CosignerType, &c); err != nil {
		return "", err
	}
	// As of when it was made: device certificates live for a day.
	leaf, err := jws.VerifyChain(vouching, wire.CosignerType, roots, time.Unix(c.IssuedAt, 0), &c)
	if err != nil {
		return "", err
	}
	device, err := wire.ReadDevice(leaf)
	if err != nil || device.DeviceID != c.DeviceID {
		return "", fmt.Errorf("key of %s is vouched for by another device", c.DeviceID)
	}
	a, err := agreement.Verify(signed, office)
	if err != nil {
		return "", err
	}
	if _, named := a.Device(c.DeviceID); !named || a.ID != device.AgreementID {
		return "", fmt.Errorf("agreement %s does not name device %s", a.ID, c.DeviceID)
	}
	if a.Organisation.Kind == agencyKind {
		return "", nil
	}
	return c.Key, nil
}
