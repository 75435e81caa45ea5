package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/recorder/journal"
	"kuule/recorder/playback"
)

// eventViewed is the audit event of an approved viewing.
const eventViewed = "recording.viewed"

// viewingTimeout bounds one export, from approval to the last byte.
const viewingTimeout = 10 * time.Minute

// maxPurpose bounds the written purpose of a viewing in bytes.
const maxPurpose = 2000

type (
	// viewingSpec is what a playback process is started for.
	viewingSpec struct {
		Viewing    string                  `json:"viewing"`
		Case       interview.CaseID        `json:"case"`
		Hearing    interview.HearingID     `json:"hearing"`
		Recordings []interview.RecordingID `json:"recordings"` // in the order of their beginning
	}
	viewRead struct {
		Offset int64 `json:"offset"`
	}
	viewPiece struct {
		Data  []byte `json:"data"`
		Ready bool   `json:"ready"` // false: still being made
		End   bool   `json:"end"`
	}
	exportRequest struct {
		Purpose string `json:"purpose"`
	}
)

// exportRoute is the route of an export, as the access table names it.
const exportRoute = "POST /api/hearings/{hearing}/recording/export"

// registerRecording puts the export of a recording on the interface. It is a
// stream, so it is no operation of the typed interface; the access table and
// the caller's own case decide as everywhere.
func (d *door) registerRecording(mux *http.ServeMux) {
	mux.HandleFunc(exportRoute, func(w http.ResponseWriter, r *http.Request) {
		if err := d.export(w, r); err != nil {
			problem.Write(w, err)
		}
	})
}

func (d *door) export(w http.ResponseWriter, r *http.Request) error {
	caller, ok := interview.CallerFrom(r.Context())
	if !ok {
		return problem.New(problem.CodeSignIn, "nobody asks")
	}
	if err := interview.Allowed(exportRoute, caller, time.Now()); err != nil {
		return err
	}
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	var in exportRequest
	if err := readExport(w, r, &in); err != nil {
		return err
	}
	if in.Purpose = strings.TrimSpace(in.Purpose); in.Purpose == "" || len(in.Purpose) > maxPurpose {
		return problem.New(problem.CodePurposeNeeded, "give a purpose of at most %d bytes", maxPurpose)
	}
	h, err := d.hearings.Own(r.Context(), caller, id)
	if err != nil {
		return err
	}
	within(w, viewingTimeout)
	ctx, cancel := context.WithTimeout(r.Context(), viewingTimeout)
	defer cancel()
	spec, err := d.approve(ctx, r, h, in.Purpose)
	if err != nil {
		return err
	}
	supervisor := bus.Main(bus.Supervisor)
	if err := d.conn.Call(ctx, supervisor, "playback.start", spec, nil); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := d.conn.Call(ctx, supervisor, "playback.stop", spec, nil); err != nil {
			slog.Warn("playback was not stopped", "viewing", spec.Viewing, "err", err)
		}
	}()
	return d.stream(ctx, w, spec)
}

// readExport reads the bounded body of a request for an export.
func readExport(w http.ResponseWriter, r *http.Request, in *exportRequest) error {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(readHeaderTimeout)) // always supported by net/http
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<10))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem.New(problem.CodeTooLarge, "request is larger than %d bytes", large.Limit)
	case err != nil:
		return problem.New(problem.CodeMalformed, "request ended early")
	}
	if err := canon.Strict(text, in); err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	_ = controller.SetReadDeadline(time.Time{}) // else the wait for the export would end with it
	return nil
}

// approve has authority allow the viewing and logs it.
func (d *door) approve(ctx context.Context, r *http.Request, h *interview.Hearing, purpose string) (viewingSpec, error) {
	files, err := d.recorded(ctx, h.ID)
	if err != nil {
		return viewingSpec{}, err
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return viewingSpec{}, err
	}
	spec := viewingSpec{Viewing: "view-" + hex.EncodeToString(name), Case: h.Case, Hearing: h.ID}
	for _, f := range files {
		if !slices.Contains(spec.Recordings, f.Recording) {
			spec.Recordings = append(spec.Recordings, f.Recording)
		}
	}
	err = (ledger.Outbox{}).Append(ctx, d.db, interview.Event{Hearing: h.ID, Type: eventViewed, Fields: map[string]any{"viewing": spec.Viewing, "purpose_hash": jws.Hash(purpose)}})
	if err != nil {
		return viewingSpec{}, err
	}
	return spec, d.conn.Call(ctx, bus.Main(bus.Authority), "view", viewQuestion{
		Viewing: spec.Viewing, Case: spec.Case, Hearing: spec.Hearing, Recordings: spec.Recordings, Purpose: purpose,
		Certificate: r.TLS.PeerCertificates[0].Raw, Proof: proofOf(r),
	}, nil)
}

// stream waits for the playback process and hands on what it made.
func (d *door) stream(ctx context.Context, w http.ResponseWriter, spec viewingSpec) error {
	from := bus.Name{Role: bus.Playback, Instance: spec.Viewing}
	var offset int64
	for {
		var p viewPiece
		if err := d.conn.Call(ctx, from, "view", viewRead{offset}, &p); err != nil {
			if offset > 0 {
				panic(http.ErrAbortHandler) // the reader must not take a part for the whole
			}
			return err
		}
		if !p.Ready {
			select {
			case <-ctx.Done():
				return problem.New(problem.CodeUnavailable, "export of %s took too long", spec.Hearing)
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		if offset == 0 {
			w.Header().Set("Content-Type", "video/webm")
			w.Header().Set("Content-Disposition", `attachment; filename="hearing.webm"`)
			w.Header().Set("Cache-Control", "no-store")
		}
		offset += int64(len(p.Data))
		if _, err := w.Write(p.Data); err != nil {
			panic(http.ErrAbortHandler) // the reader has left
		}
		if p.End {
			return nil
		}
	}
}

// runPlayback is the process of one approved viewing: it gets the keys of that
// one recording, makes the file in memory and hands it to the door.
func runPlayback(ctx context.Context, in *installation, conn *bus.Conn, spec viewingSpec, ready func() error) error {
	// A file that is in no folder: what is decrypted never touches the disk, and
	// a file that can be written at gets cues and duration.
	fd, err := unix.MemfdCreate("viewing", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("playback: %w", err)
	}
	file := os.NewFile(uintptr(fd), "viewing")
	defer file.Close()
	made := make(chan error, 1)
	done := make(chan struct{})
	var failed error
	if err := bus.Handle(conn, "view", func(_ context.Context, _ bus.Name, q viewRead) (viewPiece, error) {
		select {
		case <-done:
		default:
			return viewPiece{}, nil
		}
		if failed != nil {
			return viewPiece{}, failed
		}
		b := make([]byte, journalChunk)
		n, err := file.ReadAt(b, q.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return viewPiece{}, err
		}
		return viewPiece{Data: b[:n], Ready: true, End: errors.Is(err, io.EOF)}, nil
	}); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	go func() { made <- exportJournals(ctx, in, conn, keyringremote.New(conn), spec, file) }()
	select {
	case failed = <-made:
		if failed != nil {
			slog.Error("export failed", "viewing", spec.Viewing, "err", failed)
		}
		close(done)
	case <-ctx.Done():
		return <-made
	}
	<-ctx.Done()
	return nil
}

func exportJournals(ctx context.Context, in *installation, conn *bus.Conn, ring keyring.Keyring, spec viewingSpec, out io.Writer) error {
	files, err := recordedFiles(ctx, conn, in.recorderNames(), spec.Hearing)
	if err != nil {
		return err
	}
	var journals []playback.Journal
	for _, r := range spec.Recordings {
		open := func() ([]journal.Source, func() error, error) {
			var sources []journal.Source
			for _, f := range files {
				if f.Recording == r {
					sources = append(sources, journal.Source{Name: f.Name, Reader: readRemote(ctx, conn, spec.Hearing, f)})
				}
			}
			return sources, func() error { return nil }, nil
		}
		key, err := recordingKey(ctx, ring, spec, r, open)
		if err != nil {
			return fmt.Errorf("recording %s: %w", r, err)
		}
		journals = append(journals, playback.Journal{Key: key, Open: open})
	}
	_, err = playback.Export(ctx, out, playback.Options{}, journals...)
	return err
}

// recordingKey reads the wrapped data key from the journal's head and has it
// unwrapped.
func recordingKey(ctx context.Context, ring keyring.Keyring, spec viewingSpec, r interview.RecordingID, open func() ([]journal.Source, func() error, error)) (journal.DataKey, error) {
	sources, _, err := open()
	if err != nil {
		return journal.DataKey{}, err
	}
	reader := journal.NewReader(sources...)
	if _, err := reader.Next(); err != nil {
		return journal.DataKey{}, err
	}
	wrapped, err := reader.Opened().DecodeWrapped()
	if err != nil {
		return journal.DataKey{}, err
	}
	secret, err := ring.Unwrap(ctx, keyring.Key{Case: spec.Case.String(), Kind: keyring.Recording}, journal.WrapContext(spec.Hearing, r), string(wrapped))
	if err != nil {
		return journal.DataKey{}, err
	}
	defer secret.Wipe()
	return journal.ParseDataKey(secret.Bytes())
}
