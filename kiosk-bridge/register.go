package kioskbridge

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/tunnel"
)

// CheckApplicant is the name of the check that the document of an applicant, of
// which the number was typed or scanned, is the booked person's. Nothing of that
// document is read by a machine: its reason says how the number came.
const CheckApplicant = "applicant-document"

// byRegister compares the person with the pictures in the register: the way of
// those whose document has no chip, such as the document of an applicant
// (Regulation (EU) 2024/1348, Article 29; row B12).
func (v *visit) byRegister(ctx context.Context) error {
	v.route = ticket.RouteRegister
	switch {
	case v.bridge.Register == nil:
		v.set(CheckRegister, interview.NotDone, reasonRegisterAbsent)
		return nil
	case !v.registerQuestion().compares(): // nobody is looked up for nothing
		v.set(CheckRegister, interview.NotDone, reasonNoEngine)
		return nil
	}
	r, err := v.byNumber(ctx)
	if err != nil || !r.Found {
		return err
	}
	defer forget(r.Pictures)
	booked := v.booking.Person.compareRegistered(r.Person)
	v.set(booked.Name, booked.Verdict, booked.Reason)
	if err := v.compareFace(ctx, CheckRegisterFace, r.face()); err != nil {
		return err
	}
	return v.compareFingers(ctx, r.Pictures)
}

// registerQuestion asks for what will be compared.
func (v *visit) registerQuestion() RegisterQuestion {
	return RegisterQuestion{
		Visit: v.id, Hearing: v.booking.Hearing, Diary: v.booking.Diary, Number: v.number,
		Face: v.bridge.Faces != nil && v.wants(ticket.StepFace), Fingers: v.bridge.Fingers != nil && v.wants(ticket.StepFingers),
	}
}

// byNumber asks for the number of the document of an applicant, and the register
// for its holder. A number that fits nobody is asked for again; who has no such
// document goes on by the booking alone.
func (v *visit) byNumber(ctx context.Context) (Registered, error) {
	if !v.wants(ticket.StepApplicant) {
		return v.askRegister(ctx, v.registerQuestion())
	}
	for try := v.bridge.Policy.tries(ticket.StepApplicant); ; try-- {
		if err := v.askNumber(ctx); err != nil {
			return Registered{}, err
		}
		if known := cardNumber(v.booking.Person.ApplicantNumber); v.number != "" && known != "" && v.number != known {
			v.set(CheckApplicant, interview.Failed, reasonOtherNumber)
			if try > 1 {
				continue
			}
			return Registered{}, nil
		}
		r, err := v.askRegister(ctx, v.registerQuestion())
		if err != nil {
			return Registered{}, err
		}
		v.compareNumber(r)
		if r.Found || v.number == "" || try <= 1 || v.check(CheckRegister).Reason != reasonNotInRegister {
			return r, nil
		}
	}
}

// askNumber has the number typed, or laid before the scanner of the invitation.
func (v *visit) askNumber(ctx context.Context) error {
	v.number = ""
	c, step, err := v.ask(ctx, tunnel.Ask{Step: ticket.StepApplicant})
	if err != nil {
		return err
	}
	if c.Result != tunnel.TakenDone || len(c.Pieces) == 0 {
		v.set(CheckApplicant, interview.NotDone, notTaken(c))
		return nil
	}
	if v.number = cardNumber(string(c.Pieces[0].Bytes)); v.number == "" {
		step.Result = ticket.StepFailed
		v.set(CheckApplicant, interview.NotDone, emrtd.ReasonUnreadable)
		return nil
	}
	v.set(CheckApplicant, interview.Undetermined, c.Pieces[0].Kind)
	return nil
}

var cardSymbols = regexp.MustCompile(`^[A-Z0-9]{4,20}$`)

// cardNumber is a number of the document of an applicant as registers write it:
// capital letters and digits; "" for what is none.
func cardNumber(text string) string {
	number := strings.NewReplacer(" ", "", "-", "", ".", "", "/", "").Replace(strings.ToUpper(strings.TrimSpace(text)))
	if !cardSymbols.MatchString(number) {
		return ""
	}
	return number
}

// compareNumber says what the number that was given is worth, beside the booking
// and what the register says. It is somebody's word at most: no machine has seen
// the document.
func (v *visit) compareNumber(r Registered) {
	how := v.check(CheckApplicant)
	if v.number == "" {
		return
	}
	inRegister := cardNumber(r.Person.ApplicantNumber)
	switch {
	case r.Found && inRegister != "" && inRegister != v.number:
		v.set(CheckApplicant, interview.Failed, reasonOtherNumber)
	case v.number == inRegister, v.number == cardNumber(v.booking.Person.ApplicantNumber):
		v.set(CheckApplicant, interview.Asserted, how.Reason)
	}
}

// askRegister asks for one person and notes what became of it.
func (v *visit) askRegister(ctx context.Context, q RegisterQuestion) (Registered, error) {
	r, err := v.bridge.Register.Person(ctx, q)
	switch {
	case ctx.Err() != nil:
		forget(r.Pictures)
		return Registered{}, problem.New(problem.CodeStalled, "visit took too long: %w", ctx.Err())
	case err != nil:
		v.set(CheckRegister, interview.Undetermined, reasonRegisterAbsent)
		v.notice(ctx, PartEngine, reasonEngineAbsent)
		return Registered{}, nil //nolint:nilerr // the check says it, and the visit goes on
	case !r.Found:
		v.set(CheckRegister, interview.Undetermined, reasonNotInRegister)
	default:
		v.set(CheckRegister, interview.Asserted, emrtd.ReasonOK) // the register says so
	}
	return r, nil
}

// face is the register's picture of the face; none is empty.
func (r Registered) face() Image {
	for _, p := range r.Pictures {
		if p.Kind == string(ModalityFace) {
			return p
		}
	}
	return Image{}
}

// compareRegistered holds who has a document against the register too, where both
// are there: the live pictures that were taken anyway, and fingers (rows B3, B4).
// The document says who the person is: a register that does not answer, or knows
// nobody, stops no one.
func (v *visit) compareRegistered(ctx context.Context) error {
	if v.bridge.Register == nil {
		return nil
	}
	q := v.registerQuestion()
	q.Face = q.Face && len(v.live) > 0
	if !q.compares() {
		return nil
	}
	r, err := v.askRegister(ctx, q)
	if err != nil || !r.Found {
		return err
	}
	defer forget(r.Pictures)
	if q.Face {
		if err := v.compareFace(ctx, CheckRegisterFace, r.face()); err != nil {
			return err
		}
	}
	return v.compareFingers(ctx, r.Pictures)
}

// fingerOrder is in which order fingers are asked for: the index fingers, which
// scanners take best, then thumbs, then the others.
var fingerOrder = []string{
	"finger-2", "finger-7", "finger-1", "finger-6", "finger-3", "finger-8", "finger-4", "finger-9", "finger-5", "finger-10",
}

// compareFingers compares prints with those in the register, finger by finger.
// The worst of them is what the check says. They are destroyed as soon as they
// are compared, and shown to the matcher alone (rows B4, B19, K10).
func (v *visit) compareFingers(ctx context.Context, pictures []Image) error {
	var known []string
	for _, kind := range fingerOrder {
		if slices.ContainsFunc(pictures, func(p Image) bool { return p.Kind == kind }) {
			known = append(known, kind)
		}
	}
	if v.bridge.Fingers == nil || len(known) == 0 || !v.wants(ticket.StepFingers) {
		return nil
	}
	c, step, err := v.ask(ctx, tunnel.Ask{Step: ticket.StepFingers, Order: known})
	defer forgetPieces(c.Pieces)
	if err != nil { // who leaves here gave none
		v.set(CheckFingers, interview.NotDone, tunnel.ReasonNotThere)
		return err
	}
	if c.Result != tunnel.TakenDone {
		v.set(CheckFingers, interview.NotDone, notTaken(c))
		return nil
	}
	v.set(CheckFingers, interview.NotDone, reasonNoReference)
	compared := false
	for _, p := range c.Pieces {
		i := slices.IndexFunc(pictures, func(r Image) bool { return r.Kind == p.Kind })
		if i < 0 {
			continue
		}
		before := v.check(CheckFingers)
		result := v.compareFinger(ctx, Image(p), pictures[i])
		if compared && worse(before.Verdict, v.check(CheckFingers).Verdict) {
			v.set(CheckFingers, before.Verdict, before.Reason)
		} else {
			step.Result = result
		}
		compared = true
	}
	return nil
}

// compareFinger compares one. A record whose frame is not whole goes to no
// matcher: a broken kiosk may send anything.
func (v *visit) compareFinger(ctx context.Context, live, reference Image) ticket.StepResult {
	if live.Format == tunnel.FormatFinger {
		if _, err := fingerprint.Check(live.Bytes); err != nil {
			v.set(CheckFingers, interview.Undetermined, emrtd.ReasonUnreadable)
			return ticket.StepFailed
		}
	}
	f, err := v.bridge.Fingers.Match(ctx, MatchQuestion{Modality: ModalityFingers, Live: []Image{live}, Reference: reference})
	return v.found(ctx, CheckFingers, f, err)
}

// worse orders verdicts by how little they hold.
func worse(a, b interview.Verdict) bool {
	rank := []interview.Verdict{interview.Verified, interview.Asserted, interview.NotDone, interview.Undetermined, interview.Failed}
	return slices.Index(rank, a) > slices.Index(rank, b)
}
