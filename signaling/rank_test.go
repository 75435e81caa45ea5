package signaling

import (
	"slices"
	"testing"

	"kuule/interview"
)

// N5: a page that says nothing is served by its person's role.
func TestRanksByRole(t *testing.T) {
	t.Parallel()
	type device []interview.Role
	interviewer, applicant, counsel, interpreter := device{interview.RoleInterviewer}, device{interview.RoleApplicant}, device{interview.RoleCounsel}, device{interview.RoleInterpreter}
	terminal := device{interview.RoleApplicant, interview.RoleInterpreter} // both in one room
	for _, tc := range []struct {
		name   string
		to     device
		source interview.Source
		from   []device // in the order they have to come
	}{
		{"interviewer hears the interpreter first", interviewer, interview.SourceAudio, []device{interpreter, applicant, counsel}},
		{"interviewer sees the applicant first", interviewer, interview.SourceVideo, []device{applicant, interpreter, counsel}},
		{"a shared device counts as who matters most on it", interviewer, interview.SourceVideo, []device{terminal, counsel}},
		{"applicant hears the interpreter, then the interviewer", applicant, interview.SourceAudio, []device{interpreter, interviewer, counsel}},
		{"a terminal of two hears the applicant's counsel last", terminal, interview.SourceAudio, []device{interviewer, counsel}},
		{"counsel hears the interviewer first", counsel, interview.SourceAudio, []device{interviewer, interpreter, applicant}},
		{"a recorder hears the applicant first", nil, interview.SourceAudio, []device{applicant, interviewer, interpreter, counsel}},
	} {
		ranks := make([]int, len(tc.from))
		for i, from := range tc.from {
			ranks[i] = rank(tc.to, from, tc.source)
		}
		if !slices.IsSorted(ranks) || ranks[0] == ranks[1] {
			t.Errorf("%s: ranks %v", tc.name, ranks)
		}
	}
	face, screen, other := rank(interviewer, applicant, interview.SourceVideo), rank(interviewer, applicant, interview.SourceScreen), rank(interviewer, counsel, interview.SourceVideo)
	if face >= screen || screen >= other {
		t.Errorf("face %d, screen %d, other face %d", face, screen, other)
	}
}
