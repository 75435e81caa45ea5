package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
)

// room checks statements, admissions and rosters: who could be in which group,
// and by whose word.
func (v *verifier) room() error {
	statements := map[string]string{}
	texts, err := v.lines(statementsName)
	if err != nil {
		return err
	}
	for i, text := range texts {
		var s sealing.Statement
		err := jws.Peek(text, sealing.TypeStatement, &s)
		if err == nil {
			// As of when it was made: a certificate lives for a day, evidence longer.
			s, _, err = v.trust.VerifyStatement(text, time.Unix(s.IssuedAt, 0))
		}
		if err == nil && s.Hearing != v.report.Manifest.Hearing {
			err = errors.New("it is for another hearing")
		}
		if err != nil {
			return wrong(statementsName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
		statements[jws.Hash(text)] = text
	}
	if texts, err = v.lines(admissionsName); err != nil {
		return err
	}
	for i, text := range texts {
		if err := v.admit(statements, text); err != nil {
			return wrong(admissionsName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
	}
	v.report.Members = len(v.members)
	if texts, err = v.lines(rostersName); err != nil {
		return err
	}
	last := map[interview.GroupID]struct {
		epoch int64
		hash  string
	}{}
	for i, text := range texts {
		r, err := v.roster(text)
		if err == nil {
			before := last[r.Group]
			if r.Epoch <= before.epoch || r.Prev != before.hash {
				err = errors.New("it does not follow the roster before it")
			}
		}
		if err != nil {
			return wrong(rostersName, line(i), fmt.Errorf("%w: %w", ErrRoom, err))
		}
		last[r.Group] = struct {
			epoch int64
			hash  string
		}{r.Epoch, jws.Hash(text)}
		v.rosters[epochOf{r.Group, r.Epoch}] = r
		v.rosterHash[jws.Hash(text)] = true
		v.seated(r)
	}
	v.report.Rosters = len(texts)
	return nil
}

func (v *verifier) admit(statements map[string]string, text string) error {
	var a sealing.Admission
	if err := jws.Peek(text, sealing.TypeAdmission, &a); err != nil {
		return err
	}
	statement, ok := statements[a.Statement]
	if !ok {
		return errors.New("the statement that it admits is not here")
	}
	m, err := v.trust.VerifyMember(statement, text, time.Unix(a.IssuedAt, 0))
	if err != nil {
		return err
	}
	if _, in := backup.TakesIn(a.Rule); in != (m.Recorder() && m.Statement.DTLS == sealing.NoConnection) {
		return fmt.Errorf("%w: %s takes in without a grant, or was admitted to as one that has a connection", ErrBackup, a.Member)
	}
	v.members[m.AdmissionHash] = m
	return nil
}

// roster checks one roster by itself.
func (v *verifier) roster(text string) (sealing.Roster, error) {
	var r sealing.Roster
	if err := jws.Peek(text, sealing.TypeRoster, &r); err != nil {
		return r, err
	}
	var chair *sealing.Member
	seen := map[interview.MemberID]bool{}
	for _, x := range r.Members {
		m := v.members[x.Admission]
		if m == nil || m.Statement.Member != x.Member {
			return r, fmt.Errorf("%s was not admitted as it says", x.Member)
		}
		if _, ok := backup.TakesIn(m.Admission.Rule); ok {
			return r, fmt.Errorf("%s was admitted to take in a back-up, and to no room", x.Member)
		}
		if seen[x.Member] {
			return r, fmt.Errorf("%s is on it twice", x.Member)
		}
		seen[x.Member] = true
		if x.Member == r.Chair {
			chair = m
		}
	}
	if chair == nil {
		return r, errors.New("who chairs is not on it")
	}
	rules := sealing.ConsultationRules()
	if v.hearingGroup(r) {
		rules = sealing.HearingRules()
	}
	if !rules.Chair(chair) {
		return r, sealing.ErrChair
	}
	for _, x := range r.Members {
		if !rules.Member(v.members[x.Admission]) {
			return r, fmt.Errorf("%w: %s", sealing.ErrMember, x.Member)
		}
	}
	var checked sealing.Roster
	if err := jws.Verify(text, sealing.TypeRoster, chair.SignKey(), &checked); err != nil {
		return r, err
	}
	if checked.V != 1 || checked.Hearing != v.report.Manifest.Hearing || checked.Epoch < 1 || len(checked.Members) > sealing.MaxMembers {
		return r, errors.New("version, hearing, epoch or size is wrong")
	}
	return checked, nil
}

// seated notes who was in the room, and since when.
func (v *verifier) seated(r sealing.Roster) {
	for _, x := range r.Members {
		m := v.members[x.Admission]
		if m.Recorder() {
			continue
		}
		i := slices.IndexFunc(v.report.Pages, func(p Page) bool { return p.Member == x.Member })
		if i < 0 {
			v.report.Pages = append(v.report.Pages, Page{x.Member, m.Statement.Device, r.At})
			continue
		}
		v.report.Pages[i].Since = min(v.report.Pages[i].Since, r.At)
	}
}

// hearingGroup tells a hearing's group from a consultation: the interviewer
// chairs the one and may not be in the other.
func (v *verifier) hearingGroup(r sealing.Roster) bool {
	for _, x := range r.Members {
		if m := v.members[x.Admission]; m != nil && x.Member == r.Chair {
			return m.HasRole(interview.RoleInterviewer)
		}
	}
	return false
}

// placed checks that a key id was that member's in that epoch.
func (v *verifier) placed(group interview.GroupID, kid int64, member interview.MemberID) (*sealing.Member, error) {
	epoch, place, _ := sealing.PlaceOf(kid)
	r, ok := v.rosters[epochOf{group, epoch}]
	if !ok || place >= len(r.Members) || r.Members[place].Member != member {
		return nil, fmt.Errorf("%w: key id %d was not %s's", ErrOrigin, kid, member)
	}
	return v.members[r.Members[place].Admission], nil
}

// recordings checks every journal and, with its key, every frame.
func (v *verifier) recordings() error {
	seen := map[interview.RecordingID]bool{}
	for _, want := range v.report.Manifest.Recordings {
		if seen[want.Recording] {
			return wrong(manifestName, "recordings", fmt.Errorf("%w: %s stands there twice", ErrManifest, want.Recording))
		}
		seen[want.Recording] = true
		report, err := v.recording(want)
		if err != nil {
			return err
		}
		v.report.Recordings = append(v.report.Recordings, report)
	}
	if err := v.followed(); err != nil {
		return err
	}
	for r := range v.opts.Keys {
		if !seen[r] {
			return fmt.Errorf("%w: recording %s is not in this bundle", ErrKeyFile, r)
		}
	}
	for _, h := range v.report.Log.Heads {
		if !seen[h.Recording] {
			return wrong(manifestName, "recordings", fmt.Errorf("%w: the log knows of %s, which is not here", ErrRecording, h.Recording))
		}
	}
	v.silent()
	return nil
}

// followed holds each recording against the one that went on from it, whose
// opening names the last block that it found: without a closing nothing else in
// a journal tells that its end was cut off.
func (v *verifier) followed() error {
	for _, former := range v.report.Manifest.Recordings {
		for next, a := range v.after {
			if a.Recording != former.Recording || a.Seq < 0 {
				continue
			}
			if former.Blocks <= a.Seq || former.Blocks == a.Seq+1 && former.Head != a.Head {
				return wrong(journalFolder+former.Recording.String()+"/", "end", fmt.Errorf("%w: it does not reach block %d, from which %s went on", ErrRecording, a.Seq, next))
			}
		}
	}
	return nil
}

// silent notes recorders that a roster shows in the room and of which nothing is
// here. That alone is no fault: a recorder can end before its first block. But
// who leaves a journal out of a bundle, with its proofs, cannot take the
// recorder off the rosters too, which name each other.
func (v *verifier) silent() {
	here := map[interview.MemberID]bool{}
	for _, r := range v.report.Recordings {
		here[r.Recording.Member] = true
	}
	for _, r := range v.rosters {
		for _, x := range r.Members {
			if v.members[x.Admission].Recorder() && !here[x.Member] {
				here[x.Member] = true
				v.report.Silent = append(v.report.Silent, x.Member)
			}
		}
	}
	slices.SortFunc(v.report.Silent, func(a, b interview.MemberID) int { return strings.Compare(a.String(), b.String()) })
	for _, m := range v.report.Silent {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("recorder %s was in the room, and nothing of it is in this bundle", m))
	}
}
