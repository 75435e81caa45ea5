package app

import (
	"context"
	"crypto"
	"encoding/json"

	"github.com/uptrace/bun"

	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/interview"
	"kuule/interview/record"
	"kuule/recorder/evidence"
	"kuule/transcript"
)

func newTranscripts(d *door, db *bun.DB, outbox interview.Outbox, sealingKey crypto.PublicKey) *transcript.Store {
	return transcript.NewStore(db, transcript.Config{
		Hearings: d.hearings, Sealer: d.sealer, Authority: busSeal{d.conn}, SealingKey: sealingKey, Outbox: outbox,
	})
}

// busSeal has authority seal what the door has made.
type busSeal struct{ conn *bus.Conn }

// SealRecord implements transcript.Authority.
func (b busSeal) SealRecord(ctx context.Context, r record.Record) (string, error) {
	return b.seal(ctx, record.Type, r)
}

// SealEvidence implements evidence.Sealer.
func (b busSeal) SealEvidence(ctx context.Context, m evidence.Manifest) (string, error) {
	return b.seal(ctx, evidence.TypeEvidence, m)
}

func (b busSeal) seal(ctx context.Context, typ string, payload any) (string, error) {
	text, err := canon.Marshal(payload)
	if err != nil {
		return "", err
	}
	var out sealAnswer
	err = b.conn.Call(ctx, bus.Main(bus.Authority), "seal", sealQuestion{Type: typ, Payload: json.RawMessage(text)}, &out)
	return out.Message, err
}
