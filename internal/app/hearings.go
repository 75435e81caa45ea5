package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	attestwire "kuule/attestation/wire"
	"kuule/internal/audit"
	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/ticket"
	"kuule/interview/wire"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/recorder"
	"kuule/recorder/evidence"
	"kuule/signaling"
)

// hearings is signaling's view of the hearing itself.
type hearings struct{ *door }

// Open implements signaling.Hearings.
func (h hearings) Open(ctx context.Context, id interview.HearingID) (signaling.Opened, error) {
	clock, err := h.door.hearings.OpenRoom(ctx, id, h.epoch)
	if err != nil {
		return signaling.Opened{}, err
	}
	hearing, err := h.door.hearings.Hearing(ctx, id)
	if err != nil {
		return signaling.Opened{}, err
	}
	group, err := groupOf(id)
	return signaling.Opened{
		View:  wire.HearingView{Hearing: id, Case: hearing.Case, Diary: hearing.Diary, Language: hearing.Language, Mode: hearing.Mode},
		Group: group,
		Clock: clock.Now,
	}, err
}

// groupOf names the group of everybody at a hearing: it carries the hearing's
// own number, so that it is the same for a door that restarted.
func groupOf(id interview.HearingID) (interview.GroupID, error) {
	_, number, _ := strings.Cut(id.String(), "_")
	return interview.ParseGroupID("grp_" + number)
}

// Phase implements signaling.Hearings.
func (h hearings) Phase(ctx context.Context, id interview.HearingID) (wire.PhaseNow, error) {
	hearing, err := h.door.hearings.Hearing(ctx, id)
	if err != nil {
		return wire.PhaseNow{}, err
	}
	return phaseNow(hearing.State), nil
}

func phaseNow(s interview.State) wire.PhaseNow {
	return wire.PhaseNow{Phase: s.Phase, Cause: s.Cause, Since: s.Since, By: s.By, Reason: s.Reason}
}

// Ask implements signaling.Hearings.
func (h hearings) Ask(ctx context.Context, id interview.HearingID, ask signaling.PhaseRequest) (wire.PhaseNow, error) {
	role := interview.Role("")
	if !ask.By.IsZero() {
		role = interview.RoleInterviewer // the table of messages lets only the chair ask
	}
	state, err := h.door.hearings.Transition(ctx, id,
		interview.Ask{To: ask.To, Cause: ask.Cause, By: ask.By, Role: role, Reason: ask.Reason},
		interview.Conditions{Recorder: ask.Durable})
	if err != nil {
		return wire.PhaseNow{}, err
	}
	go h.afterPhase(context.WithoutCancel(ctx), id, state)
	return phaseNow(state), nil
}

// afterPhase has the log cosigned, and at the end the recording closed.
func (d *door) afterPhase(ctx context.Context, id interview.HearingID, state interview.State) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if state.Phase == interview.PhaseEnded {
		d.bridge.ForgetPortraits(id)
		for name, err := range d.askRecorders(ctx, "recorder.end", hearingQuestion{Hearing: id}) {
			slog.Error("recording was not closed", "recorder", name, "hearing", id, "err", err)
		}
	}
	if err := d.cosign(ctx, id); err != nil {
		slog.Warn("log was not cosigned", "err", err)
	}
}

// hearingQuestion names a hearing on the bus.
type hearingQuestion struct {
	Hearing interview.HearingID `json:"hearing"`
}

// keptCosigner is the kind under which it is kept who cosigned for a hearing.
const keptCosigner = "cosigner"

// cosign carries waiting events to the log and asks every connected device to
// cosign its newest checkpoint, for a hearing's evidence.
func (d *door) cosign(ctx context.Context, hearing interview.HearingID) error {
	for {
		n, err := audit.Drain(ctx, d.db, d.log)
		if err != nil {
			return err
		}
		if n < audit.MaxBatch {
			break
		}
	}
	checkpoint, err := d.log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, device := range d.posture.Connected() {
		errs = append(errs, d.cosignAt(ctx, hearing, device, checkpoint))
	}
	return errors.Join(errs...)
}

// cosignAt asks one device. It first learns which size the device saw last,
// and then gets the proof that the log only grew since.
func (d *door) cosignAt(ctx context.Context, hearing interview.HearingID, device interview.DeviceID, checkpoint string) error {
	vouching, ok := d.posture.Cosigner(device)
	if !ok {
		return nil
	}
	newest, err := audit.VerifyCheckpoint(checkpoint, d.in.trust.LogKey, nil)
	if err != nil {
		return err
	}
	ask := attestwire.Cosign{Checkpoint: checkpoint}
	answer, err := d.posture.Cosign(ctx, device, ask)
	if err != nil {
		return err
	}
	if answer.Code == problem.CodeConflict && answer.Size > 0 {
		ask.OldSize = answer.Size
		if ask.OldSize < newest.Size {
			if ask.Proof, err = d.log.Consistency(ctx, ask.OldSize, newest.Size); err != nil {
				return err
			}
		}
		if answer, err = d.posture.Cosign(ctx, device, ask); err != nil {
			return err
		}
	}
	if answer.Code != "" {
		return problem.New(answer.Code, "device %s did not cosign the log", device)
	}
	named, err := d.register.Device(ctx, device)
	if err != nil {
		return err
	}
	d.keeper.Keep(hearing, keptCosigner, cosignerLine(vouching, named.Signed))
	return d.log.Cosign(ctx, checkpoint, answer.Line, vouching)
}

// takeHead puts a journal's chain into the audit log.
func (d *door) takeHead(c recorder.Checkpoint) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	event := interview.Event{Hearing: c.Hearing, Type: evidence.EventHead, Fields: map[string]any{"recording": c.Recording, "seq": c.Seq, "head": c.Head}}
	if err := (ledger.Outbox{}).Append(ctx, d.db, event); err != nil {
		slog.Error("a journal's head was not logged", "hearing", c.Hearing, "err", err)
	}
}

// recorders is how signaling asks a recorder to come.
type recorders struct{ *door }

// Invite implements signaling.Recorders.
func (r recorders) Invite(ctx context.Context, h interview.HearingID, group interview.GroupID) error {
	c, err := r.door.hearings.CaseOf(ctx, h)
	if err != nil {
		return err
	}
	failed := r.askRecorders(ctx, "room.open", invitation{Hearing: h, Case: c, Group: group})
	for name, err := range failed {
		slog.Error("a recorder was not asked in", "recorder", name, "hearing", h, "err", err)
	}
	if len(failed) < len(r.in.Recorders) {
		return nil // either alone suffices
	}
	return errors.Join(slices.Collect(maps.Values(failed))...)
}

// askRecorders asks all recorders the same at once and gives who failed.
func (d *door) askRecorders(ctx context.Context, what string, question any) map[bus.Name]error {
	var mu sync.Mutex
	var wait sync.WaitGroup
	failed := map[bus.Name]error{}
	for _, name := range d.in.recorderNames() {
		wait.Go(func() {
			if err := d.conn.Call(ctx, name, what, question, nil); err != nil {
				mu.Lock()
				failed[name] = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return failed
}

// Booking implements kioskbridge.Bookings: the reference on an invitation is
// the participant's id. After the hearing has ended the same person comes to
// read the record.
func (d *door) Booking(ctx context.Context, reference string) (kioskbridge.Booking, error) {
	r, err := interview.ParseReference(reference)
	if err != nil {
		return kioskbridge.Booking{}, err
	}
	id, err := d.hearings.Invited(ctx, r, time.Now(), ticket.MaxVisitAge)
	if err != nil {
		return kioskbridge.Booking{}, err
	}
	h, err := d.hearings.HearingOf(ctx, id)
	if err != nil {
		return kioskbridge.Booking{}, err
	}
	p, _ := h.Participant(id)
	b := kioskbridge.Booking{Case: h.Case, Hearing: h.ID, Diary: h.Diary, Participant: id, Name: p.Name, Role: p.Role, Purpose: interview.PurposeHearing, Opens: h.Opens, Closes: h.Closes,
		Person: kioskbridge.Person{Name: p.Name, DateOfBirth: p.Born, ApplicantNumber: p.Card}}
	if h.State.Phase == interview.PhaseEnded {
		b.Purpose = interview.PurposeReview
	}
	for _, s := range h.Seats {
		if s.Participant == id {
			b.Seat, b.Terminal, b.Place = s.ID, s.Device, s.Place
		}
	}
	return b, nil
}
