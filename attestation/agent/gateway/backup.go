package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview/backup"
)

// Backup keeps what this terminal's page sealed on record (agent/backup).
type Backup interface {
	Append(c *backup.Chunk) error
}

// postBackup takes one chunk. It is durable when the answer comes.
func (g *Gateway) postBackup(w http.ResponseWriter, r *http.Request) {
	if !g.backupRate.Allow() {
		g.refuse(w, r, problem.New(problem.CodeTooFast, "more chunks of the back-up than seconds"))
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(ownTimeout)); err != nil {
		g.refuse(w, r, err)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, backup.MaxChunk))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		g.refuse(w, r, problem.New(problem.CodeTooLarge, "chunk is larger than %d bytes", backup.MaxChunk))
		return
	case err != nil:
		g.refuse(w, r, problem.New(problem.CodeMalformed, "request ended early"))
		return
	}
	var c backup.Chunk
	if err := canon.Strict(text, &c); err != nil {
		g.refuse(w, r, problem.New(problem.CodeMalformed, "chunk is not the JSON that is wanted here: %w", err))
		return
	}
	if err := g.cfg.Backup.Append(&c); err != nil {
		code := problem.CodeUnavailable
		if errors.Is(err, backup.ErrChunk) || errors.Is(err, backup.ErrNotOnRecord) {
			code = problem.CodeForbidden
		}
		g.cfg.Log.Warn("a chunk of the back-up was not kept", "hearing", c.Hearing, "err", err)
		g.refuse(w, r, problem.New(code, "%w", err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
