package kioskbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// grace is what an answer may take longer than the kiosk was given.
const grace = 5 * time.Second

// wants says whether a step is asked for: the service needs it and the kiosk has
// the parts.
func (v *visit) wants(step ticket.StepName) bool {
	return slices.Contains(v.bridge.Policy.Steps[v.service], step) && slices.Contains(v.offers, step)
}

// ask has the person do a step. What came of it is noted; what it is worth is the
// caller's to say. Artefacts are held against the hashes that announced them.
func (v *visit) ask(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, *ticket.Step, error) {
	if err := ctx.Err(); err != nil {
		return tunnel.Capture{}, nil, problem.New(problem.CodeStalled, "visit took too long: %w", err)
	}
	v.asks++
	wait := v.bridge.Policy.wait(ask.Step)
	if left := v.started.Add(v.bridge.Limit).Sub(v.bridge.Now()); left < wait {
		wait = left
	}
	ask.N, ask.Tries, ask.Seconds = v.asks, v.bridge.Policy.tries(ask.Step), max(1, int(wait/time.Second))
	began := v.bridge.Now()
	if err := v.send(tunnel.TypeAsk, ask); err != nil {
		return tunnel.Capture{}, nil, err
	}
	var taken tunnel.Taken
	if err := v.receiveWithin(wait+grace, tunnel.TypeTaken, &taken); err != nil {
		return tunnel.Capture{}, nil, err
	}
	if err := taken.Check(ask); err != nil {
		if errors.Is(err, tunnel.ErrLarge) {
			return tunnel.Capture{}, nil, problem.New(problem.CodeTooLarge, "step %s: %w", ask.Step, err)
		}
		return tunnel.Capture{}, nil, problem.New(problem.CodeKioskVisit, "step %s: %w", ask.Step, err)
	}
	out := tunnel.Capture{Result: taken.Result, Reason: taken.Reason, Tries: taken.Tries, Values: taken.Values}
	step := ticket.Step{Step: ask.Step, Began: v.watch(began), Reason: taken.Reason, Tries: taken.Tries}
	for _, a := range taken.Artefacts {
		b, err := v.receiveBytes(a.Bytes)
		if err != nil {
			forgetPieces(out.Pieces)
			return tunnel.Capture{}, nil, err
		}
		if sum := ticket.Hash(b); sum != a.SHA256 {
			forgetPieces(append(out.Pieces, tunnel.Piece{Bytes: b}))
			return tunnel.Capture{}, nil, problem.New(problem.CodeKioskVisit, "step %s: what came is not what was announced", ask.Step)
		}
		out.Pieces = append(out.Pieces, tunnel.Piece{Kind: a.Kind, Format: a.Format, Bytes: b})
		if tunnel.Journalled(a.Format) {
			step.Artefacts = append(step.Artefacts, ticket.Artefact{Kind: a.Kind, SHA256: a.SHA256})
		}
	}
	step.Ended = v.watch(v.bridge.Now())
	switch taken.Result {
	case tunnel.TakenDone:
		step.Result = ticket.StepAsserted
	case tunnel.TakenFailed:
		step.Result = ticket.StepFailed
	case tunnel.TakenNotAvailable, tunnel.TakenDeclined:
		step.Result = ticket.StepNotAvailable
	}
	v.steps = append(v.steps, step)
	for _, x := range taken.Values {
		v.findings = append(v.findings, ticket.Finding{Check: string(ask.Step) + "." + x.Name, Verdict: string(ticket.StepAsserted), Score: x.Score, Scale: x.Scale, Engine: x.Engine})
	}
	if part, known := partOf[ask.Step]; known && taken.Result == tunnel.TakenFailed {
		v.notice(ctx, part, noticeCode(taken.Reason))
	}
	return out, &v.steps[len(v.steps)-1], nil
}

func forgetPieces(pieces []tunnel.Piece) {
	for _, p := range pieces {
		clear(p.Bytes)
	}
}

// receiveBytes takes one artefact, piece by piece, straight to where it stays
// until it is overwritten: no buffer of a reader's own grows with it.
func (v *visit) receiveBytes(n int) (taken []byte, err error) {
	out := make([]byte, n)
	defer func() {
		if err != nil {
			clear(out)
		}
	}()
	for at := 0; at < n; {
		if err := v.conn.SetReadDeadline(time.Now().Add(v.bridge.Patience)); err != nil {
			return nil, fmt.Errorf("kiosk is gone: %w", err)
		}
		kind, part, err := v.conn.NextReader()
		if err != nil {
			return nil, problem.New(problem.CodeStalled, "kiosk does not send its capture: %w", err)
		}
		if kind != websocket.BinaryMessage {
			return nil, problem.New(problem.CodeKioskVisit, "another message came where a capture belongs")
		}
		room := out[at:min(n, at+tunnel.MaxPart)]
		read, err := io.ReadFull(part, room)
		switch {
		case errors.Is(err, io.EOF): // nothing at all
			return nil, problem.New(problem.CodeKioskVisit, "another message came where a capture belongs")
		case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil, problem.New(problem.CodeStalled, "kiosk does not send its capture: %w", err)
		}
		if more, err := part.Read(make([]byte, 1)); more > 0 || !errors.Is(err, io.EOF) {
			return nil, problem.New(problem.CodeTooLarge, "a capture is longer than announced")
		}
		at += read
	}
	return out, nil
}
