package kiosk_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

const zoneOfAPart = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"

// B1: a document reader behind the contract waits for the document.
func TestADocumentReaderBehindTheContract(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	reader := &kiosk.OpticsPart{Client: vendorporttest.Client(t, vendorporttest.Optics(func() *vendorport.Inspected {
		if asked.Add(1) < 3 {
			return vendorporttest.Specimen("") // nothing lies there yet
		}
		return vendorporttest.Specimen(zoneOfAPart)
	}))}
	zone, err := reader.Zone(t.Context())
	if err != nil || zone != zoneOfAPart || asked.Load() != 3 {
		t.Errorf("%q after %d, %v", zone, asked.Load(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reader.Zone(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a person who left: %v", err)
	}
}

// A part that answers at once is not asked without a pause.
func TestADocumentWithoutAZoneIsWaitedFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	reader := &kiosk.OpticsPart{Client: vendorporttest.Client(t, vendorporttest.Optics(func() *vendorport.Inspected {
		asked.Add(1)
		return vendorporttest.Specimen("")
	}))}
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	if _, err := reader.Zone(ctx); !errors.Is(err, context.DeadlineExceeded) || asked.Load() > 3 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
}

// B4: over the contract as anywhere: three tries, then another way.
func TestAFingerprintScannerBehindTheContract(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scan   func(finger, attempt int) vendorport.Captured
		reason string
		tries  int
	}{
		"good":         {func(f, _ int) vendorport.Captured { return vendorporttest.Finger(7, f, 80) }, "", 1},
		"at the third": {func(f, a int) vendorport.Captured { return vendorporttest.Finger(7, f, 20*a) }, "", 2},
		"worn":         {func(f, _ int) vendorport.Captured { return vendorporttest.Finger(7, f, 9) }, fingerprint.ReasonLowQuality, 3},
		"nobody":       {func(int, int) vendorport.Captured { return vendorporttest.NoFinger() }, fingerprint.ReasonNotLaid, 3},
		"broken": {func(int, int) vendorport.Captured {
			return vendorport.Captured{Reason: vendorport.ReasonPartBroken}
		}, fingerprint.ReasonPartBroken, 1},
	} {
		part := &kiosk.FingerPart{Client: vendorporttest.Client(t, vendorporttest.Fingers(c.scan))}
		r, err := fingerprint.Take(t.Context(), part, []int{2}, 1, fingerprint.Floor)
		if err != nil || r.Reason != c.reason || r.Fingers[0].Tries != c.tries {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
