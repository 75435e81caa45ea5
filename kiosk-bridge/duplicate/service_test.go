package duplicate_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/kiosk-bridge/duplicate"
)

// register is a register that answers as it is told.
type register struct {
	mu         sync.Mutex
	key        *ecdsa.PrivateKey
	candidates []duplicate.Candidate
	slow       bool // results come only when it is asked again
	away       bool
	forgets    bool
	forged     bool
	handed     map[string]string
	searches   int
}

func (r *register) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *register) Search(_ context.Context, key string, probes []duplicate.Probe) (duplicate.Standing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return duplicate.Standing{}, errors.New("nobody answers")
	}
	r.searches++
	r.handed[key] = duplicate.Sum(probes)
	if r.slow {
		return duplicate.Standing{}, nil
	}
	return r.answer(key)
}

func (r *register) Standing(_ context.Context, key string) (duplicate.Standing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return duplicate.Standing{}, errors.New("nobody answers")
	}
	if r.forgets || r.handed[key] == "" {
		return duplicate.Standing{}, duplicate.ErrUnknown
	}
	if r.slow {
		return duplicate.Standing{}, nil
	}
	return r.answer(key)
}

func (r *register) answer(key string) (duplicate.Standing, error) {
	probes := r.handed[key]
	if r.forged {
		probes = "others"
	}
	signed, err := duplicate.SignResult(duplicate.Result{
		V: 1, Search: key, ProbesSHA256: probes, Gallery: "g", Size: 10, AsOf: 1_800_000_000, Algorithm: "a", Threshold: "t", ThresholdScore: 600_000,
		Candidates: append([]duplicate.Candidate{}, r.candidates...),
	}, r.key)
	return duplicate.Standing{Done: true, Result: signed}, err
}

// sealer is one whose keyring can be away, and whose cases can be erased.
type sealer struct {
	interviewtest.Sealer

	mu     sync.Mutex
	away   bool
	erased interview.CaseID
}

func (s *sealer) state(c interview.CaseID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		return errors.New("the keyring does not answer")
	case c == s.erased:
		return problem.New(problem.CodeErased, "case %s", c)
	}
	return nil
}

func (s *sealer) set(away bool, erased interview.CaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.erased = away, erased
}

func (s *sealer) Seal(ctx context.Context, c interview.CaseID, aad string, plain []byte) ([]byte, error) {
	if err := s.state(c); err != nil {
		return nil, err
	}
	return s.Sealer.Seal(ctx, c, aad, plain)
}

func (s *sealer) Open(ctx context.Context, c interview.CaseID, aad string, sealed []byte) ([]byte, error) {
	if err := s.state(c); err != nil {
		return nil, err
	}
	return s.Sealer.Open(ctx, c, aad, sealed)
}

type world struct {
	t        *testing.T
	db       *bun.DB
	outbox   interviewtest.Outbox
	sealer   sealer
	register *register
	service  *duplicate.Service
	describe func(context.Context, []duplicate.Picture) ([]duplicate.Probe, error)
	patience time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: storetest.Open(t), register: &register{key: key, handed: map[string]string{}}}
	w.describe = func(_ context.Context, p []duplicate.Picture) ([]duplicate.Probe, error) {
		return []duplicate.Probe{{Modality: "face", Format: "f", Data: bytes.Clone(p[0].Bytes)}}, nil
	}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	s, err := duplicate.New(duplicate.Config{
		DB: w.db, Outbox: &w.outbox, Sealer: &w.sealer, Searcher: w.register, Key: &w.register.key.PublicKey,
		Describe: func(ctx context.Context, p []duplicate.Picture) ([]duplicate.Probe, error) { return w.describe(ctx, p) },
		Every:    5 * time.Millisecond, Patience: w.patience,
		Diary: func(_ context.Context, c interview.CaseID) (string, error) { return "diary of " + c.String(), nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.service = s
}

// run lets the service work until f holds.
func (w *world) run(f func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.service.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("it does not come about")
		}
	}
}

func (w *world) submission() duplicate.Submission {
	return duplicate.Submission{
		Visit: interview.NewVisitID(), Case: interview.NewCaseID(), Participant: interview.NewParticipantID(),
		Pictures: []duplicate.Picture{{Kind: "face", Format: "image/jpeg", Bytes: []byte("a living face")}},
	}
}

func (w *world) submit(s duplicate.Submission) {
	w.t.Helper()
	if err := w.service.Submit(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tasks() []duplicate.Task {
	w.t.Helper()
	tasks, err := w.service.Tasks(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return tasks
}

func (w *world) state(v interview.VisitID) string {
	w.t.Helper()
	var state string
	if err := w.db.NewRaw("SELECT state FROM kiosk_duplicate WHERE visit_id = ?", v).Scan(w.t.Context(), &state); err != nil {
		w.t.Fatal(err)
	}
	return state
}

var hit = []duplicate.Candidate{{Modality: "face", Reference: "REG-4711", Score: 870_000}}

// B5: a planted duplicate becomes an officer's task.
func TestAHitIsAnOfficersTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates = hit
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return len(w.tasks()) == 1 })
	task := w.tasks()[0]
	if task.Visit != s.Visit || task.Case != s.Case || task.Lost != "" || len(task.Candidates) != 1 || task.Candidates[0] != hit[0] || task.Threshold != "t" || task.Size != 10 {
		t.Errorf("%+v", task)
	}
	if task.Diary != "diary of "+s.Case.String() {
		t.Errorf("officers know the case by its number: %q", task.Diary)
	}
	if string(s.Pictures[0].Bytes) != "a living face" {
		t.Error("the caller's picture was touched")
	}
}

// M6: how many searches there were, how many found somebody, and how many of
// those were one person; of whom is nobody's to know from it.
func TestSearchesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := time.Now().Add(-time.Minute)
	quiet := w.submission()
	w.submit(quiet)
	w.run(func() bool { return w.state(quiet.Visit) == "clear" })
	w.register.set(func() { w.register.candidates = hit })
	for range 2 {
		s := w.submission()
		w.submit(s)
		w.run(func() bool { return w.state(s.Visit) == "hits" })
	}
	if err := w.service.Settle(t.Context(), "officer", w.tasks()[0].Visit, duplicate.SamePerson, "Looked at both files."); err != nil {
		t.Fatal(err)
	}
	if n, err := w.service.Count(t.Context(), before); err != nil || n != (duplicate.Counts{Searched: 3, Found: 2, Same: 1}) {
		t.Errorf("%+v %v", n, err)
	}
	if n, err := w.service.Count(t.Context(), time.Now().Add(time.Minute)); err != nil || n != (duplicate.Counts{}) {
		t.Errorf("of a later time: %+v %v", n, err)
	}
}

func TestNothingFoundIsNoTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "clear" })
	if tasks := w.tasks(); len(tasks) != 0 {
		t.Errorf("%+v", tasks)
	}
	// The log tells nobody which of the two it was.
	ids := regexp.MustCompile(`_[0-9a-f-]{36}`)
	shape := func() []string {
		var out []string
		for _, e := range w.outbox.Events() {
			out = append(out, ids.ReplaceAllString(e, ""))
		}
		return out
	}
	clear := shape()
	w.register.set(func() { w.register.candidates = hit })
	s = w.submission()
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "hits" })
	all := shape()
	if len(all) != 2*len(clear) {
		t.Errorf("events %v after a clear search, then %v", clear, all)
	}
	for _, e := range all {
		if e != clear[0] {
			t.Errorf("event %s of one, %s of the other", e, clear[0])
		}
	}
}

func TestAVisitIsSearchedForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.submission()
	w.submit(s)
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "clear" })
	w.submit(s)
	if w.register.searches != 1 {
		t.Errorf("searched %d times", w.register.searches)
	}
}

// What a machine could not search for, an officer is told of.
func TestALostSearchIsATaskToo(t *testing.T) {
	t.Parallel()
	for reason, spoil := range map[string]func(*world){
		duplicate.LostFace: func(w *world) {
			w.describe = func(context.Context, []duplicate.Picture) ([]duplicate.Probe, error) { return nil, nil }
		},
		duplicate.LostEngine: func(w *world) {
			w.describe = func(context.Context, []duplicate.Picture) ([]duplicate.Probe, error) { return nil, errors.New("gone") }
		},
		duplicate.LostRegister: func(w *world) { w.register.away = true },
		duplicate.LostResult:   func(w *world) { w.register.forged = true },
		duplicate.LostRestart:  func(w *world) { w.register.slow, w.register.forgets = true, true },
	} {
		w := newWorld(t)
		spoil(w)
		w.submit(w.submission())
		w.run(func() bool { return len(w.tasks()) == 1 })
		if got := w.tasks()[0]; got.Lost != reason || len(got.Candidates) != 0 {
			t.Errorf("%s: %+v", reason, got)
		}
	}
}

func TestARestartLosesNoSearchThatTheRegisterHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates, w.register.slow = hit, true
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "running" })
	w.start() // another process on the same database
	w.register.slow = false
	w.run(func() bool { return len(w.tasks()) == 1 })
	if got := w.tasks()[0]; got.Lost != "" {
		t.Errorf("%+v", got)
	}
}

func TestARestartEndsWhatWaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(w.submission()) // and nobody runs it
	w.start()
	w.run(func() bool { return len(w.tasks()) == 1 })
	if got := w.tasks()[0]; got.Lost != duplicate.LostRestart {
		t.Errorf("%+v", got)
	}
}

// The keyring may start after the door: the service goes on when it is there.
func TestAServiceWaitsForTheKeyring(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(w.submission()) // and nobody runs it
	w.start()
	w.sealer.set(true, interview.CaseID{})
	back := time.AfterFunc(50*time.Millisecond, func() { w.sealer.set(false, interview.CaseID{}) })
	defer back.Stop()
	w.run(func() bool {
		tasks, err := w.service.Tasks(t.Context())
		return err == nil && len(tasks) == 1
	})
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "clear" })
}

// An erased case takes no other case's tasks away, and its own searches end.
func TestAnErasedCaseHidesNoTaskOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates = hit
	first, second := w.submission(), w.submission()
	w.submit(first)
	w.submit(second)
	w.run(func() bool { return len(w.tasks()) == 2 })
	w.sealer.set(false, first.Case)
	if tasks := w.tasks(); len(tasks) != 1 || tasks[0].Visit != second.Visit {
		t.Errorf("%+v", tasks)
	}
	late := w.submission()
	w.sealer.set(false, late.Case)
	w.submit(late)
	w.run(func() bool { return w.state(late.Visit) == "lost" })
	if tasks := w.tasks(); len(tasks) != 2 {
		t.Errorf("%+v", tasks)
	}
}

func TestARegisterIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.slow = true
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return w.state(s.Visit) == "running" })
	w.register.away, w.patience = true, time.Nanosecond
	w.start()
	w.run(func() bool { return len(w.tasks()) == 1 })
	if got := w.tasks()[0]; got.Lost != duplicate.LostRegister {
		t.Errorf("%+v", got)
	}
}

func TestTooManyAtOnceAreToldToOfficers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 40 {
		w.submit(w.submission())
	}
	if n := len(w.tasks()); n != 8 {
		t.Errorf("%d of 40 did not fit", n)
	}
}

func TestATaskIsSettledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates = hit
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return len(w.tasks()) == 1 })
	const note = "looked at both files and both portraits"
	for name, c := range map[string]struct {
		visit interview.VisitID
		found duplicate.Settlement
		note  string
		want  problem.Code
	}{
		"a word of its own": {s.Visit, "guilty", note, problem.CodeMalformed},
		"no note":           {s.Visit, duplicate.SamePerson, " ok ", problem.CodeJustificationNeeded},
		"a book":            {s.Visit, duplicate.SamePerson, strings.Repeat("x", 1001), problem.CodeTooLarge},
		"another visit":     {interview.NewVisitID(), duplicate.SamePerson, note, problem.CodeNotFound},
	} {
		if err := w.service.Settle(t.Context(), "officer", c.visit, c.found, c.note); problem.Of(err).Code != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.service.Settle(t.Context(), "officer", s.Visit, duplicate.OtherPerson, note); err != nil {
		t.Fatal(err)
	}
	if err := w.service.Settle(t.Context(), "other", s.Visit, duplicate.SamePerson, note); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("settled twice: %v", err)
	}
	if len(w.tasks()) != 0 {
		t.Error("a settled task still waits")
	}
}

// B5, B19: neither the picture nor the other person stands readable in the store.
func TestTheStoreHoldsNobodysFaceAndNobodysReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates = hit
	w.submit(w.submission())
	w.run(func() bool { return len(w.tasks()) == 1 })
	interviewtest.CheckNoPlainText(t, w.db, "REG-4711", "a living face", "870000")
}

// Officers alone: counsel, applicant, interviewer, kiosk and everybody else are
// refused, whatever they send.
func TestTasksAreForOfficersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register.candidates = hit
	s := w.submission()
	w.submit(s)
	w.run(func() bool { return len(w.tasks()) == 1 })
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	refuses := errors.New("no officer")
	officer := func(c interview.Caller) (string, error) {
		if c.Subject == "" {
			return "", refuses
		}
		return "officer", nil
	}
	duplicate.Register(api, w.service, officer)
	interviewtest.CheckAccess(t, mux, api)
	for _, role := range interviewtest.Roles {
		caller := interview.Caller{Device: interview.NewDeviceID(), Subject: "somebody", Roles: []interview.Role{role}}
		status, body := interviewtest.Do(mux, caller, http.MethodGet, "/api/desk/duplicates", nil)
		if seen := bytes.Contains(body, []byte("REG-4711")); seen != (role == interview.RoleOfficer) {
			t.Errorf("%s: status %d, the hit is seen: %v", role, status, seen)
		}
	}
	caller := interview.Caller{Device: interview.NewDeviceID(), Subject: "somebody", Roles: []interview.Role{interview.RoleOfficer}}
	body, err := json.Marshal(map[string]string{"settlement": "other-person", "note": "both files were looked at"})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := interviewtest.Do(mux, caller, http.MethodPost, "/api/desk/duplicates/"+s.Visit.String(), body)
	if status != http.StatusNoContent {
		t.Errorf("status %d: %s", status, answer)
	}
}
