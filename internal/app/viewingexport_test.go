package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
)

// watchedViewing is a viewing that the hearing's interviewer holds open at the
// desk, with a playback process that answers as the test says.
type watchedViewing struct {
	g         *gatehouse
	desk      *caller
	view      viewingView
	opening   *opening
	pieces    [][]byte
	failAt    atomic.Int64 // piece at which the process fails; -1: none
	cancelled atomic.Bool
}

func watchAt(t *testing.T, pieces ...string) *watchedViewing {
	t.Helper()
	g := newGatehouse(t)
	w := &watchedViewing{g: g, desk: g.at(g.world.Desk).signIn("sub-interviewer")}
	w.failAt.Store(-1)
	for _, p := range pieces {
		w.pieces = append(w.pieces, []byte(p))
	}
	w.desk.told("POST", "/api/hearings/"+g.world.Hearing.ID.String()+"/viewings", `{"purpose":"appeal"}`, &w.view)
	w.opening = &opening{
		row:  &viewingRow{ID: w.view.Viewing, Case: g.world.Hearing.Case, Hearing: g.world.Hearing.ID, Asker: g.door.viewings.person("sub-interviewer")},
		spec: viewingSpec{Viewing: w.view.Viewing + "-" + nonce1}, device: g.world.Desk, until: time.Now().Add(time.Hour), spans: map[string]*spanRow{},
	}
	conn := g.bus.Connect(t, w.opening.process())
	if err := errors.Join(
		bus.Handle(conn, "view.export", func(_ context.Context, _ bus.Name, q viewExport) (viewPiece, error) { return w.give(q.Offset) }),
		bus.Handle(conn, "view.progress", func(context.Context, bus.Name, none) (viewProgress, error) { return viewProgress{Done: 500}, nil }),
		bus.Handle(conn, "view.cancel", func(context.Context, bus.Name, none) (none, error) { w.cancelled.Store(true); return none{}, nil }),
	); err != nil {
		t.Fatal(err)
	}
	g.door.viewings.mu.Lock()
	g.door.viewings.live[w.view.Viewing] = w.opening
	g.door.viewings.mu.Unlock()
	return w
}

func (w *watchedViewing) give(offset int64) (viewPiece, error) {
	at := int64(0)
	for i, p := range w.pieces {
		if at == offset {
			if int64(i) == w.failAt.Load() {
				return viewPiece{}, problem.New(problem.CodeConflict, "the recording was changed")
			}
			return viewPiece{Data: p, Ready: true, End: i == len(w.pieces)-1}, nil
		}
		at += int64(len(p))
	}
	return viewPiece{}, problem.New(problem.CodeConflict, "no piece at %d", offset)
}

func (w *watchedViewing) path(what string) string {
	return "/api/viewings/" + w.view.Viewing + "/" + what
}

// take asks for an export as the page does.
func (w *watchedViewing) take(body string) (*http.Response, []byte, error) {
	w.g.t.Helper()
	r, err := http.NewRequestWithContext(w.g.t.Context(), http.MethodPost, "https://"+w.desk.name+w.path("export"), strings.NewReader(body))
	if err != nil {
		w.g.t.Fatal(err)
	}
	w.desk.proof.SetHeader(r.Header)
	resp, err := w.desk.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

// H7: a file that the page downloads is whole, named by its hash, logged before
// it leaves, and on the list of who was given what.
func TestAPageDownloadsACopy(t *testing.T) {
	t.Parallel()
	w := watchAt(t, "first", "second", "third")
	w.desk.want("nothing was made yet", "GET", w.path("export"), "", problem.CodeNotFound)
	resp, got, err := w.take(`{"form":"lane","lane":1}`)
	if err != nil || string(got) != "firstsecondthird" || !strings.Contains(resp.Header.Get("Content-Disposition"), "hearing.webm") {
		t.Fatalf("%q %v %v", got, resp, err)
	}
	var state exportView
	w.desk.told("GET", w.path("export"), "", &state)
	sum := sha256.Sum256(got)
	if state.SHA256 != hex.EncodeToString(sum[:]) || !state.Over || state.Done != 1000 || state.Bytes != int64(len(got)) || state.Medium != "" {
		t.Errorf("state: %+v", state)
	}
	if _, got, err = w.take(`{"form":"sealed","to":"Erik","passphrase":"correct horse battery"}`); err != nil || string(got) != "firstsecondthird" {
		t.Fatalf("%q %v", got, err)
	}
	w.desk.told("GET", w.path("export"), "", &state)
	if state.Medium != state.SHA256 || state.Medium == "" {
		t.Errorf("a sealed medium: %+v", state)
	}
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	w.desk.told("GET", "/api/hearings/"+w.g.world.Hearing.ID.String()+"/viewings", "", &list)
	v := list.Viewings[0]
	if len(v.Exports) != 2 || len(v.Media) != 1 || v.Media[0].Intended != "Erik" {
		t.Errorf("on the list: %+v", v)
	}
	for _, e := range v.Exports { // of one second, in any order
		if e.SHA256 == "" || e.Place != atPage || e.Sealed != (e.Form == formSealed) || e.Bytes != int64(len(got)) {
			t.Errorf("on the list: %+v", e)
		}
	}
	var logged []string
	if err := w.g.door.db.NewSelect().Table("audit_outbox").Column("type").Where("type IN ('recording.exported', 'recording.medium')").Scan(t.Context(), &logged); err != nil || len(logged) != 3 {
		t.Errorf("logged: %v %v", logged, err)
	}
}

// H6: what is asked of a viewing in the moment when it ends is told that it has
// ended; a process that is gone by itself is another thing.
func TestWhatComesAsAViewingEndsIsToldSo(t *testing.T) {
	t.Parallel()
	w := watchAt(t)
	segment := w.path("media?lane=0&from=0&to=1000000")
	w.desk.want("no process answers", "GET", segment, "", problem.CodeUnavailable)
	conn := w.g.bus.Connect(t, w.opening.process())
	if err := bus.Handle(conn, "view.segment", func(ctx context.Context, _ bus.Name, _ viewSegment) (viewPiece, error) {
		w.g.door.viewings.end(ctx, w.opening)
		return viewPiece{}, problem.New(problem.CodeUnavailable, "the process is ending")
	}); err != nil {
		t.Fatal(err)
	}
	w.desk.want("the viewing ends meanwhile", "GET", segment, "", problem.CodeNotFound)
}

// H6, H7: each single thing that a download needs.
func TestWhatADownloadNeeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  problem.Code
		body  string
		spoil func(*watchedViewing)
	}{
		"another person":       {problem.CodeNotFound, `{"form":"tracks"}`, func(w *watchedViewing) { w.desk = w.g.at(w.g.world.Desk).signIn("sub-colleague") }},
		"another device":       {problem.CodeNotFound, `{"form":"tracks"}`, func(w *watchedViewing) { w.opening.device = interview.NewDeviceID() }},
		"counsel":              {problem.CodeForbidden, `{"form":"tracks"}`, func(w *watchedViewing) { w.desk = w.g.at(w.g.world.Desk).signIn("sub-counsel") }},
		"administrator":        {problem.CodeForbidden, `{"form":"tracks"}`, func(w *watchedViewing) { w.desk = w.g.at(w.g.world.Desk).signIn("sub-administrator") }},
		"viewing is over":      {problem.CodeForbidden, `{"form":"tracks"}`, func(w *watchedViewing) { w.opening.until = time.Now().Add(-time.Second) }},
		"keys":                 {problem.CodeForbidden, `{"form":"open","to":"court","passphrase":"correct horse battery"}`, func(*watchedViewing) {}},
		"no such form":         {problem.CodeMalformed, `{"form":"keys"}`, func(*watchedViewing) {}},
		"sealed for nobody":    {problem.CodeMalformed, `{"form":"sealed"}`, func(*watchedViewing) {}},
		"short passphrase":     {problem.CodeMalformed, `{"form":"sealed","passphrase":"short"}`, func(*watchedViewing) {}},
		"two recipients":       {problem.CodeMalformed, `{"form":"sealed","passphrase":"correct horse battery","recipient":"age1x"}`, func(*watchedViewing) {}},
		"a mixed file for two": {problem.CodeMalformed, `{"form":"mixed","passphrase":"correct horse battery","recipient":"age1x"}`, func(*watchedViewing) {}},
		"long name":            {problem.CodeMalformed, `{"form":"sealed","passphrase":"correct horse battery","to":"` + strings.Repeat("x", maxReceiver+1) + `"}`, func(*watchedViewing) {}},
		"tracks for somebody":  {problem.CodeMalformed, `{"form":"tracks","to":"Erik","passphrase":"correct horse battery"}`, func(*watchedViewing) {}},
		"a lane for somebody":  {problem.CodeMalformed, `{"form":"lane","recipient":"age1x"}`, func(*watchedViewing) {}},
		"files for somebody":   {problem.CodeMalformed, `{"form":"folder","passphrase":"correct horse battery"}`, func(*watchedViewing) {}},
		"another is under way": {problem.CodeConflict, `{"form":"tracks"}`, func(w *watchedViewing) { w.opening.export = &exporting{} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchAt(t, "all")
			c.spoil(w)
			w.desk.want(name, "POST", w.path("export"), c.body, c.code)
		})
	}
}

// What breaks in the middle reaches the page as broken: no half file is a file,
// and the process stops making it.
func TestABrokenExportIsNoFile(t *testing.T) {
	t.Parallel()
	w := watchAt(t, "first", "second", "third")
	w.failAt.Store(2)
	if _, got, err := w.take(`{"form":"sealed","to":"Erik","passphrase":"correct horse battery"}`); err == nil {
		t.Fatalf("half a file came as a whole: %q", got)
	}
	var state exportView
	for deadline := time.Now().Add(30 * time.Second); !state.Over && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w.desk.told("GET", w.path("export"), "", &state)
	}
	if state.SHA256 != "" || state.Medium != "" || state.Problem == nil || state.Problem.Code != problem.CodeConflict {
		t.Errorf("state: %+v", state)
	}
	if media, err := w.g.door.viewings.store.media(t.Context(), w.view.Viewing); err != nil || len(media) != 0 {
		t.Errorf("a medium that nobody has: %v %v", media, err)
	}
	for deadline := time.Now().Add(30 * time.Second); !w.cancelled.Load(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process goes on making it")
		}
	}
	// The first piece fails: the page is told why.
	w.failAt.Store(0)
	w.desk.want("from the start", "POST", w.path("export"), `{"form":"tracks"}`, problem.CodeConflict)
}

// console calls the administrator's socket's handlers.
func (w *watchedViewing) console(method, what, body string) (code problem.Code, answer string) {
	mux := http.NewServeMux()
	w.g.door.viewings.administer(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequestWithContext(w.g.t.Context(), method, "http://door/recording/"+w.view.Viewing+what, strings.NewReader(body)))
	if rec.Code == http.StatusOK {
		return "", rec.Body.String()
	}
	var d problem.Document
	if err := json.Unmarshal(rec.Body.Bytes(), &d); err != nil {
		w.g.t.Fatalf("%s %v", rec.Body, err)
	}
	return d.Code, ""
}

const releasedSealed = `{"form":"sealed","to":"Erik","passphrase":"correct horse battery"}`

// O3: an administrator opens no recording. The console writes what an
// interviewer, who holds the viewing open, released: sealed for somebody else,
// in that form, once, within its minutes.
func TestTheConsoleWritesWhatWasReleasedAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  problem.Code
		body  string
		spoil func(*watchedViewing)
	}{
		"nobody holds it open":  {problem.CodeNotFound, `{"form":"sealed"}`, func(w *watchedViewing) { w.g.door.viewings.end(context.Background(), w.opening) }},
		"the viewing is over":   {problem.CodeNotFound, `{"form":"sealed"}`, func(w *watchedViewing) { w.opening.until = time.Now().Add(-time.Second) }},
		"nothing was released":  {problem.CodeForbidden, `{"form":"sealed"}`, func(w *watchedViewing) { w.opening.release = nil }},
		"its minutes are over":  {problem.CodeForbidden, `{"form":"sealed"}`, func(w *watchedViewing) { w.opening.release.until = time.Now().Add(-time.Second) }},
		"another form":          {problem.CodeForbidden, `{"form":"open"}`, func(*watchedViewing) {}},
		"tracks in clear":       {problem.CodeForbidden, `{"form":"tracks"}`, func(*watchedViewing) {}},
		"files in clear":        {problem.CodeForbidden, `{"form":"folder"}`, func(*watchedViewing) {}},
		"a mixed file in clear": {problem.CodeForbidden, `{"form":"mixed"}`, func(*watchedViewing) {}},
		"for the administrator": {problem.CodeMalformed, `{"form":"sealed","recipient":"age1administrator"}`, func(*watchedViewing) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchAt(t, "all")
			var until struct{ Until int64 }
			w.desk.told("POST", w.path("release"), releasedSealed, &until)
			c.spoil(w)
			if code, got := w.console("POST", "/export", c.body); code != c.code {
				t.Errorf("got %q, want %s: %q", code, c.code, got)
			}
		})
	}
	w := watchAt(t, "sealed ", "bytes")
	if code, _ := w.console("GET", "", ""); code != problem.CodeForbidden {
		t.Errorf("what nobody released is told: %q", code)
	}
	var until struct{ Until int64 }
	w.desk.told("POST", w.path("release"), releasedSealed, &until)
	if _, told := w.console("GET", "", ""); !strings.Contains(told, `"to":"Erik"`) || strings.Contains(told, "horse") {
		t.Errorf("told: %s", told)
	}
	if code, got := w.console("POST", "/export", `{"form":"sealed"}`); code != "" || got != "sealed bytes" {
		t.Fatalf("%q %q", code, got)
	}
	if code, _ := w.console("POST", "/export", `{"form":"sealed"}`); code != problem.CodeForbidden {
		t.Errorf("a second time: %q", code)
	}
	rows, err := w.g.door.viewings.store.exports(t.Context(), w.view.Viewing)
	if err != nil || len(rows) != 1 || rows[0].Place != atConsole || !rows[0].Sealed {
		t.Errorf("on the list: %+v %v", rows, err)
	}
}

// Who may release, and what: never anything in clear.
func TestWhatMayBeReleased(t *testing.T) {
	t.Parallel()
	w := watchAt(t, "all")
	for name, c := range map[string]struct {
		code problem.Code
		body string
	}{
		"tracks":           {problem.CodeMalformed, `{"form":"tracks","to":"Erik","passphrase":"correct horse battery"}`},
		"files":            {problem.CodeMalformed, `{"form":"folder","to":"Erik","passphrase":"correct horse battery"}`},
		"mixed in clear":   {problem.CodeForbidden, `{"form":"mixed","to":"Erik"}`},
		"for nobody":       {problem.CodeMalformed, `{"form":"sealed","passphrase":"correct horse battery"}`},
		"without a seal":   {problem.CodeMalformed, `{"form":"open","to":"court"}`},
		"short passphrase": {problem.CodeMalformed, `{"form":"mixed","to":"Erik","passphrase":"short"}`},
	} {
		w.desk.want(name, "POST", w.path("release"), c.body, c.code)
		if w.opening.release != nil {
			t.Fatalf("%s was released", name)
		}
	}
	w.g.at(w.g.world.Desk).signIn("sub-colleague").want("another person", "POST", w.path("release"), releasedSealed, problem.CodeNotFound)
	w.g.at(interview.NewDeviceID()).signIn("sub-interviewer").want("another device", "POST", w.path("release"), releasedSealed, problem.CodeNotFound)
	w.g.at(w.g.world.Desk).signIn("sub-administrator").want("an administrator", "POST", w.path("release"), releasedSealed, problem.CodeForbidden)
	w.g.at(w.g.world.Desk).want("nobody", "POST", w.path("release"), releasedSealed, problem.CodeSignIn)
}

// A reader who leaves does not keep the process busy.
func TestAnExportThatNobodyTakesIsCancelled(t *testing.T) {
	t.Parallel()
	w := watchAt(t)
	for range 64 {
		w.pieces = append(w.pieces, bytes.Repeat([]byte("z"), 256<<10))
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+w.desk.name+w.path("export"), bytes.NewReader([]byte(`{"form":"tracks"}`)))
	if err != nil {
		t.Fatal(err)
	}
	w.desk.proof.SetHeader(r.Header)
	resp, err := w.desk.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	leave()
	for deadline := time.Now().Add(30 * time.Second); !w.cancelled.Load(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process goes on making it")
		}
	}
}
