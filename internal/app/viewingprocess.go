package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"kuule/internal/bus"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
	"kuule/recorder/playback"
)

type (
	// viewingSpec is what a playback process is started for.
	viewingSpec struct {
		Viewing    string                  `json:"viewing"` // the opening's name
		Case       interview.CaseID        `json:"case"`
		Hearing    interview.HearingID     `json:"hearing"`
		Recordings []interview.RecordingID `json:"recordings"` // in the order of their beginning
	}
	viewSegment struct {
		Lane   int              `json:"lane"`
		From   interview.Micros `json:"from"`
		To     interview.Micros `json:"to"`
		Begin  bool             `json:"begin"`
		Offset int64            `json:"offset"`
	}
	viewExport struct {
		Form       string `json:"form"`                 // tracks: all in one file; lane: one of them; folder: a file for each, in a tar archive; mixed; sealed: folder, sealed; open: sealed, with the recordings' keys
		Lane       int    `json:"lane,omitempty"`       // of form lane
		To         string `json:"to,omitempty"`         // of what is sealed: whom it is for
		Passphrase string `json:"passphrase,omitempty"` // of form sealed and open, and of a mixed file that is sealed: one of these two
		Recipient  string `json:"recipient,omitempty"`  // age key
		Offset     int64  `json:"offset,omitempty"`
	}
	viewPiece struct {
		Data  []byte           `json:"data"`
		From  interview.Micros `json:"from"`
		Ready bool             `json:"ready"` // false: still being made
		End   bool             `json:"end"`
	}
	// viewProgress tells how far the export is that is being made.
	viewProgress struct {
		Done int `json:"done"` // thousandths
	}
	viewOutline struct {
		From     interview.Micros `json:"from"`
		To       interview.Micros `json:"to"`
		Surveyed interview.Micros `json:"surveyed"`
		Done     bool             `json:"done"`
		Step     interview.Micros `json:"step"` // of the loudness
		Lanes    []viewLane       `json:"lanes"`
		Phases   []viewPhase      `json:"phases"`
		Backups  []viewSpan       `json:"backups"` // from a room terminal's back-up: no recorder has it
		Faults   []string         `json:"faults"`
		Unopened int64            `json:"unopened"` // frames that no key here opens
	}
	viewLane struct {
		Name   string           `json:"name"`
		Roles  []interview.Role `json:"roles"`
		Source interview.Source `json:"source"`
		Frames int64            `json:"frames"`
		Width  int              `json:"width"`
		Height int              `json:"height"`
		Holes  []viewHole       `json:"holes"`
		Level  []byte           `json:"level"` // loudness in −dBov plus one by step; 0: nothing there
	}
	viewHole struct {
		From  interview.Micros `json:"from"`
		To    interview.Micros `json:"to"`
		Cause journal.Cause    `json:"cause"`
	}
	viewSpan struct {
		From interview.Micros `json:"from"`
		To   interview.Micros `json:"to"`
	}
	viewPhase struct {
		Phase interview.Phase  `json:"phase"`
		Cause interview.Cause  `json:"cause"`
		Since interview.Micros `json:"since"`
	}
)

// Forms of an export.
const (
	formTracks = "tracks"
	formLane   = "lane"
	formMixed  = "mixed"
	formFolder = "folder"
	formSealed = "sealed"
	formOpen   = "open"
)

// sealed reports whether nobody can read the file but whoever it is sealed to.
func (q viewExport) sealed() bool {
	return q.Form == formSealed || q.Form == formOpen || q.Passphrase != "" || q.Recipient != ""
}

func (q viewExport) check() error {
	if len(q.To) > maxReceiver {
		return problem.New(problem.CodeMalformed, "name whom it is for in at most %d bytes", maxReceiver)
	}
	switch q.Form {
	case formTracks, formLane, formFolder:
		if q.sealed() {
			// They leave in clear: nobody may be told, or note, that they are sealed.
			return problem.New(problem.CodeMalformed, "form %q is not sealed: take sealed or mixed for a passphrase or a recipient", q.Form)
		}
		return nil
	case formMixed:
		if !q.sealed() {
			return nil
		}
		if _, err := playback.Recipient(q.Passphrase, q.Recipient); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		return nil
	case formOpen, formSealed:
		if q.Form == formOpen && strings.TrimSpace(q.To) == "" {
			return problem.New(problem.CodeMalformed, "name whom the opened bundle is for")
		}
		if _, err := playback.Recipient(q.Passphrase, q.Recipient); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		return nil
	}
	return problem.New(problem.CodeMalformed, "form %q is not known: give tracks, lane, folder, mixed, sealed or open", q.Form)
}

// file is the kind and name of what an export gives.
func (q viewExport) file() (kind, name string) {
	switch {
	case q.Form == formMixed && q.sealed():
		return "application/octet-stream", "everybody.webm.age"
	case q.sealed():
		return "application/octet-stream", "recording.tar.age"
	case q.Form == formFolder:
		return "application/x-tar", "recording.tar"
	case q.Form == formMixed:
		return "video/webm", "everybody.webm"
	}
	return "video/webm", "hearing.webm"
}

// maxPoints bounds the loudness that is told of one lane.
const maxPoints = 15_000

// maxHoles bounds the holes that are told of one lane.
const maxHoles = 2000

// runPlayback is the process of one approved viewing: it gets the keys of that
// one hearing's recordings, opens them block by block in its memory, and ends
// when nobody asks it anything any more.
func runPlayback(ctx context.Context, in *installation, conn *bus.Conn, spec viewingSpec, ready func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &viewer{ctx: ctx, in: in, conn: conn, spec: spec, opened: make(chan struct{}), asked: time.Now()}
	defer v.tasks.Wait()
	defer cancel()
	if err := errors.Join(
		bus.Handle(conn, "view.outline", func(ctx context.Context, _ bus.Name, _ none) (viewOutline, error) { return v.outline(ctx) }),
		bus.Handle(conn, "view.segment", func(ctx context.Context, _ bus.Name, q viewSegment) (viewPiece, error) { return v.segment(ctx, q) }),
		bus.Handle(conn, "view.export", func(_ context.Context, _ bus.Name, q viewExport) (viewPiece, error) { return v.export(q) }),
		bus.Handle(conn, "view.progress", func(context.Context, bus.Name, none) (viewProgress, error) { return v.progress(), nil }),
		bus.Handle(conn, "view.cancel", func(context.Context, bus.Name, none) (none, error) { return none{}, v.cancel() }),
	); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	v.tasks.Go(v.begin)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			v.mu.Lock()
			idle := now.Sub(v.asked) > 2*viewingIdle
			v.mu.Unlock()
			if idle {
				return nil
			}
		}
	}
}

// viewer is the inside of a playback process.
type viewer struct {
	ctx   context.Context
	in    *installation
	conn  *bus.Conn
	spec  viewingSpec
	tasks sync.WaitGroup

	opened   chan struct{} // closed when session or failed is set
	session  *playback.Session
	journals []playback.Journal
	keys     map[interview.RecordingID][]byte
	size     int64 // of the journals, in bytes
	failed   error

	mu     sync.Mutex
	asked  time.Time
	giving map[viewSegment]playback.Segment // being given out in pieces
	making *making                          // one at a time
}

// piecesAhead is how many pieces of an export wait to be asked for.
const piecesAhead = 4

// making is an export that is under way.
type making struct {
	form   viewExport
	cancel context.CancelFunc
	pieces chan []byte
	given  int64 // bytes; guarded by viewer.mu
	err    error // read once pieces is closed

	read     atomic.Int64 // bytes of the journals
	readings atomic.Int64 // of each of them, in all
}

func (v *viewer) begin() {
	keys := map[interview.RecordingID][]byte{}
	recordings, journals, err := openJournals(v.ctx, v.in, v.conn, keyringremote.New(v.conn), v.spec, keys)
	if err != nil {
		v.failed = err
		close(v.opened)
		slog.Error("viewing failed", "viewing", v.spec.Viewing, "err", err)
		return
	}
	v.session, v.journals, v.keys = playback.NewSession(recordings...), journals, keys
	for _, r := range recordings {
		for _, f := range r.Files {
			v.size += f.Size
		}
	}
	close(v.opened)
	if err := v.session.Survey(v.ctx); err != nil && v.ctx.Err() == nil {
		slog.Error("viewing failed", "viewing", v.spec.Viewing, "err", err)
	}
}

// ready waits until the keys have come.
func (v *viewer) ready(ctx context.Context) (*playback.Session, error) {
	v.mu.Lock()
	v.asked = time.Now()
	v.mu.Unlock()
	select {
	case <-v.opened:
		return v.session, v.failed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (v *viewer) outline(ctx context.Context) (viewOutline, error) {
	s, err := v.ready(ctx)
	if err != nil {
		return viewOutline{}, err
	}
	o, err := s.Outline()
	if err != nil {
		return viewOutline{}, cannotPlay(err)
	}
	points := int((o.To - o.From) / playback.Tick)
	every := max(1, (points+maxPoints-1)/maxPoints)
	out := viewOutline{
		From: o.From, To: o.To, Surveyed: o.Surveyed, Done: o.Done, Step: playback.Tick * interview.Micros(every),
		Lanes: []viewLane{}, Phases: []viewPhase{}, Backups: []viewSpan{}, Faults: o.Faults, Unopened: o.Failed + o.Keyless,
	}
	for _, p := range o.Phases {
		out.Phases = append(out.Phases, viewPhase{p.Phase, p.Cause, p.Since})
	}
	for _, b := range o.Backups {
		out.Backups = append(out.Backups, viewSpan(b))
	}
	for _, l := range o.Lanes {
		x := viewLane{Name: l.Name, Roles: l.Roles, Source: l.Source, Frames: l.Frames, Width: l.Width, Height: l.Height, Holes: []viewHole{}, Level: loudest(l.Level, every)}
		for _, h := range l.Holes[:min(len(l.Holes), maxHoles)] {
			x.Holes = append(x.Holes, viewHole(h))
		}
		out.Lanes = append(out.Lanes, x)
	}
	return out, nil
}

// loudest takes several ticks together: the smallest value that is there.
func loudest(level []byte, every int) []byte {
	out := make([]byte, 0, len(level)/every+1)
	for i := 0; i < len(level); i += every {
		var l byte
		for _, x := range level[i:min(len(level), i+every)] {
			if x != 0 && (l == 0 || x < l) {
				l = x
			}
		}
		out = append(out, l)
	}
	return out
}

// cannotPlay turns what is wrong with a recording into a problem for people.
func cannotPlay(err error) error {
	var place *journal.PlaceError
	switch {
	case errors.As(err, &place):
		return problem.New(problem.CodeEvidence, "%w", err)
	case errors.Is(err, playback.ErrNothing):
		return problem.New(problem.CodeNotFound, "%w", err)
	case errors.Is(err, playback.ErrNoMixer):
		return problem.New(problem.CodeUnavailable, "%w", err)
	case errors.Is(err, playback.ErrNoLane), errors.Is(err, playback.ErrRange):
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	return err
}

func (v *viewer) segment(ctx context.Context, q viewSegment) (viewPiece, error) {
	s, err := v.ready(ctx)
	if err != nil {
		return viewPiece{}, err
	}
	at := q.Offset
	q.Offset = 0
	v.mu.Lock()
	seg, have := v.giving[q]
	v.mu.Unlock()
	if !have || at == 0 {
		if seg, err = s.Segment(ctx, q.Lane, q.From, q.To, q.Begin); err != nil {
			return viewPiece{}, cannotPlay(err)
		}
	}
	if at < 0 || at > int64(len(seg.Data)) {
		return viewPiece{}, problem.New(problem.CodeMalformed, "offset %d", at)
	}
	p := viewPiece{Data: seg.Data[at:], From: seg.From, Ready: true, End: true}
	if len(p.Data) > journalChunk {
		p.Data, p.End = p.Data[:journalChunk], false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if p.End {
		delete(v.giving, q)
	} else {
		if v.giving == nil || len(v.giving) > 16 {
			v.giving = map[viewSegment]playback.Segment{}
		}
		v.giving[q] = seg
	}
	return p, nil
}

// export begins a file at the first question and gives it out piece by piece,
// in order and once: it is nowhere but on its way.
func (v *viewer) export(q viewExport) (viewPiece, error) {
	if err := q.check(); err != nil {
		return viewPiece{}, err
	}
	at := q.Offset
	q.Offset = 0
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = time.Now()
	m := v.making
	if at == 0 && (m == nil || m.form != q || m.given > 0) {
		if m != nil {
			m.cancel()
		}
		ctx, cancel := context.WithCancel(v.ctx)
		m = &making{form: q, cancel: cancel, pieces: make(chan []byte, piecesAhead)}
		v.making = m
		v.tasks.Go(func() {
			defer cancel()
			v.make(ctx, m)
		})
	}
	if m == nil || m.form != q || m.given != at {
		return viewPiece{}, problem.New(problem.CodeConflict, "another export is under way")
	}
	select {
	case b, more := <-m.pieces:
		m.given += int64(len(b))
		if !more {
			v.making = nil
		}
		if !more && m.err != nil {
			return viewPiece{}, cannotPlay(m.err)
		}
		return viewPiece{Data: b, Ready: true, End: !more}, nil
	default:
		return viewPiece{}, nil
	}
}

// make writes an export. What is decrypted never touches the disk, and no more
// of it is in memory than a few pieces and what playback keeps to order it.
func (v *viewer) make(ctx context.Context, m *making) {
	defer close(m.pieces)
	out := bufio.NewWriterSize(pieces{ctx, m.pieces}, journalChunk)
	if m.err = v.write(ctx, out, m); m.err == nil {
		m.err = out.Flush()
	}
	if m.err != nil && ctx.Err() == nil {
		slog.Error("export failed", "viewing", v.spec.Viewing, "err", m.err)
	}
}

// progress tells how much of the journals was read, of what has to be.
func (v *viewer) progress() viewProgress {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = time.Now()
	if v.making == nil || v.size == 0 {
		return viewProgress{}
	}
	return viewProgress{Done: int(min(1000, 1000*v.making.read.Load()/(v.size*max(1, v.making.readings.Load()))))}
}

// cancel ends an export that nobody takes any more.
func (v *viewer) cancel() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.making != nil {
		v.making.cancel()
		v.making = nil
	}
	return nil
}

// counted reads journals and tells how much was read of them.
func counted(journals []playback.Journal, read *atomic.Int64) []playback.Journal {
	out := make([]playback.Journal, len(journals))
	for i, j := range journals {
		out[i] = playback.Journal{Key: j.Key, Open: func() ([]journal.Source, func() error, error) {
			sources, end, err := j.Open()
			for k := range sources {
				sources[k].Reader = countedReader{sources[k].Reader, read}
			}
			return sources, end, err
		}}
	}
	return out
}

type countedReader struct {
	from io.Reader
	read *atomic.Int64
}

// Read implements io.Reader.
func (r countedReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.read.Add(int64(n))
	return n, err
}

func (v *viewer) write(ctx context.Context, out io.Writer, m *making) error {
	q := m.form
	m.readings.Store(2) // for sizes and cues, and for the file
	s, err := v.ready(ctx)
	if err != nil {
		return err
	}
	known, err := s.Overview(ctx)
	if err != nil {
		return err
	}
	journals := counted(v.journals, &m.read)
	options := playback.Options{Known: &known}
	archive := playback.Archive{Made: time.Now(), Known: &known, Planned: func(readings int) { m.readings.Store(int64(readings)) }}
	switch q.Form {
	case formMixed:
		m.readings.Store(1)
		err = v.mix(ctx, out, q, options, journals)
	case formFolder:
		_, err = playback.WriteArchive(ctx, out, archive, journals...)
	case formOpen, formSealed:
		if q.Form == formOpen {
			if archive.Also, err = v.keyFile(q.To); err != nil {
				return err
			}
		}
		var to age.Recipient
		if to, err = playback.Recipient(q.Passphrase, q.Recipient); err == nil {
			_, err = playback.Seal(ctx, out, to, archive, journals...)
		}
	case formLane:
		var lane playback.Lane
		if lane, err = v.lane(q.Lane); err == nil {
			options.Only = lane.Is
			_, err = playback.Stream(ctx, out, options, journals...)
		}
	default:
		_, err = playback.Stream(ctx, out, options, journals...)
	}
	return err
}

// mix writes the mixed file, sealed where it is for somebody.
func (v *viewer) mix(ctx context.Context, out io.Writer, q viewExport, o playback.Options, journals []playback.Journal) error {
	mixer := playback.Mixer{Unconfined: v.in != nil && v.in.Export.MixUnconfined}
	mixed := func(out io.Writer) error {
		r, err := mixer.Mix(ctx, out, o, journals...)
		if hours := (time.Duration(r.Overview.To-r.Overview.From) * time.Microsecond).Hours(); err == nil && hours > 0 {
			slog.Info("mixed", "viewing", v.spec.Viewing, "cpu_seconds", r.Mixed.CPU.Seconds(), "cpu_seconds_an_hour", r.Mixed.CPU.Seconds()/hours, "peak_bytes", r.Mixed.Peak)
		}
		return err
	}
	if !q.sealed() {
		return mixed(out)
	}
	to, err := playback.Recipient(q.Passphrase, q.Recipient)
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(out, to)
	if err != nil {
		return err
	}
	if err := mixed(sealed); err != nil {
		return err // unfinished, so that it does not open as a whole
	}
	return sealed.Close()
}

// keyFile is what opens the evidence bundle of this hearing, and nothing else:
// the data keys of its recordings. It leaves this process sealed alone.
func (v *viewer) keyFile(recipient string) ([]playback.Document, error) {
	text, err := evidence.MakeKeyFile(recipient, v.spec.Hearing, v.keys)
	return []playback.Document{{Name: evidence.KeyFileName, Text: text}}, err
}

// pieces hands on what is written, as it is asked for.
type pieces struct {
	ctx context.Context
	to  chan<- []byte
}

// Write implements io.Writer.
func (p pieces) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		piece := bytes.Clone(b[n:min(len(b), n+journalChunk)])
		select {
		case p.to <- piece:
			n += len(piece)
		case <-p.ctx.Done():
			return n, p.ctx.Err()
		}
	}
	return n, nil
}

// lane is the n-th lane of the outline, which is what whoever asks has seen.
func (v *viewer) lane(n int) (playback.Lane, error) {
	o, err := v.session.Outline()
	if err != nil {
		return playback.Lane{}, err
	}
	if n < 0 || n >= len(o.Lanes) {
		return playback.Lane{}, fmt.Errorf("%w: %d", playback.ErrNoLane, n)
	}
	return o.Lanes[n].Lane, nil
}

// openJournals gets the keys of a viewing's recordings and the files to read.
// The keys are in keys too, for an opened evidence bundle.
func openJournals(ctx context.Context, in *installation, conn *bus.Conn, ring keyring.Keyring, spec viewingSpec, keys map[interview.RecordingID][]byte) ([]playback.Recording, []playback.Journal, error) {
	files, err := recordedFiles(ctx, conn, in.recorderNames(), spec.Hearing)
	if err != nil {
		return nil, nil, err
	}
	var recordings []playback.Recording
	var journals []playback.Journal
	for _, r := range spec.Recordings {
		var own []recordedFile
		var rec playback.Recording
		for _, f := range files {
			if f.Recording == r {
				own = append(own, f)
				rec.Files = append(rec.Files, playback.File{Name: f.Name, Size: f.Size, ReaderAt: remoteAt{ctx, conn, spec.Hearing, f}})
			}
		}
		open := func() ([]journal.Source, func() error, error) {
			var sources []journal.Source
			for _, f := range own {
				sources = append(sources, journal.Source{Name: f.Name, Reader: readRemote(ctx, conn, spec.Hearing, f)})
			}
			return sources, func() error { return nil }, nil
		}
		if keys[r], err = recordingKey(ctx, ring, spec, r, open); err == nil {
			rec.Key, err = journal.ParseDataKey(keys[r])
		}
		if err != nil {
			return nil, nil, fmt.Errorf("recording %s: %w", r, err)
		}
		recordings = append(recordings, rec)
		journals = append(journals, playback.Journal{Key: rec.Key, Open: open})
	}
	return recordings, journals, nil
}

// remoteAt reads a journal file of the recorder at any place.
type remoteAt struct {
	ctx     context.Context
	conn    *bus.Conn
	hearing interview.HearingID
	file    recordedFile
}

// ReadAt implements io.ReaderAt.
func (f remoteAt) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		r, ok := readRemote(f.ctx, f.conn, f.hearing, f.file).(*remoteFile)
		if !ok {
			return n, errors.New("a journal's file cannot be read at a place")
		}
		r.q.Offset = off + int64(n)
		got, err := r.Read(b[n:])
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// recordingKey reads the wrapped data key from the journal's head and has it
// unwrapped.
func recordingKey(ctx context.Context, ring keyring.Keyring, spec viewingSpec, r interview.RecordingID, open func() ([]journal.Source, func() error, error)) ([]byte, error) {
	sources, _, err := open()
	if err != nil {
		return nil, err
	}
	reader := journal.NewReader(sources...)
	if _, err := reader.Next(); err != nil {
		return nil, err
	}
	wrapped, err := reader.Opened().DecodeWrapped()
	if err != nil {
		return nil, err
	}
	secret, err := ring.Unwrap(ctx, keyring.Key{Case: spec.Case.String(), Kind: keyring.Recording}, journal.WrapContext(spec.Hearing, r), string(wrapped))
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	return bytes.Clone(secret.Bytes()), nil
}
