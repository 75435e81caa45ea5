package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/recorder/journal"
)

// Files of a bundle. Journals lie under journal/RECORDING/.
const (
	statementsName = "room/statements" // one JWS a line
	admissionsName = "room/admissions" // one JWS a line
	rostersName    = "room/rosters"    // one JWS a line
	phasesName     = "room/phases.json"
	grantsName     = "room/backup-grants" // one JWS a line; there where a back-up was taken in
	takenName      = "room/backup-taken"  // the same
	recordsName    = "transcript/records" // one JWS a line, oldest first
	auditFolder    = "audit/"
	journalFolder  = "journal/"
)

// MaxListing bounds one file of room/ and transcript/ in bytes.
const MaxListing = 16 << 20

// Blob is a file whose content can be read more than once.
type Blob struct {
	Name string // within audit/ or a journal, as journal.FileName gives it
	Open func() (io.ReadCloser, error)
}

// Bytes is a Blob of bytes at hand.
func Bytes(name string, b []byte) Blob {
	return Blob{name, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Content is what a bundle is made from.
type Content struct {
	Case       interview.CaseID
	Hearing    interview.HearingID
	MadeAt     time.Time
	Journals   [][]Blob // per recording, its files in order
	Statements []string // as the door kept them
	Admissions []string
	Rosters    []string
	Phases     []journal.Phase
	Grants     []string // by which back-ups were taken in
	Taken      []string // what was said of each taking in
	Records    []string // transcript, oldest first
	Checkpoint string   // newest of the audit log
	Audit      []Blob   // proofs, cosignatures: what the log's verifier wants
}

// Build writes a bundle. The same content and signature give the same bytes.
// Journals are read through and have to be whole in themselves; whether they
// and the rest are trustworthy is for Verify to say.
func Build(ctx context.Context, out io.Writer, c Content, s Sealer) error {
	m := Manifest{V: 2, Case: c.Case, Hearing: c.Hearing, MadeAt: c.MadeAt.Unix(), Recordings: []Recording{}, Checkpoint: c.Checkpoint, Files: []FileEntry{}}
	var files []Blob
	for _, j := range c.Journals {
		r, err := survey(j)
		if err != nil {
			return fmt.Errorf("build bundle: %w", err)
		}
		m.Recordings = append(m.Recordings, r)
		for _, f := range j {
			files = append(files, Blob{journalFolder + r.Recording.String() + "/" + f.Name, f.Open})
		}
	}
	slices.SortFunc(m.Recordings, func(a, b Recording) int {
		if a.From != b.From {
			return int(min(1, max(-1, a.From-b.From)))
		}
		return strings.Compare(a.Recording.String(), b.Recording.String())
	})
	phases := c.Phases
	if phases == nil {
		phases = []journal.Phase{}
	}
	text, err := canon.Marshal(phases)
	if err != nil {
		return fmt.Errorf("build bundle: phases: %w", err)
	}
	files = append(files,
		Bytes(statementsName, lines(c.Statements)), Bytes(admissionsName, lines(c.Admissions)), Bytes(rostersName, lines(c.Rosters)),
		Bytes(recordsName, lines(c.Records)), Bytes(phasesName, text))
	for name, texts := range map[string][]string{grantsName: c.Grants, takenName: c.Taken} {
		if len(texts) > 0 {
			files = append(files, Bytes(name, lines(texts)))
		}
	}
	for _, a := range c.Audit {
		files = append(files, Blob{auditFolder + a.Name, a.Open})
	}
	slices.SortFunc(files, func(a, b Blob) int { return strings.Compare(a.Name, b.Name) })

	all := make([]measured, 1, len(files)+1)
	for _, f := range files {
		x, err := f.measure()
		if err != nil {
			return fmt.Errorf("build bundle: %s: %w", f.Name, err)
		}
		all = append(all, x)
		entry := FileEntry{x.name, x.size, x.sum}
		if inJournal(x.name) {
			entry.SHA256 = ""
		}
		m.Files = append(m.Files, entry)
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("build bundle: %w", err)
	}
	signed, err := s.SealEvidence(ctx, m)
	if err != nil {
		return fmt.Errorf("build bundle: seal the manifest: %w", err)
	}
	if all[0], err = measure(manifestName, strings.NewReader(signed)); err != nil {
		return err
	}
	return write(out, append([]Blob{Bytes(manifestName, []byte(signed))}, files...), all)
}

func (b Blob) measure() (measured, error) {
	r, err := b.Open()
	if err != nil {
		return measured{}, err
	}
	defer r.Close()
	return measure(b.Name, r)
}

func write(out io.Writer, files []Blob, all []measured) error {
	end, err := lay(all)
	if err != nil {
		return err
	}
	for i, f := range files {
		if _, err := out.Write(all[i].local()); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("write bundle: %s: %w", f.Name, err)
		}
		again, err := measure(f.Name, io.TeeReader(r, out))
		r.Close()
		if err != nil {
			return fmt.Errorf("write bundle: %s: %w", f.Name, err)
		}
		if again.sum != all[i].sum {
			return fmt.Errorf("write bundle: %s changed while it was read", f.Name)
		}
	}
	if _, err := out.Write(ending(all, end)); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// survey reads a journal through.
func survey(files []Blob) (Recording, error) {
	var closers []io.Closer
	defer func() {
		for _, c := range closers {
			c.Close()
		}
	}()
	sources := make([]journal.Source, len(files))
	for i, f := range files {
		r, err := f.Open()
		if err != nil {
			return Recording{}, err
		}
		closers = append(closers, r)
		sources[i] = journal.Source{Name: f.Name, Reader: r}
	}
	r := journal.NewReader(sources...)
	r.ByChain()
	r.Reuse()
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return describe(r, len(files)), nil
		} else if err != nil {
			return Recording{}, err
		}
	}
}

func describe(r *journal.Reader, files int) Recording {
	o := r.Opened()
	from, to := r.Covers()
	head, seq := r.Head()
	return Recording{
		Recording: o.Recording, Member: o.Member, Files: int64(files), Blocks: seq + 1,
		Head: head, From: from, To: to, Closed: r.Closed() != nil,
	}
}

func lines(messages []string) []byte {
	var b bytes.Buffer
	for _, m := range messages {
		b.WriteString(m)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
