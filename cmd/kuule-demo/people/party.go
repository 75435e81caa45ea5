package people

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"kuule/internal/idptest"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/record"
	"kuule/transcript"
)

// Party is who is seated beside the one person who tries the demonstration.
type Party struct {
	Issuer       string                                     `json:"issuer"`
	Hearing      interview.HearingID                        `json:"hearing"`
	Participants map[interview.Role]interview.ParticipantID `json:"participants"`
	Seats        []PartySeat                                `json:"seats"`
}

// PartySeat is one device with the people at it.
type PartySeat struct {
	Name    string  `json:"name"`
	Link    string  `json:"link"`
	Subject string  `json:"subject"` // who signs in
	Voices  []Voice `json:"voices"`  // the first one has the camera
}

// Times of a party.
const (
	quietFor   = 1500 * time.Millisecond // after speech: it is somebody else's turn
	longSilent = 20 * time.Second        // without any: the next answer comes anyway
	turn       = 8 * time.Second         // left to the human
	reviewTime = 30 * time.Minute
	pollEvery  = 2 * time.Second
)

// party is a Party in its seats.
type party struct {
	Party
	media  *Media
	tell   func(string)
	review func(context.Context) error
	people map[Voice]*Person
	all    []*Person
}

// Sit seats a party and plays it until the hearing is over and, where the
// applicant is played, reviewed. review has the applicant visit the kiosk again.
func Sit(ctx context.Context, given Party, tell func(string), review func(context.Context) error) error {
	media, err := Load()
	if err != nil {
		return err
	}
	p := &party{Party: given, media: media, tell: tell, review: review, people: map[Voice]*Person{}}
	defer func() {
		for _, one := range p.all {
			one.Leave()
		}
	}()
	for _, s := range given.Seats {
		one, err := Open(ctx, Config{
			Name: s.Name, Link: s.Link, Provider: idptest.Visitor(given.Issuer), Subject: s.Subject, Camera: s.Voices[0], Media: media,
		})
		if err != nil {
			return err
		}
		p.all = append(p.all, one)
		for _, v := range s.Voices {
			p.people[v] = one
		}
		if slices.Contains(s.Voices, Applicant) {
			if _, err := one.Redeem(ctx, given.Hearing, interview.PurposeHearing); err != nil {
				return err
			}
			tell("hakija lunasti lipun · the applicant redeemed the ticket")
		}
		if err := one.Join(ctx, given.Hearing); err != nil {
			return err
		}
		tell(s.Name + ": ovella · at the door")
	}
	return p.play(ctx)
}

func (p *party) play(ctx context.Context) error {
	over, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, one := range p.all {
		go func() {
			if _, err := one.InPhase(over, interview.PhaseEnded, time.Time{}); err == nil {
				cancel(errEnded)
			} else if over.Err() == nil {
				cancel(err)
			}
		}()
	}
	var err error
	if p.people[Interviewer] != nil {
		err = p.chair(over)
	} else {
		err = p.answer(over)
	}
	if cause := context.Cause(over); errors.Is(cause, errEnded) {
		p.tell("kuuleminen päättyi · the hearing has ended")
		return p.afterwards(ctx)
	} else if err == nil {
		err = cause
	}
	return err
}

var errEnded = errors.New("the hearing has ended")

// chair plays the interviewer: admits all, records, asks, types and ends.
func (p *party) chair(ctx context.Context) error {
	me := p.people[Interviewer]
	admitted := 0
	for admitted < 2 { // the terminal and counsel's workstation
		k, err := me.Knock(ctx)
		if err != nil {
			return err
		}
		if err := me.Admit(ctx, k); err != nil {
			return err
		}
		admitted++
		p.tell("puhuttelija päästi sisään: " + k.Label + " · the interviewer admitted this device")
	}
	go func() { // who comes back later
		for {
			k, err := me.Knock(ctx)
			if err != nil || me.Admit(ctx, k) != nil {
				return
			}
		}
	}()
	if err := wait(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := me.Record(ctx, "alku"); err != nil {
		return err
	}
	for i, c := range p.media.Clips {
		if err := p.say(ctx, i, c); err != nil {
			return err
		}
	}
	return me.End(ctx, "kaikki kysytty")
}

// say speaks a sentence, or leaves the time to the human whose it is, and has
// the played interviewer type it.
func (p *party) say(ctx context.Context, _ int, c Clip) error {
	me := p.people[Interviewer]
	at := me.Now()
	if one := p.people[c.Voice]; one == nil {
		if err := wait(ctx, turn); err != nil {
			return err
		}
	} else {
		span, err := one.Say(ctx, c)
		if err != nil {
			return err
		}
		at = span.From
	}
	kinds := map[Voice]record.Kind{Interviewer: record.Question, Applicant: record.Answer, Interpreter: record.Rendering}
	if kind, typed := kinds[c.Voice]; typed && kind != record.Rendering && p.people[c.Voice] != nil {
		path := "/api/hearings/" + p.Hearing.String() + "/utterances/" + interview.NewUtteranceID().String()
		return me.Call(ctx, http.MethodPut, path, map[string]any{
			"version": 0, "kind": kind, "at": at, "speaker": p.Participants[interview.Role(c.Voice)], "language": c.Language, "text": c.Text,
		}, nil)
	}
	return wait(ctx, quietFor)
}

// answer plays everybody but the interviewer, who is the human: after each
// question the next answer comes, with its rendering.
func (p *party) answer(ctx context.Context) error {
	listener := p.all[0]
	for _, one := range p.all {
		if err := one.Admitted(ctx); err != nil {
			return err
		}
		p.tell(one.Name() + ": huoneessa · in the room")
	}
	var answers [][]Clip
	for _, c := range p.media.Clips {
		switch {
		case p.people[c.Voice] == nil:
		case c.Voice == Interpreter && len(answers) > 0:
			answers[len(answers)-1] = append(answers[len(answers)-1], c)
		default:
			answers = append(answers, []Clip{c})
		}
	}
	for n := 0; ; n++ {
		if err := listener.untilAsked(ctx, p.all); err != nil {
			return err
		}
		for _, c := range answers[n%len(answers)] {
			if _, err := p.people[c.Voice].Say(ctx, c); err != nil {
				return err
			}
		}
	}
}

// untilAsked waits, on record, until somebody who is not played has spoken and
// fell silent, or nothing was said for long.
func (p *Person) untilAsked(ctx context.Context, played []*Person) error {
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.Phase() != interview.PhaseOnRecord {
			began = time.Now()
		}
		loud := p.lastLoud(played)
		if loud.After(began) && time.Since(loud) > quietFor || time.Since(began) > longSilent {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastLoud is when somebody else than those given was last heard speaking, by
// the level that stands inside the seal.
func (p *Person) lastLoud(played []*Person) (last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for m, at := range p.loud {
		if at.After(last) && !slices.ContainsFunc(played, func(o *Person) bool { return o.Member() == m }) {
			last = at
		}
	}
	return last
}

// afterwards is the hand-over, from whichever side is played.
func (p *party) afterwards(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	g, both := errgroup.WithContext(ctx)
	if me := p.people[Interviewer]; me != nil {
		g.Go(func() error { return p.handOver(both, me) })
	}
	if me := p.people[Applicant]; me != nil {
		g.Go(func() error { return p.readOver(both, me) })
	}
	err := g.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // nobody handed anything over: that is theirs to decide
	}
	return err
}

// readOver plays the applicant's review: receipt, one correction, confirmation.
func (p *party) readOver(ctx context.Context, me *Person) error {
	if err := p.review(ctx); err != nil {
		return err
	}
	if _, err := me.Redeem(ctx, p.Hearing, interview.PurposeReview); err != nil {
		return err
	}
	p.tell("hakija odottaa pöytäkirjaa tarkastukseen · the applicant waits for the record to review")
	var list struct {
		Records []transcript.Sealed `json:"records"`
	}
	err := poll(ctx, func() (bool, error) {
		err := me.Call(ctx, http.MethodGet, "/api/hearings/"+p.Hearing.String()+"/records", nil, &list)
		return len(list.Records) > 0, notYet(err)
	})
	if err != nil {
		return err
	}
	path := "/api/records/" + list.Records[0].Record.String()
	if err := me.Call(ctx, http.MethodPost, path+"/receipt", nil, nil); err != nil {
		return err
	}
	var a record.Amendment
	err = me.Call(ctx, http.MethodPost, path+"/amendments", map[string]any{
		"kind": "addition", "text": "أريد أن أضيف: كان أخي الأكبر.", "language": "ar", "channel": "terminal",
	}, &a)
	if err != nil {
		return err
	}
	p.tell("hakija lisäsi huomautuksen ja odottaa vastausta · the applicant added a note and waits for the answer")
	err = poll(ctx, func() (bool, error) {
		var r transcript.Review
		err := me.Call(ctx, http.MethodGet, path, nil, &r)
		return slices.ContainsFunc(r.After.Amendments, func(x record.Amendment) bool { return x.ID == a.ID && x.Reply != nil }), err
	})
	if err != nil {
		return err
	}
	p.tell("hakija vahvisti pöytäkirjan · the applicant confirmed the record")
	return me.Call(ctx, http.MethodPost, path+"/outcome", map[string]any{"outcome": record.ConfirmedWithAmendments}, nil)
}

// handOver plays the interviewer after the hearing: seal, deliver, answer, seal.
func (p *party) handOver(ctx context.Context, me *Person) error {
	records := "/api/hearings/" + p.Hearing.String() + "/records"
	var one transcript.Sealed
	if err := me.Call(ctx, http.MethodPost, records, map[string]any{}, &one); err != nil {
		return err
	}
	if err := me.Call(ctx, http.MethodPost, "/api/records/"+one.Record.String()+"/deliver", map[string]string{"language": "ar"}, nil); err != nil {
		return err
	}
	p.tell("pöytäkirja annettiin tiedoksi · the record was handed over: " + one.Record.String())
	answered := map[interview.AmendmentID]bool{}
	err := poll(ctx, func() (bool, error) {
		var t transcript.Transcript
		if err := me.Call(ctx, http.MethodGet, "/api/hearings/"+p.Hearing.String()+"/transcript", nil, &t); err != nil {
			return false, err
		}
		for _, a := range t.After.Amendments {
			if a.Reply != nil || answered[a.ID] {
				continue
			}
			answered[a.ID] = true
			if err := me.Call(ctx, http.MethodPost, "/api/amendments/"+a.ID.String()+"/answer", map[string]string{"decision": "noted", "text": "Merkitty tiedoksi."}, nil); err != nil {
				return false, err
			}
			p.tell("puhuttelija vastasi huomautukseen · the interviewer answered an amendment")
		}
		return t.After.Ending != nil, nil
	})
	if err != nil {
		return err
	}
	p.tell("versio 2 sinetöitiin · version 2 was sealed")
	return me.Call(ctx, http.MethodPost, records, map[string]any{}, nil)
}

// notYet takes refusals that time may heal for patience.
func notYet(err error) error {
	if IsProblem(err, problem.CodeNotFound) || IsProblem(err, problem.CodeNotDelivered) || IsProblem(err, problem.CodeNotReady) {
		return nil
	}
	return err
}

func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := wait(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
}
