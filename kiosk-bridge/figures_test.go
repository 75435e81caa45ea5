package kioskbridge_test

import (
	"context"
	"testing"
	"time"

	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// M6: how many visits people had to go on with, needed another try, or did a step
// again, and what searches for duplicates came to. Who only pays is none of them.
func TestFiguresSayWhichWaysPeopleTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := func(v emrtdtest.Variant, s tunnel.Service, tries int, want tunnel.Result) {
		t.Helper()
		h := with(w.passport(v))
		if tries > 1 {
			h.take[ticket.StepChip] = func(tunnel.Ask) (tunnel.Capture, error) {
				return tunnel.Capture{Result: tunnel.TakenDone, Tries: tries}, nil
			}
		}
		if out, err := w.visit(h, s); err != nil || out.Result != want {
			t.Fatalf("%v: %+v %v", v, out, err)
		}
	}
	hold(emrtdtest.AlteredDG2, tunnel.ServiceInterview, 2, tunnel.ResultDesk)
	hold(emrtdtest.Genuine, tunnel.ServiceIdentity, 1, tunnel.ResultDone)
	hold(emrtdtest.Genuine, tunnel.ServicePay, 1, tunnel.ResultDone)
	d := w.desk()
	d.CountsDuplicates(func(_ context.Context, since time.Time) (kioskbridge.DuplicateFigures, error) {
		if time.Since(since) < 23*time.Hour {
			t.Errorf("since %s", since)
		}
		return kioskbridge.DuplicateFigures{Searched: 3, Found: 2, Same: 1}, nil
	})
	f, err := d.Visits(t.Context())
	if err != nil || f.Visits != 2 || f.ToDesk != 1 || f.Retried != 1 || f.Again != 0 || f.Duplicates.Found != 2 {
		t.Errorf("%+v %v", f, err)
	}
}
