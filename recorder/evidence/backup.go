package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
)

// BackupReport is of a recording that no recorder made in the room: it holds what
// was taken in from a room terminal's back-up, under a grant.
type BackupReport struct {
	Grant   string               `json:"grant"` // jws.Hash
	Span    backup.Span          `json:"span"`  // granted: no recorder has it
	Members []interview.MemberID `json:"members"`
	Roles   []interview.Role     `json:"roles"` // who sits at their devices
	Granted int64                `json:"granted"`
	TakenIn int64                `json:"taken_in"` // Unix seconds
}

// granted checks the grants by which back-ups were taken in: each authority's own
// word, on a bundle of this hearing whose room is this one's.
func (v *verifier) granted() error {
	key, err := v.file.Sealing()
	if err != nil {
		return err
	}
	texts, err := v.lines(grantsName)
	if err != nil {
		return err
	}
	m := v.report.Manifest
	for i, text := range texts {
		g, err := backup.VerifyGrant(text, key)
		if err == nil && (g.Hearing != m.Hearing || g.Case != m.Case) {
			err = fmt.Errorf("it is of another hearing or case")
		}
		for _, h := range g.Rosters {
			if err == nil && !v.rosterHash[h] {
				err = fmt.Errorf("a roster that it names is not in %s", rostersName)
			}
		}
		if err != nil {
			return wrong(grantsName, line(i), fmt.Errorf("%w: %w", ErrBackup, err))
		}
		v.grants[jws.Hash(text)] = g
	}
	return nil
}

// taken checks what was said at each taking in, and whose word it is.
func (v *verifier) taken() error {
	texts, err := v.lines(takenName)
	if err != nil {
		return err
	}
	for i, text := range texts {
		if err := v.takenIn(text); err != nil {
			return wrong(takenName, line(i), fmt.Errorf("%w: %w", ErrBackup, err))
		}
	}
	return nil
}

func (v *verifier) takenIn(text string) error {
	var t backup.Taken
	if err := jws.Peek(text, backup.TypeTaken, &t); err != nil {
		return err
	}
	by := v.takes(t.Member)
	if by == nil {
		return fmt.Errorf("%s was not admitted to take in", t.Member)
	}
	if err := jws.Verify(text, backup.TypeTaken, by.SignKey(), &t); err != nil {
		return err
	}
	under, _ := backup.TakesIn(by.Admission.Rule)
	if _, ok := v.grants[under]; !ok || t.Grant != under || t.V != 1 || t.Hearing != v.report.Manifest.Hearing {
		return fmt.Errorf("its grant is not here, or it is of another hearing")
	}
	for _, r := range t.Recordings {
		if !slices.ContainsFunc(v.report.Manifest.Recordings, func(x Recording) bool { return x.Recording == r && x.Member == t.Member }) {
			return fmt.Errorf("%s was taken in and is not here", r)
		}
		v.takings[r] = t
	}
	v.report.Taken = append(v.report.Taken, t)
	return nil
}

// takes gives the member that was admitted to take in, or nil.
func (v *verifier) takes(id interview.MemberID) *sealing.Member {
	for _, m := range v.members {
		if m.Statement.Member != id {
			continue
		}
		if _, ok := backup.TakesIn(m.Admission.Rule); ok && m.Recorder() {
			return m
		}
	}
	return nil
}

// under finds the grant of a journal whose recorder was admitted to take in; a
// recorder that was in the room has none.
func (j *recordingCheck) under(by *sealing.Member) error {
	name, ok := backup.TakesIn(by.Admission.Rule)
	if !ok {
		return nil
	}
	g, here := j.v.grants[name]
	t, said := j.v.takings[j.want.Recording]
	if !here || !said {
		return fmt.Errorf("%w: nothing says when and under which grant it was taken in", ErrBackup)
	}
	n := g.Within(j.want.From)
	if n < 0 || j.want.To > g.Spans[n].To {
		return fmt.Errorf("%w: it reaches out of what was granted", ErrBackup)
	}
	j.report.Backup = &BackupReport{
		Grant: name, Span: g.Spans[n], Granted: g.At, TakenIn: t.At, Members: []interview.MemberID{}, Roles: []interview.Role{},
	}
	return nil
}

// within refuses a frame outside the span that was granted. Only with the data key
// can that be seen.
func (j *recordingCheck) within(capture interview.Micros) error {
	if b := j.report.Backup; b != nil && (capture < b.Span.From || capture >= b.Span.To) {
		return fmt.Errorf("%w: it lies outside what was granted", ErrBackup)
	}
	return nil
}

// whose says whose back-up it was, by the lists in the journal.
func (j *recordingCheck) whose() {
	b := j.report.Backup
	if b == nil {
		return
	}
	for of := range j.last {
		if !slices.Contains(b.Members, of.member) {
			b.Members = append(b.Members, of.member)
		}
	}
	slices.SortFunc(b.Members, func(a, c interview.MemberID) int { return strings.Compare(a.String(), c.String()) })
	for _, m := range j.v.members {
		if !slices.Contains(b.Members, m.Statement.Member) {
			continue
		}
		for _, s := range m.Admission.Seats {
			if !slices.Contains(b.Roles, s.Role) {
				b.Roles = append(b.Roles, s.Role)
			}
		}
	}
	slices.Sort(b.Roles)
}

// notes says in words which seconds come from a back-up.
func (b *BackupReport) note(r Recording) string {
	roles := make([]string, len(b.Roles))
	for i, x := range b.Roles {
		roles[i] = string(x)
	}
	return fmt.Sprintf("%.1f s from %.1f s on come from the back-up of a room terminal (%s): no recorder has them; recording %s, taken in %s",
		float64(r.To-r.From)/1e6, float64(r.From)/1e6, strings.Join(roles, ", "), r.Recording, time.Unix(b.TakenIn, 0).UTC().Format(time.RFC3339))
}
