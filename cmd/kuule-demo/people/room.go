package people

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// Member is the person's place in the room.
func (p *Person) Member() interview.MemberID { return p.member.ID() }

// SAS is the short authentication string that the page would show.
func (p *Person) SAS() string { return p.member.Group().SAS() }

// Now is the hearing clock.
func (p *Person) Now() interview.Micros { return p.member.Now() }

// Admitted waits until the person is in.
func (p *Person) Admitted(ctx context.Context) error {
	select {
	case <-p.member.Admitted():
		return nil
	case <-p.member.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("%s was not admitted: %w", p.cfg.Name, p.ended)
	case <-ctx.Done():
		return fmt.Errorf("%s was not admitted: %w", p.cfg.Name, ctx.Err())
	}
}

// Knock gives, to who chairs, the next who waits.
func (p *Person) Knock(ctx context.Context) (wire.Knock, error) {
	var k wire.Knock
	err := p.until(ctx, "somebody knocks", func() bool {
		if len(p.knocks) == 0 {
			return false
		}
		k, p.knocks = p.knocks[0], p.knocks[1:]
		return true
	})
	return k, err
}

// Admit lets in who knocked, with exactly the persons seen.
func (p *Person) Admit(ctx context.Context, k wire.Knock) error { return p.member.Admit(ctx, k) }

// Record asks to go on record: recorders come onto the roster first, and the
// phase follows once one of them shows durable data.
func (p *Person) Record(ctx context.Context, reason string) error {
	if err := p.member.IncludeRecorder(true); err != nil {
		return err
	}
	for {
		err := p.member.AskPhase(ctx, interview.PhaseOnRecord, reason)
		if err == nil || !IsProblem(err, problem.CodeRecorderMissing) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no recorder became durable: %w", err)
		}
	}
}

// AskRecordOnce asks to go on record without waiting for anything.
func (p *Person) AskRecordOnce(ctx context.Context) error {
	return p.member.AskPhase(ctx, interview.PhaseOnRecord, "start")
}

// Pause leaves the record; recorders leave the roster.
func (p *Person) Pause(ctx context.Context, reason string) error {
	if err := p.member.AskPhase(ctx, interview.PhasePaused, reason); err != nil {
		return err
	}
	return p.member.IncludeRecorder(false)
}

// End ends the hearing.
func (p *Person) End(ctx context.Context, reason string) error {
	return p.member.AskPhase(ctx, interview.PhaseEnded, reason)
}

// InPhase waits for a phase that began after since, and gives it.
func (p *Person) InPhase(ctx context.Context, phase interview.Phase, since time.Time) (Moment, error) {
	var found Moment
	err := p.until(ctx, "the phase is "+string(phase), func() bool {
		i := slices.IndexFunc(p.phases, func(m Moment) bool { return m.Phase == phase && m.At.After(since) })
		if i >= 0 {
			found = p.phases[i]
		}
		return i >= 0
	})
	return found, err
}

// Phase is the phase last told.
func (p *Person) Phase() interview.Phase { return p.member.Phase().Phase }

// Heard counts packets of a voice that came from a member.
func (p *Person) Heard(from interview.MemberID, v Voice) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[from][v]
}

// UntilHeard waits for more than n packets of a voice from a member, by their
// content.
func (p *Person) UntilHeard(ctx context.Context, from interview.MemberID, v Voice, n int) error {
	return p.until(ctx, fmt.Sprintf("%s is heard", v), func() bool { return p.heard[from][v] > n })
}

// UntilSeen waits for pictures of a camera from a member.
func (p *Person) UntilSeen(ctx context.Context, from interview.MemberID, v Voice, n int) error {
	return p.until(ctx, fmt.Sprintf("%s is seen", v), func() bool { return p.seen[from][v] > n })
}

// Strange lists voices that came from a member who does not have them.
func (p *Person) Strange(from interview.MemberID, own ...Voice) []Voice {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Voice
	for v := range p.heard[from] {
		if !slices.Contains(own, v) {
			out = append(out, v)
		}
	}
	return out
}

// RecorderOnRoster waits until a recorder is on the roster in force, or is not.
func (p *Person) RecorderOnRoster(ctx context.Context, want bool) error {
	return p.until(ctx, fmt.Sprintf("a recorder on the roster: %t", want), func() bool {
		roster, _, ok := p.member.Group().Roster()
		if !ok {
			return false
		}
		on := slices.ContainsFunc(roster.Members, func(r sealing.RosterMember) bool {
			m := p.member.Group().Member(r.Member)
			return m != nil && m.Recorder()
		})
		return on == want
	})
}

// Recorder waits for a recorder other than those given, among the members.
func (p *Person) Recorder(ctx context.Context, others ...interview.MemberID) (interview.MemberID, error) {
	var id interview.MemberID
	err := p.until(ctx, "a recorder is in the room", func() bool {
		i := slices.IndexFunc(p.members, func(v wire.MemberView) bool {
			return v.Kind == sealing.KindRecorder && v.Connected && !slices.Contains(others, v.Member)
		})
		if i >= 0 {
			id = p.members[i].Member
		}
		return i >= 0
	})
	return id, err
}

// Recorders waits for that many recorders in the room.
func (p *Person) Recorders(ctx context.Context, n int) ([]interview.MemberID, error) {
	var all []interview.MemberID
	err := p.until(ctx, fmt.Sprintf("%d recorders are in the room", n), func() bool {
		all = nil
		for _, v := range p.members {
			if v.Kind == sealing.KindRecorder && v.Connected {
				all = append(all, v.Member)
			}
		}
		return len(all) >= n
	})
	return all, err
}

// Left reports whether this page was in another phase since.
func (p *Person) Left(phase interview.Phase, since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.phases, func(m Moment) bool { return m.Phase != phase && m.At.After(since) })
}

// Came is when this page first heard of a member.
func (p *Person) Came(m interview.MemberID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.came[m]
}

// UntilDurable waits for a heartbeat of that recorder that shows data durable
// after a moment.
func (p *Person) UntilDurable(ctx context.Context, recorder interview.MemberID, after interview.Micros) error {
	return p.until(ctx, "a heartbeat shows durable data", func() bool {
		b := p.beats[recorder]
		return b.Durable > after && b.State == interview.RecorderRecording
	})
}

// Bad lists why frames did not open.
func (p *Person) Bad() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]int{}
	for k, v := range p.bad {
		out[k] = v
	}
	return out
}
