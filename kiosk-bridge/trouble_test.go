package kioskbridge_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/tunnel"
)

// told is what waits at the desk of parts of kiosks: "part code".
func (w *world) told() []string {
	w.t.Helper()
	notices, err := w.desk().Notices(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]string, 0, len(notices))
	for _, n := range notices {
		out = append(out, string(n.Part)+" "+n.Code)
	}
	return out
}

func (w *world) count(table string) int {
	w.t.Helper()
	n, err := w.db.NewSelect().TableExpr(table).Count(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return int(n)
}

// Bad input and broken parts: each has a named outcome with the next step for the
// person, a word for staff, and leaves nothing that need not be (B12, B14, B19).
func TestTroubleHasAWayOnAndAWordForStaff(t *testing.T) {
	t.Parallel()
	failed := func(reason string) func(tunnel.Ask) (tunnel.Capture, error) {
		return func(tunnel.Ask) (tunnel.Capture, error) {
			return tunnel.Capture{Result: tunnel.TakenFailed, Reason: reason, Tries: 3}, nil
		}
	}
	specimen := emrtdtest.Person{Surname: "SPECIMEN", GivenNames: "ANNA", DocumentNumber: "L898902C3", DateOfBirth: "740812", Sex: "F"}
	// A codestream of 49 bytes that would unfold to 3.6 gigapixels.
	stream := []byte{0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0}
	for _, n := range []uint32{60000, 60000, 0, 0, 60000, 60000, 0, 0} {
		stream = binary.BigEndian.AppendUint32(stream, n)
	}
	bomb := holder
	bomb.Portrait = string(append(stream, 0, 1, 7, 1, 1, 0xFF, 0xD9))
	for name, c := range map[string]struct {
		chip   emrtdtest.Variant
		who    *emrtdtest.Person
		spoil  func(*hands)
		result tunnel.Result
		check  interview.Check // that tells the interviewer or the desk why
		told   string          // to staff; "" nothing
	}{
		"20 MB of portrait": {chip: emrtdtest.HugeDG2, result: tunnel.ResultDesk, check: interview.Check{Name: emrtd.CheckDG2, Verdict: interview.Undetermined, Reason: emrtd.ReasonTooLarge}, told: "document too-large"},
		"chip falls silent": {chip: emrtdtest.TornChip, result: tunnel.ResultDesk, told: "document chip-silent"},
		"dead chip":         {chip: emrtdtest.DeadChip, result: tunnel.ResultAgain, check: interview.Check{Name: emrtd.CheckAccess, Verdict: interview.Undetermined, Reason: emrtd.ReasonChipSilent}, told: "document chip-silent"},
		"specimen":          {chip: emrtdtest.Genuine, who: &specimen, result: tunnel.ResultDesk, check: interview.Check{Name: kioskbridge.CheckSpecimen, Verdict: interview.Failed, Reason: kioskbridge.ReasonSpecimen}, told: "document specimen"},
		"camera gone": {chip: emrtdtest.Genuine, spoil: func(h *hands) { h.take[ticket.StepFace] = failed(tunnel.ReasonCameraGone) }, result: tunnel.ResultJoin,
			check: interview.Check{Name: emrtd.CheckFace, Verdict: interview.NotDone, Reason: tunnel.ReasonCameraGone}, told: "camera camera-gone"},
		"two persons": {chip: emrtdtest.Genuine, spoil: func(h *hands) { h.take[ticket.StepFace] = failed(tunnel.ReasonTwoPersons) }, result: tunnel.ResultJoin,
			check: interview.Check{Name: emrtd.CheckFace, Verdict: interview.NotDone, Reason: tunnel.ReasonTwoPersons}, told: "camera two-persons"},
		"camera breaks": {chip: emrtdtest.Genuine, spoil: func(h *hands) {
			h.take[ticket.StepFace] = func(tunnel.Ask) (tunnel.Capture, error) { return tunnel.Capture{}, errors.New("unplugged") }
		}, result: tunnel.ResultJoin, check: interview.Check{Name: emrtd.CheckFace, Verdict: interview.NotDone, Reason: tunnel.ReasonPartBroken}, told: "camera part-broken"},
		"person declines the picture": {chip: emrtdtest.Genuine, spoil: func(h *hands) {
			h.take[ticket.StepFace] = func(tunnel.Ask) (tunnel.Capture, error) { return tunnel.Capture{Result: tunnel.TakenDeclined}, nil }
		}, result: tunnel.ResultJoin, check: interview.Check{Name: emrtd.CheckFace, Verdict: interview.NotDone, Reason: "declined"}},
		"JPEG 2000 bomb": {chip: emrtdtest.Genuine, who: &bomb, result: tunnel.ResultJoin,
			check: interview.Check{Name: emrtd.CheckFace, Verdict: interview.Undetermined, Reason: emrtd.ReasonUnreadable}, told: "document unreadable"},
		"chip reader broken": {chip: emrtdtest.Genuine, spoil: func(h *hands) { h.take[ticket.StepChip] = failed(tunnel.ReasonPartBroken) }, result: tunnel.ResultDesk,
			check: interview.Check{Name: emrtd.CheckAccess, Verdict: interview.NotDone, Reason: emrtd.ReasonChipNotRead}, told: "chip-reader part-broken"},
		"nobody lays the document": {chip: emrtdtest.Genuine, spoil: func(h *hands) { h.take[ticket.StepChip] = failed(tunnel.ReasonTimedOut) }, result: tunnel.ResultAgain, told: "chip-reader timed-out"},
		"document reader broken":   {chip: emrtdtest.Genuine, spoil: func(h *hands) { h.take[ticket.StepDocument] = failed(tunnel.ReasonPartBroken) }, result: tunnel.ResultDesk, told: "document-reader part-broken"},
	} {
		w := newWorld(t, (&engine{finding: claims, living: isThere}).into, func(c *kioskbridge.Config) { c.Decode = engines.Decode })
		who := holder
		if c.who != nil {
			who = *c.who
			w.booking.Person.Name = strings.ToLower(who.GivenNames + " " + who.Surname)
		}
		p, err := w.state.Issue(who, c.chip)
		if err != nil {
			t.Fatal(err)
		}
		h := with(p)
		if c.spoil != nil {
			c.spoil(h)
		}
		out, err := w.visit(h, tunnel.ServiceInterview)
		if err != nil || out.Result != c.result || out.Way == "" {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		if (out.Handover != "") != (out.Result == tunnel.ResultDesk) {
			t.Errorf("%s: code for the desk %q with result %s", name, out.Handover, out.Result)
		}
		checks, err := w.last().Verdicts()
		if err != nil {
			t.Fatal(err)
		}
		if c.check.Name != "" && !slices.Contains(checks, c.check) {
			t.Errorf("%s: told %v, want %v", name, checks, c.check)
		}
		if got := strings.Join(w.told(), ", "); got != c.told {
			t.Errorf("%s: staff are told %q, want %q", name, got, c.told)
		}
		if n := w.count("kiosk_piece"); n != 0 {
			t.Errorf("%s: %d captures were kept", name, n)
		}
		w.nothingHolds(map[string][]byte{"live picture": live, "surname": []byte(who.Surname), "reference": []byte(reference)})
	}
}

// What breaks the tunnel itself leaves no visit at all, only a word for staff.
func TestBrokenTunnelLeavesNoVisit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play func(*world, *script)
		code problem.Code // to the kiosk; "" it has gone
		told string
	}{
		"kiosk goes mid-read": {func(w *world, s *script) {
			s.document(w.passport(emrtdtest.Genuine))
			_ = s.receive(tunnel.TypeAPDU, &tunnel.APDU{})
			_ = s.conn.Close()
		}, "", "network kiosk-gone"},
		"torn stream of APDUs": {func(w *world, s *script) {
			s.document(w.passport(emrtdtest.Genuine))
			_ = s.receive(tunnel.TypeAPDU, &tunnel.APDU{})
			s.send(tunnel.TypeAnswer, tunnel.Answer{N: 3, Response: "kAA="})
		}, problem.CodeKioskVisit, "network strange"},
		"20 MB of picture": {func(w *world, s *script) {
			s.begin()
			s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview})
			_ = s.receive(tunnel.TypeAsk, &s.ask)
			s.send(tunnel.TypeTaken, tunnel.Taken{N: 1, Step: ticket.StepDocument, Result: tunnel.TakenDone, Artefacts: []tunnel.Artefact{{Kind: "page-visible", Format: "image/jpeg", Bytes: 20 << 20, SHA256: "x"}}})
		}, problem.CodeTooLarge, "document too-large"},
	} {
		w := newWorld(t)
		s := w.script(t)
		c.play(w, s)
		if c.code != "" {
			if err := s.receive(tunnel.TypeOutcome, &tunnel.Outcome{}); problem.Of(err).Code != c.code || problem.Of(err).Way == "" {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
		waitFor(t, func() bool { return len(w.told()) > 0 })
		if got := strings.Join(w.told(), ", "); got != c.told {
			t.Errorf("%s: staff are told %q, want %q", name, got, c.told)
		}
		if n := w.count("kiosk_visit") + w.count("kiosk_ticket") + w.count("kiosk_piece"); n != 0 {
			t.Errorf("%s: %d rows were kept", name, n)
		}
	}
}

// A kiosk's wrong clock is told to staff and changes nothing: times come from a
// stopwatch, and where that is wrong too, from the bridge.
func TestWrongClockStopsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.script(t)
	s.wall = time.Now().Add(-300 * 24 * time.Hour)
	e := s.evidence(w.passport(emrtdtest.Genuine))
	if e.Evidence == "" {
		t.Error("no evidence")
	}
	// The scripted kiosk has a chip that says nothing.
	if got := strings.Join(w.told(), ", "); got != "clock clock-wrong, document chip-silent" {
		t.Errorf("staff are told %q", got)
	}
	now := time.Now()
	fast := newWorld(t)
	fast.kiosk = fast.newDevice()
	client := fast.client()
	client.Now = func() time.Time { return now.Add(100 * time.Since(now)) } // a stopwatch that runs away
	p := fast.passport(emrtdtest.Genuine)
	h := with(p)
	h.take[ticket.StepChip] = func(tunnel.Ask) (tunnel.Capture, error) { time.Sleep(60 * time.Millisecond); return done(), nil }
	out, err := client.Hold(t.Context(), tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview}, now, h)
	if err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", out, err)
	}
	if got := strings.Join(fast.told(), ", "); got != "clock clock-wrong" {
		t.Errorf("staff are told %q", got)
	}
	if took := fast.lastSteps().Took(); took > 5000 {
		t.Errorf("the bridge believes a stopwatch that ran away: %d ms", took)
	}
}

// A part that no step of a visit uses is told by the kiosk's program: a printer
// without paper. Told again it counts; an officer sees to it once.
func TestPrinterWithoutPaperIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, kiosk := w.desk(), interview.NewDeviceID()
	for range 3 {
		if err := d.Tell(t.Context(), kiosk, kioskbridge.PartPrinter, tunnel.ReasonNoPaper); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][2]string{{"toaster", tunnel.ReasonNoPaper}, {"printer", "on fire"}} {
		if err := d.Tell(t.Context(), kiosk, kioskbridge.Part(bad[0]), bad[1]); problem.Of(err).Code != problem.CodeMalformed {
			t.Errorf("%v: %v", bad, err)
		}
	}
	notices, err := d.Notices(t.Context())
	if err != nil || len(notices) != 1 || notices[0].Times != 3 || notices[0].Place != "Hall" {
		t.Fatalf("%+v %v", notices, err)
	}
	if events := strings.Join(w.outbox.Events(), " "); strings.Count(events, kioskbridge.EventKioskNotice) != 1 {
		t.Errorf("told %s", events)
	}
	if err := d.See(t.Context(), officer("a"), notices[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := d.See(t.Context(), officer("a"), interview.NewCallID()); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("seeing to nothing: %v", err)
	}
	if notices, err = d.Notices(t.Context()); err != nil || len(notices) != 0 {
		t.Errorf("still waits: %+v %v", notices, err)
	}
}

// B12: whom the machine asked to try once more, and for whom it is in vain again,
// is not sent round in circles: the second time leads to the desk, with what was
// done so far. Somebody else's try counts for nobody.
func TestSecondTryInVainLeadsToTheDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead := w.passport(emrtdtest.DeadChip)
	visit := func() tunnel.Outcome {
		t.Helper()
		w.kiosk = w.newDevice()
		out, err := w.client().Visit(t.Context(), reference, dead.Printed, dead.Card())
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := visit(); out.Result != tunnel.ResultAgain || out.Handover != "" {
		t.Errorf("the first time: %+v", out)
	}
	mine := w.booking.Participant
	w.booking.Participant = interview.NewParticipantID()
	if out := visit(); out.Result != tunnel.ResultAgain {
		t.Errorf("another person's first time: %+v", out)
	}
	w.booking.Participant = mine
	if out := visit(); out.Result != tunnel.ResultDesk || out.Handover == "" {
		t.Errorf("the second time: %+v", out)
	}
}
