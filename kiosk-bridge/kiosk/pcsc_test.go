package kiosk_test

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
)

// reader is what pcscd calls the virtual reader's first slot.
const reader = "pcsc:Virtual PCD"

// pcscd starts this machine's PC/SC service unless it runs. There is one of it
// on a machine, and one card on a reader: tests of it do not run in parallel.
func pcscd(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stop, err := emrtdtest.StartService(ctx)
	if errors.Is(err, emrtdtest.ErrNoService) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// missing skips where a person works without the packages; the test suite's own
// machine has them.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// lay puts a chip on the virtual reader.
func lay(t *testing.T, card emrtdtest.Transmitter) {
	t.Helper()
	waitFor(t, "virtual reader", func() bool {
		stop, err := emrtdtest.PlugIn(t.Context(), emrtdtest.Slots[0].Address, card)
		if err == nil {
			t.Cleanup(stop)
		}
		return err == nil
	})
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// open waits until the service has seen the card.
func open(t *testing.T) kiosk.Card {
	t.Helper()
	var card kiosk.Card
	waitFor(t, "card", func() (ok bool) {
		c, err := kiosk.OpenCard(t.Context(), reader)
		if err != nil && !errors.Is(err, kiosk.ErrNoCard) && !strings.Contains(err.Error(), "PC/SC service") && !strings.Contains(err.Error(), "no reader") {
			t.Fatal(err)
		}
		card = c
		return err == nil
	})
	return card
}

// B1: a passport on a reader of the machine's PC/SC service, read through real
// pcscd: PACE, secure messaging and every check, as with the chip in hand.
func TestPassportThroughPCSC(t *testing.T) { //nolint:paralleltest // one pcscd, one reader
	pcscd(t)
	state, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := state.Issue(emrtdtest.Person{Surname: "DOE", GivenNames: "JO", DocumentNumber: "A1", DateOfBirth: "800101"}, emrtdtest.WithAll)
	if err != nil {
		t.Fatal(err)
	}
	lay(t, p.Card())
	card := open(t)
	defer func() { _ = card.Close() }()
	zone, err := emrtd.ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := (&emrtd.Inspector{Chunk: 2048}).Inspect(t.Context(), card, zone)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{emrtd.CheckAccess, emrtd.CheckDG1, emrtd.CheckDG2, emrtd.CheckActiveAuth, emrtd.CheckChipAuth} {
		if got := doc.Check(name); got.Verdict != interview.Verified {
			t.Errorf("%s through pcscd: %+v", name, got)
		}
	}
}

// B12: a chip that answers the reader but no command ends the reading with a
// silent chip, not with a kiosk that hangs.
func TestSilentChipThroughPCSC(t *testing.T) { //nolint:paralleltest // one pcscd, one reader
	pcscd(t)
	lay(t, silent{})
	card := open(t)
	defer func() { _ = card.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if out, err := card.Transmit(ctx, []byte{0, 0x84, 0, 0, 8}); !errors.Is(err, kiosk.ErrNoCard) {
		t.Errorf("%x %v", out, err)
	}
}

type silent struct{}

func (silent) Transmit(context.Context, []byte) ([]byte, error) { return nil, emrtdtest.ErrSilent }
func (silent) Reset()                                           {}

func TestReaderThatIsNotThere(t *testing.T) { //nolint:paralleltest // one pcscd, one reader
	pcscd(t)
	waitFor(t, "service", func() bool {
		_, err := kiosk.OpenCard(t.Context(), "pcsc:No such reader")
		return err != nil && strings.Contains(err.Error(), "no reader is called")
	})
}

// A kiosk looks for a card four times a second for as long as somebody looks for
// their passport: the service, which takes two hundred lines, answers after that
// as before.
func TestLookingForACardHoldsOneLine(t *testing.T) { //nolint:paralleltest // one pcscd, one reader
	pcscd(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close forgotten lines
	for range 250 {
		card, err := kiosk.OpenCard(t.Context(), "pcsc:"+emrtdtest.Slots[1].Name)
		if err == nil {
			t.Fatal(errors.Join(errors.New("there is a card"), card.Close()))
		}
		if !errors.Is(err, kiosk.ErrNoCard) {
			t.Fatal(err)
		}
	}
	lay(t, silent{})
	_ = open(t).Close()
}
