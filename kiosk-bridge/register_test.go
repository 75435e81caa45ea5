package kioskbridge_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

const (
	diary       = "UMA/4711/2026"
	cardNumber  = "A294711"
	measuredBy  = "a laboratory of the test"
	holdersHand = uint16(7)
)

// impression is a print with forty minutiae that nobody else has; its last bytes
// name the person, as the simulator of a matcher reads them.
func impression(person uint16, position, quality int) vendorport.Captured {
	b := []byte("FMR\x00 20\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range []uint16{256, 360, 197, 197} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = append(b, 1, 0, byte(position), 0, byte(quality), 40)
	noise := make([]byte, 40*4)
	_, _ = rand.Read(noise)
	for m := range slices.Chunk(noise, 4) {
		b = append(b, 0x40, m[0], 0, m[1], m[2], m[3])
	}
	b = append(b, 0, 2, byte(person>>8), byte(person))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
	return vendorport.Captured{Taken: true, Quality: quality, Template: vendorport.Template{Format: vendorport.FormatFinger, Data: b}}
}

// registered is the holder as the register has them, with both index fingers.
func registered() vendorporttest.Registered {
	return vendorporttest.Registered{
		Diary: diary, Number: cardNumber, Name: "ERIKSSON Anna Maria", Born: "1974-08-12",
		Finger: map[string][]byte{"finger-2": impression(holdersHand, 2, 80).Template.Data, "finger-7": impression(holdersHand, 7, 80).Template.Data},
	}
}

// house is an installation with a register, a matcher and a scanner behind the
// contract, and a kiosk's page before it.
type house struct {
	*world
	register, matcher, scanner *vendorporttest.Part
	dialer                     *websocket.Dialer
	url                        string
}

// parts say what a house has. A nil scan is a kiosk without a scanner.
type parts struct {
	people   []vendorporttest.Registered
	measured string
	scan     func(finger, attempt int) vendorport.Captured
	away     bool // the register
	passport bool // the holder has one
	adjust   func(*kioskbridge.Config)
}

func newHouse(t *testing.T, p parts) *house {
	t.Helper()
	h := &house{register: vendorporttest.Register(p.people...), matcher: vendorporttest.Fingers(nil)}
	h.matcher.Description.Measured = p.measured
	registry, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortRegister, URL: "unix:" + filepath.Join(t.TempDir(), "none"), Wait: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	if !p.away {
		registry = vendorporttest.Client(t, h.register)
	}
	matcher := vendorporttest.Client(t, h.matcher)
	adjust := []func(*kioskbridge.Config){func(c *kioskbridge.Config) {
		c.Register = engines.Register{Part: &engines.Part{Client: registry}}
		c.Fingers = engines.Maker{Part: &engines.Part{Client: matcher}}
	}}
	if p.adjust != nil {
		adjust = append(adjust, p.adjust)
	}
	h.world = newWorld(t, adjust...)
	h.booking.Diary = diary
	h.dialer, h.url, _ = h.screen(t, func(s *kiosk.Screen) {
		if p.scan != nil {
			h.scanner = vendorporttest.Fingers(p.scan)
			s.Fingers = &kiosk.FingerPart{Client: vendorporttest.Client(t, h.scanner)}
		}
		if !p.passport {
			s.Optics = optics(func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			})
		}
	})
	return h
}

// walk holds a visit as the page does: answer says what the person does at a step.
func (h *house) walk(t *testing.T, answer func(kiosk.ScreenStep) *kiosk.ScreenMessage) (steps []string, last kiosk.ScreenMessage) {
	t.Helper()
	conn := dialScreen(t, h.dialer, h.url)
	if err := conn.WriteJSON(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference}}); err != nil {
		t.Fatal(err)
	}
	for {
		var m kiosk.ScreenMessage
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatalf("after %v: %v", steps, err)
		}
		if m.Step == nil {
			return steps, m
		}
		switch m.Step.Step {
		case kiosk.StepFingers:
			steps = append(steps, fmt.Sprintf("finger %d, %d before", m.Step.Finger, m.Step.Done))
		case kiosk.StepApplicant:
			steps = append(steps, fmt.Sprintf("number, %d before", m.Step.Done))
		default:
		}
		if a := answer(*m.Step); a != nil {
			if err := conn.WriteJSON(a); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func choose(c kiosk.Choice) *kiosk.ScreenMessage {
	return &kiosk.ScreenMessage{Type: "choice", Choice: &kiosk.ScreenChoice{Choice: c}}
}

func number(text string, scanned bool) *kiosk.ScreenMessage {
	return &kiosk.ScreenMessage{Type: "applicant", Number: &kiosk.ScreenNumber{Number: text, Scanned: scanned}}
}

func (w *world) verdict(name string) string {
	w.t.Helper()
	checks, err := w.last().Verdicts()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == name {
			return string(c.Verdict) + " " + c.Reason
		}
	}
	return ""
}

func good(finger, _ int) vendorport.Captured { return impression(holdersHand, finger, 80) }

// B4: at the screen, by scanner, register and matcher behind the contract: a bad
// impression is taken again, three times at most, then another finger; whatever
// comes of it, who has a document goes on, unless a measured matcher says that
// it is somebody else's finger.
func TestFingersAtTheScreen(t *testing.T) {
	t.Parallel()
	worn := func(finger, _ int) vendorport.Captured { return impression(holdersHand, finger, 9) }
	nobody := func(int, int) vendorport.Captured { return vendorporttest.NoFinger() }
	broken := func(int, int) vendorport.Captured { return vendorport.Captured{Reason: vendorport.ReasonPartBroken} }
	noFingers := registered()
	noFingers.Finger = nil
	for name, c := range map[string]struct {
		scan     func(finger, attempt int) vendorport.Captured
		people   []vendorporttest.Registered
		measured string
		does     kiosk.Choice // at the first finger
		steps    []string
		check    string
		result   tunnel.Result
		told     string
		away     bool
	}{
		"the first impression":         {scan: good, steps: []string{"finger 2, 0 before"}, check: "asserted match"},
		"an unmeasured matcher's word": {scan: good, measured: "-", steps: []string{"finger 2, 0 before"}, check: "undetermined match"},
		"the third impression": {scan: func(f, attempt int) vendorport.Captured { return impression(holdersHand, f, 12*attempt) },
			steps: []string{"finger 2, 0 before", "finger 2, 1 before", "finger 2, 2 before"}, check: "asserted match"},
		"a worn finger, and another": {scan: func(f, _ int) vendorport.Captured { return impression(holdersHand, f, map[int]int{2: 9, 7: 70}[f]) },
			steps: []string{"finger 2, 0 before", "finger 2, 1 before", "finger 2, 2 before", "finger 7, 0 before"}, check: "asserted match"},
		"worn fingers": {scan: worn, steps: []string{"finger 2, 0 before", "finger 2, 1 before", "finger 2, 2 before", "finger 7, 0 before", "finger 7, 1 before", "finger 7, 2 before"},
			check: "not done low-quality", told: "finger-reader low-quality"},
		"nobody lays one": {scan: nobody, steps: []string{"finger 2, 0 before", "finger 2, 1 before", "finger 2, 2 before", "finger 7, 0 before", "finger 7, 1 before", "finger 7, 2 before"},
			check: "not done timed-out", told: "finger-reader timed-out"},
		"a broken scanner":        {scan: broken, steps: []string{"finger 2, 0 before"}, check: "not done part-broken", told: "finger-reader part-broken"},
		"not this finger":         {scan: good, does: kiosk.ChoiceNone, steps: []string{"finger 2, 0 before", "finger 7, 0 before"}, check: "asserted match"},
		"no fingers":              {scan: good, does: kiosk.ChoiceSkip, steps: []string{"finger 2, 0 before"}, check: "not done declined"},
		"another person's finger": {scan: func(f, _ int) vendorport.Captured { return impression(8, f, 80) }, steps: []string{"finger 2, 0 before"}, check: "undetermined no-match", result: tunnel.ResultDesk},
		"an unmeasured doubt":     {scan: func(f, _ int) vendorport.Captured { return impression(8, f, 80) }, measured: "-", steps: []string{"finger 2, 0 before"}, check: "undetermined no-match"},
		"none in the register":    {scan: good, people: []vendorporttest.Registered{noFingers}},
		"nobody in the register":  {scan: good, people: []vendorporttest.Registered{}},
		"a kiosk without scanner": {},
		"a register that is away": {scan: good, away: true, told: "engine engine-absent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parts{scan: c.scan, people: c.people, measured: measuredBy, away: c.away, passport: true}
			if p.people == nil {
				p.people = []vendorporttest.Registered{registered()}
			}
			if c.measured == "-" {
				p.measured = ""
			}
			left := make(chan struct{}) // who touches the screen lays no finger down
			leave := sync.OnceFunc(func() { close(left) })
			defer leave()
			if c.does != "" {
				p.scan = func(f, attempt int) vendorport.Captured {
					if f == 2 {
						<-left
						return vendorporttest.NoFinger()
					}
					return c.scan(f, attempt)
				}
			}
			h := newHouse(t, p)
			steps, last := h.walk(t, func(s kiosk.ScreenStep) *kiosk.ScreenMessage {
				if s.Step != kiosk.StepFingers || c.does == "" {
					return nil
				}
				if s.Finger == 2 {
					return choose(c.does)
				}
				leave()
				return nil
			})
			want := c.result
			if want == "" {
				want = tunnel.ResultJoin
			}
			if last.Outcome == nil || last.Outcome.Result != want {
				t.Fatalf("%+v %+v", last.Outcome, last.Problem)
			}
			if !slices.Equal(steps, c.steps) || h.verdict(kioskbridge.CheckFingers) != c.check {
				t.Errorf("asked for %v, and %q\nwant %v, and %q", steps, h.verdict(kioskbridge.CheckFingers), c.steps, c.check)
			}
			if got := strings.Join(h.told(), ", "); got != c.told {
				t.Errorf("staff are told %q, want %q", got, c.told)
			}
			if c.steps != nil && !strings.Contains(c.check, "part-broken") && c.does == "" && !strings.Contains(c.check, "timed-out") &&
				!strings.Contains(h.last().Checks, `"fingers.nfiq2-`) {
				t.Errorf("the quality is not kept: %s", h.last().Checks)
			}
		})
	}
}

// B12: who has no passport types the number of the document of an applicant, and
// a measured matcher finds the register's finger: a ticket of low assurance,
// with the way told to the interviewer. Each thing that is missing leads to an
// officer.
func TestTheWayOfAnApplicantsDocument(t *testing.T) {
	t.Parallel()
	none := choose(kiosk.ChoiceNone)
	renamed := registered()
	renamed.Name = "NIEMINEN Pekka"
	younger := registered()
	younger.Born = "1999-01-02"
	inArabic := registered()
	inArabic.Name = "آنا ماريا"
	for name, c := range map[string]struct {
		says     []*kiosk.ScreenMessage // each time that the number is asked for
		people   []vendorporttest.Registered
		booked   string // number that the booking knows
		measured string
		scan     func(finger, attempt int) vendorport.Captured
		skips    bool
		away     bool
		ticket   bool
		document string // the check of the number
		person   string // the check of the booked person
		looked   int    // questions to the register
	}{
		"typed":                         {says: []*kiosk.ScreenMessage{number("a29-4711", false)}, ticket: true, document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"scanned":                       {says: []*kiosk.ScreenMessage{number(cardNumber, true)}, ticket: true, document: "asserted scanned", person: "asserted names-in-other-order", looked: 1},
		"mistyped once":                 {says: []*kiosk.ScreenMessage{number("A294712", false), number(cardNumber, false)}, ticket: true, document: "asserted typed", person: "asserted names-in-other-order", looked: 2},
		"as booked":                     {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, booked: "A29 4711", ticket: true, document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"no card":                       {says: []*kiosk.ScreenMessage{none}, ticket: true, document: "not done not-there", person: "asserted names-in-other-order", looked: 1},
		"a name in another script":      {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, people: []vendorporttest.Registered{inArabic}, ticket: true, document: "asserted typed", person: "undetermined name-unknown", looked: 1},
		"mistyped twice":                {says: []*kiosk.ScreenMessage{number("A294712", false), number("A294713", false)}, document: "undetermined typed", looked: 2},
		"another number than booked":    {says: []*kiosk.ScreenMessage{number(cardNumber, false), number(cardNumber, false)}, booked: "B999999", document: "failed other-document-number"},
		"another person's name":         {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, people: []vendorporttest.Registered{renamed}, document: "asserted typed", person: "failed other-name", looked: 1},
		"another date of birth":         {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, people: []vendorporttest.Registered{younger}, document: "asserted typed", person: "failed other-birth-date", looked: 1},
		"another person's finger":       {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, scan: func(f, _ int) vendorport.Captured { return impression(8, f, 80) }, document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"worn fingers, and no face":     {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, scan: func(f, _ int) vendorport.Captured { return impression(holdersHand, f, 9) }, document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"no fingers":                    {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, skips: true, document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"a matcher nobody has measured": {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, measured: "-", document: "asserted typed", person: "asserted names-in-other-order", looked: 1},
		"a register that is away":       {says: []*kiosk.ScreenMessage{number(cardNumber, false)}, away: true, document: "undetermined typed"},
		"nobody in the register":        {says: []*kiosk.ScreenMessage{none}, people: []vendorporttest.Registered{}, document: "not done not-there", looked: 1},
		"somebody else's case":          {says: []*kiosk.ScreenMessage{number("C123456", false), number("C123456", false)}, people: []vendorporttest.Registered{{Diary: "UMA/1/2026", Number: "C123456", Name: "X"}}, document: "undetermined typed", looked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parts{people: c.people, measured: measuredBy, scan: c.scan, away: c.away}
			if p.people == nil {
				p.people = []vendorporttest.Registered{registered()}
			}
			if c.measured == "-" {
				p.measured = ""
			}
			if p.scan == nil {
				p.scan = good
			}
			left := make(chan struct{})
			defer close(left)
			if c.skips {
				p.scan = func(int, int) vendorport.Captured {
					<-left
					return vendorporttest.NoFinger()
				}
			}
			h := newHouse(t, p)
			h.booking.Person.ApplicantNumber = c.booked
			said := 0
			_, last := h.walk(t, func(s kiosk.ScreenStep) *kiosk.ScreenMessage {
				switch s.Step {
				case kiosk.StepDocument:
					return choose(kiosk.ChoiceNone)
				case kiosk.StepApplicant:
					if said++; s.Done != said-1 || said > len(c.says) {
						t.Errorf("number asked for the %d. time, %d before", said, s.Done)
						return choose(kiosk.ChoiceNone)
					}
					return c.says[said-1]
				case kiosk.StepFingers:
					if c.skips {
						return choose(kiosk.ChoiceSkip)
					}
					return nil
				default:
					return nil
				}
			})
			want := tunnel.ResultDesk
			if c.ticket {
				want = tunnel.ResultJoin
			}
			if last.Outcome == nil || last.Outcome.Result != want || (last.Outcome.Handover == "") != c.ticket {
				t.Fatalf("%+v %+v: %s", last.Outcome, last.Problem, h.last().Checks)
			}
			if said != len(c.says) || h.register.Asked() != c.looked {
				t.Errorf("the number was asked for %d times, the register %d times", said, h.register.Asked())
			}
			if got := []string{h.verdict(kioskbridge.CheckApplicant), h.verdict(kioskbridge.CheckBooked)}; got[0] != c.document || got[1] != c.person {
				t.Errorf("the interviewer is told %q, want %q %q", got, c.document, c.person)
			}
			r := h.last()
			if r.Route != ticket.RouteRegister {
				t.Errorf("route %s", r.Route)
			}
			if !c.ticket {
				return
			}
			shown, err := ticket.Shown(r.Evidence, time.Now())
			if err != nil || len(shown) == 0 || shown[0].Reason != "low (register)" || shown[0].Verdict != interview.Asserted {
				t.Errorf("how sure it is: %v %v", shown, err)
			}
			if got := h.claims(t, last.Outcome.Ticket); got.Assurance != ticket.AssuranceLow {
				t.Errorf("ticket of assurance %s", got.Assurance)
			}
			if strings.Contains(r.Checks+r.Steps+r.Journal+r.Evidence, cardNumber) {
				t.Error("the number lies open in the account of the visit")
			}
		})
	}
}

// What is no number, or belongs to another step, is passed over at the screen; a
// number that cannot be one is not looked up.
func TestTheNumberAtTheScreenIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, parts{people: []vendorporttest.Registered{registered()}, measured: measuredBy, scan: good})
	conn := dialScreen(t, h.dialer, h.url)
	for _, m := range []kiosk.ScreenMessage{{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference}}, *choose(kiosk.ChoiceNone)} {
		if err := conn.WriteJSON(m); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	for {
		var m kiosk.ScreenMessage
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Outcome != nil {
			if m.Outcome.Result != tunnel.ResultJoin || asked != 2 || h.register.Asked() != 2 {
				t.Errorf("%+v, the number asked for %d times, the register %d times", m.Outcome, asked, h.register.Asked())
			}
			return
		}
		if m.Problem != nil {
			t.Fatalf("%+v", m.Problem)
		}
		if m.Step == nil || m.Step.Step != kiosk.StepApplicant {
			continue
		}
		answers := []*kiosk.ScreenMessage{number("", false), number(strings.Repeat("A", 33), false), choose(kiosk.ChoiceSkip), number("B999999", false)}
		if asked++; asked == 2 {
			answers = []*kiosk.ScreenMessage{{Type: "zone", Zone: &kiosk.ScreenZone{Zone: "P<UTO"}}, number(cardNumber, true)}
		}
		for _, a := range answers {
			if err := conn.WriteJSON(a); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A number with letters of another script, too short or too long, is none: it is
// asked for at the register by nobody.
func TestANumberThatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"A1", "Ä294711", "A294_711", strings.Repeat("1", 21), "٤٧١١"} {
		e := &engine{finding: claims, pictures: []kioskbridge.Image{{Kind: "face", Format: "image/jpeg", Bytes: []byte("picture in the register")}}}
		w := newWorld(t, e.into)
		h := with(nil)
		h.take[ticket.StepApplicant] = func(tunnel.Ask) (tunnel.Capture, error) {
			return done(tunnel.Piece{Kind: tunnel.NumberTyped, Format: "text/plain", Bytes: []byte(text)}), nil
		}
		if _, err := w.visit(h, tunnel.ServiceInterview); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if len(e.looked) != 1 || e.looked[0].Number != "" || w.verdict(kioskbridge.CheckApplicant) != "not done unreadable" {
			t.Errorf("%s: looked up %v, told %q", text, e.looked, w.verdict(kioskbridge.CheckApplicant))
		}
	}
}

// B12, B3: without a passport, by the face alone, against the register's picture: a
// measured engine that says they match gives a ticket of low assurance; one that
// nobody measured, the reference engine among them, leaves it to an officer.
func TestTheRegistersFace(t *testing.T) {
	t.Parallel()
	drawn := facetest.New(2)
	now := drawn.JPEG(facetest.View{Width: 480, Height: 480, Yaw: 0.1, From: -0.4, Quality: 60, Noise: 3})
	maker := func(measured string) func(*testing.T) kioskbridge.Matcher {
		return func(t *testing.T) kioskbridge.Matcher {
			p := vendorporttest.Faces() // whose pictures match where they have the same size
			p.Description.Measured = measured
			return engines.Maker{Part: &engines.Part{Client: vendorporttest.Client(t, p)}}
		}
	}
	for name, c := range map[string]struct {
		engine func(*testing.T) kioskbridge.Matcher
		view   facetest.View // of the register's picture
		result tunnel.Result
		check  string
	}{
		"a measured engine's match": {maker(measuredBy), facetest.View{Width: 480, Height: 480}, tunnel.ResultJoin, "asserted match"},
		"a measured engine's doubt": {maker(measuredBy), facetest.View{Width: 300, Height: 400}, tunnel.ResultDesk, "undetermined no-match"},
		"an unmeasured one's match": {maker(""), facetest.View{Width: 480, Height: 480}, tunnel.ResultDesk, "undetermined match"},
		"the reference engine": {func(t *testing.T) kioskbridge.Matcher { return engines.Face{Engine: facetest.Engine(t)} }, facetest.View{Quality: 75},
			tunnel.ResultDesk, "undetermined reference-near"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person := registered()
			person.Face, person.Finger = drawn.JPEG(c.view), nil
			client := vendorporttest.Client(t, vendorporttest.Register(person))
			faces := c.engine(t)
			w := newWorld(t, func(k *kioskbridge.Config) {
				k.Faces, k.Register, k.Patience = faces, engines.Register{Part: &engines.Part{Client: client}}, time.Minute
			})
			w.booking.Diary = diary
			h := with(nil)
			h.take[ticket.StepApplicant] = func(tunnel.Ask) (tunnel.Capture, error) {
				return done(tunnel.Piece{Kind: tunnel.NumberTyped, Format: "text/plain", Bytes: []byte(cardNumber)}), nil
			}
			h.take[ticket.StepFace] = func(ask tunnel.Ask) (tunnel.Capture, error) {
				var frames []tunnel.Piece
				for range ask.Order {
					frames = append(frames, tunnel.Piece{Kind: "face", Format: "image/jpeg", Bytes: bytes.Clone(now)})
				}
				return done(frames...), nil
			}
			out, err := w.visit(h, tunnel.ServiceInterview)
			if err != nil || out.Result != c.result || w.verdict(kioskbridge.CheckRegisterFace) != c.check {
				t.Fatalf("%+v %v: %s", out, err, w.last().Checks)
			}
			if c.result == tunnel.ResultJoin && w.claims(t, out.Ticket).Assurance != ticket.AssuranceLow {
				t.Errorf("assurance %s", w.claims(t, out.Ticket).Assurance)
			}
		})
	}
}

// Where nothing could be compared, nobody is looked up in the register.
func TestNobodyIsLookedUpForNothing(t *testing.T) {
	t.Parallel()
	for name, passport := range map[string]bool{"with a passport": true, "without": false} {
		h := newHouse(t, parts{people: []vendorporttest.Registered{registered()}, passport: passport})
		_, last := h.walk(t, func(s kiosk.ScreenStep) *kiosk.ScreenMessage {
			if s.Step == kiosk.StepDocument && !passport {
				return choose(kiosk.ChoiceNone)
			}
			return nil
		})
		if last.Outcome == nil || h.register.Asked() != 0 || !passport && h.verdict(kioskbridge.CheckRegister) != "not done no-engine" {
			t.Errorf("%s: %+v, the register was asked %d times, %q", name, last, h.register.Asked(), h.verdict(kioskbridge.CheckRegister))
		}
	}
}

// eyes compares faces by what the reference is.
type eyes struct {
	chip, register kioskbridge.Finding
	mu             sync.Mutex
	references     int
}

func (e *eyes) Match(_ context.Context, q kioskbridge.MatchQuestion) (kioskbridge.Finding, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.references++
	if q.Reference.Kind == "portrait" {
		return e.chip, nil
	}
	return e.register, nil
}

// B3: who shows a passport is compared with its portrait and with the register's
// picture, with one look into the camera; each comparison keeps its score, line
// and engine.
func TestFacesAreComparedWithTheRegisterToo(t *testing.T) {
	t.Parallel()
	inRegister := kioskbridge.Finding{Verdict: interview.Asserted, Reason: "match", Score: 700_001, Threshold: "t2", Engine: "vendor 2"}
	face := []kioskbridge.Image{{Kind: "face", Format: "image/jpeg", Bytes: []byte("picture in the register")}}
	for name, c := range map[string]struct {
		pictures   []kioskbridge.Image
		register   kioskbridge.Finding
		offers     []ticket.StepName
		err        error
		check      string
		result     tunnel.Result
		references int
	}{
		"the same person":              {face, inRegister, everyStep, nil, "asserted match", tunnel.ResultJoin, 2},
		"a measured doubt":             {face, differs, everyStep, nil, "undetermined no-match", tunnel.ResultDesk, 2},
		"the reference engine's doubt": {face, far, everyStep, nil, "undetermined reference-far", tunnel.ResultJoin, 2},
		"the reference engine's yes":   {face, boldly, everyStep, nil, "undetermined reference-near", tunnel.ResultJoin, 2},
		"no picture there":             {[]kioskbridge.Image{{Kind: "finger-2", Format: "image/png", Bytes: []byte("print")}}, inRegister, everyStep, nil, "not done no-reference", tunnel.ResultJoin, 1},
		"nobody there":                 {nil, inRegister, everyStep, nil, "", tunnel.ResultJoin, 1},
		"register away":                {face, inRegister, everyStep, errors.New("gone"), "", tunnel.ResultJoin, 1},
		"no camera":                    {face, inRegister, []ticket.StepName{ticket.StepDocument, ticket.StepChip}, nil, "", tunnel.ResultJoin, 0},
	} {
		e := &engine{pictures: c.pictures, err: c.err}
		look := &eyes{chip: claims, register: c.register}
		w := newWorld(t, func(k *kioskbridge.Config) { k.Faces, k.Register = look, e })
		h := with(w.passport(emrtdtest.Genuine))
		h.offers = c.offers
		out, err := w.visit(h, tunnel.ServiceInterview)
		if err != nil || out.Result != c.result {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		faces := 0
		for _, s := range h.asked {
			if s == ticket.StepFace {
				faces++
			}
		}
		if got := w.verdict(kioskbridge.CheckRegisterFace); got != c.check || look.references != c.references || faces > 1 {
			t.Errorf("%s: %q after %d comparisons and %d looks, want %q", name, got, look.references, faces, c.check)
		}
		kept := w.last().Checks
		if c.check == "asserted match" && (!strings.Contains(kept, `"engine":"vendor 1"`) || !strings.Contains(kept, `{"check":"face-register","engine":"vendor 2","scale":1000000,"score":700001,"threshold":"t2"`)) {
			t.Errorf("%s: of the two comparisons is kept %s", name, kept)
		}
	}
}

// A kiosk that sends what no scanner gives, or a finger that nobody asked for,
// gets nowhere with it: no matcher is asked.
func TestFingersThatAreNoneAreComparedWithNothing(t *testing.T) {
	t.Parallel()
	whole := impression(holdersHand, 2, 80).Template.Data
	for name, c := range map[string]struct {
		piece tunnel.Piece
		check string
	}{
		"cut short":       {tunnel.Piece{Kind: "finger-2", Format: tunnel.FormatFinger, Bytes: whole[:60]}, "undetermined unreadable"},
		"another finger":  {tunnel.Piece{Kind: "finger-9", Format: tunnel.FormatFinger, Bytes: whole}, "not done no-reference"},
		"noise":           {tunnel.Piece{Kind: "finger-2", Format: tunnel.FormatFinger, Bytes: bytes.Repeat([]byte{7}, 300)}, "undetermined unreadable"},
		"whole, for once": {tunnel.Piece{Kind: "finger-2", Format: tunnel.FormatFinger, Bytes: bytes.Clone(whole)}, "asserted match"},
	} {
		e := &engine{finding: claims, pictures: []kioskbridge.Image{{Kind: "finger-2", Format: tunnel.FormatFinger, Bytes: bytes.Clone(whole)}}}
		w := newWorld(t, func(k *kioskbridge.Config) { k.Fingers, k.Register = e, e })
		h := with(w.passport(emrtdtest.Genuine))
		h.take[ticket.StepFingers] = func(ask tunnel.Ask) (tunnel.Capture, error) {
			if !slices.Equal(ask.Order, []string{"finger-2"}) {
				t.Errorf("asked for %v", ask.Order)
			}
			return done(c.piece), nil
		}
		out, err := w.visit(h, tunnel.ServiceInterview)
		if err != nil || out.Result != tunnel.ResultJoin || w.verdict(kioskbridge.CheckFingers) != c.check {
			t.Errorf("%s: %+v %v, %q", name, out, err, w.verdict(kioskbridge.CheckFingers))
		}
		if asked := len(e.handed) > 0; asked != strings.HasPrefix(c.check, "asserted") {
			t.Errorf("%s: the matcher was asked: %v", name, asked)
		}
	}
}

// overheard is everything that a part is sent.
type overheard struct {
	*vendorporttest.Part
	mu   sync.Mutex
	sent [][]byte
}

func overhear(p *vendorporttest.Part) *overheard {
	o := &overheard{Part: p}
	answer := p.Answer
	p.Answer = func(op vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		o.mu.Lock()
		o.sent = append(o.sent, bytes.Clone(body))
		o.mu.Unlock()
		return answer(op, body)
	}
	return o
}

// K10, B19: a finger goes from the scanner to the matcher and nowhere else: not to
// the register, not to the search for duplicates, not into the evidence, the
// journal, the audit log, the database (from which every bundle is made), a file
// or the log; neither the live one nor the register's.
func TestFingersGoToTheMatcherAlone(t *testing.T) {
	t.Parallel()
	person := registered()
	livePrint := impression(holdersHand, 2, 80)
	kept := bytes.Clone(livePrint.Template.Data)
	e := &engine{}
	var log lockedBuffer
	h := newHouse(t, parts{
		people: []vendorporttest.Registered{person}, measured: measuredBy, passport: true,
		scan: func(int, int) vendorport.Captured {
			return vendorport.Captured{Taken: true, Quality: 80, Template: vendorport.Template{Format: vendorport.FormatFinger, Data: bytes.Clone(kept)}}
		},
		adjust: func(c *kioskbridge.Config) { c.Duplicates, c.Log = e, log.logger() },
	})
	register, matcher := overhear(h.register), overhear(h.matcher)
	_, last := h.walk(t, func(kiosk.ScreenStep) *kiosk.ScreenMessage { return nil })
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultJoin || h.verdict(kioskbridge.CheckFingers) != "asserted match" {
		t.Fatalf("%+v: %s", last, h.verdict(kioskbridge.CheckFingers))
	}
	h.bridge.Close()
	secrets := map[string][]byte{"live finger": kept, "register's finger": person.Finger["finger-2"]}
	holds := func(where string, text []byte) int {
		found := 0
		for name, needle := range needlesOf(secrets) {
			if bytes.Contains(text, needle) {
				found++
				if where != "" {
					t.Errorf("%s lies in %s", name, where)
				}
			}
		}
		return found
	}
	if len(matcher.sent) != 1 || holds("", matcher.sent[0]) == 0 {
		t.Fatalf("the matcher was sent %d questions: the test proves nothing", len(matcher.sent))
	}
	if len(register.sent) != 1 {
		t.Fatalf("the register was asked %d times", len(register.sent))
	}
	holds("the question to the register", register.sent[0])
	r := h.last()
	if !strings.Contains(r.Journal, `"kind":"finger-2"`) {
		t.Error("the journal does not name the finger by its hash")
	}
	holds("the record of the visit", []byte(r.Journal+r.Checks+r.Steps+r.Evidence+r.Vouched))
	holds("the sealed part", r.Sealed)
	for _, event := range h.outbox.Events() {
		holds("the audit log", []byte(event))
	}
	holds("the log", log.bytes())
	for _, s := range e.searches {
		for _, p := range s.Probes {
			if p.Kind != "face" {
				t.Errorf("a search for duplicates was handed %s", p.Kind)
			}
		}
	}
	if n := h.count("kiosk_piece"); n != 0 {
		t.Errorf("%d captures were kept", n)
	}
	if n := traces(t, secrets, filepath.Dir(storetest.Files(t, h.db)[0])); n == 0 {
		t.Error("no file of the database was looked at")
	}
}

// K10: even who hands fingers to the search for duplicates sends none.
func TestNoFingerIsSearchedFor(t *testing.T) {
	t.Parallel()
	s := newSearched(t, true)
	err := later{s}.Submit(t.Context(), kioskbridge.DuplicateSearch{
		Visit: interview.NewVisitID(), Case: s.booking.Case, Participant: s.booking.Participant,
		Probes: []kioskbridge.Image{{Kind: "finger-2", Format: tunnel.FormatFinger, Bytes: impression(1, 2, 80).Template.Data}, {Kind: "face", Format: "image/jpeg", Bytes: live}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.settled()
	tasks, err := s.service.Tasks(t.Context())
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%v %v", tasks, err)
	}
	s.searcher.mu.Lock()
	defer s.searcher.mu.Unlock()
	for _, modality := range s.searcher.modalities {
		if modality != "face" {
			t.Errorf("searched for %s", modality)
		}
	}
	if len(s.searcher.modalities) == 0 {
		t.Error("nothing was searched for: the test proves nothing")
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

func (b *lockedBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
