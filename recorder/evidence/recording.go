package evidence

import (
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
)

// recording checks one journal in one pass, by its chain: the last signatures
// stand for all before them. Where that does not hold, a second pass checks
// every signature, to name the first wrong place.
func (v *verifier) recording(want Recording) (RecordingReport, error) {
	check := func(each bool, keys map[int64]*openKey) (*recordingCheck, error) {
		j := &recordingCheck{
			v: v, want: want, each: each, last: map[trackOf]listHead{}, newest: map[trackOf]signedList{},
			keys: keys, early: map[int64]bool{},
		}
		j.report.Recording, j.report.Gaps = want, []journal.Gap{}
		if key, ok := v.opts.Keys[want.Recording]; ok {
			j.data, j.report.Open = key, true
		}
		if err := j.run(); err != nil {
			return j, j.place(err)
		}
		return j, nil
	}
	j, err := check(false, map[int64]*openKey{})
	if err == nil && j.again {
		// A sender's key came after its frames: with all keys, from the beginning.
		fresh := map[int64]*openKey{}
		for kid, k := range j.keys {
			if fresh[kid], err = newOpenKey(k.sender); err != nil {
				return j.report, err
			}
		}
		j, err = check(false, fresh)
	}
	if err != nil {
		if _, first := check(true, map[int64]*openKey{}); first != nil {
			err = first
		}
		return RecordingReport{}, err
	}
	return j.report, nil
}

type trackOf struct {
	member interview.MemberID
	track  interview.TrackID
	rid    string
}

type listHead struct {
	seq  int64
	name string
}

// signedList is a list whose signature was not checked yet.
type signedList struct {
	by    *sealing.Member
	text  []byte
	block journal.Block
}

type recordingCheck struct {
	v       *verifier
	want    Recording
	each    bool // every signature is checked
	opened  journal.Opened
	report  RecordingReport
	anchors []journal.Anchor
	phases  []journal.Phase // as the recorder was told them
	told    bool            // it holds its own member's admission to take in
	last    map[trackOf]listHead
	newest  map[trackOf]signedList
	block   *journal.Block

	data     journal.DataKey
	keys     map[int64]*openKey
	early    map[int64]bool // key ids of frames whose key had not come
	again    bool           // one of them came later
	attested attested
	inside   []byte // room for what is inside a frame
}

func (j *recordingCheck) place(err error) error {
	folder := journalFolder + j.want.Recording.String() + "/"
	var named *PlaceError
	if errors.As(err, &named) {
		return err
	}
	var at *journal.PlaceError
	if errors.As(err, &at) {
		return &PlaceError{folder + at.File, fmt.Sprintf("block %d", at.Seq), j.v.at[folder+at.File].data() + at.Offset, at.Err}
	}
	if b := j.block; b != nil {
		return &PlaceError{folder + b.File, fmt.Sprintf("block %d", b.Head.Seq), j.v.at[folder+b.File].data() + b.Offset, err}
	}
	return wrong(folder, "journal", err)
}

// run reads the journal once, from its first block to its last.
func (j *recordingCheck) run() error {
	logged, err := j.logged()
	if err != nil {
		return err
	}
	sums := map[string]hash.Hash32{}
	r := journal.NewReader(j.v.sources(j.want.Recording.String(), sums)...)
	r.ReadAhead(2 * runtime.GOMAXPROCS(0))
	r.Reuse()
	if !j.each {
		r.ByChain()
	}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		j.block = b
		if b.Head.Seq == 0 {
			if err := j.recorder(r.Opened()); err != nil {
				return err
			}
		}
		if h, ok := logged[b.Head.Seq]; ok && h != b.Hash {
			return fmt.Errorf("%w: the log knows another block in its place", ErrRecording)
		}
		if err := j.take(b); err != nil {
			return err
		}
	}
	if err := j.signed(); err != nil {
		return err
	}
	if j.report.Backup != nil && !j.told {
		return fmt.Errorf("%w: it does not say that it was taken in", ErrBackup)
	}
	j.block = nil
	if got := describe(r, int(j.want.Files)); got != j.want {
		return fmt.Errorf("%w: it is not the journal that the manifest names", ErrRecording)
	}
	j.report.Clock = coverage.ClockOf(j.anchors)
	j.whose()
	j.tell()
	j.report.Unattested += j.attested.unmatched()
	return j.v.headers(sums)
}

// logged gives the blocks that the log knows, by number.
func (j *recordingCheck) logged() (map[int64]string, error) {
	out := map[int64]string{}
	for _, h := range j.v.report.Log.Heads {
		if h.Recording != j.want.Recording {
			continue
		}
		if h.Seq < 0 || h.Seq >= j.want.Blocks {
			return nil, fmt.Errorf("%w: the log knows of block %d, the journal ends before it", ErrRecording, h.Seq)
		}
		if before, ok := out[h.Seq]; ok && before != h.Head {
			return nil, fmt.Errorf("%w: the log knows two different blocks %d", ErrRecording, h.Seq)
		}
		out[h.Seq] = h.Head
		j.report.Logged = max(j.report.Logged, h.Seq+1)
	}
	return out, nil
}

// take checks one block, and with the data key its frames.
func (j *recordingCheck) take(b *journal.Block) error {
	j.report.Frames += b.Head.Frames
	j.attested.turn(b, &j.report)
	faults := j.verified(b.Entries)
	for i, e := range b.Entries {
		if err := j.entry(e, faults[i]); err != nil {
			return err
		}
	}
	if j.data.IsZero() {
		return nil
	}
	frames, entries, err := b.Open(j.data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		k, err := e.SenderKey()
		if err == nil {
			err = j.takeKey(k)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
	}
	for i := range frames {
		f := &frames[i]
		j.v.frames.First(*f)
		if err := j.frame(f); err != nil {
			return fmt.Errorf("frame %d of %s: %w", f.Counter, f.Track, err)
		}
	}
	return nil
}

// recorder checks that the journal is an admitted recorder's, in this hearing.
func (j *recordingCheck) recorder(o journal.Opened) error {
	m := j.v.report.Manifest
	if o.Case != m.Case || o.Hearing != m.Hearing || o.Recording != j.want.Recording {
		return fmt.Errorf("%w: it is of another case, hearing or recording", ErrRecording)
	}
	for _, x := range j.v.members {
		if x.StatementHash == jws.Hash(o.Statement) {
			if !x.Recorder() || x.Statement.Member != o.Member {
				return fmt.Errorf("%w: who signed it is no recorder", ErrRecording)
			}
			if err := j.under(x); err != nil {
				return err
			}
			j.opened = o
			if o.After != nil {
				j.v.after[o.Recording] = *o.After
			}
			j.anchors = append(j.anchors[:0], o.Anchor)
			return nil
		}
	}
	return fmt.Errorf("%w: its recorder was not admitted", ErrRecording)
}

// verified checks the signatures of a block's origin lists at the same time,
// where each is to be checked; a bad one is named in its place.
func (j *recordingCheck) verified(entries []journal.Entry) []error {
	out := make([]error, len(entries))
	if !j.each {
		return out
	}
	var all sync.WaitGroup
	busy := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, e := range entries {
		l, ok := e.List()
		if !ok {
			continue
		}
		busy <- struct{}{}
		all.Go(func() {
			defer func() { <-busy }()
			m, err := j.v.placed(j.opened.Group, l.KID, l.Member)
			if err == nil {
				err = signedBy(m, e.Body)
			}
			out[i] = err
		})
	}
	all.Wait()
	return out
}

func signedBy(m *sealing.Member, text []byte) error {
	if _, err := m.VerifyOrigin(string(text)); err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	return nil
}

func (j *recordingCheck) entry(e journal.Entry, fault error) error {
	switch e.Type {
	case journal.EntryRoster:
		if !j.v.rosterHash[jws.Hash(string(e.Body))] {
			return fmt.Errorf("%w: the recorder was shown a roster that %s does not hold", ErrRoom, rostersName)
		}
	case journal.EntryAdmission:
		m := j.v.members[jws.Hash(string(e.Body))]
		if m == nil {
			return fmt.Errorf("%w: the recorder was shown an admission that %s does not hold", ErrRoom, admissionsName)
		}
		if _, in := backup.TakesIn(m.Admission.Rule); in && m.Statement.Member == j.opened.Member {
			j.told = true
		}
	case journal.EntryOrigin:
		if fault != nil {
			return fault
		}
		l, _ := e.List()
		return j.origin(l, e)
	case journal.EntryAnchor:
		var a journal.Anchor
		if err := e.Read(&a); err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
		j.anchors = append(j.anchors, a)
	case journal.EntryPhase:
		var p journal.Phase
		if err := e.Read(&p); err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
		j.phases = append(j.phases, p)
	case journal.EntryGap:
		var g journal.Gap
		if err := e.Read(&g); err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
		j.report.Gaps = append(j.report.Gaps, g)
	}
	return nil
}

// origin takes one list, in the order in which its sender made them. Lists may
// be missing; none is bent. The signature of a list that the next one names is
// the next one's.
func (j *recordingCheck) origin(l *journal.List, e journal.Entry) error {
	by, err := j.v.placed(j.opened.Group, l.KID, l.Member)
	if err != nil {
		return err
	}
	of := trackOf{l.Member, l.Track, l.Rid}
	last, ok := j.last[of]
	if ok && (l.Seq <= last.seq || l.Seq == last.seq+1 && l.Prev != last.name) {
		return fmt.Errorf("%w: list %d of %s does not follow the one before", ErrOrigin, l.Seq, l.Track)
	}
	if before, waits := j.newest[of]; waits && (l.Seq != last.seq+1 || before.by != by) {
		if err := signedBy(before.by, before.text); err != nil {
			return err
		}
	}
	if !j.each {
		j.newest[of] = signedList{by, e.Body, journal.Block{Head: j.block.Head, File: j.block.File, Offset: j.block.Offset}}
	}
	j.last[of] = listHead{l.Seq, l.Name}
	j.report.Origins++
	if j.data.IsZero() {
		return nil
	}
	wrong, err := j.attested.list(l, &j.report)
	if wrong != nil {
		j.block = wrong
	}
	return err
}

// signed checks the last list of each sender's track.
func (j *recordingCheck) signed() error {
	for _, l := range slices.SortedFunc(maps.Values(j.newest), func(a, b signedList) int { return int(a.block.Head.Seq - b.block.Head.Seq) }) {
		if err := signedBy(l.by, l.text); err != nil {
			j.block = &l.block
			return err
		}
	}
	return nil
}

// checksummed reads and sums up what it read, as ZIP wants it.
type checksummed struct {
	r   io.Reader
	sum hash.Hash32
}

func (c checksummed) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	_, _ = c.sum.Write(b[:n])
	return n, err
}

// sources are the files of one recording. Once they were read to the end, sums
// holds their checksums by name.
func (v *verifier) sources(recording string, sums map[string]hash.Hash32) []journal.Source {
	var out []journal.Source
	for n := int64(1); ; n++ {
		name := journalFolder + recording + "/" + journal.FileName(n)
		x, ok := v.at[name]
		if !ok {
			return out
		}
		sums[name] = crc32.NewIEEE()
		out = append(out, journal.Source{Name: journal.FileName(n), Reader: checksummed{io.NewSectionReader(v.in, x.data(), x.size), sums[name]}})
	}
}

// headers checks the ZIP headers of files whose content was read.
func (v *verifier) headers(sums map[string]hash.Hash32) error {
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		x := v.at[name]
		x.crc = sums[name].Sum32()
		v.at[name] = x
		if err := compare(v.in, x.offset, x.local(), x.name, "header"); err != nil {
			return err
		}
	}
	return nil
}
