package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/stage"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// Options say what is rehearsed and where its results go.
type Options struct {
	Out     string // folder of evidence.zip, trust.keys and playback.webm
	Stage   stage.Options
	Browser string // path of the browsers' script; "": Go members
	Kiosk   bool   // the ways of the kiosk in browsers, instead of an interview
	Crash   bool   // the whole server is killed on record, instead of what follows
	Faults  bool   // with Browser: parts of it go away under the pages, instead of what follows
	Tell    func(Result)
}

// rehearsal is one run, with what its steps leave for later ones.
type rehearsal struct {
	o     Options
	stage *stage.Stage
	media *people.Media

	casefile interview.Case
	hearing  *interview.Hearing
	visit    tunnel.Outcome

	interviewer, terminal, counsel *people.Person
	knocks                         []wire.Knock
	recorders                      []interview.MemberID // that were in the room, those that are there last
	killed                         time.Time            // all recorders
	crashed                        interview.Micros     // the whole server
	missing                        interview.Micros     // on record, by the evidence
	taken                          interview.Micros     // on record, from the terminal's back-up
	spans                          []said
	paused                         people.Span
	watched                        watched
	told                           []Result // by the browsers' script
	booked                         []bookedWay
	documents                      map[string]*emrtdtest.Passport // by name, for the kiosk's readers
}

// said is a sentence and when it was said, on the hearing clock.
type said struct {
	clip     people.Clip
	by       string
	span     people.Span
	recorded bool
}

// Run holds the interview and gives the report. The error is of the rehearsal
// itself, not of a step.
func Run(ctx context.Context, o Options) (Report, error) {
	media, err := people.Load()
	if err != nil {
		return Report{}, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Report{}, err
	}
	for _, name := range []string{"evidence.zip", "trust.keys", "playback.webm", "changed.zip"} {
		if err := os.Remove(filepath.Join(o.Out, name)); err != nil && !os.IsNotExist(err) {
			return Report{}, err
		}
	}
	o.Stage.Outsiders = !o.Kiosk
	if o.Kiosk {
		o.Stage.Kiosks, o.Stage.Rooms, o.Stage.Register = 2, len(ways), register()
	}
	s, err := stage.New(o.Stage)
	if err != nil {
		return Report{}, err
	}
	r := &rehearsal{o: o, stage: s, media: media}
	steps := slices.Concat(r.before(), r.room(), r.after(), r.evidence())
	if o.Browser != "" {
		steps = slices.Concat(r.before(), r.browsers(), r.evidence())
	}
	if o.Faults {
		steps = slices.Concat(r.before(), r.browsers())
	}
	if o.Kiosk {
		steps = r.kioskSteps()
	}
	if o.Crash {
		room := r.room()
		until := slices.IndexFunc(room, func(s step) bool { return s.name == stepOnRecord })
		steps = slices.Concat(r.before(), room[:until+1], r.crash())
	}
	report := run(ctx, steps, o.Tell)
	if i := slices.IndexFunc(report.Steps, func(s Result) bool { return s.Name == stepBrowsers || s.Name == stepWays }); i >= 0 {
		report.Steps = slices.Insert(report.Steps, i, r.told...)
	}
	for _, p := range []*people.Person{r.interviewer, r.terminal, r.counsel} {
		if p != nil {
			p.Leave()
		}
	}
	return report, s.Close()
}

// before is everything up to the door of the room.
func (r *rehearsal) before() []step {
	return []step{
		{name: "installation", do: r.install},
		{name: "agreements", do: r.agree},
		{name: "devices enrolled", do: r.enrol},
		{name: "agents attested", do: r.agents},
		{name: "signed in", do: r.signIn},
		{name: "booked", do: r.book},
		{name: "noted apart", do: r.note},
		{name: "desk", do: r.desk},
		{name: "kiosk visit", do: r.kiosk},
	}
}

func (r *rehearsal) install(ctx context.Context) (string, error) {
	if err := r.stage.Install(ctx); err != nil {
		return "", err
	}
	if err := r.stage.Serve(ctx); err != nil {
		return "", err
	}
	var names []string
	for _, p := range r.stage.Parts() {
		names = append(names, p.Name)
	}
	return "seven software TPMs of two makers; running: " + strings.Join(names, ", ") + " with door, authority, sfu and recorder", nil
}

func (r *rehearsal) agree(ctx context.Context) (string, error) {
	return "agency, reception centre and law firm, signed by the security office", r.stage.Agree(ctx)
}

func (r *rehearsal) enrol(ctx context.Context) (string, error) {
	if err := r.stage.EnrolAll(ctx); err != nil {
		return "", err
	}
	var refusals []string
	for name, code := range map[string]problem.Code{stage.DeviceUnknown: problem.CodeManufacturerUnknown, stage.DeviceUnnamed: problem.CodeDeviceNotNamed} {
		_, err := r.stage.Enrol(ctx, name)
		if err := refusedBy(err, code); err != nil {
			return "", fmt.Errorf("device %s: %w", name, err)
		}
		refusals = append(refusals, string(code))
	}
	slices.Sort(refusals)
	return "five devices by their TPMs; refused: " + strings.Join(refusals, ", "), nil
}

// refusedBy checks that a program was refused with exactly that code.
func refusedBy(err error, code problem.Code) error {
	var c *stage.CallError
	switch {
	case err == nil:
		return fmt.Errorf("was accepted, %s was expected", code)
	case errors.As(err, &c) && strings.Contains(c.Text, string(code)):
		return nil
	default:
		return fmt.Errorf("%s was expected: %w", code, err)
	}
}

func (r *rehearsal) agents(ctx context.Context) (string, error) {
	if err := r.stage.RunAgents(ctx); err != nil {
		return "", err
	}
	var origins []string
	for _, d := range r.stage.Devices() {
		origins = append(origins, d.Origin())
	}
	return "posture verified; gateways " + strings.Join(origins, ", "), nil
}

func (r *rehearsal) signIn(ctx context.Context) (string, error) {
	if r.o.Browser != "" {
		return r.signInForBooking(ctx)
	}
	g, opening := errgroup.WithContext(ctx)
	for _, p := range []struct {
		into            **people.Person
		device, subject string
		camera          people.Voice
	}{
		{&r.interviewer, stage.DeviceInterviewer, stage.SubjectInterviewer, people.Interviewer},
		{&r.terminal, stage.DeviceApplicant, stage.SubjectInterpreter, people.Applicant},
		{&r.counsel, stage.DeviceCounsel, stage.SubjectCounsel, people.Counsel},
	} {
		g.Go(func() error {
			link, err := r.stage.StartLink(opening, p.device)
			if err != nil {
				return err
			}
			opened, err := people.Open(opening, people.Config{Name: p.device, Link: link, Provider: r.stage.Provider, Subject: p.subject, Camera: p.camera, Media: r.media})
			if err == nil {
				*p.into = opened
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	// Nobody signs in at a device that is another's.
	link, err := r.stage.StartLink(ctx, stage.DeviceCounsel)
	if err != nil {
		return "", err
	}
	other, err := people.Open(ctx, people.Config{Name: "stranger", Link: link, Provider: r.stage.Provider, Subject: stage.SubjectInterviewer, Media: r.media})
	if err == nil {
		other.Leave()
		return "", errors.New("the interviewer signed in at counsel's device")
	}
	return "interviewer, interpreter and counsel by OpenID Connect at their own devices; refused: the interviewer at counsel's", nil
}

func (r *rehearsal) signInForBooking(ctx context.Context) (string, error) {
	link, err := r.stage.StartLink(ctx, stage.DeviceInterviewer)
	if err != nil {
		return "", err
	}
	r.interviewer, err = people.Open(ctx, people.Config{Name: "interviewer", Link: link, Provider: r.stage.Provider, Subject: stage.SubjectInterviewer, Media: r.media})
	return "interviewer by OpenID Connect; the others sign in at their pages", err
}

func (r *rehearsal) book(ctx context.Context) (string, error) {
	page := r.interviewer.Page()
	var err error
	if r.casefile, err = stage.CreateCase(ctx, page); err != nil {
		return "", err
	}
	_, err = r.stage.Book(ctx, page, r.stage.Booking(r.casefile.ID, ""))
	if !people.IsProblem(err, problem.CodeJustificationNeeded) {
		return "", fmt.Errorf("a remote hearing without justification: %w", orAccepted(err))
	}
	if r.hearing, err = r.stage.Book(ctx, page, r.stage.Booking(r.casefile.ID, stage.Justification)); err != nil {
		return "", err
	}
	if r.o.Browser == "" {
		if err := r.counsel.Call(ctx, http.MethodGet, "/api/hearings/"+r.hearing.ID.String(), nil, nil); !people.IsProblem(err, problem.CodeForbidden) {
			return "", fmt.Errorf("counsel reads the interviewer's booking: %w", orAccepted(err))
		}
	}
	return fmt.Sprintf("%s, %d seats on three devices; refused: remote without justification (%s)", r.hearing.Diary, len(r.hearing.Seats), problem.CodeJustificationNeeded), nil
}

func orAccepted(err error) error {
	if err == nil {
		return errors.New("it went through")
	}
	return err
}

func (r *rehearsal) participant(role interview.Role) interview.Participant {
	for _, p := range r.hearing.Participants {
		if p.Role == role {
			return p
		}
	}
	return interview.Participant{}
}

func (r *rehearsal) kiosk(ctx context.Context) (string, error) {
	var err error
	if r.visit, err = r.stage.Visit(ctx, r.participant(interview.RoleApplicant).ID); err != nil {
		return "", err
	}
	if r.visit.Result != tunnel.ResultJoin || r.visit.Terminal != r.stage.Device(stage.DeviceApplicant).ID {
		return "", fmt.Errorf("the kiosk said %s (%s), terminal %s", r.visit.Result, r.visit.Way, r.visit.Terminal)
	}
	return "passport read through the tunnel by PACE, with the chip's own proof, checked against the trust list; ticket for the room terminal until " + time.Unix(r.visit.Expires, 0).Format(time.TimeOnly), nil
}

const stepOnRecord = "on record"

// room is what happens in the room, with Go members.
func (r *rehearsal) room() []step {
	return []step{
		{name: "ticket redeemed", do: r.redeem},
		{name: "room entered", do: r.enter},
		{name: "admitted by name", do: r.admit},
		{name: "keys agree", do: r.keys},
		{name: "each hears the others", do: r.hear},
		{name: stepOnRecord, do: r.record},
		{name: "recorder killed", do: r.killRecorder},
		{name: "recorder back, resumed", do: r.resumeAfterKill},
		{name: "transcript typed", do: r.typeLines},
		{name: "pause: nothing recorded", do: r.pause},
		{name: "resumed after pause", do: r.resume},
		{name: "hearing ended", do: r.end},
	}
}

func (r *rehearsal) redeem(ctx context.Context) (string, error) {
	err := r.terminal.Join(ctx, r.hearing.ID)
	if err == nil || !people.IsProblem(err, problem.CodeTicketInvalid) {
		return "", fmt.Errorf("the terminal joins before the ticket was redeemed: %w", orAccepted(err))
	}
	err = r.counsel.RedeemAgain(ctx, r.visit.Ticket, r.hearing.ID, interview.PurposeHearing)
	if !people.IsProblem(err, problem.CodeTicketDevice) {
		return "", fmt.Errorf("another device redeems the ticket: %w", orAccepted(err))
	}
	if _, err := r.terminal.Redeem(ctx, r.hearing.ID, interview.PurposeHearing); err != nil {
		return "", err
	}
	err = r.terminal.RedeemAgain(ctx, r.visit.Ticket, r.hearing.ID, interview.PurposeHearing)
	if !people.IsProblem(err, problem.CodeTicketUsed) {
		return "", fmt.Errorf("a second redemption: %w", orAccepted(err))
	}
	return fmt.Sprintf("refused: joining without it (%s), by another device (%s), a second time (%s)", problem.CodeTicketInvalid, problem.CodeTicketDevice, problem.CodeTicketUsed), nil
}

func (r *rehearsal) enter(ctx context.Context) (string, error) {
	for _, p := range []*people.Person{r.interviewer, r.terminal, r.counsel} {
		if err := p.Join(ctx, r.hearing.ID); err != nil {
			return "", err
		}
	}
	return "statements signed by each device's key; interviewer in by rule, the others wait", r.interviewer.Admitted(ctx)
}

func (r *rehearsal) admit(ctx context.Context) (string, error) {
	wanted := map[string]bool{stage.NameApplicant: true, stage.NameInterpreter: true, stage.NameCounsel: true}
	var shown []string
	for range 2 {
		k, err := r.interviewer.Knock(ctx)
		if err != nil {
			return "", err
		}
		r.knocks = append(r.knocks, k)
		for _, s := range k.Seats {
			if !wanted[s.Name] || s.Place == "" {
				return "", fmt.Errorf("%q at %q knocked", s.Name, s.Place)
			}
			delete(wanted, s.Name)
			shown = append(shown, fmt.Sprintf("%s (%s)", s.Name, s.Role))
		}
		if err := r.interviewer.Admit(ctx, k); err != nil {
			return "", err
		}
	}
	for _, p := range []*people.Person{r.terminal, r.counsel} {
		if err := p.Admitted(ctx); err != nil {
			return "", err
		}
	}
	verdicts, err := r.passportVerdicts()
	return strings.Join(shown, ", ") + "; " + verdicts, err
}

// passportVerdicts reads, from what the interviewer was shown, how the passport
// did.
func (r *rehearsal) passportVerdicts() (string, error) {
	found := map[string]interview.Verdict{}
	for _, k := range r.knocks {
		for _, c := range k.Checks {
			found[c.Name] = c.Verdict
		}
	}
	var out []string
	for _, name := range []string{emrtd.CheckMRZDigits, emrtd.CheckAccess, emrtd.CheckSignature, emrtd.CheckChain, emrtd.CheckDG1, emrtd.CheckDG2, emrtd.CheckDG1Optical} {
		if v := found[name]; v != interview.Verified {
			return "", fmt.Errorf("passport: %s is %q; the interviewer was shown %v", name, v, found)
		}
		out = append(out, name)
	}
	return fmt.Sprintf("passport verified by %s; face %s", strings.Join(out, ", "), orElse(string(found[emrtd.CheckFace]), "not mentioned")), nil
}

// everyone is who is in the room with what is said at each device.
func (r *rehearsal) everyone() map[*people.Person][]people.Voice {
	return map[*people.Person][]people.Voice{
		r.interviewer: {people.Interviewer},
		r.terminal:    {people.Applicant, people.Interpreter},
		r.counsel:     {people.Counsel},
	}
}

func (r *rehearsal) keys(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		a, b, c := r.interviewer.SAS(), r.terminal.SAS(), r.counsel.SAS()
		if a != "" && a == b && b == c {
			return "short authentication string " + a + " at all three", nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("strings differ: %q %q %q", a, b, c)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// speak has a sentence of the script said by whose it is.
func (r *rehearsal) speak(ctx context.Context, number int, recorded bool) error {
	c := r.media.Clips[number]
	p, name := r.terminal, "terminal"
	switch c.Voice {
	case people.Interviewer:
		p, name = r.interviewer, "interviewer"
	case people.Counsel:
		p, name = r.counsel, "counsel"
	}
	span, err := p.Say(ctx, c)
	r.spans = append(r.spans, said{c, name, span, recorded})
	return err
}

func (r *rehearsal) hear(ctx context.Context) (string, error) {
	// All at once: each track has to be told from the others by content.
	g, talk := errgroup.WithContext(ctx)
	g.Go(func() error { _, err := r.interviewer.Say(talk, r.media.Clips[1]); return err })
	g.Go(func() error {
		_, err := r.terminal.Say(talk, r.media.Clips[5])
		if err == nil {
			_, err = r.terminal.Say(talk, r.media.Clips[6])
		}
		return err
	})
	g.Go(func() error { _, err := r.counsel.Say(talk, r.media.Clips[7]); return err })
	if err := g.Wait(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for who := range r.everyone() {
		for whom, voices := range r.everyone() {
			if who == whom {
				continue
			}
			for _, v := range voices {
				if err := who.UntilHeard(ctx, whom.Member(), v, 20); err != nil {
					return "", fmt.Errorf("%w; frames that did not open: %v", err, who.Bad())
				}
			}
			if strange := who.Strange(whom.Member(), voices...); len(strange) > 0 {
				return "", fmt.Errorf("%s hears %v from %s", who.Name(), strange, whom.Name())
			}
			if err := who.UntilSeen(ctx, whom.Member(), camera(voices[0]), 3); err != nil {
				return "", err
			}
		}
	}
	return "four voices and three pictures, each packet recognised by its content on its sender's track, at every other page", nil
}

func camera(v people.Voice) people.Voice {
	if v == people.Interpreter {
		return people.Applicant
	}
	return v
}

func (r *rehearsal) record(ctx context.Context) (string, error) {
	if err := r.interviewer.AskRecordOnce(ctx); !people.IsProblem(err, problem.CodeRecorderMissing) {
		return "", fmt.Errorf("on record without a durable recorder: %w", orAccepted(err))
	}
	var err error
	if r.recorders, err = r.interviewer.Recorders(ctx, 2); err != nil {
		return "", err
	}
	began := time.Now()
	if err := r.interviewer.Record(ctx, "alku"); err != nil {
		return "", err
	}
	now := r.interviewer.Now()
	for p := range r.everyone() {
		if _, err := p.InPhase(ctx, interview.PhaseOnRecord, began); err != nil {
			return "", err
		}
		if err := p.RecorderOnRoster(ctx, true); err != nil {
			return "", err
		}
	}
	if err := r.untilDurable(ctx, now-2_000_000); err != nil {
		return "", err
	}
	for number := range 4 {
		if err := r.speak(ctx, number, true); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("two recorders on the roster that everyone verified; refused before its durable heartbeat (%s); on record %d ms after asking", problem.CodeRecorderMissing, time.Since(began).Milliseconds()-r.spoken(0, 4)), nil
}

// spoken is how many milliseconds sentences of the script take.
func (r *rehearsal) spoken(from, to int) (ms int64) {
	for _, c := range r.media.Clips[from:to] {
		ms += c.Duration().Milliseconds()
	}
	return ms
}

// maxUnrecorded is promise 3: questioning stops visibly within this time.
const maxUnrecorded = 2 * time.Second

// untilDurable waits until both recorders have what came before a moment.
func (r *rehearsal) untilDurable(ctx context.Context, after interview.Micros) error {
	for _, m := range r.recorders[len(r.recorders)-2:] {
		if err := r.interviewer.UntilDurable(ctx, m, after); err != nil {
			return err
		}
	}
	return nil
}

// loseOne kills one recorder of two: nothing may stop, and what is said
// meanwhile is kept by the other.
func (r *rehearsal) loseOne(ctx context.Context) (string, error) {
	killed := time.Now()
	pid, err := r.stage.KillRecorder()
	if err != nil {
		return "", err
	}
	if err := r.speak(ctx, 1, true); err != nil {
		return "", err
	}
	second, err := r.interviewer.Recorder(ctx, r.recorders...)
	if err != nil {
		return "", err
	}
	back := r.interviewer.Came(second).Sub(killed)
	if err := r.interviewer.UntilDurable(ctx, second, 0); err != nil {
		return "", err
	}
	if r.recorders, err = r.pair(ctx, second); err != nil {
		return "", err
	}
	if err := r.untilDurable(ctx, r.spans[len(r.spans)-1].span.To); err != nil {
		return "", err
	}
	for p := range r.everyone() {
		if p.Left(interview.PhaseOnRecord, killed) {
			return "", fmt.Errorf("%s left on-record though one recorder lived", p.Name())
		}
	}
	return fmt.Sprintf("SIGKILL of process %d, one of two: on record all the time, back as a new member after %d ms", pid, back.Milliseconds()), nil
}

// pair gives all recorders known, the two that live last.
func (r *rehearsal) pair(ctx context.Context, came interview.MemberID) ([]interview.MemberID, error) {
	known := append(slices.Clone(r.recorders), came)
	here, err := r.interviewer.Recorders(ctx, 2)
	if err != nil {
		return nil, err
	}
	known = slices.DeleteFunc(known, func(m interview.MemberID) bool { return slices.Contains(here, m) })
	return append(known, here...), nil
}

func (r *rehearsal) killRecorder(ctx context.Context) (string, error) {
	// It must have written what was said: a second of quiet.
	if err := r.untilDurable(ctx, r.spans[len(r.spans)-1].span.To); err != nil {
		return "", err
	}
	one, err := r.loseOne(ctx)
	if err != nil {
		return "", err
	}
	// The applicant speaks on: only the terminal's back-up can have it.
	words := r.dyingWords(ctx)
	time.Sleep(300 * time.Millisecond)
	r.killed = time.Now()
	alone := r.interviewer.Now()
	pids, err := r.stage.KillRecorders()
	if err != nil {
		return "", err
	}
	var worst time.Duration
	var paused interview.Micros
	for p := range r.everyone() {
		m, err := p.InPhase(ctx, interview.PhasePaused, r.killed)
		if err != nil {
			return "", err
		}
		if m.Cause != interview.CauseRecorderLost {
			return "", fmt.Errorf("%s paused because of %s", p.Name(), m.Cause)
		}
		worst, paused = max(worst, m.At.Sub(r.killed)), m.Since
	}
	if err := <-words; err != nil {
		return "", err
	}
	r.lostWords(alone, paused)
	if worst > maxUnrecorded {
		return "", fmt.Errorf("the last page left on-record %d ms after SIGKILL, more than %d", worst.Milliseconds(), maxUnrecorded.Milliseconds())
	}
	return fmt.Sprintf("%s; SIGKILL of both, %v: the last page left on-record after %d ms", one, pids, worst.Milliseconds()), nil
}

func (r *rehearsal) resumeAfterKill(ctx context.Context) (string, error) {
	began := time.Now()
	second, err := r.interviewer.Recorder(ctx, r.recorders...)
	if err != nil {
		return "", err
	}
	back := r.interviewer.Came(second).Sub(r.killed)
	if r.interviewer.Phase() != interview.PhasePaused {
		return "", errors.New("the hearing went on by itself")
	}
	if r.recorders, err = r.both(ctx); err != nil {
		return "", err
	}
	if err := r.interviewer.Record(ctx, "tallennin palasi"); err != nil {
		return "", err
	}
	for p := range r.everyone() {
		if _, err := p.InPhase(ctx, interview.PhaseOnRecord, began); err != nil {
			return "", err
		}
	}
	for number := 4; number < 7; number++ {
		if err := r.speak(ctx, number, true); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("a new member of the room %d ms after the kill, by itself; the phase stayed paused until the interviewer resumed", back.Milliseconds()), nil
}

// both waits until two recorders that were not known are in the room.
func (r *rehearsal) both(ctx context.Context) ([]interview.MemberID, error) {
	known := slices.Clone(r.recorders)
	for range 2 {
		m, err := r.interviewer.Recorder(ctx, known...)
		if err != nil {
			return nil, err
		}
		known = append(known, m)
	}
	return known, nil
}

func (r *rehearsal) pause(ctx context.Context) (string, error) {
	last := r.spans[len(r.spans)-1].span.To
	if err := r.untilDurable(ctx, last); err != nil {
		return "", err
	}
	began := time.Now()
	if err := r.interviewer.Pause(ctx, "hakija pyysi taukoa"); err != nil {
		return "", err
	}
	for p := range r.everyone() {
		if _, err := p.InPhase(ctx, interview.PhasePaused, began); err != nil {
			return "", err
		}
		if err := p.RecorderOnRoster(ctx, false); err != nil {
			return "", err
		}
	}
	r.paused.From = r.interviewer.Now()
	heard := r.counsel.Heard(r.terminal.Member(), people.Interpreter)
	// The room hears it, the recorder must not.
	if err := r.speak(ctx, 3, false); err != nil {
		return "", err
	}
	if err := r.counsel.UntilHeard(ctx, r.terminal.Member(), people.Interpreter, heard+20); err != nil {
		return "", err
	}
	r.paused.To = r.interviewer.Now()
	return "recorder outside the roster and its keys; what was said was heard in the room; that it is not in the recording shows below", nil
}

func (r *rehearsal) resume(ctx context.Context) (string, error) {
	began := time.Now()
	if err := r.interviewer.Record(ctx, "jatketaan"); err != nil {
		return "", err
	}
	for p := range r.everyone() {
		if _, err := p.InPhase(ctx, interview.PhaseOnRecord, began); err != nil {
			return "", err
		}
	}
	if err := r.speak(ctx, 7, true); err != nil {
		return "", err
	}
	return "", r.untilDurable(ctx, r.spans[len(r.spans)-1].span.To)
}

func (r *rehearsal) end(ctx context.Context) (string, error) {
	began := time.Now()
	if err := r.interviewer.End(ctx, "kaikki kysytty"); err != nil {
		return "", err
	}
	for p := range r.everyone() {
		if _, err := p.InPhase(ctx, interview.PhaseEnded, began); err != nil {
			return "", err
		}
	}
	return "", nil
}
