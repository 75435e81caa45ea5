package app

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback/playbacktest"
)

// H7: who received which medium, and when, is kept once and shown to the
// hearing's own interviewer.
func TestTheReceiptOfAMediumIsKept(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	desk := g.at(g.world.Desk).signIn("sub-interviewer")
	var v viewingView
	path := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	desk.told("POST", path, `{"purpose":"appeal"}`, &v)
	d := g.door.viewings
	made := &mediumRow{ID: strings.Repeat("ab", 32), Case: g.world.Hearing.Case, Hearing: g.world.Hearing.ID, Viewing: v.Viewing, Form: formOpen, Made: time.Now().Unix(), Version: 1, words: mediumWords{Intended: "Administrative court"}}
	if err := d.store.addMedium(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	rows, err := d.store.media(t.Context(), v.Viewing)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d media, %v", len(rows), err)
	}
	sum := rows[0].ID
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
		t.Fatalf("medium %q", sum)
	}
	good := Handover{Hearing: g.world.Hearing.ID, Medium: sum, Receiver: "E. Lindqvist", On: time.Now().UTC().Format(time.DateOnly)}
	refused := func(name, code string, spoil func(h *Handover)) {
		t.Helper()
		h := good
		spoil(&h)
		if _, err := d.consoleHanded(context.Background(), h); !errors.Is(err, problem.New(problem.Code(code), "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("no medium", "not-found", func(h *Handover) { h.Medium = strings.Repeat("0", 64) })
	refused("another hearing's", "not-found", func(h *Handover) { h.Hearing = interview.NewHearingID() })
	refused("path as medium", "malformed", func(h *Handover) { h.Medium = "../../x" })
	refused("nobody", "malformed", func(h *Handover) { h.Receiver = " " })
	refused("no day", "malformed", func(h *Handover) { h.On = "yesterday" })
	refused("a day to come", "malformed", func(h *Handover) { h.On = "2999-01-01" })
	receipt := `{"medium":"` + sum + `","receiver":"E. Lindqvist","on":"` + good.On + `"}`
	handed := "/api/viewings/" + v.Viewing + "/handed"
	g.at(g.world.Desk).signIn("sub-colleague").want("who neither asked nor held the hearing", "POST", handed, receipt, problem.CodeNotFound)
	desk.want("of another viewing", "POST", "/api/viewings/"+viewingID+"/handed", receipt, problem.CodeNotFound)
	var second viewingView
	desk.told("POST", path, `{"purpose":"appeal"}`, &second)
	desk.want("a medium of another viewing", "POST", "/api/viewings/"+second.Viewing+"/handed", receipt, problem.CodeNotFound)
	var kept Handed
	desk.told("POST", handed, receipt, &kept)
	if kept.Viewing != v.Viewing || kept.On != good.On {
		t.Errorf("kept: %+v", kept)
	}
	refused("a second time", "conflict", func(h *Handover) { h.Receiver = "somebody else" })
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	desk.told("GET", path, "", &list)
	of := slices.IndexFunc(list.Viewings, func(x viewingView) bool { return x.Viewing == v.Viewing })
	if m := list.Viewings[of].Media; len(m) != 1 || m[0].Receiver != good.Receiver || m[0].Handed != good.On || m[0].Intended != "Administrative court" || m[0].Form != formOpen {
		t.Errorf("shown: %+v", m)
	}
}

// An export goes out in order and once: a piece that was given is not kept, and
// a second asker does not get half of another's file.
func TestAnExportGoesOutOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	v := watchingFolder(t, playbacktest.Held(t, w, playbacktest.Scene{Seconds: 2}), w.Key)
	t.Cleanup(v.tasks.Wait)
	q := viewExport{Form: formFolder}
	next := func() viewPiece {
		t.Helper()
		for {
			p, err := v.export(q)
			if err != nil {
				t.Fatal(err)
			}
			if p.Ready {
				return p
			}
			time.Sleep(time.Millisecond)
		}
	}
	if _, err := v.export(viewExport{Form: formFolder, Offset: 7}); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("the middle of nothing: %v", err)
	}
	first := next()
	if len(first.Data) == 0 || len(first.Data) > journalChunk {
		t.Fatalf("a piece of %d bytes", len(first.Data))
	}
	q.Offset = int64(len(first.Data))
	for name, other := range map[string]viewExport{"another place": {Form: formFolder, Offset: q.Offset + 1}, "another form": {Form: formTracks, Offset: q.Offset}} {
		if _, err := v.export(other); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for p := first; !p.End; {
		p = next()
		q.Offset += int64(len(p.Data))
	}
	if v.making != nil {
		t.Error("what was given out is kept")
	}
}
