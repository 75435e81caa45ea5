package app

import (
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
	"kuule/interview/viewing"
	"kuule/recorder/journal"
)

// archive is what keeps one installation's cases: SQL and authority's folder.
type archive struct {
	t      *testing.T
	folder string
	key    crypto.Signer

	db       *bun.DB
	local    *keyring.Local
	ring     *renewal.Ring
	graves   *graveyard
	sealer   *caseSealer
	hearings *interview.Store
	keeping  *retention.Store
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{t: t, folder: t.TempDir(), key: testKey(t)}
	local, err := keyring.CreateLocal(a.path("authority/keyring"), keyring.NewSecret([]byte("correct horse")), keyring.LeastCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(a.path("door"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.open(true)
	t.Cleanup(a.close)
	return a
}

func (a *archive) path(name string) string { return filepath.Join(a.folder, name) }

// open starts everything, as a start of the installation does; without graves
// it is as if nobody remembered.
func (a *archive) open(remembering bool) {
	a.t.Helper()
	var err error
	if a.local, err = keyring.OpenLocal(a.path("authority/keyring"), keyring.NewSecret([]byte("correct horse"))); err != nil {
		a.t.Fatal(err)
	}
	if a.ring, err = renewal.Over(a.local, a.path("authority/wraps")); err != nil {
		a.t.Fatal(err)
	}
	if remembering {
		if a.graves, err = openGraveyard(context.Background(), a.path("authority"), a.ring, a.key); err != nil {
			a.t.Fatal(err)
		}
	}
	if a.db, err = store.Open(context.Background(), "sqlite:"+a.path("door/kuule.db")); err != nil {
		a.t.Fatal(err)
	}
	a.sealer = newCaseSealer(a.db, a.ring)
	a.hearings = interview.NewStore(a.db, interview.Config{Sealer: a.sealer, Outbox: ledger.Outbox{}})
	a.keeping = retention.NewStore(a.db, retention.Current(), a.sealer, a.ring, ledger.Outbox{}, a.key.Public(), time.Now)
}

func (a *archive) close() {
	_ = errors.Join(a.db.Close(), a.local.Close())
}

// back keeps a copy of folders and gives what puts it back.
func (a *archive) back(folders ...string) (restore func()) {
	a.t.Helper()
	kept := a.t.TempDir()
	for _, f := range folders {
		if err := os.CopyFS(filepath.Join(kept, f), os.DirFS(a.path(f))); err != nil {
			a.t.Fatal(err)
		}
	}
	return func() {
		for _, f := range folders {
			if err := os.RemoveAll(a.path(f)); err != nil {
				a.t.Fatal(err)
			}
			if err := os.CopyFS(a.path(f), os.DirFS(filepath.Join(kept, f))); err != nil {
				a.t.Fatal(err)
			}
		}
	}
}

// theCase makes a case with something sealed under each of its keys.
func (a *archive) theCase() (interview.CaseID, string) {
	a.t.Helper()
	c, err := a.hearings.CreateCase(a.t.Context(), interview.Case{Diary: "1/2026", Lodged: "2026-06-15", Language: "fi"}, "officer")
	if err != nil {
		a.t.Fatal(err)
	}
	key := keyring.Key{Case: c.ID.String(), Kind: keyring.Recording}
	if err := a.ring.Create(a.t.Context(), key); err != nil {
		a.t.Fatal(err)
	}
	wrapped, err := a.ring.Wrap(a.t.Context(), key, "rec_1", []byte("data key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return c.ID, wrapped
}

// recorded wraps a recording's data key as its recorder does, under the case's
// key and bound to the hearing.
func (a *archive) recorded(c interview.CaseID, h interview.HearingID) {
	a.t.Helper()
	key := keyring.Key{Case: c.String(), Kind: keyring.Recording}
	if err := a.ring.Create(a.t.Context(), key); err != nil && !errors.Is(err, keyring.ErrExists) {
		a.t.Fatal(err)
	}
	if _, err := a.ring.Wrap(a.t.Context(), key, journal.WrapContext(h, interview.NewRecordingID()), []byte("data key")); err != nil {
		a.t.Fatal(err)
	}
}

// gone checks that nothing of a case opens.
func (a *archive) gone(c interview.CaseID, wrapped string) {
	a.t.Helper()
	if _, err := a.hearings.Case(a.t.Context(), c); !errors.Is(err, problem.New(problem.CodeErased, "")) {
		a.t.Errorf("records: got %v, want erased", err)
	}
	if _, err := a.ring.Unwrap(a.t.Context(), keyring.Key{Case: c.String(), Kind: keyring.Recording}, "rec_1", wrapped); !errors.Is(err, keyring.ErrDestroyed) {
		a.t.Errorf("recording: got %v, want ErrDestroyed", err)
	}
}

// opens checks that everything of a case opens.
func (a *archive) opens(c interview.CaseID, wrapped string) {
	a.t.Helper()
	if got, err := a.hearings.Case(a.t.Context(), c); err != nil || got.Diary != "1/2026" {
		a.t.Fatalf("records: %v", err)
	}
	if _, err := a.ring.Unwrap(a.t.Context(), keyring.Key{Case: c.String(), Kind: keyring.Recording}, "rec_1", wrapped); err != nil {
		a.t.Fatalf("recording: %v", err)
	}
}

var everything = []keyring.Kind{keyring.Recording, keyring.Records}

// years lets time pass for authority, past every period.
func (a *archive) years() {
	a.graves.now = func() time.Time { return time.Now().AddDate(6, 0, 0) }
}

func (a *archive) erase(c interview.CaseID) string {
	a.t.Helper()
	a.years()
	if err := a.graves.extend(c, time.Now().Add(-time.Hour)); err != nil {
		a.t.Fatal(err)
	}
	message, err := a.graves.eraseDue(a.t.Context(), dueQuestion{Case: c, Kinds: everything})
	if err != nil {
		a.t.Fatal(err)
	}
	a.sealer.forget(c)
	if fresh, err := a.keeping.Bury(a.t.Context(), message); err != nil || !fresh {
		a.t.Fatalf("%t, %v", fresh, err)
	}
	return message
}

// L4: after an erasure nothing opens, and what remains is a dated proof.
func TestWhatWasErasedLeavesItsProofAlone(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	other, otherWrapped := a.theCase()
	a.opens(c, wrapped)
	message := a.erase(c)
	a.gone(c, wrapped)
	a.opens(other, otherWrapped)
	stone, err := retention.VerifyTombstone(message, a.key.Public())
	if err != nil || stone.Subject != c.String() || len(stone.Keys) != 2 || len(stone.Keys[0].Versions) != 1 || stone.Rule != retention.ByClock || stone.Rules != 1 {
		t.Errorf("%+v, %v", stone, err)
	}
	if again, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything}); err != nil || again != message {
		t.Errorf("erased again: another proof, %v", err)
	}
	if fresh, err := a.keeping.Bury(t.Context(), message); err != nil || fresh {
		t.Errorf("entered again: %t, %v", fresh, err)
	}
	view, err := a.keeping.View(t.Context(), c, interview.HearingID{})
	if err != nil || len(view.Tombstones) != 1 {
		t.Fatalf("%+v, %v", view, err)
	}
	for _, k := range view.Classes {
		if (k.Class == retention.ClassRecording || k.Class == retention.ClassTranscript) && (k.State != retention.StateErased || k.Erased.IsZero()) {
			t.Errorf("%s is %s", k.Class, k.State)
		}
	}
	var events int
	if events, err = countEvents(t, a.db, retention.EventDone); err != nil || events != 1 {
		t.Errorf("%d events, %v", events, err)
	}
	// Nobody makes the case's keys anew.
	if _, err := a.sealer.Seal(t.Context(), c, "x", []byte("y")); !errors.Is(err, problem.New(problem.CodeErased, "")) {
		t.Errorf("sealed again: %v", err)
	}
}

func countEvents(t *testing.T, db *bun.DB, name string) (n int, err error) {
	err = db.NewRaw("SELECT count(*) FROM audit_outbox WHERE type = ?", name).Scan(t.Context(), &n)
	return n, err
}

// L7: yesterday's back-up of SQL and keyring is put back, and the case that was
// erased today is erased.
func TestABackUpBringsNothingBack(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	a.close()
	restore := a.back("door", "authority/keyring", "authority/wraps")
	a.open(true)
	a.erase(c)
	a.close()

	restore()
	a.open(false)
	a.opens(c, wrapped) // the back-up does hold it
	a.close()

	a.open(true)
	a.gone(c, wrapped)
	messages, err := a.graves.list()
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d tombstones, %v", len(messages), err)
	}
	if fresh, err := a.keeping.Bury(t.Context(), messages[0]); err != nil || !fresh {
		t.Errorf("the records have no tombstone again: %t, %v", fresh, err)
	}
}

// L7: authority's whole folder is put back; the records remember.
func TestRecordsRememberWhatAuthorityForgot(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	a.close()
	restore := a.back("authority")
	a.open(true)
	a.erase(c)
	a.close()
	restore()
	a.open(true)
	a.opens(c, wrapped)
	kept, err := a.keeping.Tombstones(t.Context())
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d tombstones, %v", len(kept), err)
	}
	if err := a.graves.tell(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	a.sealer.forget(c)
	a.gone(c, wrapped)
	a.close()
	a.open(true)
	a.gone(c, wrapped)
	// A case that the ring does not know is never made again.
	forged, err := retention.Tombstone{V: 1, Subject: interview.NewCaseID().String(), Keys: []retention.Ended{{Kind: keyring.Records}}, Persons: []string{}}.Sign(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.graves.tell(t.Context(), []string{forged}); err == nil {
		t.Error("a tombstone of another authority was believed")
	}
	unknown, err := retention.Tombstone{V: 1, Subject: interview.NewCaseID().String(), Keys: []retention.Ended{{Kind: keyring.Records}}, Persons: []string{}}.Sign(a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.graves.tell(t.Context(), []string{unknown}); err != nil {
		t.Fatal(err)
	}
}

// A tombstone that was changed may stand for an erased case: authority does not
// start without it.
func TestADamagedTombstoneStopsAuthority(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, _ := a.theCase()
	a.erase(c)
	files, err := filepath.Glob(a.path("authority/tombstones/*.jws"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openGraveyard(t.Context(), a.path("authority"), a.ring, a.key); !errors.Is(err, retention.ErrTombstone) {
		t.Errorf("got %v", err)
	}
}

// L1, L2, L5: the clock erases only what its lock and its holds let go, whatever
// the door says.
func TestTheClockErasesOnlyWhatIsFree(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	due := func(kinds ...keyring.Kind) error {
		_, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: kinds})
		return err
	}
	kept := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, problem.New(problem.CodeKept, "")) {
			t.Errorf("%s: got %v, want kept", what, err)
		}
		a.opens(c, wrapped)
	}
	kept("never given a period", due(everything...))
	if err := a.graves.extend(c, time.Now().AddDate(6, 0, 0)); err != nil {
		t.Fatal(err)
	}
	kept("before its time", due(everything...))
	if err := a.graves.extend(c, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	kept("after an attempt to shorten", due(everything...))
	// What is kept longer under one key keeps that key alone.
	a.graves.now = func() time.Time { return time.Now().AddDate(6, 0, 1) }
	if err := a.graves.lock(lockQuestion{Case: c, Kinds: map[keyring.Kind]int64{keyring.Records: time.Now().AddDate(7, 0, 0).Unix()}}); err != nil {
		t.Fatal(err)
	}
	kept("with one key whose time has not come", due(everything...))
	kept("that key", due(keyring.Records))
	if err := a.graves.lock(lockQuestion{Case: c, Kinds: map[keyring.Kind]int64{keyring.Special: 1}}); err == nil {
		t.Error("a lock of a key that a case has not")
	}
	a.graves.now = func() time.Time { return time.Now().AddDate(8, 0, 0) }
	if err := a.graves.hold(c, "ret_1", true); err != nil {
		t.Fatal(err)
	}
	kept("under a hold", due(everything...))
	if err := a.graves.hold(c, "ret_2", false); err != nil {
		t.Fatal(err)
	}
	kept("after another hold was lifted", due(everything...))
	if err := a.graves.hold(c, "ret_1", false); err != nil {
		t.Fatal(err)
	}
	if err := due(keyring.Special); err == nil {
		t.Error("erased a key that a case has not")
	}
	if err := due(); err == nil {
		t.Error("erased nothing")
	}
	a.opens(c, wrapped)
	if err := due(everything...); err != nil {
		t.Fatal(err)
	}
	a.sealer.forget(c)
	a.gone(c, wrapped)
}

// staysFiveYears wants every kind of a case's keys kept until a day before five
// years from now, whatever the clock of erasures asks for.
func (a *archive) staysFiveYears(c interview.CaseID, wrapped string) {
	t := a.t
	t.Helper()
	for name, now := range map[string]time.Time{"at once": time.Now(), "a day before": time.Now().AddDate(5, 0, -1)} {
		a.graves.now = func() time.Time { return now }
		for _, kinds := range [][]keyring.Kind{everything, {keyring.Recording}, {keyring.Records}} {
			if _, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: kinds}); !errors.Is(err, problem.New(problem.CodeKept, "")) {
				t.Errorf("%s %v: %v", name, kinds, err)
			}
		}
	}
	a.opens(c, wrapped)
}

// L5: whatever time the door gives, authority counts from when it last wrapped
// something under the key: what was recorded today is not erased by the clock
// before the rules' own period.
func TestADoorCannotMakeAPeriodShorterThanTheRules(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	if err := a.graves.extend(c, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	a.staysFiveYears(c, wrapped)
	a.graves.now = func() time.Time { return time.Now().AddDate(5, 0, 1) }
	if _, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// L5: a key of which nothing says when it was used, as from before authority noted
// that, counts from when authority first saw it so: the clock erases it no earlier
// than the rules' own period from then, whatever date the door gave.
func TestAKeyWithoutATimeIsKeptFromWhenItWasFirstSeen(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	registers, err := filepath.Glob(a.path("authority/wraps/" + c.String() + ".*.wraps"))
	if err != nil || len(registers) != 2 {
		t.Fatalf("registers %v, %v", registers, err)
	}
	old := regexp.MustCompile(`,"(at|made)":\d+`)
	for _, path := range registers {
		text, err := os.ReadFile(path)
		if err == nil && !old.Match(text) {
			t.Fatalf("it has no times: %s", text)
		}
		if err == nil {
			err = os.WriteFile(path, old.ReplaceAll(text, nil), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a.close()
	a.open(true)
	if err := a.graves.extend(c, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	a.staysFiveYears(c, wrapped)
	a.close()
	a.open(true) // seen before: the period does not begin anew
	a.graves.now = func() time.Time { return time.Now().AddDate(5, 0, 1) }
	if _, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// L5: keys go one by one where their times are apart, each with its own proof.
func TestOneKeyGoesBeforeTheOther(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c, wrapped := a.theCase()
	if err := a.graves.lock(lockQuestion{Case: c, Kinds: map[keyring.Kind]int64{
		keyring.Recording: time.Now().AddDate(5, 0, 1).Unix(), keyring.Records: time.Now().AddDate(10, 0, 0).Unix(),
	}}); err != nil {
		t.Fatal(err)
	}
	a.years()
	message, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: []keyring.Kind{keyring.Recording}})
	if err != nil {
		t.Fatal(err)
	}
	if stone, err := retention.VerifyTombstone(message, a.key.Public()); err != nil || len(stone.Keys) != 1 || stone.Keys[0].Kind != keyring.Recording {
		t.Errorf("%+v, %v", stone, err)
	}
	if _, err := a.ring.Unwrap(t.Context(), keyring.Key{Case: c.String(), Kind: keyring.Recording}, "rec_1", wrapped); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("recording: %v", err)
	}
	if _, err := a.hearings.Case(t.Context(), c); err != nil {
		t.Errorf("records: %v", err)
	}
	// A hold still keeps what is left.
	if err := a.graves.hold(c, "ret_1", true); err != nil {
		t.Errorf("a hold on what is left: %v", err)
	}
	a.graves.now = func() time.Time { return time.Now().AddDate(11, 0, 0) }
	if _, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: []keyring.Kind{keyring.Records}}); !errors.Is(err, problem.New(problem.CodeKept, "")) {
		t.Errorf("under the hold: %v", err)
	}
}

// slowRing stands in the way of a destruction, so that something can happen
// while it is under way.
type slowRing struct {
	keyring.Keyring
	reached, goOn chan struct{}
	fail          error
}

func (r *slowRing) Destroy(ctx context.Context, key keyring.Key) (keyring.Proof, error) {
	if key.Kind == keyring.Records && r.reached != nil {
		close(r.reached)
		r.reached = nil
		<-r.goOn
		if r.fail != nil {
			return keyring.Proof{}, r.fail
		}
	}
	return r.Keyring.Destroy(ctx, key)
}

// L2: a hold that comes while the case is being erased is told that it came too
// late; one that was laid before wins. Never do both say that they were done.
func TestAHoldAndAnErasureNeverBothWin(t *testing.T) {
	t.Parallel()
	late := problem.New(problem.CodeErased, "")
	t.Run("under way", func(t *testing.T) {
		t.Parallel()
		a := newArchive(t)
		c, wrapped := a.theCase()
		slow := &slowRing{Keyring: a.ring.Keyring, reached: make(chan struct{}), goOn: make(chan struct{})}
		reached := slow.reached
		a.ring.Keyring = slow
		a.years()
		if err := a.graves.extend(c, time.Now()); err != nil {
			t.Fatal(err)
		}
		erased, held := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything})
			erased <- err
		}()
		<-reached
		go func() { held <- a.graves.hold(c, "ret_1", true) }()
		close(slow.goOn)
		if err := <-erased; err != nil {
			t.Fatal(err)
		}
		if err := <-held; !errors.Is(err, late) {
			t.Errorf("the hold: got %v, want that it came too late", err)
		}
		a.sealer.forget(c)
		a.gone(c, wrapped)
	})
	t.Run("stopped halfway", func(t *testing.T) {
		t.Parallel()
		a := newArchive(t)
		c, wrapped := a.theCase()
		slow := &slowRing{Keyring: a.ring.Keyring, reached: make(chan struct{}), goOn: make(chan struct{}), fail: keyring.ErrAway}
		a.ring.Keyring = slow
		close(slow.goOn)
		a.years()
		if err := a.graves.extend(c, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything}); !errors.Is(err, keyring.ErrAway) {
			t.Fatalf("the keyring went away: %v", err)
		}
		if err := a.graves.hold(c, "ret_1", true); !errors.Is(err, late) {
			t.Errorf("a hold on half a case: %v", err)
		}
		a.close()
		a.open(true) // the next start finishes what was begun
		a.gone(c, wrapped)
		if list, err := a.graves.list(); err != nil || len(list) != 1 {
			t.Errorf("%d tombstones, %v", len(list), err)
		}
		if lock, err := a.graves.readLock(c); err != nil || lock.Erasing != nil {
			t.Errorf("%+v, %v", lock, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		a := newArchive(t)
		for range 20 {
			c, _ := a.theCase()
			a.years()
			if err := a.graves.extend(c, time.Now()); err != nil {
				t.Fatal(err)
			}
			erased, held := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := a.graves.eraseDue(t.Context(), dueQuestion{Case: c, Kinds: everything})
				erased <- err
			}()
			go func() { held <- a.graves.hold(c, "ret_1", true) }()
			gone, kept := <-erased == nil, <-held == nil
			if gone == kept {
				t.Fatalf("erased %t, held %t", gone, kept)
			}
		}
	})
}

// An erasure before its time needs two persons, each proved at a device of
// their own; every condition alone refuses it.
func TestTwoPersonsEraseBeforeTheTime(t *testing.T) {
	t.Parallel()
	const purpose, erasure = "an order of the court", "erase-00112233445566778899aabbccddeeff"
	type world struct {
		v       *vouched
		a       *archive
		c       interview.CaseID
		wrapped string
		order   orderQuestion
		confirm confirmQuestion
	}
	consent := func(w *world, act viewing.Act, id, purpose string) person {
		c := viewing.Consent{V: 1, Act: act, Viewing: id, Hearing: w.v.hearing, Purpose: jws.Hash(purpose), Nonce: "0011223344556677", Person: viewing.Person(w.v.who.Issuer, w.v.who.Subject), Device: w.v.device.DeviceID, IssuedAt: time.Now().Unix()}
		signed, err := jws.Sign(c, viewing.TypeConsent, w.v.deviceKey, w.v.cert)
		if err != nil {
			w.v.t.Fatal(err)
		}
		return person{Certificate: w.v.cert.Raw, Proof: signin.Proof{IDToken: "token"}, Consent: signed}
	}
	as := func(w *world, subject string, role interview.Role) {
		w.v.who = signin.Identity{Issuer: "https://issuer", Subject: subject, Role: string(role)}
		w.confirm.Person = consent(w, viewing.ActErase, erasure, purpose)
	}
	build := func(t *testing.T) *world {
		w := &world{v: newVouched(t), a: newArchive(t)}
		as(w, "liisa", interview.RoleInterviewer)
		w.c, w.wrapped = w.a.theCase()
		w.a.recorded(w.c, w.v.hearing)
		w.a.key = w.v.a.sealing
		graves, err := openGraveyard(t.Context(), w.a.path("authority"), w.a.ring, w.v.a.sealing)
		if err != nil {
			t.Fatal(err)
		}
		w.a.graves = graves
		w.order = orderQuestion{Erasure: erasure, Case: w.c, Hearing: w.v.hearing, Purpose: purpose, Person: consent(w, viewing.ActErase, erasure, purpose)}
		w.confirm = confirmQuestion{Hearing: w.v.hearing, Purpose: purpose}
		return w
	}
	run := func(w *world, between func(*world)) error {
		order, err := w.v.a.orderErasure(w.v.t.Context(), w.a.graves, w.order)
		if err != nil {
			return err
		}
		w.confirm.Order = order
		as(w, "matti", interview.RoleInterviewer)
		between(w)
		_, err = w.v.a.confirmErasure(w.v.t.Context(), w.a.graves, w.confirm)
		w.a.sealer.forget(w.c)
		return err
	}
	w := build(t)
	if err := run(w, func(*world) {}); err != nil {
		t.Fatal(err)
	}
	w.a.gone(w.c, w.wrapped)
	messages, err := w.a.graves.list()
	if err != nil || len(messages) != 1 {
		t.Fatal(len(messages), err)
	}
	stone, err := retention.VerifyTombstone(messages[0], w.v.a.sealing.Public())
	if err != nil || stone.Rule != retention.ByOrder || len(stone.Persons) != 2 || stone.Persons[0] == stone.Persons[1] || stone.Order == "" {
		t.Errorf("%+v, %v", stone, err)
	}
	for name, spoil := range map[string]struct {
		before  func(*world)
		between func(*world)
	}{
		"no purpose":                 {before: func(w *world) { w.order.Purpose = " " }},
		"consent to another purpose": {before: func(w *world) { w.order.Person = consent(w, viewing.ActErase, erasure, "something else") }},
		"consent to a viewing": {before: func(w *world) {
			w.order.Person = consent(w, viewing.ActView, "view-00112233445566778899aabbccddeeff", purpose)
		}},
		"consent to another order": {before: func(w *world) {
			w.order.Person = consent(w, viewing.ActErase, "erase-ffffffffffffffffffffffffffffffff", purpose)
		}},
		// The door names the case; authority knows by itself whose hearing it was.
		"the hearing of another case": {before: func(w *world) {
			w.v.hearing = interview.NewHearingID()
			w.a.recorded(interview.NewCaseID(), w.v.hearing)
			w.order.Hearing, w.order.Person = w.v.hearing, consent(w, viewing.ActErase, erasure, purpose)
			w.confirm.Hearing = w.v.hearing
		}},
		"a hearing that was never recorded": {before: func(w *world) {
			w.v.hearing = interview.NewHearingID()
			w.order.Hearing, w.order.Person = w.v.hearing, consent(w, viewing.ActErase, erasure, purpose)
			w.confirm.Hearing = w.v.hearing
		}},
		"a hold":                              {before: func(w *world) { _ = w.a.graves.hold(w.c, "ret_1", true) }},
		"a hold that came between":            {between: func(w *world) { _ = w.a.graves.hold(w.c, "ret_1", true) }},
		"the same person twice":               {between: func(w *world) { as(w, "liisa", interview.RoleInterviewer) }},
		"an administrator confirms":           {between: func(w *world) { as(w, "root", interview.RoleAdministrator) }},
		"the security office confirms":        {between: func(w *world) { as(w, "turva", interview.RoleSecurityOffice) }},
		"nobody is signed in at the second":   {between: func(w *world) { w.v.tokenErr = problem.New(problem.CodeSignIn, "x") }},
		"the second device's state is old":    {between: func(w *world) { w.v.freshErr = problem.New(problem.CodePostureStale, "x") }},
		"the second device is not registered": {between: func(w *world) { w.v.deviceErr = problem.New(problem.CodeDeviceNotNamed, "x") }},
		"the second consents to less": {between: func(w *world) {
			w.confirm.Person = consent(w, viewing.ActErase, "erase-ffffffffffffffffffffffffffffffff", purpose)
		}},
		"the first person's consent again": {between: func(w *world) { w.confirm.Person = w.order.Person }},
		"another hearing at the second": {between: func(w *world) {
			w.v.hearing = interview.NewHearingID()
			w.confirm.Hearing, w.confirm.Person = w.v.hearing, consent(w, viewing.ActErase, erasure, purpose)
		}},
		"another purpose at the second": {between: func(w *world) { w.confirm.Purpose = "another" }},
		"an order that waited too long": {between: func(w *world) { w.a.graves.now = func() time.Time { return time.Now().Add(retention.OrderLife) } }},
		"a forged order": {between: func(w *world) {
			forged, err := jws.Sign(retention.Order{V: 1, Erasure: erasure, Case: w.c, Purpose: jws.Hash(purpose), Asker: "x", Expires: time.Now().Add(time.Hour).Unix()}, retention.TypeOrder, testKey(w.v.t))
			if err != nil {
				w.v.t.Fatal(err)
			}
			w.confirm.Order = forged
		}},
		"no order": {between: func(w *world) { w.confirm.Order = "" }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			w := build(t)
			if spoil.before != nil {
				spoil.before(w)
			}
			err := run(w, func(w *world) {
				if spoil.between != nil {
					spoil.between(w)
				}
			})
			if err == nil {
				t.Error("the case was erased")
			}
			w.a.opens(w.c, w.wrapped)
		})
	}
}

// A case of which nothing was recorded can be erased by a hearing that was not
// recorded either, and not by one that was recorded under another case.
func TestACaseIsNamedByWhatWasRecorded(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	recorded, silent := interview.NewCaseID(), interview.NewCaseID()
	h, other := interview.NewHearingID(), interview.NewHearingID()
	a.recorded(recorded, h)
	for name, c := range map[string]struct {
		c    interview.CaseID
		h    interview.HearingID
		good bool
	}{
		"its own":                      {recorded, h, true},
		"not recorded, of one that is": {recorded, other, false},
		"recorded elsewhere":           {silent, h, false},
		"nothing was ever recorded":    {silent, other, true},
	} {
		if err := a.graves.ofCase(c.c, c.h); (err == nil) != c.good || err != nil && !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
