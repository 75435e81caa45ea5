package ledger

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"kuule/internal/audit"
	"kuule/interview"
)

// types by name, with their fields.
var types = define(
	audit.Define("case.created", 1, "case"),
	audit.Define("hearing.booked", 1, "case", "mode", "opens", "closes", "seats"),
	audit.Define("hearing.anchor", 1, "kind", "at", "wall", "mono", "epoch"),
	audit.Define("room.join", 1, "device", "rule", "outcome"),
	audit.Define("recording.head", 1, "recording", "seq", "head"),
	audit.Define("viewing.asked", 1, "viewing", "by", "approver", "purpose_hash"),
	audit.Define("viewing.decided", 1, "viewing", "by", "decision", "expires", "reason_hash"),
	audit.Define("recording.viewed", 2, "viewing", "by", "opening", "purpose_hash"),
	audit.Define("recording.span", 1, "viewing", "opening", "kind", "from", "to", "begun", "ended"),
	audit.Define("recording.exported", 2, "viewing", "by", "opening", "form", "place"),
	audit.Define("recording.released", 1, "viewing", "by", "opening", "form", "intended_hash"),
	audit.Define("recording.medium", 1, "viewing", "medium", "form", "intended_hash"),
	audit.Define("backup.granted", 1, "grant", "spans", "length"),
	audit.Define("backup.taken", 1, "grant", "member", "recordings", "kept", "unproved"),
	audit.Define("backup.released", 2, "release", "devices", "loss"),
	audit.Define("backup.gone", 1, "device", "why"),
	audit.Define("recording.handed", 1, "viewing", "medium", "receiver_hash", "on"),
	audit.Define("phase.changed", 1, "seq", "phase", "cause", "at", "by"),

	audit.Define("agreement.step", 1, "agreement", "state", "revision", "generation"),
	audit.Define("agreement.device-revoked", 1, "agreement", "device", "generation"),

	audit.Define("retention.moved", 1, "case", "kind", "on", "by"),
	audit.Define("retention.hold", 1, "case", "hold", "ground", "by", "on"),
	audit.Define("retention.extended", 1, "case", "extension", "until", "by", "approved"),
	audit.Define("retention.marked", 1, "grounds", "class", "by"),
	audit.Define("retention.note", 1, "note", "class", "by", "needless"),
	audit.Define("erasure.ordered", 1, "case", "erasure", "by", "purpose_hash"),
	audit.Define("erasure.files", 1, "subject", "recorder", "deleted", "left", "until", "at"),
	audit.Define("erasure.done", 1, "subject", "kinds", "rule", "rules", "at", "proof"),

	audit.Define("kiosk.visit", 2, "visit", "participant", "kiosk", "site", "route", "result", "assurance", "evidence", "policy", "ticket"),
	audit.Define("kiosk.notice", 1, "kiosk", "part", "code"),
	audit.Define("kiosk.trust-list", 1, "sequence", "version"),
	audit.Define("desk.word", 1, "visit", "method", "officer", "device", "signed"),
	audit.Define("desk.handover", 1, "visit", "officer"),
	audit.Define("kiosk.duplicate", 1, "visit", "participant"),
	audit.Define("desk.duplicate", 1, "visit", "settlement", "officer"),
	audit.Define("kiosk.read", 1, "visit", "pieces", "by", "purpose_hash"),
	audit.Define("desk.call", 1, "call", "kiosk", "answered", "officer"),
	audit.Define("kiosk.redeemed", 1, "ticket", "participant", "device", "purpose"),
	audit.Define("kiosk.face-compared", 1, "ticket", "participant", "n", "occasion", "word", "reason", "engine", "threshold"),
	audit.Define("kiosk.face-said", 1, "ticket", "participant", "n", "said", "by"),

	audit.Define("transcript.sealed", 1, "record", "version", "previous", "hash"),
	audit.Define("transcript.delivered", 1, "record", "participant", "language", "rule", "deadline"),
	audit.Define("transcript.received", 1, "record", "participant"),
	audit.Define("transcript.amended", 1, "record", "amendment", "number", "kind", "by", "channel", "late"),
	audit.Define("transcript.answered", 1, "amendment", "decision"),
	audit.Define("transcript.outcome", 1, "record", "outcome", "by"),
)

func define(list ...audit.Type) map[string]audit.Type {
	m := map[string]audit.Type{}
	for _, t := range list {
		m[t.Name] = t
	}
	return m
}

// Outbox is interview.Outbox over internal/audit.
type Outbox struct{}

// Interface guard.
var _ interview.Outbox = Outbox{}

// Append implements interview.Outbox.
func (Outbox) Append(ctx context.Context, tx bun.IDB, e interview.Event) error {
	made, err := event(e)
	if err != nil {
		return err
	}
	return audit.Record(ctx, tx, made)
}

// Check reports whether the event is one of the types here, with their fields.
func Check(e interview.Event) error {
	_, err := event(e)
	return err
}

func event(e interview.Event) (audit.Event, error) {
	t, ok := types[e.Type]
	if !ok {
		return audit.Event{}, fmt.Errorf("event type %q is not in the ledger's list", e.Type)
	}
	return t.New(e.Hearing.String(), e.Fields)
}
