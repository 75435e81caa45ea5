package app

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"kuule/internal/bus"
	"kuule/internal/durable"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/tracing"
	"kuule/interview"
	"kuule/interview/admission"
	"kuule/interview/ledger"
	"kuule/interview/sealing"
	"kuule/interview/ticket"
	"kuule/interview/wire"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/signaling"
)

// joins is signaling's admission: it gathers the facts, lets the rules decide,
// and brings the facts' own proofs to authority.
type joins struct{ *door }

// ruleRecorder admits recorders: they come with a certificate of authority and
// can be nothing else.
const ruleRecorder = "recorder-by-certificate"

// Judge implements signaling.Admission.
func (j joins) Judge(ctx context.Context, peer signaling.Peer, join wire.Join) (signaling.Judgement, error) {
	if peer.Recorder {
		facts, err := json.Marshal(admitFacts{Statement: join.Statement, Rule: ruleRecorder})
		return signaling.Judgement{Rule: ruleRecorder, Facts: facts}, err
	}
	var st sealing.Statement
	if err := jws.Peek(join.Statement, sealing.TypeStatement, &st); err != nil {
		return signaling.Judgement{}, problem.New(problem.CodeStatementInvalid, "%w", err)
	}
	if st.Device != peer.Device || len(st.Seats) == 0 {
		return signaling.Judgement{}, problem.New(problem.CodeStatementInvalid, "statement of another device, or of no seat")
	}
	h, err := j.hearings.Hearing(ctx, join.Hearing)
	if err != nil {
		return signaling.Judgement{}, problem.Refused(problem.CodeNotBooked, "hearing-booked", "hearing %s: %w", join.Hearing, err)
	}
	return j.decide(ctx, h, st, join)
}

// decide gathers the facts of each seat and asks the rules.
func (j joins) decide(ctx context.Context, h *interview.Hearing, st sealing.Statement, join wire.Join) (signaling.Judgement, error) {
	now := time.Now()
	proof := signin.Proof{IDToken: join.Proof.IDToken, NonceRandom: join.Proof.Nonce}
	who, personErr := j.person(ctx, proof, st.Device)
	held, proofs, checks, err := j.heldTickets(ctx, h.ID, st.Device)
	if err != nil {
		return signaling.Judgement{}, err
	}
	label := ""
	if named, err := j.register.Device(ctx, st.Device); err == nil {
		label = named.Label
	}
	out := signaling.Judgement{Label: label, Chair: true}
	facts := admitFacts{Statement: join.Statement, Proof: proof, Tickets: proofs}
	var all []admission.Facts
	for _, id := range st.Seats {
		seat, booked := h.Seat(id)
		if !booked {
			return signaling.Judgement{}, problem.Refused(problem.CodeNotBooked, "seat-booked", "seat %s is not of hearing %s", id, h.ID)
		}
		p, _ := h.Participant(seat.Participant)
		subject := ""
		if who != nil {
			subject = who.Subject
		}
		coverage, err := j.register.Coverage(ctx, st.Device, seat.Premises, subject, p.Role, now)
		if err != nil {
			return signaling.Judgement{}, err
		}
		f := admission.Facts{
			Now:     now,
			Hearing: admission.Hearing{ID: h.ID, Opens: h.Opens, Closes: h.Closes, Phase: h.State.Phase},
			Seat: admission.Seat{
				ID: seat.ID, Participant: p.ID, Role: p.Role, Subject: p.Subject, Device: seat.Device, Premises: seat.Premises,
				BesideClient: beside(h, st),
			},
			Device:   j.deviceFacts(ctx, st.Device, coverage.Device, coverage.Revoked),
			Coverage: admission.Coverage{Device: coverage.Device, Premises: coverage.Premises, Person: coverage.Person},
		}
		if coverage.Premises {
			f.Premises = seat.Premises
		}
		if proof.IDToken != "" {
			f.Person = &admission.Person{Verdict: interview.Failed}
			if personErr == nil && who != nil {
				f.Person = &admission.Person{Subject: who.Subject, Roles: []interview.Role{interview.Role(who.Role)}, Verdict: interview.Verified}
			}
		}
		if t, ok := held[p.ID]; ok {
			f.Ticket = &t
		}
		all = append(all, f)
		out.Checks = append(out.Checks, f.Checks()...)
		out.Chair = out.Chair && p.Role == interview.RoleInterviewer
		name := p.Name
		if p.Role != interview.RoleApplicant && who != nil && who.Subject == p.Subject {
			name = who.Name // as the identity provider spells it: that is what authority can prove
		}
		salt := j.salt(h.ID, seat.ID, p.ID)
		out.Seats = append(out.Seats, wire.SeatView{Seat: seat.ID, Participant: p.ID, Role: p.Role, Name: name, Salt: base64.RawURLEncoding.EncodeToString(salt), Place: seat.Place})
		facts.Seats = append(facts.Seats, admitSeat{Seat: seat.ID, Participant: p.ID, Role: p.Role, Name: name, Salt: salt})
	}
	out.Checks = append(out.Checks, checks...)
	d, err := j.rules.DecideAll(all)
	if err != nil {
		return signaling.Judgement{}, err
	}
	out.Rule, facts.Rule = d.Rule, d.Rule
	if err := d.Err(); err != nil {
		return out, err
	}
	out.Facts, err = json.Marshal(facts)
	return out, err
}

// beside reports whether the applicant's seat is among the statement's.
func beside(h *interview.Hearing, st sealing.Statement) bool {
	for _, id := range st.Seats {
		if seat, ok := h.Seat(id); ok {
			if p, ok := h.Participant(seat.Participant); ok && p.Role == interview.RoleApplicant {
				return true
			}
		}
	}
	return false
}

// deviceFacts tells what is known of a device's state. A door that has just been
// started again asks authority, which heard the quotes of before: a room's pages
// are back sooner than their devices' next quotes.
func (j joins) deviceFacts(ctx context.Context, id interview.DeviceID, named, revoked bool) admission.Device {
	j.mu.Lock()
	v, known := j.verdicts[id]
	j.mu.Unlock()
	out := admission.Device{ID: id, Named: named, Revoked: revoked, Posture: interview.NotDone}
	if known {
		out.Posture, out.PostureAt = v.Outcome, v.At
		return out
	}
	var fresh freshAnswer
	if err := j.conn.Call(ctx, bus.Main(bus.Authority), "posture.fresh", freshQuestion{Device: id}, &fresh); err == nil {
		out.Posture, out.PostureAt = interview.Verified, time.Now().Add(-time.Duration(fresh.Age+1)*time.Second)
	}
	return out
}

// heldTickets lists the tickets that the device has redeemed for the hearing,
// by participant, with their proofs and the kiosk's checks.
func (j joins) heldTickets(ctx context.Context, h interview.HearingID, device interview.DeviceID) (map[interview.ParticipantID]admission.Ticket, []ticket.Proof, []interview.Check, error) {
	tickets, err := j.tickets.Held(ctx, device)
	if err != nil {
		return nil, nil, nil, err
	}
	held := map[interview.ParticipantID]admission.Ticket{}
	var proofs []ticket.Proof
	var checks []interview.Check
	for _, t := range tickets {
		if t.Hearing != h || t.Purpose != interview.PurposeHearing {
			continue
		}
		proof, verdicts, err := j.tickets.Proof(ctx, t.ID, device)
		if err != nil {
			return nil, nil, nil, err
		}
		shown, err := ticket.Shown(proof.Evidence, time.Now())
		if err != nil {
			return nil, nil, nil, err
		}
		proofs = append(proofs, proof)
		checks = append(append(checks, shown...), verdicts...)
		// The row was written by this door's bridge; authority verifies the
		// signatures again before it countersigns.
		held[t.Participant] = admission.Ticket{ID: t.ID, Hearing: t.Hearing, Participant: t.Participant, Device: device, Purpose: t.Purpose, Expires: t.Expires, Verdict: interview.Verified}
	}
	return held, proofs, checks, nil
}

// redeemer tells authority of tickets that are redeemed, in their minutes. It
// implements kioskbridge.Redeemer.
type redeemer struct{ *door }

// Redeem redeems the ticket. Where authority could not be told, the seat can
// still be taken within the ticket's own minutes.
func (r redeemer) Redeem(ctx context.Context, id interview.TicketID, by kioskbridge.Redemption) (interview.Ticket, error) {
	t, err := r.tickets.Redeem(ctx, id, by)
	if err != nil || t.Purpose != interview.PurposeHearing && t.Purpose != interview.PurposeReview {
		return t, err
	}
	proof, _, err := r.tickets.Proof(ctx, id, by.Device)
	if err == nil {
		err = r.conn.Call(ctx, bus.Main(bus.Authority), "hold", holdQuestion{proof}, nil)
	}
	if err != nil {
		slog.Warn("authority was not told of a redeemed ticket", "ticket", id, "err", err)
	}
	return t, nil
}

// salt makes a name's commitment the same for a member that comes back to a
// door that restarted, and guessable by nobody else.
func (j joins) salt(h interview.HearingID, s interview.SeatID, p interview.ParticipantID) []byte {
	mac := hmac.New(sha256.New, j.saltKey)
	fmt.Fprintf(mac, "%s|%s|%s", h, s, p)
	return mac.Sum(nil)[:sealing.MinSaltBytes]
}

// Countersign implements signaling.Admission.
func (j joins) Countersign(ctx context.Context, join wire.Join, judgement signaling.Judgement) (_ string, err error) {
	var st sealing.Statement
	if err := jws.Peek(join.Statement, sealing.TypeStatement, &st); err == nil { // authority verifies it
		ctx, span := tracing.Begin(tracing.Of(ctx, st.Member.String()), "countersign")
		defer func() { tracing.End(span, err) }()
		return j.countersign(ctx, judgement)
	}
	return j.countersign(ctx, judgement)
}

func (j joins) countersign(ctx context.Context, judgement signaling.Judgement) (string, error) {
	var facts admitFacts
	if err := json.Unmarshal(judgement.Facts, &facts); err != nil {
		return "", err
	}
	var out admitAnswer
	err := j.conn.Call(ctx, bus.Main(bus.Authority), "admit", facts, &out)
	return out.Admission, err
}

// Returning implements signaling.Admission.
func (j joins) Returning(ctx context.Context, peer signaling.Peer, join wire.Join) (signaling.Judgement, error) {
	key, err := j.in.trust.Statement()
	if err != nil {
		return signaling.Judgement{}, err
	}
	var a sealing.Admission
	if err := jws.Verify(join.Admission, sealing.TypeAdmission, key, &a); err != nil {
		return signaling.Judgement{}, problem.New(problem.CodeStatementInvalid, "%w", err)
	}
	if a.Statement != jws.Hash(join.Statement) || a.Hearing != join.Hearing || time.Now().Unix() >= a.ExpiresAt {
		return signaling.Judgement{}, problem.New(problem.CodeStatementInvalid, "admission is of another statement, or over")
	}
	return j.Judge(ctx, peer, join)
}

// eventJoin is the audit event of a join that was judged.
const eventJoin = "room.join"

// joinAudit tells the audit log who tried to join, by which rule.
type joinAudit struct{ *door }

// Joined implements signaling.Audit.
func (a joinAudit) Joined(h interview.HearingID, peer signaling.Peer, rule string, err error) {
	outcome := "judged"
	var p *problem.Error
	if errors.As(err, &p) {
		outcome = string(p.Code)
		if p.Rule != "" {
			rule = p.Rule
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	event := interview.Event{Hearing: h, Type: eventJoin, Fields: map[string]any{"device": peer.Device, "rule": rule, "outcome": outcome}}
	if err := (ledger.Outbox{}).Append(ctx, a.db, event); err != nil {
		slog.Error("a join was not logged", "hearing", h, "err", err)
	}
}

// loadSecret reads 32 random bytes from a file, making it on the first start.
func loadSecret(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) == 32 {
		return b, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		return nil, fmt.Errorf("%s does not hold 32 bytes", path)
	}
	b = make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return b, durable.WriteFile(path, b, 0o600)
}
