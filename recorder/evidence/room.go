package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
)

// room checks statements, admissions and rosters: who could be in which group,
// and by whose word.
func (v *verifier) room() error {
	statements := map[string]string{}
	texts, err := v.lines(statementsName)
	if err != nil {
		return err
	}
	for i, text := range texts {
		var s sealing.Statement
		err := jws.Peek(text, sealing.TypeStatement, &s)
		if err == nil {
			// As of when it was made: a certificate lives for a day, evidence longer.
			s, _, err = v.trust.VerifyStatement(text, time.Unix(s.IssuedAt, 0))
		}
		if err == nil && s.Hearing != v.report.Manifest.Hearing {
			err = errors.New("it is for another hearing")
		}
		if err != nil {
			return wrong(statementsName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
		statements[jws.Hash(text)] = text
	}
	if texts, err = v.lines(admissionsName); err != nil {
		return err
	}
	for i, text := range texts {
		if err := v.admit(statements, text); err != nil {
			return wrong(admissionsName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
	}
	v.report.Members = len(v.members)
	if texts, err = v.lines(rostersName); err != nil {
		return err
	}
	last := map[interview.GroupID]struct {
		epoch int64
		hash  string
	}{}
	for i, text := range texts {
		r, err := v.roster(text)
		if err == nil {
			before := last[r.Group]
			if r.Epoch <= before.epoch || r.Prev != before.hash {
				err = errors.New("it does not follow the roster before it")
			}
		}
		if err != nil {
			return wrong(rostersName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
		last[r.Group] = struct {
			epoch int64
			hash  string
		}{r.Epoch, jws.Hash(text)}
		v.rosters[epochOf{r.Group, r.Epoch}] = r
		v.rosterHash[jws.Hash(text)] = true
	}
	v.report.Rosters = len(texts)
	return nil
}

func (v *verifier) admit(statements map[string]string, text string) error {
	var a sealing.Admission
	if err := jws.Peek(text, sealing.TypeAdmission, &a); err != nil {
		return err
	}
	statement, ok := statements[a.Statement]
	if !ok {
		return errors.New("the statement that it admits is not here")
	}
	m, err := v.trust.VerifyMember(statement, text, time.Unix(a.IssuedAt, 0))
	if err != nil {
		return err
	}
	v.members[m.AdmissionHash] = m
	return nil
}

// roster checks one roster by itself.
func (v *verifier) roster(text string) (sealing.Roster, error) {
	var r sealing.Roster
	if err := jws.Peek(text, sealing.TypeRoster, &r); err != nil {
		return r, err
	}
	var chair *sealing.Member
	seen := map[interview.MemberID]bool{}
	for _, x := range r.Members {
		m := v.members[x.Admission]
		if m == nil || m.Statement.Member != x.Member {
			return r, fmt.Errorf("%s was not admitted as it says", x.Member)
		}
		if seen[x.Member] {
			return r, fmt.Errorf("%s is on it twice", x.Member)
		}
		seen[x.Member] = true
		if x.Member == r.Chair {
			chair = m
		}
	}
	if chair == nil {
		return r, errors.New("who chairs is not on it")
	}
	rules := sealing.ConsultationRules()
	if v.hearingGroup(r) {
		rules = sealing.HearingRules()
	}
	if !rules.Chair(chair) {
		return r, sealing.ErrChair
	}
	for _, x := range r.Members {
		if !rules.Member(v.members[x.Admission]) {
			return r, fmt.Errorf("%w: %s", sealing.ErrMember, x.Member)
		}
	}
	var checked sealing.Roster
	if err := jws.Verify(text, sealing.TypeRoster, chair.SignKey(), &checked); err != nil {
		return r, err
	}
	if checked.V != 1 || checked.Hearing != v.report.Manifest.Hearing || checked.Epoch < 1 || len(checked.Members) > sealing.MaxMembers {
		return r, errors.New("version, hearing, epoch or size is wrong")
	}
	return checked, nil
}

// hearingGroup tells a hearing's group from a consultation: the interviewer
// chairs the one and may not be in the other.
func (v *verifier) hearingGroup(r sealing.Roster) bool {
	for _, x := range r.Members {
		if m := v.members[x.Admission]; m != nil && x.Member == r.Chair {
			return m.HasRole(interview.RoleInterviewer)
		}
	}
	return false
}

// placed checks that a key id was that member's in that epoch.
func (v *verifier) placed(group interview.GroupID, kid int64, member interview.MemberID) (*sealing.Member, error) {
	epoch, place, _ := sealing.PlaceOf(kid)
	r, ok := v.rosters[epochOf{group, epoch}]
	if !ok || place >= len(r.Members) || r.Members[place].Member != member {
		return nil, fmt.Errorf("%w: key id %d was not %s's", ErrOrigin, kid, member)
	}
	return v.members[r.Members[place].Admission], nil
}

// recordings checks every journal and, with its key, every frame.
func (v *verifier) recordings() error {
	seen := map[interview.RecordingID]bool{}
	for _, want := range v.report.Manifest.Recordings {
		if seen[want.Recording] {
			return wrong(manifestName, "recordings", fmt.Errorf("%w: %s stands there twice", ErrManifest, want.Recording))
		}
		seen[want.Recording] = true
		j := &recordingCheck{v: v, want: want, lists: map[trackOf][]run{}, last: map[trackOf]listHead{}}
		j.report.Recording, j.report.Gaps = want, []journal.Gap{}
		if err := j.clear(); err != nil {
			return j.place(err)
		}
		if key, ok := v.opts.Keys[want.Recording]; ok {
			j.report.Open = true
			if err := j.open(key); err != nil {
				return j.place(err)
			}
		}
		v.report.Recordings = append(v.report.Recordings, j.report)
	}
	for r := range v.opts.Keys {
		if !seen[r] {
			return fmt.Errorf("%w: recording %s is not in this bundle", ErrKeyFile, r)
		}
	}
	for _, h := range v.report.Log.Heads {
		if !seen[h.Recording] {
			return wrong(manifestName, "recordings", fmt.Errorf("%w: the log knows of %s, which is not here", ErrRecording, h.Recording))
		}
	}
	v.silent()
	return nil
}

// silent notes recorders that a roster shows in the room and of which nothing is
// here. That alone is no fault: a recorder can end before its first block. But
// who leaves a journal out of a bundle, with its proofs, cannot take the
// recorder off the rosters too, which name each other.
func (v *verifier) silent() {
	here := map[interview.MemberID]bool{}
	for _, r := range v.report.Recordings {
		here[r.Recording.Member] = true
	}
	for _, r := range v.rosters {
		for _, x := range r.Members {
			if v.members[x.Admission].Recorder() && !here[x.Member] {
				here[x.Member] = true
				v.report.Silent = append(v.report.Silent, x.Member)
			}
		}
	}
	slices.SortFunc(v.report.Silent, func(a, b interview.MemberID) int { return strings.Compare(a.String(), b.String()) })
	for _, m := range v.report.Silent {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("recorder %s was in the room, and nothing of it is in this bundle", m))
	}
}

type trackOf struct {
	member interview.MemberID
	track  interview.TrackID
	rid    string
}

type listHead struct {
	seq  int64
	hash string
}

// run is the attested hashes of consecutive counters under one key id.
type run struct {
	kid    int64
	first  uint64
	hashes []byte
}

type recordingCheck struct {
	v       *verifier
	want    Recording
	opened  journal.Opened
	report  RecordingReport
	anchors []journal.Anchor
	lists   map[trackOf][]run
	last    map[trackOf]listHead
	block   *journal.Block
	inside  []byte // room for what is inside a frame
}

func (j *recordingCheck) place(err error) error {
	folder := journalFolder + j.want.Recording.String() + "/"
	var at *journal.PlaceError
	if errors.As(err, &at) {
		return &PlaceError{folder + at.File, fmt.Sprintf("block %d", at.Seq), j.v.at[folder+at.File].data() + at.Offset, at.Err}
	}
	if b := j.block; b != nil {
		return &PlaceError{folder + b.File, fmt.Sprintf("block %d", b.Head.Seq), j.v.at[folder+b.File].data() + b.Offset, err}
	}
	return wrong(folder, "journal", err)
}

func (j *recordingCheck) each(f func(*journal.Block) error) (*journal.Reader, error) {
	r := journal.NewReader(j.v.sources(j.want.Recording.String())...)
	r.ReadAhead(2 * runtime.GOMAXPROCS(0))
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			j.block = nil
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		j.block = b
		if b.Head.Seq == 0 {
			if err := j.recorder(r.Opened()); err != nil {
				return nil, err
			}
		}
		if err := f(b); err != nil {
			return nil, err
		}
	}
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
			j.opened = o
			j.anchors = append(j.anchors[:0], o.Anchor)
			return nil
		}
	}
	return fmt.Errorf("%w: its recorder was not admitted", ErrRecording)
}

// clear checks what needs no key: the chain, and each entry that stands in clear.
func (j *recordingCheck) clear() error {
	logged := map[int64]string{}
	for _, h := range j.v.report.Log.Heads {
		if h.Recording != j.want.Recording {
			continue
		}
		if h.Seq < 0 || h.Seq >= j.want.Blocks {
			return fmt.Errorf("%w: the log knows of block %d, the journal ends before it", ErrRecording, h.Seq)
		}
		logged[h.Seq] = h.Head
		j.report.Logged = max(j.report.Logged, h.Seq+1)
	}
	r, err := j.each(func(b *journal.Block) error {
		if h, ok := logged[b.Head.Seq]; ok && h != b.Hash {
			return fmt.Errorf("%w: the log knows another block in its place", ErrRecording)
		}
		j.report.Frames += b.Head.Frames
		lists := j.verified(b.Entries)
		for i, e := range b.Entries {
			if err := j.entry(e, lists[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got := describe(r, int(j.want.Files)); got != j.want {
		return fmt.Errorf("%w: it is not the journal that the manifest names", ErrRecording)
	}
	j.report.Clock = coverage.ClockOf(j.anchors)
	return nil
}

// list is what is true of one origin list by itself.
type list struct {
	origin sealing.Origin
	name   string // jws.Hash
	hashes []byte
	err    error
}

// verified verifies the origin lists of a block at the same time; a bad one is
// named in its place.
func (j *recordingCheck) verified(entries []journal.Entry) []list {
	out := make([]list, len(entries))
	var all sync.WaitGroup
	busy := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, e := range entries {
		if e.Type != journal.EntryOrigin {
			continue
		}
		busy <- struct{}{}
		all.Go(func() {
			defer func() { <-busy }()
			out[i].err = j.list(&out[i], string(e.Body))
		})
	}
	all.Wait()
	return out
}

func (j *recordingCheck) entry(e journal.Entry, l list) error {
	switch e.Type {
	case journal.EntryRoster:
		if !j.v.rosterHash[jws.Hash(string(e.Body))] {
			return fmt.Errorf("%w: the recorder was shown a roster that %s does not hold", ErrRoom, rostersName)
		}
	case journal.EntryAdmission:
		if j.v.members[jws.Hash(string(e.Body))] == nil {
			return fmt.Errorf("%w: the recorder was shown an admission that %s does not hold", ErrRoom, admissionsName)
		}
	case journal.EntryOrigin:
		return j.origin(l)
	case journal.EntryAnchor:
		var a journal.Anchor
		if err := e.Read(&a); err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
		j.anchors = append(j.anchors, a)
	case journal.EntryGap:
		var g journal.Gap
		if err := e.Read(&g); err != nil {
			return fmt.Errorf("%w: %w", ErrRecording, err)
		}
		j.report.Gaps = append(j.report.Gaps, g)
	}
	return nil
}

// list checks one list by itself: signed by its sender, whose the key id was.
func (j *recordingCheck) list(l *list, text string) error {
	var peek sealing.Origin
	if err := jws.Peek(text, sealing.TypeOrigin, &peek); err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	m, err := j.v.placed(peek.Group, peek.KID, peek.Member)
	if err != nil {
		return err
	}
	if l.origin, err = m.VerifyOrigin(text); err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	if l.hashes, err = base64.RawURLEncoding.DecodeString(l.origin.Hashes); err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	l.name = jws.Hash(text)
	return nil
}

// origin takes one list, in the order in which its sender made them. Lists may
// be missing; none is bent.
func (j *recordingCheck) origin(l list) error {
	if l.err != nil {
		return l.err
	}
	o := l.origin
	if o.Group != j.opened.Group {
		return fmt.Errorf("%w: it is of another group", ErrOrigin)
	}
	of := trackOf{o.Member, o.Track, o.Rid}
	last, ok := j.last[of]
	if ok && (o.Seq <= last.seq || o.Seq == last.seq+1 && o.Prev != last.hash) {
		return fmt.Errorf("%w: list %d of %s does not follow the one before", ErrOrigin, o.Seq, o.Track)
	}
	j.last[of] = listHead{o.Seq, l.name}
	j.lists[of] = append(j.lists[of], run{o.KID, uint64(o.First), l.hashes})
	j.report.Origins++
	return nil
}

// find gives the attested hash of a frame, or nil.
func (j *recordingCheck) find(f journal.Frame) []byte {
	if found := j.of(trackOf{f.Member, f.Track, f.Rid}, f); found != nil || f.Rid == "" {
		return found
	}
	return j.of(trackOf{f.Member, f.Track, ""}, f) // one list of all layers
}

func (j *recordingCheck) of(t trackOf, f journal.Frame) []byte {
	runs := j.lists[t]
	// Lists come in the order of their counters within a key id, and key ids grow.
	i := sort.Search(len(runs), func(i int) bool {
		r := runs[i]
		return uint64(r.kid) > f.KID || uint64(r.kid) == f.KID && r.first > f.Counter
	}) - 1
	if i < 0 || uint64(runs[i].kid) != f.KID {
		return nil
	}
	n := (f.Counter - runs[i].first) * sealing.OriginHashBytes
	if f.Counter-runs[i].first >= uint64(len(runs[i].hashes)/sealing.OriginHashBytes) {
		return nil
	}
	return runs[i].hashes[n : n+sealing.OriginHashBytes]
}

// open opens every frame and holds it against its sender's list.
func (j *recordingCheck) open(data journal.DataKey) error {
	keys := map[int64]*openKey{}
	_, err := j.each(func(b *journal.Block) error {
		frames, entries, err := b.Open(data)
		if err != nil {
			return err
		}
		for _, e := range entries {
			k, err := e.SenderKey()
			if err == nil {
				err = j.take(keys, k)
			}
			if err != nil {
				return fmt.Errorf("%w: %w", ErrRecording, err)
			}
		}
		for _, f := range frames {
			j.v.frames.First(f)
			if err := j.frame(keys, f); err != nil {
				return fmt.Errorf("frame %d of %s: %w", f.Counter, f.Track, err)
			}
		}
		return nil
	})
	return err
}

type openKey struct {
	member interview.MemberID
	track  interview.TrackID
	raw    string
	key    *sealing.FrameKey
}

func (j *recordingCheck) take(keys map[int64]*openKey, k journal.SenderKey) error {
	if old := keys[k.KID]; old != nil {
		if old.raw != string(k.Key) {
			return fmt.Errorf("key id %d has two keys", k.KID)
		}
		return nil
	}
	if _, err := j.v.placed(k.Group, k.KID, k.Member); err != nil {
		return err
	}
	fk, err := sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key)
	if err != nil {
		return err
	}
	keys[k.KID] = &openKey{k.Member, k.Track, string(k.Key), fk}
	return nil
}

func (j *recordingCheck) frame(keys map[int64]*openKey, f journal.Frame) error {
	h, err := sframe.ParseHeader(f.Sealed)
	if err != nil || h.KID != f.KID || h.Counter != f.Counter {
		return fmt.Errorf("%w: the frame's own header says otherwise", ErrRecording)
	}
	k := keys[int64(f.KID)]
	if k == nil {
		j.report.Keyless++
		return nil
	}
	if k.member != f.Member || k.track != f.Track {
		return fmt.Errorf("%w: it is sealed with the key of another track", ErrOrigin)
	}
	j.inside = slices.Grow(j.inside[:0], len(f.Sealed))
	if _, _, err := k.key.Open(j.inside, f.Sealed); err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	attested := j.find(f)
	if attested == nil {
		j.report.Unattested++
		return nil
	}
	if sum := sha256.Sum256(f.Sealed); !bytes.Equal(sum[:sealing.OriginHashBytes], attested) {
		return fmt.Errorf("%w: it is not the frame that its sender signed for", ErrOrigin)
	}
	j.report.Attested++
	return nil
}
