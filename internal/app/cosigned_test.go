package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"kuule/internal/audit"
	auditremote "kuule/internal/audit/remote"
	"kuule/internal/bus"
	"kuule/interview"
	"kuule/interview/ledger"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/signaling"
)

// The log is brought up to date, to be cosigned, when a hearing goes on record, at each
// pause and at its end: what happened until then stands in a checkpoint that devices
// outside the agency are asked to sign.
func TestTheLogIsCosignedAtStartPausesAndEnd(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	g.door.bridge = &kioskbridge.Bridge{}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.OpenLog(t.TempDir(), "kuule.test/log", key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	g.door.in.trust.LogKey = log.Key()
	nobody := func(string) (string, error) { return "", errors.New("nobody cosigns here") }
	if err := auditremote.Serve(g.bus.Connect(t, bus.Main(bus.Authority)), log, nobody); err != nil {
		t.Fatal(err)
	}
	h := g.world.Hearing
	chair := h.Seats[slices.IndexFunc(h.Seats, func(s interview.Seat) bool { return s.Device == g.world.Desk })].Participant
	if _, err := g.world.Store.OpenRoom(t.Context(), h.ID, 1); err != nil {
		t.Fatal(err)
	}
	size := uint64(0)
	for _, to := range []interview.Phase{interview.PhaseOnRecord, interview.PhasePaused, interview.PhaseOnRecord, interview.PhaseEnded} {
		e := interview.Event{Hearing: h.ID, Type: eventBackupGone, Fields: map[string]any{"device": g.world.Terminal, "why": "age"}} // something that happened
		if err := (ledger.Outbox{}).Append(t.Context(), g.door.db, e); err != nil {
			t.Fatal(err)
		}
		if _, err := (hearings{g.door}).Ask(t.Context(), h.ID, signaling.PhaseRequest{To: to, Cause: interview.CauseInterviewer, By: chair, Reason: "test", Durable: true}); err != nil {
			t.Fatalf("%s: %v", to, err)
		}
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			text, err := log.Checkpoint(t.Context())
			if err == nil {
				c, err := audit.VerifyCheckpoint(text, log.Key(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if c.Size > size {
					size = c.Size
					break
				}
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the log has %d entries and no more: %v", to, size, err)
			}
		}
	}
}
