package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"kuule/agreements"
	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/kiosk-bridge/trustlist"
)

// The administrator's commands reach the door through a unix socket in the
// door's own folder. It opens no recording and approves no device by itself:
// an agreement counts only with the security office's signature, and an
// evidence bundle is sealed.

// PrepareAgreement is an agreement before the office has signed it.
type PrepareAgreement struct {
	Organisation agreement.Organisation `json:"organisation"`
	Criteria     agreement.Criteria     `json:"criteria"`
}

// PreparedAgreement names the agreement that the office may now sign.
type PreparedAgreement struct {
	Agreement interview.AgreementID `json:"agreement"`
	State     agreements.State      `json:"state"`
}

// ImportAgreement brings the signed agreement.
type ImportAgreement struct {
	Signed string `json:"signed"`
}

// console is whose hand the register's history names for the admin socket.
const console = "console"

// preparing are the steps before a signature.
var preparing = []agreements.State{agreements.Negotiation, agreements.Assessment, agreements.Decision}

func (d *door) serveAdmin() (io.Closer, error) {
	path := d.in.path(adminSocketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agreements", answer(d.prepareAgreement))
	mux.HandleFunc("POST /agreements/import", answer(d.importAgreement))
	mux.HandleFunc("POST /trust-lists", answerWithin(2*trustlist.MaxFile, d.issuers.importList))
	mux.HandleFunc("GET /trust-lists", func(w http.ResponseWriter, _ *http.Request) {
		status, err := d.issuers.status()
		if err != nil {
			problem.Write(w, err)
			return
		}
		_ = writeJSON(w, status)
	})
	mux.HandleFunc("GET /evidence/{hearing}", d.serveEvidence)
	mux.HandleFunc("POST /hearings/close", answer(d.closeHearing))
	mux.HandleFunc("POST /backups", answer(d.settleBackups))
	mux.HandleFunc("POST /backups/list", answer(d.listBackups))
	mux.HandleFunc("POST /backups/intake", answer(d.beginIntake))
	mux.HandleFunc("POST /backups/intake/{hearing}/{file}", d.bringBackup)
	mux.HandleFunc("POST /backups/intake/end", answer(d.endIntake))
	d.viewings.administer(mux)
	d.keeping.administer(mux)
	mux.HandleFunc("POST /doctor/health", answer(d.health))
	mux.HandleFunc("POST /doctor/pass", answer(d.pass))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			slog.Error("admin socket ended", "err", err)
		}
	}()
	return s, nil
}

// answer makes a handler of a function from one JSON value to another.
func answer[In, Out any](f func(context.Context, In) (Out, error)) http.HandlerFunc {
	return answerWithin(1<<20, f)
}

// answerWithin is answer for requests of at most limit bytes.
func answerWithin[In, Out any](limit int64, f func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		if err != nil {
			problem.Write(w, problem.New(problem.CodeTooLarge, "%w", err))
			return
		}
		var in In
		if err := canon.Strict(text, &in); err != nil {
			problem.Write(w, problem.New(problem.CodeMalformed, "%w", err))
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			problem.Write(w, err)
			return
		}
		_ = writeJSON(w, out)
	}
}

func (d *door) prepareAgreement(ctx context.Context, in PrepareAgreement) (PreparedAgreement, error) {
	a, err := d.register.Request(ctx, in.Organisation, in.Criteria, console)
	if err != nil {
		return PreparedAgreement{}, err
	}
	for _, state := range preparing {
		if a, err = d.register.Step(ctx, a.ID, a.Version, state, "entered at the server's console", console); err != nil {
			return PreparedAgreement{}, err
		}
	}
	return PreparedAgreement{Agreement: a.ID, State: a.State}, nil
}

func (d *door) importAgreement(ctx context.Context, in ImportAgreement) (PreparedAgreement, error) {
	doc, err := agreement.Verify(in.Signed, d.register.Office())
	if err != nil {
		return PreparedAgreement{}, err
	}
	a, err := d.register.Import(ctx, doc.ID, in.Signed, console)
	if err != nil {
		return PreparedAgreement{}, err
	}
	// Enrolment may follow at once: authority has to know first.
	if err := d.handOver(ctx); err != nil {
		return PreparedAgreement{}, err
	}
	return PreparedAgreement{Agreement: a.ID, State: a.State}, nil
}

func (d *door) serveEvidence(w http.ResponseWriter, r *http.Request) {
	id, err := interview.ParseHearingID(r.PathValue("hearing"))
	if err != nil {
		problem.Write(w, problem.New(problem.CodeMalformed, "%w", err))
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	out := &begun{w: w}
	if err := d.buildEvidence(r.Context(), id, out); err != nil {
		slog.Error("evidence was not written", "hearing", id, "err", err)
		if out.any {
			panic(http.ErrAbortHandler) // the reader must not take a part for the whole
		}
		problem.Write(w, err)
	}
}

// begun remembers whether anything was written.
type begun struct {
	w   io.Writer
	any bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.any = true
	return b.w.Write(p)
}
