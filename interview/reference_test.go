package interview_test

import (
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
)

// B21: what stands on the invitation finds its own participant and nobody
// else, also when it is typed by a hurried hand.
func TestReferenceFindsTheInvitedParticipant(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	now, ahead := w.Hearing.Opens, 12*time.Hour
	for _, p := range w.Hearing.Participants {
		if (p.Reference != "") != (p.Subject == "") {
			t.Errorf("%s has reference %q", p.Role, p.Reference)
		}
		r := interview.ReferenceOf(p.ID)
		for _, typed := range []string{string(r), strings.ToLower(string(r)), strings.ReplaceAll(string(r), "-", ""), " " + strings.ReplaceAll(string(r), "-", " ") + " ", strings.ReplaceAll(strings.ReplaceAll(string(r), "0", "o"), "1", "l")} {
			read, err := interview.ParseReference(typed)
			if err != nil || read != r {
				t.Errorf("%q read as %q, %v; want %s", typed, read, err, r)
			}
		}
		if found, err := w.Store.Invited(t.Context(), r, now, ahead); err != nil || found != p.ID {
			t.Errorf("%s found %s, %v", r, found, err)
		}
	}
	p := w.Hearing.Participants[1].ID
	for name, at := range map[string]time.Time{"long before": now.Add(-13 * time.Hour), "after the door has closed": w.Hearing.Closes.Add(time.Second)} {
		if _, err := w.Store.Invited(t.Context(), interview.ReferenceOf(p), at, ahead); code(t, err) != problem.CodeNotBooked {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Store.Invited(t.Context(), interview.ReferenceOf(interview.NewParticipantID()), now, ahead); code(t, err) != problem.CodeNotBooked {
		t.Errorf("a stranger's reference: %v", err)
	}
}

// Each single mistyped symbol, and each swap of two neighbours, is noticed.
func TestMistypedReferenceIsNoticed(t *testing.T) {
	t.Parallel()
	r := strings.ReplaceAll(string(interview.ReferenceOf(interview.NewParticipantID())), "-", "")
	for i := range r {
		for _, other := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
			wrong := r[:i] + string(other) + r[i+1:]
			if _, err := interview.ParseReference(wrong); wrong != r && err == nil {
				t.Errorf("%s was read for %s", wrong, r)
			}
		}
		if i == 0 || r[i] == r[i-1] {
			continue
		}
		wrong := r[:i-1] + string(r[i]) + string(r[i-1]) + r[i+1:]
		if _, err := interview.ParseReference(wrong); err == nil {
			t.Errorf("%s was read for %s", wrong, r)
		}
	}
	for _, text := range []string{"", "-", "1234-5678", strings.Repeat("0", 65), "ÄÄÄÄ-ÄÄÄÄ-Ä", "par_01998c2e-0000-7000-8000-000000000001"} {
		if _, err := interview.ParseReference(text); code(t, err) != problem.CodeMalformed {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The page checks codes by itself (web/src/kiosk/kiosk.test.ts has the same).
func TestReferenceOfAKnownParticipant(t *testing.T) {
	t.Parallel()
	id, err := interview.ParseParticipantID("par_01998c2e-0000-7000-8000-00fedcba9876")
	if err != nil {
		t.Fatal(err)
	}
	if got := interview.ReferenceOf(id); got != "ZVEB-N63P-Q" {
		t.Errorf("reference %s", got)
	}
}

func FuzzParseReference(f *testing.F) {
	f.Add("7K3M-9Q2D-T")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := interview.ParseReference(text)
		if err != nil {
			return
		}
		if again, err := interview.ParseReference(string(r)); err != nil || again != r {
			t.Errorf("%q is %s and then %s, %v", text, r, again, err)
		}
	})
}
