package app

import (
	"context"
	"errors"
	"maps"
	"slices"
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
		Case  interview.CaseID `json:"case"`
		Until int64            `json:"until"` // Unix seconds
	}
	caseHold struct {
		Case interview.CaseID `json:"case"`
		Hold string           `json:"hold"`
		On   bool             `json:"on"`
	}
	dueQuestion struct {
		Case  interview.CaseID `json:"case"`
		Kinds []keyring.Kind   `json:"kinds"`
		Rules int              `json:"rules"` // version
	}
	needlessQuestion struct {
		Note  interview.NoteID `json:"note"`
		Rules int              `json:"rules"`
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
			return none{}, g.extend(q.Case, time.Unix(q.Until, 0))
		}),
		bus.Handle(conn, "erasure.hold", func(_ context.Context, _ bus.Name, q caseHold) (none, error) {
			return none{}, g.hold(q.Case, q.Hold, q.On)
		}),
		bus.Handle(conn, "erasure.due", func(ctx context.Context, _ bus.Name, q dueQuestion) (erasureAnswer, error) {
			m, err := g.eraseDue(ctx, q)
			return erasureAnswer{m}, err
		}),
		bus.Handle(conn, "erasure.needless", func(ctx context.Context, _ bus.Name, q needlessQuestion) (erasureAnswer, error) {
			m, err := g.erase(ctx, q.Note.String(), []keyring.Kind{keyring.Special}, retention.Tombstone{Rule: retention.ByNeedless, Rules: q.Rules})
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

// eraseDue erases what the clock ends. That it is due is the door's word; that
// the time which the case was once given has come, and that no hold lies on it,
// authority knows itself.
func (g *graveyard) eraseDue(ctx context.Context, q dueQuestion) (string, error) {
	if slices.Contains(q.Kinds, keyring.Special) {
		return "", problem.New(problem.CodeMalformed, "a case has no such key")
	}
	if err := g.free(q.Case, true); err != nil {
		return "", err
	}
	return g.erase(ctx, q.Case.String(), q.Kinds, retention.Tombstone{Rule: retention.ByClock, Rules: q.Rules})
}

// orderErasure signs that one person ordered an erasure before its time.
func (a *authority) orderErasure(ctx context.Context, g *graveyard, q orderQuestion) (string, error) {
	if strings.TrimSpace(q.Purpose) == "" || !viewing.CheckErasure(q.Erasure) {
		return "", problem.New(problem.CodePurposeNeeded, "erasure of %s", q.Case)
	}
	if err := g.free(q.Case, false); err != nil {
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
	order, err := retention.VerifyOrder(q.Order, a.sealing.Public(), now)
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
	if err := errors.Join(g.free(order.Case, false), g.ofCase(order.Case, order.Hearing)); err != nil {
		return "", err
	}
	message, err := g.erase(ctx, order.Case.String(), []keyring.Kind{keyring.Recording, keyring.Records},
		retention.Tombstone{Rule: retention.ByOrder, Order: jws.Hash(q.Order), Persons: []string{order.Asker, who}})
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.viewings, func(_ string, v *approved) bool { return v.key.Case == order.Case.String() })
	return message, nil
}
