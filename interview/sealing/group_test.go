package sealing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

func TestThoseOnTheRosterHearEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	sealed := chair.say(t, "What is your name?")
	if bytes.Contains(sealed, []byte("name")) {
		t.Fatal("the frame is in clear")
	}
	for _, p := range []*person{applicant, rec} {
		h, frame, err := p.Open(nil, chair.ID(), chair.track, sealed)
		if err != nil || string(frame) != "What is your name?" || h != (sealing.FrameHeader{Source: interview.SourceAudio, Capture: 42, Level: 30}) {
			t.Errorf("got %+v %q %v", h, frame, err)
		}
	}
	if a, b := chair.SAS(), rec.SAS(); len(a) != 6 || a != b {
		t.Errorf("short authentication strings differ: %q %q", a, b)
	}
}

// A ghost: door alone wants one more member in the room.
func TestDoorCannotInsertAGhost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, _ := w.trio()
	ghost := w.page(interview.RoleInterpreter)

	_, err := applicant.AddMember(ghost.Statement, applicant.Admission, w.now)
	wants(t, "admission of somebody else's statement", err, sealing.ErrAdmission)

	own := sign(t, w.AdmissionOf(ghost.Joined, sealing.KindPage), sealing.TypeAdmission, sealingtest.NewKey(t))
	_, err = applicant.AddMember(ghost.Statement, own, w.now)
	wants(t, "admission signed by door", err, sealing.ErrAdmission)

	// Not even the chair's own roster brings in one whom this page was not shown.
	if _, err := chair.AddMember(ghost.Statement, ghost.Admission, w.now); err != nil {
		t.Fatal(err)
	}
	text, err := chair.SignRoster(ids([]*person{chair, applicant, ghost}), "join", 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = applicant.ApplyRoster(text)
	wants(t, "roster with one never shown", err, sealing.ErrUnknownMember)
	wraps, err := applicant.Wraps(applicant.track, interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range wraps {
		if recipient(t, text) == ghost.ID() {
			t.Error("a key was wrapped to the ghost")
		}
	}
}

func TestEveryGateOfAStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.Page(t, interview.RoleCounsel)
	otherCA := sealingtest.NewCA(t, "devices", w.now)
	foreignKey, foreignCert := otherCA.Issue(t, good.Device.String(), w.now)
	otherDeviceKey, otherDeviceCert := w.Devices.Issue(t, interview.NewDeviceID().String(), w.now)
	caKey, caCert := w.Devices.IssueCA(t, good.Device.String(), w.now)
	recKey, recCert := w.Recorders.Issue(t, sealing.RecorderUnit, w.now)
	fakeRecKey, fakeRecCert := w.Devices.Issue(t, sealing.RecorderUnit, w.now)
	devAsRecKey, devAsRecCert := w.Recorders.Issue(t, good.Device.String(), w.now)
	var base sealing.Statement
	if err := jws.Peek(good.Statement, sealing.TypeStatement, &base); err != nil {
		t.Fatal(err)
	}
	deviceKey := sealing.SignWith(good.Key, good.Cert)
	asRecorder := func(s *sealing.Statement) {
		s.Kind, s.Device, s.Seats = sealing.KindRecorder, interview.DeviceID{}, []interview.SeatID{}
	}
	for name, c := range map[string]struct {
		change func(*sealing.Statement)
		sign   sealing.SignStatement
		later  time.Duration
		want   error
	}{
		"as it is":                           {nil, deviceKey, 0, nil},
		"device certificate of another root": {nil, sealing.SignWith(foreignKey, foreignCert), 0, sealing.ErrStatement},
		"certificate of another device":      {nil, sealing.SignWith(otherDeviceKey, otherDeviceCert), 0, sealing.ErrStatement},
		"certificate of another key":         {nil, sealing.SignWith(otherDeviceKey, good.Cert), 0, sealing.ErrStatement},
		"no certificate":                     {nil, sealing.SignWith(good.Key), 0, sealing.ErrStatement},
		"certificate of an authority":        {nil, sealing.SignWith(caKey, caCert), 0, sealing.ErrStatement},
		"root's own certificate":             {nil, sealing.SignWith(good.Key, w.Devices.Cert), 0, sealing.ErrStatement},
		"recorder says page":                 {nil, sealing.SignWith(recKey, recCert), 0, sealing.ErrStatement},
		"recorder says page of its own name": {nil, sealing.SignWith(devAsRecKey, devAsRecCert), 0, sealing.ErrStatement},
		"device says recorder":               {asRecorder, deviceKey, 0, sealing.ErrStatement},
		"device root makes a recorder":       {asRecorder, sealing.SignWith(fakeRecKey, fakeRecCert), 0, sealing.ErrStatement},
		"device under the recorder root":     {asRecorder, sealing.SignWith(devAsRecKey, devAsRecCert), 0, sealing.ErrStatement},
		"recorder":                           {asRecorder, sealing.SignWith(recKey, recCert), 0, nil},
		"recorder with a seat":               {func(s *sealing.Statement) { asRecorder(s); s.Seats = base.Seats }, sealing.SignWith(recKey, recCert), 0, sealing.ErrStatement},
		"recorder with a device":             {func(s *sealing.Statement) { asRecorder(s); s.Device = base.Device }, sealing.SignWith(recKey, recCert), 0, sealing.ErrStatement},
		"unknown kind":                       {func(s *sealing.Statement) { s.Kind = "bot" }, deviceKey, 0, sealing.ErrStatement},
		"unknown version":                    {func(s *sealing.Statement) { s.V = 2 }, deviceKey, 0, sealing.ErrStatement},
		"no seat":                            {func(s *sealing.Statement) { s.Seats = nil }, deviceKey, 0, sealing.ErrStatement},
		"a seat twice":                       {func(s *sealing.Statement) { s.Seats = append(s.Seats, s.Seats[0]) }, deviceKey, 0, sealing.ErrStatement},
		"no hearing":                         {func(s *sealing.Statement) { s.Hearing = interview.HearingID{} }, deviceKey, 0, sealing.ErrStatement},
		"no member":                          {func(s *sealing.Statement) { s.Member = interview.MemberID{} }, deviceKey, 0, sealing.ErrStatement},
		"no fingerprint":                     {func(s *sealing.Statement) { s.DTLS = "" }, deviceKey, 0, sealing.ErrStatement},
		"hpke key off the curve":             {func(s *sealing.Statement) { s.HPKEKey = "BA" + strings.Repeat("A", 85) }, deviceKey, 0, sealing.ErrStatement},
		"sign key off the curve":             {func(s *sealing.Statement) { s.SignKey = "BA" + strings.Repeat("A", 85) }, deviceKey, 0, sealing.ErrStatement},
		"sign key short":                     {func(s *sealing.Statement) { s.SignKey = "BA" }, deviceKey, 0, sealing.ErrStatement},
		"life too long":                      {func(s *sealing.Statement) { s.ExpiresAt += sealing.MaxStatementHours * 3600 }, deviceKey, 0, sealing.ErrStatement},
		"expired":                            {nil, deviceKey, 2 * time.Hour, sealing.ErrExpired},
		"not yet":                            {func(s *sealing.Statement) { s.IssuedAt += 120 }, deviceKey, 0, sealing.ErrExpired},
		"certificate expired":                {func(s *sealing.Statement) { s.IssuedAt += 24 * 3600; s.ExpiresAt += 24 * 3600 }, deviceKey, 24 * time.Hour, sealing.ErrStatement},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := base
			s.Seats = append([]interview.SeatID{}, base.Seats...)
			if c.change != nil {
				c.change(&s)
			}
			text, err := c.sign(s)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = w.Trust().VerifyStatement(text, w.now.Add(c.later))
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			if c.want != nil {
				wants(t, name, err, c.want)
			}
		})
	}
}

func TestEveryGateOfAnAdmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, rec, other := w.Page(t, interview.RoleCounsel, interview.RoleApplicant), w.Recorder(t), w.Page(t, interview.RoleCounsel)
	for name, c := range map[string]struct {
		of     *sealingtest.Joined
		change func(*sealing.Admission)
		want   error
	}{
		"as it is":             {good, func(*sealing.Admission) {}, nil},
		"fewer seats":          {good, func(a *sealing.Admission) { a.Seats = a.Seats[:1] }, nil},
		"recorder":             {rec, func(*sealing.Admission) {}, nil},
		"another statement":    {good, func(a *sealing.Admission) { a.Statement = jws.Hash(other.Statement) }, sealing.ErrAdmission},
		"another member":       {good, func(a *sealing.Admission) { a.Member = other.ID() }, sealing.ErrAdmission},
		"another hearing":      {good, func(a *sealing.Admission) { a.Hearing = interview.NewHearingID() }, sealing.ErrAdmission},
		"another kind":         {good, func(a *sealing.Admission) { a.Kind = sealing.KindRecorder }, sealing.ErrAdmission},
		"another version":      {good, func(a *sealing.Admission) { a.V = 0 }, sealing.ErrAdmission},
		"no rule":              {good, func(a *sealing.Admission) { a.Rule = "" }, sealing.ErrAdmission},
		"no seat":              {good, func(a *sealing.Admission) { a.Seats = a.Seats[:0] }, sealing.ErrAdmission},
		"seat not stated":      {good, func(a *sealing.Admission) { a.Seats = other.Seats }, sealing.ErrAdmission},
		"seat twice":           {good, func(a *sealing.Admission) { a.Seats = append(a.Seats[:1:1], a.Seats[0]) }, sealing.ErrAdmission},
		"role holds no seat":   {good, func(a *sealing.Admission) { a.Seats[0].Role = interview.RoleAdministrator }, sealing.ErrAdmission},
		"nobody on the seat":   {good, func(a *sealing.Admission) { a.Seats[0].Participant = interview.ParticipantID{} }, sealing.ErrAdmission},
		"recorder with a seat": {rec, func(a *sealing.Admission) { a.Seats = good.Seats }, sealing.ErrAdmission},
		"expired":              {good, func(a *sealing.Admission) { a.ExpiresAt = w.now.Unix() }, sealing.ErrExpired},
		"not yet":              {good, func(a *sealing.Admission) { a.IssuedAt += 120 }, sealing.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := sealing.KindPage
			if c.of == rec {
				kind = sealing.KindRecorder
			}
			a := w.AdmissionOf(c.of, kind)
			a.Seats = append([]sealing.AdmittedSeat{}, a.Seats...)
			c.change(&a)
			_, err := w.Trust().VerifyMember(c.of.Statement, w.Admit(t, a), w.now)
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			if c.want != nil {
				wants(t, name, err, c.want)
			}
		})
	}
}

func TestAMemberOfAnotherHearingOrWithOurIdIsNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair := w.page(interview.RoleInterviewer)
	elsewhere := *w.Installation
	elsewhere.Hearing = interview.NewHearingID()
	stranger := elsewhere.Page(t, interview.RoleCounsel)
	_, err := chair.AddMember(stranger.Statement, stranger.Admission, w.now)
	wants(t, "another hearing", err, sealing.ErrMember)

	// Somebody else's device states our member id with its own keys.
	thief := w.Page(t, interview.RoleCounsel)
	var s sealing.Statement
	if err := jws.Peek(thief.Statement, sealing.TypeStatement, &s); err != nil {
		t.Fatal(err)
	}
	s.Member = chair.ID()
	thief.Statement, _ = sealing.SignWith(thief.Key, thief.Cert)(s)
	a := w.AdmissionOf(thief, sealing.KindPage)
	a.Member = chair.ID()
	_, err = chair.AddMember(thief.Statement, w.Admit(t, a), w.now)
	wants(t, "own id, other keys", err, sealing.ErrStatement)

	other := w.page(interview.RoleApplicant)
	w.know(chair, other)
	_, err = other.AddMember(thief.Statement, w.Admit(t, a), w.now)
	wants(t, "a known id, other keys", err, sealing.ErrMember)
}

func TestEveryGateOfARoster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forge func(w *world, r *sealing.Roster, chair, applicant, rec, ghost *person) string
		want  error
	}{
		"as it is": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, nil},
		"made by the server": {func(w *world, r *sealing.Roster, _, _, _, _ *person) string {
			return sign(w.t, r, sealing.TypeRoster, sealingtest.NewKey(w.t))
		}, sealing.ErrRoster},
		"signed by somebody who does not chair": {func(w *world, r *sealing.Roster, _, applicant, _, _ *person) string {
			r.Chair = applicant.ID()
			return sign(w.t, r, sealing.TypeRoster, pageKey(applicant))
		}, sealing.ErrChair},
		"in the chair's name by somebody else": {func(w *world, r *sealing.Roster, _, applicant, _, _ *person) string {
			return sign(w.t, r, sealing.TypeRoster, pageKey(applicant))
		}, sealing.ErrRoster},
		"signed by the recorder": {func(w *world, r *sealing.Roster, _, _, rec, _ *person) string {
			r.Chair = rec.ID()
			return sign(w.t, r, sealing.TypeRoster, pageKey(rec))
		}, sealing.ErrChair},
		"signed by an unknown page": {func(w *world, r *sealing.Roster, _, _, _, ghost *person) string {
			r.Chair = ghost.ID()
			return sign(w.t, r, sealing.TypeRoster, pageKey(ghost))
		}, sealing.ErrUnknownMember},
		"with a ghost nobody was shown": {func(w *world, r *sealing.Roster, chair, _, _, ghost *person) string {
			r.Members = append(r.Members, sealing.RosterMember{Member: ghost.ID(), Admission: jws.Hash(ghost.Admission)})
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrUnknownMember},
		"with another admission": {func(w *world, r *sealing.Roster, chair, _, _, ghost *person) string {
			r.Members[1].Admission = jws.Hash(ghost.Admission)
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"a member twice": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Members = append(r.Members, r.Members[1])
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"nobody": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Members = nil
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"without the chair": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Members = r.Members[1:]
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrChair},
		"the same epoch again": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Epoch = 1
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrStale},
		"a forked past": {func(w *world, r *sealing.Roster, chair, applicant, _, _ *person) string {
			r.Prev = jws.Hash("another roster")
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrFork},
		"an epoch out of bounds": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Epoch = sealing.MaxEpoch + 1
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"of another group": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Group = interview.NewGroupID()
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"of another hearing": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Hearing = interview.NewHearingID()
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"for no known reason": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			r.Reason = "because"
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrRoster},
		"read from another kind of message": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			return sign(w.t, r, sealing.TypeWrap, pageKey(chair))
		}, sealing.ErrRoster},
		"with an expired member": {func(w *world, r *sealing.Roster, chair, _, _, _ *person) string {
			w.now = w.now.Add(2 * time.Hour)
			return sign(w.t, r, sealing.TypeRoster, pageKey(chair))
		}, sealing.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			chair, applicant, rec := w.trio()
			ghost := w.page(interview.RoleInterpreter)
			before, text, _ := applicant.Group.Roster()
			next := before
			next.Epoch, next.Prev, next.Reason = 2, jws.Hash(text), "leave"
			next.Members = append([]sealing.RosterMember{}, before.Members...)
			_, err := applicant.ApplyRoster(c.forge(w, &next, chair, applicant, rec, ghost))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, name, err, c.want)
			if now, _, _ := applicant.Group.Roster(); now.Epoch != before.Epoch {
				t.Error("a refused roster is in force")
			}
		})
	}
}

func TestOnlyTheChairSigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	_, err := applicant.SignRoster(ids([]*person{chair, applicant}), "leave", 1)
	wants(t, "applicant", err, sealing.ErrChair)
	_, err = rec.SignRoster(ids([]*person{chair, rec}), "leave", 1)
	wants(t, "recorder", err, sealing.ErrChair)
	ghost := w.page(interview.RoleCounsel)
	_, err = chair.SignRoster(ids([]*person{chair, ghost}), "join", 1)
	wants(t, "with a ghost", err, sealing.ErrUnknownMember)
}

// One who is outside follows the rosters without knowing all who are inside,
// and gives nobody a key meanwhile.
func TestOneOutsideTheRosterFollowsButHasNoKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, _ := w.trio()
	late := w.page(interview.RoleInterpreter)
	for _, p := range []*person{chair, late} {
		if _, err := late.AddMember(p.Statement, p.Admission, w.now); err != nil {
			t.Fatal(err)
		}
	}
	_, text, _ := chair.Group.Roster()
	if _, err := late.ApplyRoster(text); err != nil {
		t.Fatal(err)
	}
	_, err := late.Wraps(late.track, interview.SourceAudio, 0)
	wants(t, "wraps from outside", err, sealing.ErrNotOnRoster)
	wraps, err := applicant.Wraps(applicant.track, interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = late.AcceptWrap(wraps[0])
	wants(t, "wrap taken outside", err, sealing.ErrNotOnRoster)
}

func TestEveryGateOfAWrap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forge func(w *world, v sealing.Wrap, chair, applicant, rec *person) string
		want  error
	}{
		"made and signed by the server": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			// All is as it should be, but for whose signature it is.
			evil := sealingtest.NewKey(w.t)
			m, err := w.Trust().VerifyMember(applicant.Statement, applicant.Admission, w.now)
			if err != nil {
				w.t.Fatal(err)
			}
			v.KID, v.Track = v.KID+1, interview.NewTrackID()
			text, err := sealing.SignedWraps(sealing.IdentityOf(chair.ID(), nil, evil)).Give(v, make([]byte, 32), m)
			if err != nil {
				w.t.Fatal(err)
			}
			return text
		}, sealing.ErrWrap},
		"key substituted under the sender's signature text": {func(w *world, v sealing.Wrap, chair, _, _ *person) string {
			text, _ := canonJWS(w.t, v, func(v *sealing.Wrap) { v.CT = v.Enc })
			return text
		}, sealing.ErrWrap},
		"sealed values swapped": {func(w *world, v sealing.Wrap, chair, _, _ *person) string {
			v.KID++
			return sign(w.t, v, sealing.TypeWrap, pageKey(chair))
		}, sealing.ErrWrap},
		"another recipient": {func(w *world, v sealing.Wrap, chair, _, rec *person) string {
			v.Recipient = rec.ID()
			return sign(w.t, v, sealing.TypeWrap, pageKey(chair))
		}, sealing.ErrWrap},
		"another sender's name": {func(w *world, v sealing.Wrap, chair, _, rec *person) string {
			v.Sender = rec.ID()
			return sign(w.t, v, sealing.TypeWrap, pageKey(chair))
		}, sealing.ErrMember},
		"recorder speaks": {func(w *world, v sealing.Wrap, _, applicant, rec *person) string {
			return give(w, v, rec, applicant, func(v *sealing.Wrap) { v.KID = sealing.KID(1, 2, 0) })
		}, sealing.ErrMember},
		"own key reflected": {func(w *world, v sealing.Wrap, _, applicant, _ *person) string {
			return give(w, v, applicant, applicant, func(v *sealing.Wrap) { v.KID = sealing.KID(1, 1, 0) })
		}, sealing.ErrMember},
		"key id of somebody else": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.KID = sealing.KID(1, 2, 1) })
		}, sealing.ErrWrap},
		"key id of another epoch": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.KID = sealing.KID(2, 0, 1) })
		}, sealing.ErrWrap},
		"another epoch": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Epoch, v.KID = 2, sealing.KID(2, 0, 1) })
		}, sealing.ErrEpoch},
		"another roster": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Roster = jws.Hash("other") })
		}, sealing.ErrEpoch},
		"another group": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Group = interview.NewGroupID() })
		}, sealing.ErrWrap},
		"another hearing": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Hearing = interview.NewHearingID() })
		}, sealing.ErrWrap},
		"second key": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) {})
		}, sealing.ErrSecondKey},
		"same number, another track": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Track = interview.NewTrackID() })
		}, sealing.ErrTrack},
		"same track, another number": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.KID++ })
		}, sealing.ErrTrack},
		"same track, another source": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Source = interview.SourceVideo })
		}, sealing.ErrTrack},
		"no source": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.KID++; v.Track = interview.NewTrackID(); v.Source = "smell" })
		}, sealing.ErrTrack},
		"from one who left": {func(w *world, v sealing.Wrap, chair, applicant, rec *person) string {
			late := w.page(interview.RoleCounsel)
			w.know(chair, applicant, rec, late)
			return give(w, v, late, applicant, func(*sealing.Wrap) {})
		}, sealing.ErrNotOnRoster},
		"too long": {func(w *world, v sealing.Wrap, chair, _, _ *person) string {
			v.CT = strings.Repeat("A", sealing.MaxWrap)
			return sign(w.t, v, sealing.TypeWrap, pageKey(chair))
		}, sealing.ErrWrap},
		"a new track, as it should be": {func(w *world, v sealing.Wrap, chair, applicant, _ *person) string {
			return give(w, v, chair, applicant, func(v *sealing.Wrap) { v.KID++; v.Track = interview.NewTrackID() })
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			chair, applicant, rec := w.trio()
			wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
			if err != nil {
				t.Fatal(err)
			}
			var v sealing.Wrap
			if err := jws.Peek(wrapFor(t, wraps, applicant.ID()), sealing.TypeWrap, &v); err != nil {
				t.Fatal(err)
			}
			_, err = applicant.AcceptWrap(c.forge(w, v, chair, applicant, rec))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, name, err, c.want)
			if got, err := applicant.hear(chair, chair.say(t, "still")); err != nil || got != "still" {
				t.Errorf("the true key is gone: %v", err)
			}
		})
	}
}

// give makes a well-formed wrap from one member to another, with real HPKE and
// the sender's true signature, that says what the test wants.
func give(w *world, v sealing.Wrap, from, to *person, change func(*sealing.Wrap)) string {
	w.t.Helper()
	change(&v)
	m, err := w.Trust().VerifyMember(to.Statement, to.Admission, w.Installation.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	key := make([]byte, 32)
	key[0] = 7
	text, err := sealing.SignedWraps(from.Identity).Give(v, key, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// canonJWS changes a message's payload on the way and keeps its signature.
func canonJWS(t testing.TB, v sealing.Wrap, change func(*sealing.Wrap)) (string, error) {
	t.Helper()
	change(&v)
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, v, sealing.TypeWrap, sealingtest.NewKey(t))
	parts := strings.Split(signed, ".")
	return parts[0] + "." + b64(b) + "." + parts[2], nil
}

func TestAReplayedWrapIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := wrapFor(t, wraps, applicant.ID())
	_, err = applicant.AcceptWrap(old)
	wants(t, "in its own epoch", err, sealing.ErrReplay)
	w.roster(chair, []*person{chair, applicant}, "pause", applicant, rec)
	_, err = applicant.AcceptWrap(old)
	wants(t, "in the next epoch", err, sealing.ErrEpoch)
}

func TestAFrameCountsOnceAndOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	second := interview.NewTrackID()
	wraps, err := chair.Wraps(second, interview.SourceAudio, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := applicant.AcceptWrap(wrapFor(t, wraps, applicant.ID())); err != nil {
		t.Fatal(err)
	}
	sealed := chair.say(t, "words")

	_, _, err = applicant.Open(nil, chair.ID(), second, sealed)
	wants(t, "moved to another track", err, sealing.ErrTrack)
	_, _, err = rec.Open(nil, applicant.ID(), applicant.track, sealed)
	wants(t, "moved to another member", err, sealing.ErrTrack)
	moved := bytes.Clone(sealed)
	moved[2] |= 1 // the key id's last byte: track number 1
	_, _, err = applicant.Open(nil, chair.ID(), second, moved)
	wants(t, "moved, key id rewritten", err, sealing.ErrFrame)
	_, _, err = applicant.Open(nil, chair.ID(), chair.track, []byte{0xff})
	wants(t, "no frame", err, sealing.ErrFrame)

	if got, err := applicant.hear(chair, sealed); err != nil || got != "words" {
		t.Fatalf("got %q %v", got, err)
	}
	_, err = applicant.hear(chair, sealed)
	wants(t, "replayed", err, sealing.ErrReplay)

	_, err = chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceVideo}, nil)
	wants(t, "another source on the track", err, sealing.ErrTrack)
	_, err = chair.Seal(nil, interview.NewTrackID(), sealing.FrameHeader{Source: interview.SourceAudio}, nil)
	wants(t, "undeclared track", err, sealing.ErrTrack)
}

// A sender who lies inside its own seal about what the track carries.
func TestAFrameOfAnotherSourceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, _ := w.trio()
	track, key := interview.NewTrackID(), make([]byte, 32)
	key[0] = 7 // what give wraps
	wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	var v sealing.Wrap
	if err := jws.Peek(wrapFor(t, wraps, applicant.ID()), sealing.TypeWrap, &v); err != nil {
		t.Fatal(err)
	}
	if _, err := applicant.AcceptWrap(give(w, v, chair, applicant, func(v *sealing.Wrap) { v.Track, v.KID = track, v.KID+1 })); err != nil {
		t.Fatal(err)
	}
	sealer, err := sframe.NewSealer(key, uint64(v.KID+1))
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[interview.Source]error{interview.SourceVideo: sealing.ErrTrack, interview.SourceAudio: nil} {
		plain, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: source})
		if err != nil {
			t.Fatal(err)
		}
		sealed, _, err := sealer.Seal(nil, sealing.FrameMetadata(track), plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = applicant.Open(nil, chair.ID(), track, sealed); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", source, err, want)
		}
	}
	sealed, _, err := sealer.Seal(nil, sealing.FrameMetadata(track), []byte("no header"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = applicant.Open(nil, chair.ID(), track, sealed)
	wants(t, "no header inside", err, sealing.ErrFrame)
}

// However fast epochs follow each other, a key outlives its own by one only.
func TestAKeyTwoEpochsOldIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	everyone := []*person{chair, applicant, rec}
	first, second := chair.say(t, "first"), chair.say(t, "second")
	w.roster(chair, everyone, "join", applicant, rec)
	if _, err := applicant.hear(chair, first); err != nil {
		t.Errorf("one epoch later: %v", err)
	}
	w.roster(chair, everyone, "join", applicant, rec)
	_, err := applicant.hear(chair, second)
	wants(t, "two epochs later", err, sealing.ErrNoKey)
}

// A reload is a new member: it has new keys, cannot be taken for the old page,
// and nothing under the old page's key goes on.
func TestAReloadNeverReusesAKeyAndCounter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	first := applicant.say(t, "before")
	again := w.sit(w.Reload(t, applicant.Joined), sealing.HearingRules())
	if again.ID() == applicant.ID() {
		t.Fatal("the reloaded page is the same member")
	}
	again.track = applicant.track
	w.know(chair, rec, again)
	w.roster(chair, []*person{chair, again, rec}, "join", again, rec)
	w.wrap(chair, again)
	second := again.say(t, "before")
	if bytes.Equal(first[5:], second[5:]) {
		t.Error("the same words are sealed to the same bytes")
	}
	if got, err := chair.hear(again, second); err != nil || got != "before" {
		t.Errorf("the new page is not heard: %v", err)
	}
	if _, err := chair.hear(applicant, applicant.say(t, "ghost of the old page")); err == nil {
		t.Error("the old page is still heard")
	}
	seen := map[string]bool{}
	for range 300 {
		h := again.say(t, "x")[:6]
		if seen[string(h)] {
			t.Fatal("a counter came twice under one key")
		}
		seen[string(h)] = true
		if _, err := again.Origins(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARecorderPublishesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, applicant, rec := w.trio()
	_, err := rec.Wraps(rec.track, interview.SourceAudio, 0)
	wants(t, "wraps", err, sealing.ErrMember)
	o := sealing.Origin{V: 1, Hearing: w.Hearing, Group: w.group, Member: rec.ID(), Track: rec.track, KID: sealing.KID(1, 2, 0), Hashes: strings.Repeat("A", 43)[:22]}
	_, err = applicant.AcceptOrigin(sign(t, o, sealing.TypeOrigin, pageKey(rec)))
	wants(t, "origin list", err, sealing.ErrOrigin)
}

func TestWhoIsOffTheRosterIsOutOfTheKeysAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	inFlight := chair.say(t, "in flight")
	w.roster(chair, []*person{chair, applicant}, "pause", applicant, rec)
	if got, err := applicant.hear(chair, inFlight); err != nil || got != "in flight" {
		t.Errorf("a frame in flight is lost: %v", err)
	}
	_, err := chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceAudio}, nil)
	wants(t, "sealing under the key that the recorder has", err, sealing.ErrNoKey)
	w.wrap(chair, applicant)
	private := chair.say(t, "private")
	if got, err := applicant.hear(chair, private); err != nil || got != "private" {
		t.Errorf("in the room: %v", err)
	}
	_, err = rec.hear(chair, private)
	wants(t, "the recorder in a pause", err, sealing.ErrNoKey)

	late := chair.say(t, "late")
	w.roster(chair, []*person{chair, applicant, rec}, "resume", applicant, rec)
	w.now = w.now.Add(sealing.Linger + 1)
	_, err = applicant.hear(chair, late)
	wants(t, "a frame of an epoch long over", err, sealing.ErrNoKey)
}

// When somebody joins, the others go on under the old key until the wraps of
// the new one had time to arrive; the one who joined cannot read that.
func TestNothingIsLostWhenSomebodyJoins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	late := w.page(interview.RoleInterpreter)
	w.know(chair, applicant, rec, late)
	w.roster(chair, []*person{chair, applicant, rec, late}, "join", applicant, rec, late)
	old := chair.say(t, "before wraps")
	wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	grace := chair.say(t, "while wraps travel")
	for _, p := range []*person{applicant, rec, late} {
		if _, err := p.AcceptWrap(wrapFor(t, wraps, p.ID())); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(sealing.Grace)
	fresh := chair.say(t, "after")
	for want, sealed := range map[string][]byte{"before wraps": old, "while wraps travel": grace, "after": fresh} {
		if got, err := applicant.hear(chair, sealed); err != nil || got != want {
			t.Errorf("%s: %v", want, err)
		}
		_, err := late.hear(chair, sealed)
		if (err == nil) != (want == "after") {
			t.Errorf("the newcomer and %q: %v", want, err)
		}
	}
}

func TestAConsultationHasNeitherInterviewerNorRecorder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	counsel := w.sit(w.Page(t, interview.RoleCounsel), sealing.ConsultationRules())
	applicant := w.sit(w.Page(t, interview.RoleApplicant), sealing.ConsultationRules())
	w.know(counsel, applicant)
	for _, j := range []*sealingtest.Joined{w.Recorder(t), w.Page(t, interview.RoleInterviewer)} {
		_, err := counsel.AddMember(j.Statement, j.Admission, w.now)
		wants(t, "not in a consultation", err, sealing.ErrMember)
	}
	_, err := applicant.SignRoster(ids([]*person{counsel, applicant}), "join", 0)
	wants(t, "applicant chairs", err, sealing.ErrChair)
	w.roster(counsel, []*person{counsel, applicant}, "join", applicant)
	w.wrap(counsel, applicant)
	if got, err := applicant.hear(counsel, counsel.say(t, "privately")); err != nil || got != "privately" {
		t.Errorf("%v", err)
	}
	if lists, err := counsel.Origins(); err != nil || len(lists) != 0 {
		t.Errorf("a consultation leaves evidence: %d lists, %v", len(lists), err)
	}
}

func TestEveryKeyIdIsOfOneMemberAndTrack(t *testing.T) {
	t.Parallel()
	seen := map[int64]bool{}
	for _, epoch := range []int64{1, 2, sealing.MaxEpoch} {
		for place := range sealing.MaxMembers {
			for number := range sealing.MaxTracks {
				kid := sealing.KID(epoch, place, number)
				e, p, n := sealing.PlaceOf(kid)
				if seen[kid] || e != epoch || p != place || n != number || kid >= 1<<53 {
					t.Fatalf("key id %d of %d %d %d reads as %d %d %d", kid, epoch, place, number, e, p, n)
				}
				seen[kid] = true
			}
		}
	}
}

func TestTheNameIsCommittedNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seat := w.Page(t, interview.RoleCounsel).Seats[0]
	salt := b64(sealingtest.Salt)
	if !seat.NameIs(salt, "Name of the counsel") {
		t.Error("the true name does not match")
	}
	for _, c := range [][2]string{{salt, "Name of the judge"}, {b64([]byte("0123456789abcdeg")), "Name of the counsel"}, {"?", "Name of the counsel"}, {"", "Name of the counsel"}, {salt, ""}} {
		if seat.NameIs(c[0], c[1]) {
			t.Errorf("%q matches", c)
		}
	}
	if _, err := sealing.CommitName(sealingtest.Salt, "a\x00b"); err == nil {
		t.Error("a name with NUL could be cut elsewhere")
	}
}

func TestPageKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	id := sealingtest.Identity(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "identity", id)
	if _, err := json.Marshal(id); err == nil {
		t.Error("page keys are written as JSON")
	}
	for _, text := range []string{fmt.Sprint(id), fmt.Sprintf("%+v", id), fmt.Sprintf("%#v", id), log.String()} {
		if !strings.Contains(text, "redacted") || len(text) > 200 {
			t.Errorf("prints %q", text)
		}
	}
}

func TestSealingAndOpeningAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	chair, applicant, _ := w.trio()
	frame, sealed, opened := make([]byte, 1200), make([]byte, 0, 2048), make([]byte, 0, 2048)
	h := sealing.FrameHeader{Source: interview.SourceAudio, Level: sealing.NoLevel}
	if n := testing.AllocsPerRun(100, func() {
		out, err := chair.Seal(sealed, chair.track, h, frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := applicant.Open(opened, chair.ID(), chair.track, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}
