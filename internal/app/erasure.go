package app

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"kuule/internal/bus"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/retention"
	"kuule/interview/viewing"
)

// Questions and answers of authority about erasure. Persons are proved as for a
// viewing: a device's fresh state, a sign-in, and a consent that the device
// signed for exactly this order.
type (
	lockQuestion struct {
		Case  interview.CaseID       `json:"case"`
		Until int64                  `json:"until"`           // Unix seconds, of all keys; 0: of those that are named
		Kinds map[keyring.Kind]int64 `json:"kinds,omitempty"` // Unix seconds, by key
	}
	caseHold struct {
		Case interview.CaseID `json:"case"`
		Hold string           `json:"hold"`
		On   bool             `json:"on"`
	}
	dueQuestion struct {
		Case  interview.CaseID `json:"case"`
		Kinds []keyring.Kind   `json:"kinds"`
	}
	needlessQuestion struct {
		Note interview.NoteID `json:"note"`
	}
	orderQuestion struct {
		Erasure string              `json:"erasure"`
		Case    interview.CaseID    `json:"case"`
		Hearing interview.HearingID `json:"hearing"` // one of the case, that the consent names
		Purpose string              `json:"purpose"`
		Person  person              `json:"person"`
	}
	confirmQuestion struct {
		Order   string              `json:"order"`
		Hearing interview.HearingID `json:"hearing"`
		Purpose string              `json:"purpose"`
		Person  person              `json:"person"`
	}
	erasureAnswer struct {
		Message string `json:"message"` // order or tombstone
	}
	tombstones struct {
		Messages []string `json:"messages"`
	}
	keyList struct {
		Keys []keyring.Key `json:"keys"`
	}
	renewQuestion struct {
		Key    keyring.Key `json:"key"`
		Retire bool        `json:"retire"`
	}
	renewAnswer struct {
		Report  renewal.Report `json:"report"`
		Problem string         `json:"problem,omitempty"` // why old versions stay
	}
)

// serveErasures answers about the end of keys, and about their renewal.
func (a *authority) serveErasures(conn *bus.Conn, g *graveyard, ring *renewal.Ring) error {
	return errors.Join(
		bus.Handle(conn, "erasure.lock", func(_ context.Context, _ bus.Name, q lockQuestion) (none, error) {
			return none{}, g.lock(q)
		}),
		bus.Handle(conn, "erasure.hold", func(_ context.Context, _ bus.Name, q caseHold) (none, error) {
			return none{}, g.hold(q.Case, q.Hold, q.On)
		}),
		bus.Handle(conn, "erasure.due", func(ctx context.Context, _ bus.Name, q dueQuestion) (erasureAnswer, error) {
			m, err := g.eraseDue(ctx, q)
			return erasureAnswer{m}, err
		}),
		bus.Handle(conn, "erasure.needless", func(ctx context.Context, _ bus.Name, q needlessQuestion) (erasureAnswer, error) {
			m, err := g.eraseNote(ctx, q.Note)
			return erasureAnswer{m}, err
		}),
		bus.Handle(conn, "erasure.order", func(ctx context.Context, _ bus.Name, q orderQuestion) (erasureAnswer, error) {
			m, err := a.orderErasure(ctx, g, q)
			return erasureAnswer{m}, err
		}),
		bus.Handle(conn, "erasure.confirm", func(ctx context.Context, _ bus.Name, q confirmQuestion) (erasureAnswer, error) {
			m, err := a.confirmErasure(ctx, g, q)
			return erasureAnswer{m}, err
		}),
		bus.Handle(conn, "erasure.list", func(context.Context, bus.Name, none) (tombstones, error) {
			list, err := g.list()
			return tombstones{list}, err
		}),
		bus.Handle(conn, "erasure.tell", func(ctx context.Context, _ bus.Name, q tombstones) (none, error) {
			return none{}, g.tell(ctx, q.Messages)
		}),
		bus.Handle(conn, "keys.list", func(context.Context, bus.Name, none) (keyList, error) {
			keys, err := ring.Keys()
			return keyList{keys}, err
		}),
		bus.Handle(conn, "keys.renew", func(ctx context.Context, _ bus.Name, q renewQuestion) (renewAnswer, error) {
			report, err := ring.Renew(ctx, q.Key, q.Retire)
			if errors.Is(err, renewal.ErrFailed) || errors.Is(err, renewal.ErrIncomplete) {
				return renewAnswer{Report: report, Problem: err.Error()}, nil
			}
			return renewAnswer{Report: report}, err
		}),
	)
}

// lock takes the times until which the door says a case's keys are kept: of all,
// or of each.
func (g *graveyard) lock(q lockQuestion) error {
	for kind := range q.Kinds {
		if kind != keyring.Recording && kind != keyring.Records {
			return problem.New(problem.CodeMalformed, "a case has no %q key", kind)
		}
	}
	if q.Until != 0 {
		if err := g.extend(q.Case, time.Unix(q.Until, 0)); err != nil {
			return err
		}
	}
	for kind, until := range q.Kinds {
		if err := g.extend(q.Case, time.Unix(until, 0), kind); err != nil {
			return err
		}
	}
	return nil
}

func (g *graveyard) eraseNote(ctx context.Context, note interview.NoteID) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.erase(ctx, note.String(), []keyring.Kind{keyring.Special}, retention.Tombstone{Rule: retention.ByNeedless, Rules: retention.Current().Version})
}

// eraseDue erases what the clock ends. That it is due is the door's word; for
// each key that the door names, that its time has come and that no hold lies on
// the case authority knows itself, and by which rules it has its own.
func (g *graveyard) eraseDue(ctx context.Context, q dueQuestion) (string, error) {
	if len(q.Kinds) == 0 {
		return "", problem.New(problem.CodeMalformed, "an erasure names its keys")
	}
	for _, kind := range q.Kinds {
		if kind != keyring.Recording && kind != keyring.Records {
			return "", problem.New(problem.CodeMalformed, "a case has no %q key", kind)
		}
	}
	return g.eraseCase(ctx, q.Case, q.Kinds, true, retention.Tombstone{Rule: retention.ByClock, Rules: retention.Current().Version})
}

// orderErasure signs that one person ordered an erasure before its time.
func (a *authority) orderErasure(ctx context.Context, g *graveyard, q orderQuestion) (string, error) {
	if strings.TrimSpace(q.Purpose) == "" || !viewing.CheckErasure(q.Erasure) {
		return "", problem.New(problem.CodePurposeNeeded, "erasure of %s", q.Case)
	}
	if err := g.free(ctx, q.Case); err != nil {
		return "", err
	}
	if err := g.ofCase(q.Case, q.Hearing); err != nil {
		return "", err
	}
	now := g.now()
	who, _, _, err := a.prove(ctx, q.Person, viewing.Expected{Act: viewing.ActErase, Viewing: q.Erasure, Hearing: q.Hearing, Purpose: q.Purpose, Now: now})
	if err != nil {
		return "", err
	}
	return jws.Sign(retention.Order{
		V: 1, Erasure: q.Erasure, Case: q.Case, Hearing: q.Hearing, Purpose: jws.Hash(q.Purpose), Asker: who, Expires: now.Add(retention.OrderLife).Unix(),
	}, retention.TypeOrder, a.sealing)
}

// confirmErasure erases a case on the word of a second person.
func (a *authority) confirmErasure(ctx context.Context, g *graveyard, q confirmQuestion) (string, error) {
	now := g.now()
	order, err := retention.VerifyOrder(q.Order, versionsOf(a.sealing), now)
	if err != nil {
		return "", problem.Refused(problem.CodeForbidden, "erasure-order", "%w", err)
	}
	if order.Purpose != jws.Hash(q.Purpose) || order.Hearing != q.Hearing {
		return "", problem.Refused(problem.CodeForbidden, "erasure-order", "the order was given for another purpose or hearing")
	}
	who, _, _, err := a.prove(ctx, q.Person, viewing.Expected{Act: viewing.ActErase, Viewing: order.Erasure, Hearing: q.Hearing, Purpose: q.Purpose, Now: now})
	if err != nil {
		return "", err
	}
	if who == order.Asker {
		return "", problem.Refused(problem.CodeForbidden, "erasure-second-person", "nobody confirms the own order")
	}
	if err := g.ofCase(order.Case, order.Hearing); err != nil {
		return "", err
	}
	message, err := g.eraseCase(ctx, order.Case, []keyring.Kind{keyring.Recording, keyring.Records}, false,
		retention.Tombstone{Rule: retention.ByOrder, Order: jws.Hash(q.Order), Persons: []string{order.Asker, who}})
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.viewings, func(_ string, v *approved) bool { return v.key.Case == order.Case.String() })
	return message, nil
}
