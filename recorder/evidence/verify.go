package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/record"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
)

var (
	// ErrNotSealed says that a bundle's manifest is not signed by the key that
	// the verifier trusts: it was made, or made again, by somebody else.
	ErrNotSealed = errors.New("manifest is not signed by the trusted sealing key")
	// ErrRoom says that statements, admissions and rosters do not hold together.
	ErrRoom = errors.New("the room's messages do not hold")
	// ErrRecording says that a journal is not what the manifest or its recorder says.
	ErrRecording = errors.New("recording does not hold")
	// ErrOrigin says that an origin list or frame is not its sender's.
	ErrOrigin = errors.New("origin does not hold")
	// ErrBackup says that something was taken in from a back-up without the right
	// to, or not as was said.
	ErrBackup = errors.New("what was taken in from a back-up does not hold")
	// ErrRecord says that the transcript's versions do not hold together.
	ErrRecord = errors.New("transcript does not hold")
	// ErrLog says that the log's proofs do not hold.
	ErrLog = errors.New("log does not hold")
)

// LogReport is what a log's verifier found.
type LogReport struct {
	Entries  int64    `json:"entries"`  // proved to be in the log
	Cosigned []string `json:"cosigned"` // who outside the agency vouches for it
	// Heads are blocks whose hashes are in the log: the journals must have them.
	Heads []LoggedHead `json:"heads"`
	// Stamps are a time-stamping authority's (RFC 3161), by when entries were there.
	Stamps []StampReport `json:"stamps,omitempty"`
}

// LoggedHead is a block of a recording as the log knows it.
type LoggedHead struct {
	Recording interview.RecordingID `json:"recording"`
	Seq       int64                 `json:"seq"`
	Head      string                `json:"head"`
}

// LogVerifier checks the log's part of a bundle: audit holds the files below
// audit/ by name. An error means that a proof is wrong; what is merely absent
// is not in the report.
type LogVerifier func(t *trust.File, m Manifest, audit map[string][]byte) (LogReport, error)

// Options are what a verification may be given beside trust.
type Options struct {
	Log LogVerifier // nil: the log is not checked and nobody outside vouches
	// Keys are data keys of recordings, given apart: with one, every frame of
	// its recording is opened and held against the senders' lists.
	Keys map[interview.RecordingID]journal.DataKey
	// Contents are the transcript's versions in words, given apart: with them,
	// each is held against its record.
	Contents [][]byte
}

// Report is what holds.
type Report struct {
	Manifest   Manifest          `json:"manifest"`
	Name       string            `json:"name"` // jws.Hash of the manifest
	Members    int               `json:"members"`
	Rosters    int               `json:"rosters"`
	Records    int               `json:"records"` // versions of the transcript
	Recordings []RecordingReport `json:"recordings"`
	// Pages are those that a roster had, by the rosters' order.
	Pages []Page `json:"pages,omitempty"`
	// Silent are recorders that were in the room, of which nothing is here.
	Silent []interview.MemberID `json:"silent,omitempty"`
	// Taken are the takings in of room terminals' back-ups.
	Taken []backup.Taken `json:"taken,omitempty"`
	// Disputed are phases of which the room's list and a recorder's journal say
	// different things.
	Disputed []string `json:"disputed,omitempty"`
	// Coverage is what all recordings together have of the hearing: either of
	// two recorders suffices.
	Coverage coverage.Report `json:"coverage"`
	// Holes are frames that no recording has, counted exactly; known where the
	// keys of all recordings were given.
	Holes []journal.Hole `json:"holes"`
	Log   LogReport      `json:"log"`
	// AgencyOnly is set where nobody outside the agency has cosigned the log.
	AgencyOnly bool     `json:"agency_only"`
	Notes      []string `json:"notes"`
}

// Page is a page that was in the room.
type Page struct {
	Member interview.MemberID `json:"member"`
	Device interview.DeviceID `json:"device"`
	Since  interview.Micros   `json:"since"` // the first roster that has it
}

// RecordingReport is what one journal holds.
type RecordingReport struct {
	Recording Recording     `json:"recording"`
	Frames    int64         `json:"frames"`
	Origins   int64         `json:"origins"` // lists
	Gaps      []journal.Gap `json:"gaps"`
	Logged    int64         `json:"logged"` // blocks up to the newest whose hash is in the log
	// Clock is how the wall clock went against the hearing clock.
	Clock coverage.Clock `json:"clock"`
	// Backup is set where it is no recorder's, but came from a back-up.
	Backup *BackupReport `json:"backup,omitempty"`
	// With the data key:
	Open       bool  `json:"open"`
	Attested   int64 `json:"attested"`   // frames on a sender's list, opened
	Unattested int64 `json:"unattested"` // frames opened, on no list
	Keyless    int64 `json:"keyless"`    // frames whose sender key is not in the journal
}

// AgencyNote is what a report says where nobody outside has cosigned.
const AgencyNote = "only the agency vouches: no cosignature from outside covers this hearing's log"

// Verify checks a whole bundle. The error names the first place that is wrong
// (*PlaceError); a report is only given where there is none.
func Verify(bundle io.ReaderAt, size int64, t *trust.File, o Options) (Report, error) {
	v := &verifier{in: bundle, size: size, file: t, opts: o, at: map[string]measured{}, members: map[string]*sealing.Member{}, rosters: map[epochOf]sealing.Roster{}, rosterHash: map[string]bool{}, after: map[interview.RecordingID]journal.After{}, grants: map[string]backup.Grant{}, takings: map[interview.RecordingID]backup.Taken{}}
	var err error
	if v.trust, err = sealing.NewTrust(t); err != nil {
		return Report{}, fmt.Errorf("verify bundle: trust file: %w", err)
	}
	for _, step := range []func() error{v.bytes, v.known, v.room, v.granted, v.taken, v.log, v.recordings, v.ending, v.transcript, v.phases} {
		if err := step(); err != nil {
			return Report{}, err
		}
	}
	return v.report, nil
}

type epochOf struct {
	group interview.GroupID
	epoch int64
}

type verifier struct {
	in    io.ReaderAt
	size  int64
	file  *trust.File
	trust *sealing.Trust
	opts  Options

	report     Report
	first      measured
	names      []string // of all files but the first, in their order
	end        int64    // of the last file
	at         map[string]measured
	members    map[string]*sealing.Member // by admission hash
	rosters    map[epochOf]sealing.Roster
	rosterHash map[string]bool
	frames     journal.Once                            // of all recordings whose keys were given
	after      map[interview.RecordingID]journal.After // what each recording says of the one before
	grants     map[string]backup.Grant                 // by jws.Hash
	takings    map[interview.RecordingID]backup.Taken
	told       []told // phases, as recorders were told them
}

// SignedManifest reads a bundle's manifest as it was signed, without checking
// anything: its jws.Hash is the bundle's name.
func SignedManifest(bundle io.ReaderAt) (string, error) {
	_, signed, err := readFirst(bundle, jws.MaxSize)
	return string(signed), err
}

func wrong(file, part string, err error) error { return &PlaceError{file, part, -1, err} }

// bytes checks every byte of the file against the signed manifest, but for
// journals, whose last block the manifest names: see recordings.
func (v *verifier) bytes() error {
	first, signed, err := readFirst(v.in, jws.MaxSize)
	if err != nil {
		return err
	}
	key, err := v.file.Sealing()
	if err != nil {
		return fmt.Errorf("verify bundle: trust file: %w", err)
	}
	m := &v.report.Manifest
	if err := jws.Verify(string(signed), TypeEvidence, key, m); err != nil {
		return wrong(manifestName, "signature", fmt.Errorf("%w: %w", ErrNotSealed, err))
	}
	if err := m.check(); err != nil {
		return wrong(manifestName, "content", err)
	}
	v.report.Name = jws.Hash(string(signed))
	all := make([]measured, 1, len(m.Files)+1)
	all[0] = first
	for _, f := range m.Files {
		all = append(all, measured{name: f.Name, size: f.Size, sum: f.SHA256})
	}
	if v.end, err = lay(all); err != nil {
		return wrong(manifestName, "content", err)
	}
	var ahead []chan read // of the next files, so that all processors hash
	defer func() {
		for _, r := range ahead { // the bundle is the caller's again after this
			<-r
		}
	}()
	next := 1
	for i := 1; i < len(all); i++ {
		x := &all[i]
		v.names = append(v.names, x.name)
		v.at[x.name] = *x
		if inJournal(x.name) {
			continue
		}
		for ; len(ahead) < runtime.GOMAXPROCS(0) && next < len(all); next++ {
			if !inJournal(all[next].name) {
				ahead = append(ahead, v.measure(all[next]))
			}
		}
		r := <-ahead[0]
		ahead = ahead[1:]
		got, err := r.measured, r.err
		if err != nil {
			return &PlaceError{x.name, "content", x.data(), err}
		}
		if got.size != x.size {
			return &PlaceError{x.name, "content", x.data() + got.size, ErrEnds}
		}
		if got.sum != x.sum {
			return &PlaceError{x.name, "content", x.data(), ErrBytes}
		}
		x.crc = got.crc
		v.at[x.name] = *x
		if err := compare(v.in, x.offset, x.local(), x.name, "header"); err != nil {
			return err
		}
	}
	v.first = first
	return nil
}

// ending checks what stands behind the last file.
func (v *verifier) ending() error {
	all := []measured{v.first}
	for _, name := range v.names {
		all = append(all, v.at[name])
	}
	tail := ending(all, v.end)
	if err := compare(v.in, v.end, tail, "", "central directory"); err != nil {
		return err
	}
	if want := v.end + int64(len(tail)); v.size != want {
		return &PlaceError{"", "end of bundle", want, ErrEnds}
	}
	return nil
}

// read is a file of the bundle as it is there.
type read struct {
	measured
	err error
}

// measure reads a file in a goroutine of its own.
func (v *verifier) measure(x measured) chan read {
	out := make(chan read, 1)
	go func() {
		got, err := measure(x.name, io.NewSectionReader(v.in, x.data(), x.size))
		out <- read{got, err}
	}()
	return out
}

// known refuses files that nobody would check.
func (v *verifier) known() error {
	known := map[string]bool{statementsName: true, admissionsName: true, rostersName: true, phasesName: true, recordsName: true}
	for name := range known {
		if _, ok := v.at[name]; !ok {
			return wrong(manifestName, "files", fmt.Errorf("%w: %s is missing", ErrManifest, name))
		}
	}
	known[grantsName], known[takenName] = true, true // where a back-up was taken in
	for _, r := range v.report.Manifest.Recordings {
		for n := int64(1); n <= r.Files; n++ {
			name := journalFolder + r.Recording.String() + "/" + journal.FileName(n)
			if _, ok := v.at[name]; !ok {
				return wrong(manifestName, "files", fmt.Errorf("%w: %s is missing", ErrManifest, name))
			}
			known[name] = true
		}
	}
	for _, f := range v.report.Manifest.Files {
		if !known[f.Name] && !strings.HasPrefix(f.Name, auditFolder) {
			return wrong(f.Name, "name", fmt.Errorf("%w: it belongs to nothing in the bundle", ErrManifest))
		}
	}
	return nil
}

func (v *verifier) read(name string) ([]byte, error) {
	x := v.at[name]
	if x.size > MaxListing {
		return nil, wrong(name, "content", fmt.Errorf("%w: larger than %d bytes", ErrManifest, MaxListing))
	}
	b := make([]byte, x.size)
	if _, err := v.in.ReadAt(b, x.data()); err != nil && !errors.Is(err, io.EOF) {
		return nil, &PlaceError{name, "content", x.data(), err}
	}
	return b, nil
}

func (v *verifier) lines(name string) ([]string, error) {
	b, err := v.read(name)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	text, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok {
		return nil, wrong(name, "content", fmt.Errorf("%w: the last line does not end", ErrManifest))
	}
	return strings.Split(string(text), "\n"), nil
}

func line(n int) string { return fmt.Sprintf("line %d", n+1) }

// transcript checks the versions: each sealed by authority for this hearing,
// numbered, each naming the one before.
func (v *verifier) transcript() error {
	key, err := v.file.Sealing()
	if err != nil {
		return err
	}
	records, err := v.lines(recordsName)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		if len(v.opts.Contents) > 0 {
			return wrong(recordsName, "versions", fmt.Errorf("%w: there is none for the contents given", ErrRecord))
		}
		return nil
	}
	chain, err := record.VerifyChain(records, key)
	if err != nil {
		return wrong(recordsName, "versions", fmt.Errorf("%w: %w", ErrRecord, err))
	}
	if m := v.report.Manifest; chain[0].Hearing != m.Hearing || chain[0].Case != m.Case {
		return wrong(recordsName, line(0), fmt.Errorf("%w: it is of another hearing or case", ErrRecord))
	}
	if len(v.opts.Contents) > 0 {
		if _, err := record.VerifyContents(chain, v.opts.Contents); err != nil {
			return wrong(recordsName, "contents", fmt.Errorf("%w: %w", ErrRecord, err))
		}
	}
	v.report.Records = len(records)
	return nil
}

func (v *verifier) phases() error {
	text, err := v.read(phasesName)
	if err != nil {
		return err
	}
	var phases []journal.Phase
	if err := canon.Unmarshal(text, &phases); err != nil {
		return wrong(phasesName, "content", fmt.Errorf("%w: %w", ErrRoom, err))
	}
	for i := 1; i < len(phases); i++ {
		if phases[i].Since < phases[i-1].Since {
			return wrong(phasesName, fmt.Sprintf("phase %d", i+1), fmt.Errorf("%w: it begins before the one before it", ErrRoom))
		}
	}
	v.dispute(phases)
	v.cover(phases)
	return nil
}

// cover lays the recordings over each other.
func (v *verifier) cover(phases []journal.Phase) {
	lives := make([]coverage.Life, 0, len(v.report.Recordings))
	open := len(v.report.Recordings) > 0
	for _, r := range v.report.Recordings {
		lives = append(lives, coverage.Life{Recording: r.Recording.Recording, From: r.Recording.From, To: r.Recording.To, Gaps: r.Gaps, Backup: r.Backup != nil})
		if r.Backup != nil {
			v.report.Notes = append(v.report.Notes, r.Backup.note(r.Recording))
		}
		open = open && r.Open
		if !r.Recording.Closed {
			v.report.Notes = append(v.report.Notes, fmt.Sprintf("recording %s was not closed: its recorder ended at once, or its end was cut off", r.Recording.Recording))
		}
		if r.Clock.Flagged {
			v.report.Notes = append(v.report.Notes, fmt.Sprintf("the wall clock of %s moved by %d ms at once: the hearing clock counts", r.Recording.Recording, r.Clock.Largest/1000))
		}
	}
	v.report.Coverage = coverage.Of(phases, lives)
	v.report.Holes = []journal.Hole{}
	if open {
		v.report.Holes = v.frames.Holes()
	}
}

func (v *verifier) log() error {
	r := &v.report
	if v.opts.Log == nil {
		r.AgencyOnly = true
		r.Notes = append(r.Notes, AgencyNote, "the log was not checked")
		return nil
	}
	files := map[string][]byte{}
	for _, f := range r.Manifest.Files {
		if name, ok := strings.CutPrefix(f.Name, auditFolder); ok {
			b, err := v.read(f.Name)
			if err != nil {
				return err
			}
			files[name] = b
		}
	}
	var err error
	if r.Log, err = v.opts.Log(v.file, r.Manifest, files); err != nil {
		return wrong(auditFolder, "proofs", fmt.Errorf("%w: %w", ErrLog, err))
	}
	if len(r.Log.Cosigned) == 0 {
		r.AgencyOnly = true
		r.Notes = append(r.Notes, AgencyNote)
	}
	return nil
}
