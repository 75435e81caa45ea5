package kioskbridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// shelf is a desk to which somebody gave what a residence card needs.
type shelf struct {
	*world
	desk  *kioskbridge.Desk
	visit kioskbridge.Record
	asked [][]kioskbridge.PieceName
	says  error // authority
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	w := newWorld(t, (&engine{finding: matches, living: isThere}).into)
	if out, err := w.visit(with(w.passport(emrtdtest.Genuine)), tunnel.ServiceCard); err != nil || out.Result != tunnel.ResultDone {
		t.Fatalf("%+v %v", out, err)
	}
	return &shelf{world: w, desk: w.desk(), visit: w.last()}
}

func (s *shelf) read(purpose string) ([]kioskbridge.ReadBack, error) {
	return s.desk.ReadBack(s.t.Context(), kioskbridge.Reader{Person: "reader", Device: interview.NewDeviceID()}, s.visit.ID, purpose,
		func(_ context.Context, names []kioskbridge.PieceName) error {
			s.asked = append(s.asked, names)
			return s.says
		})
}

func diaryOf(context.Context, interview.CaseID) (string, error) { return "MIG-2026-10482", nil }

const why = "The photograph is approved for the card."

// B6, B7, B16: what was given at a kiosk is read back for a written purpose: the
// photograph, the strokes, and the text under them with its hash; and the reading
// is on record.
func TestWhatWasGivenIsReadBack(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	given, err := s.desk.Given(t.Context(), interview.HearingID{}, diaryOf)
	if err != nil || len(given) != 1 || given[0].Visit != s.visit.ID || given[0].Diary != "MIG-2026-10482" || given[0].Read != 0 || len(given[0].Pieces) != 3 {
		t.Fatalf("%+v %v", given, err)
	}
	pieces, err := s.read(why)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, p := range pieces {
		found[p.Kind] = p.Bytes
		if ticket.Hash(p.Bytes) != p.SHA256 {
			t.Errorf("%s is not what it was", p.Kind)
		}
	}
	if !bytes.Equal(found["photo"], []byte("\xff\xd8\xff photograph")) {
		t.Errorf("photograph %q", found["photo"])
	}
	var strokes struct {
		TextSHA256 string `json:"text_sha256"`
	}
	text := found[kioskbridge.KindSignedText]
	if err := json.Unmarshal(found["signature"], &strokes); err != nil || !strings.HasPrefix(string(text), "I apply for a residence permit card") || strokes.TextSHA256 != ticket.Hash(text) {
		t.Errorf("signature over %q: %+v %v", text, strokes, err)
	}
	if len(s.asked) != 1 || len(s.asked[0]) != 3 || s.asked[0][0].Visit != s.visit.ID || s.asked[0][0].Hearing != s.visit.Hearing || s.asked[0][0].Case != s.visit.Case {
		t.Errorf("authority was asked for %+v", s.asked)
	}
	if !slices.ContainsFunc(s.outbox.Events(), func(e string) bool {
		return strings.Contains(e, kioskbridge.EventPieceRead) && strings.Contains(e, ticket.Hash([]byte(why))) && strings.Contains(e, "reader")
	}) {
		t.Errorf("not on record: %v", s.outbox.Events())
	}
	if given, err = s.desk.Given(t.Context(), s.visit.Hearing, diaryOf); err != nil || given[0].Read != 1 {
		t.Errorf("%+v %v", given, err)
	}
	if given, err = s.desk.Given(t.Context(), interview.NewHearingID(), diaryOf); err != nil || len(given) != 0 {
		t.Errorf("of another hearing: %+v %v", given, err)
	}
	s.nothingHolds(map[string][]byte{"the photograph": []byte("\xff\xd8\xff photograph"), "the purpose": []byte(why)})
}

// Each condition that is missing alone refuses a reading: nothing is opened.
func TestAReadingIsRefusedForEachMissingCondition(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for name, c := range map[string]struct {
		purpose string
		spoil   func()
		want    problem.Code
	}{
		"no purpose":        {" ", func() {}, problem.CodePurposeNeeded},
		"hardly a purpose":  {"because", func() {}, problem.CodePurposeNeeded},
		"a whole book":      {strings.Repeat("x", 1001), func() {}, problem.CodeTooLarge},
		"authority refuses": {why, func() { s.says = problem.New(problem.CodeForbidden, "no") }, problem.CodeForbidden},
		"no such visit":     {why, func() { s.visit.ID = interview.NewVisitID() }, problem.CodeNotFound},
	} {
		id := s.visit.ID
		s.says = nil
		c.spoil()
		if pieces, err := s.read(c.purpose); problem.Of(err).Code != c.want || pieces != nil {
			t.Errorf("%s: %v %v", name, pieces, err)
		}
		s.visit.ID = id
	}
	// What cannot be put on record is not read.
	s.says = nil
	s.outbox.Fail = errors.New("the log is full")
	if pieces, err := s.read(why); err == nil || pieces != nil {
		t.Errorf("without a record: %v", pieces)
	}
	s.outbox.Fail = nil
	// A piece whose row was changed is told, and not shown.
	storetest.Thaw(t, s.db, "kiosk_piece")
	if _, err := s.db.ExecContext(t.Context(), "UPDATE kiosk_piece SET sha256 = 'x' WHERE n = 1"); err != nil {
		t.Fatal(err)
	}
	if pieces, err := s.read(why); err == nil || pieces != nil {
		t.Errorf("a changed piece: %v", pieces)
	}
	// An erased case has nothing to read, and hides no other.
	gone := func(context.Context, interview.CaseID) (string, error) {
		return "", problem.New(problem.CodeErased, "gone")
	}
	if given, err := s.desk.Given(t.Context(), interview.HearingID{}, gone); err != nil || len(given) != 0 {
		t.Errorf("of an erased case: %+v %v", given, err)
	}
}
