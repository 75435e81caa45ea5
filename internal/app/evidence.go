package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/audit"
	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

// What an evidence bundle holds of the audit log. Event bodies stay out of it:
// the log itself holds salted hashes only.
const (
	proofsName     = "proofs.json"     // inclusion proofs of the hearing's events
	vouchingsName  = "cosigners.jsonl" // kuule-cosigner+jws of the devices that cosigned
	agreementsName = "agreements.jsonl"
)

// buildEvidence writes the bundle of a hearing that has ended.
func (d *door) buildEvidence(ctx context.Context, id interview.HearingID, out io.Writer) error {
	h, err := d.hearings.Hearing(ctx, id)
	if err != nil {
		return err
	}
	if err := d.cosign(ctx); err != nil {
		return fmt.Errorf("log of %s: %w", id, err)
	}
	c := evidence.Content{Case: h.Case, Hearing: id, MadeAt: time.Now()}
	for kind, into := range map[string]*[]string{"statement": &c.Statements, "admission": &c.Admissions, "roster": &c.Rosters} {
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
	if c.Journals, err = d.journals(ctx, id); err != nil {
		return err
	}
	if c.Checkpoint, c.Audit, err = d.auditBlobs(ctx, id); err != nil {
		return err
	}
	return evidence.Build(ctx, out, c, busSeal{d.conn})
}

// journals gives the recorder's files as blobs that are read over the bus.
func (d *door) journals(ctx context.Context, id interview.HearingID) ([][]evidence.Blob, error) {
	var list journalList
	if err := d.conn.Call(ctx, bus.Main(bus.Recorder), "recorder.files", hearingQuestion{Hearing: id}, &list); err != nil {
		return nil, err
	}
	var out [][]evidence.Blob
	last := interview.RecordingID{}
	for _, f := range list.Files {
		if f.Recording != last {
			out = append(out, nil)
			last = f.Recording
		}
		out[len(out)-1] = append(out[len(out)-1], evidence.Blob{Name: f.Name, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(&remoteFile{ctx: ctx, conn: d.conn, q: journalQuestion{Hearing: id, Recording: f.Recording, Name: f.Name}}), nil
		}})
	}
	return out, nil
}

// remoteFile reads a journal file of the recorder, piece by piece.
type remoteFile struct {
	ctx  context.Context
	conn *bus.Conn
	q    journalQuestion
	have []byte
	end  bool
}

func (f *remoteFile) Read(b []byte) (int, error) {
	for len(f.have) == 0 {
		if f.end {
			return 0, io.EOF
		}
		var a journalAnswer
		if err := f.conn.Call(f.ctx, bus.Main(bus.Recorder), "recorder.read", f.q, &a); err != nil {
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
	proofs := []audit.Proof{}
	for _, r := range rows {
		if r.LogIndex == nil {
			return "", nil, fmt.Errorf("event %s of %s is not in the log yet", r.ID, id)
		}
		p, err := d.log.Prove(ctx, uint64(*r.LogIndex))
		if err != nil {
			return "", nil, err
		}
		proofs = append(proofs, p)
		checkpoint = p.Checkpoint
	}
	text, err := canon.Marshal(proofs)
	if err != nil {
		return "", nil, err
	}
	var vouchings []string
	for _, device := range d.posture.Connected() {
		if v, ok := d.posture.Cosigner(device); ok {
			vouchings = append(vouchings, v)
		}
	}
	slices.Sort(vouchings)
	inUse, err := d.register.InUse(ctx)
	if err != nil {
		return "", nil, err
	}
	var signed []string
	for _, a := range inUse {
		signed = append(signed, a.Signed)
	}
	slices.Sort(signed)
	return checkpoint, []evidence.Blob{
		evidence.Bytes(proofsName, text),
		evidence.Bytes(vouchingsName, lines(vouchings)),
		evidence.Bytes(agreementsName, lines(signed)),
	}, nil
}

func lines(list []string) []byte {
	var b bytes.Buffer
	for _, l := range list {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// VerifyLog implements evidence.LogVerifier: every proof holds under the pinned
// log key, and a cosignature counts where a device vouches for its key and an
// agreement signed by the security office names that device as not the
// agency's own.
func VerifyLog(t *trust.File, _ evidence.Manifest, files map[string][]byte) (evidence.LogReport, error) {
	var out evidence.LogReport
	var proofs []audit.Proof
	if err := json.Unmarshal(files[proofsName], &proofs); err != nil {
		return out, fmt.Errorf("%s: %w", proofsName, err)
	}
	cosigners, err := outsideCosigners(t, files)
	if err != nil {
		return out, err
	}
	vouching := map[string]bool{}
	for i, p := range proofs {
		_, checkpoint, err := audit.VerifyInclusion(p, t.LogKey, slices.Collect(maps.Keys(cosigners)))
		if err != nil {
			return out, fmt.Errorf("%s: proof %d: %w", proofsName, i, err)
		}
		out.Entries++
		for _, c := range checkpoint.Cosigned {
			vouching[c.Name] = true
		}
	}
	out.Cosigned = slices.Sorted(maps.Keys(vouching))
	return out, nil
}

// outsideCosigners reads the cosigning keys of devices that are not the agency's.
func outsideCosigners(t *trust.File, files map[string][]byte) (map[string]bool, error) {
	office, err := trust.Key(t.OfficeKey)
	if err != nil {
		return nil, err
	}
	roots, err := trust.Pool(t.DeviceRoots)
	if err != nil {
		return nil, err
	}
	outside := map[interview.DeviceID]bool{}
	for text := range strings.Lines(string(files[agreementsName])) {
		a, err := agreement.Verify(strings.TrimSuffix(text, "\n"), office)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", agreementsName, err)
		}
		for _, device := range a.Devices {
			outside[device.ID] = a.Organisation.Kind != "agency"
		}
	}
	keys := map[string]bool{}
	for text := range strings.Lines(string(files[vouchingsName])) {
		message := strings.TrimSuffix(text, "\n")
		var c wire.Cosigner
		if err := jws.Peek(message, wire.CosignerType, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", vouchingsName, err)
		}
		// As of when it was made: device certificates live for a day.
		leaf, err := jws.VerifyChain(message, wire.CosignerType, roots, time.Unix(c.IssuedAt, 0), &c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", vouchingsName, err)
		}
		device, err := wire.ReadDevice(leaf)
		if err != nil || device.DeviceID != c.DeviceID {
			return nil, fmt.Errorf("%s: key of %s is vouched for by another device", vouchingsName, c.DeviceID)
		}
		if outside[c.DeviceID] {
			keys[c.Key] = true
		}
	}
	return keys, nil
}
