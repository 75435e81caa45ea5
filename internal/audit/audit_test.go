package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/canon"
	"kuule/internal/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}

var admitted = Define("test.admitted", 1, "device", "rule", "at")

const (
	origin  = "test.example/log"
	hearing = "hrg_test"
)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func event(t testing.TB) Event {
	t.Helper()
	e, err := admitted.New(hearing, map[string]any{"device": "dev_1", "rule": "C3", "at": 12})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func leaves(t testing.TB, n int) []Leaf {
	t.Helper()
	out := make([]Leaf, n)
	for i := range out {
		out[i] = event(t).Leaf()
	}
	return out
}

type logWorld struct {
	*Log
	folder string
	key    ed25519.PrivateKey
}

func openLog(t testing.TB) *logWorld {
	t.Helper()
	w := &logWorld{folder: t.TempDir(), key: newKey(t)}
	w.open(t)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *logWorld) open(t testing.TB) {
	t.Helper()
	log, err := OpenLog(w.folder, origin, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.Log = log
}

func (w *logWorld) append(t testing.TB, batch []Leaf) []uint64 {
	t.Helper()
	places, err := w.Append(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// prove waits until the newest checkpoint covers the place.
func (w *logWorld) prove(t testing.TB, place uint64) Proof {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p, err := w.Prove(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEventHasExactlyItsTypesFields(t *testing.T) {
	t.Parallel()
	good := map[string]any{"device": "dev_1", "rule": "C3", "at": 12}
	if _, err := admitted.New(hearing, good); err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string]map[string]any{
		"missing":  {"device": "dev_1", "rule": "C3"},
		"unknown":  {"device": "dev_1", "rule": "C3", "at": 12, "name": "x"},
		"fraction": {"device": "dev_1", "rule": "C3", "at": 1.5},
		"large":    {"device": strings.Repeat("x", maxBody), "rule": "C3", "at": 12},
	} {
		if _, err := admitted.New(hearing, fields); err == nil {
			t.Errorf("%s: event was made", name)
		}
	}
	if !slices.ContainsFunc(Types(), func(ty Type) bool {
		return ty.Name == "test.admitted" && slices.Equal(ty.Fields, []string{"at", "device", "rule"})
	}) {
		t.Error("type is not registered")
	}
}

func TestMalformedOrSecondTypeIsAMistakeInTheProgram(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"twice":       func() { Define("test.admitted", 1) },
		"name":        func() { Define("Admitted", 1) },
		"version":     func() { Define("test.x", 0) },
		"field":       func() { Define("test.y", 1, "A b") },
		"field twice": func() { Define("test.z", 1, "a", "a") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: was defined", name)
				}
			}()
			define()
		}()
	}
}

func TestLeafTellsNothingWithoutItsSalt(t *testing.T) {
	t.Parallel()
	a := event(t)
	b := a
	b.salt = bytes.Repeat([]byte{1}, 32)
	if a.Leaf().H == b.Leaf().H {
		t.Fatal("same hash under another salt")
	}
	if err := a.Leaf().CheckBody(a.body, a.salt); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(a.body, []byte("dev_1"), []byte("dev_2"), 1)
	other := event(t)
	for name, err := range map[string]error{
		"changed body": a.Leaf().CheckBody(changed, a.salt),
		"other salt":   a.Leaf().CheckBody(a.body, b.salt),
		"no salt":      a.Leaf().CheckBody(a.body, nil),
		"other event":  a.Leaf().CheckBody(other.body, other.salt),
	} {
		if !errors.Is(err, ErrBody) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEntryIsProvedOfflineWithTrustedKeysOnly(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	batch := leaves(t, 5)
	places := log.append(t, batch)
	p := log.prove(t, places[3])
	leaf, checkpoint, err := VerifyInclusion(p, log.Key(), nil)
	if err != nil || leaf != batch[3] || checkpoint.Size < 5 || len(checkpoint.Cosigned) != 0 {
		t.Fatalf("got %v, %+v, %v", leaf, checkpoint, err)
	}
	otherKey, err := LogKey(origin, newKey(t).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	otherText, err := canon.Marshal(batch[2])
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(p.Checkpoint)
	flipped[len(origin)+1] ^= 1 // the size
	cases := map[string]struct {
		change func(*Proof)
		key    string
		want   error
	}{
		"other leaf":       {func(p *Proof) { p.Leaf = string(otherText) }, log.Key(), ErrProof},
		"other place":      {func(p *Proof) { p.Index = places[2] }, log.Key(), ErrProof},
		"place outside":    {func(p *Proof) { p.Index = 1 << 40 }, log.Key(), ErrProof},
		"hash missing":     {func(p *Proof) { p.Hashes = p.Hashes[1:] }, log.Key(), ErrProof},
		"hash unreadable":  {func(p *Proof) { p.Hashes = append([]string{"x"}, p.Hashes[1:]...) }, log.Key(), ErrProof},
		"many hashes":      {func(p *Proof) { p.Hashes = make([]string, maxProof+1) }, log.Key(), ErrProof},
		"leaf not canonic": {func(p *Proof) { p.Leaf += " " }, log.Key(), ErrProof},
		"other log's key":  {func(*Proof) {}, otherKey, ErrCheckpoint},
		"changed size":     {func(p *Proof) { p.Checkpoint = string(flipped) }, log.Key(), ErrCheckpoint},
		"no signature":     {func(p *Proof) { p.Checkpoint, _, _ = strings.Cut(p.Checkpoint, "—") }, log.Key(), ErrCheckpoint},
		"empty checkpoint": {func(p *Proof) { p.Checkpoint = "" }, log.Key(), ErrCheckpoint},
		"long checkpoint":  {func(p *Proof) { p.Checkpoint += strings.Repeat("x", maxCheckpoint) }, log.Key(), ErrCheckpoint},
	}
	for name, c := range cases {
		changed := p
		changed.Hashes = slices.Clone(p.Hashes)
		c.change(&changed)
		if _, _, err := VerifyInclusion(changed, c.key, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestAppendingTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	batch := leaves(t, 3)
	first := log.append(t, batch)
	if again := log.append(t, batch); !slices.Equal(first, again) {
		t.Errorf("again: %v, want %v", again, first)
	}
	doubled := leaves(t, 1)
	if places := log.append(t, []Leaf{doubled[0], doubled[0]}); places[0] != places[1] {
		t.Errorf("twice in one batch: %v", places)
	}
	forged := batch[1]
	forged.H = leaves(t, 1)[0].H
	if _, err := log.Append(t.Context(), []Leaf{forged}); !errors.Is(err, ErrTaken) {
		t.Errorf("other content under a known id: got %v", err)
	}
	log.prove(t, 3)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log.open(t) // a restarted authority knows what it has
	if again := log.append(t, batch); !slices.Equal(first, again) {
		t.Errorf("after a restart: %v, want %v", again, first)
	}
	if size, err := Check(t.Context(), log.folder, log.Key()); err != nil || size != 4 {
		t.Errorf("log holds %d entries, %v; want 4", size, err)
	}
}

func TestManyWritersOfTheSameLeaves(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	batch := leaves(t, 20)
	results := make([][]uint64, 8)
	var writers sync.WaitGroup
	for i := range results {
		writers.Go(func() {
			places, err := log.Append(t.Context(), batch)
			if err != nil {
				t.Error(err)
			}
			results[i] = places
		})
	}
	writers.Wait()
	for _, places := range results[1:] {
		if !slices.Equal(places, results[0]) {
			t.Fatalf("got %v and %v", places, results[0])
		}
	}
}

func TestMalformedLeavesAreRefused(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	good := leaves(t, 1)[0]
	for name, change := range map[string]func(*Leaf){
		"id":      func(l *Leaf) { l.ID = "evt_1" },
		"hash":    func(l *Leaf) { l.H = l.H[1:] },
		"type":    func(l *Leaf) { l.Type = "some one's name" },
		"version": func(l *Leaf) { l.V = 0 },
	} {
		bad := good
		change(&bad)
		if _, err := log.Append(t.Context(), []Leaf{bad}); err == nil {
			t.Errorf("%s: was appended", name)
		}
	}
	if _, err := log.Append(t.Context(), leaves(t, MaxBatch+1)); err == nil {
		t.Error("batch over its bound was appended")
	}
}

type device struct {
	name string
	key  ed25519.PrivateKey
	pub  string
	*Witness
}

func newDevice(t testing.TB, log *logWorld, name string) *device {
	t.Helper()
	d := &device{name: name, key: newKey(t)}
	var err error
	if d.pub, err = CosignerKey(name, d.key.Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
	if d.Witness, err = NewWitness(log.Key(), name, d.key, ""); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) cosign(t testing.TB, log *logWorld, checkpoint string) string {
	t.Helper()
	newer, err := VerifyCheckpoint(checkpoint, log.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := log.Consistency(t.Context(), d.Size(), newer.Size)
	if err != nil {
		t.Fatal(err)
	}
	line, err := d.Cosign(checkpoint, hashes)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestOnlyKnownCosignersCount(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	place := log.append(t, leaves(t, 3))[1]
	checkpoint := log.prove(t, place).Checkpoint
	counsel, terminal, stranger := newDevice(t, log, "dev_counsel"), newDevice(t, log, "dev_terminal"), newDevice(t, log, "dev_stranger")
	for _, d := range []*device{counsel, terminal, stranger} {
		line := d.cosign(t, log, checkpoint)
		for range 2 { // a second time changes nothing
			if err := log.AddCosignature(checkpoint, line, d.pub); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := log.prove(t, place)
	names := func(keys ...string) string {
		_, verified, err := VerifyInclusion(p, log.Key(), keys)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range verified.Cosigned {
			if time.Since(c.At).Abs() > time.Minute {
				t.Errorf("%s cosigned at %v", c.Name, c.At)
			}
			names = append(names, c.Name)
		}
		return strings.Join(names, " ")
	}
	if got := names(); got != "" {
		t.Errorf("nobody is trusted, yet %q counted", got)
	}
	if got := names(counsel.pub, counsel.pub); got != "dev_counsel" {
		t.Errorf("got %q", got)
	}
	if got := names(counsel.pub, terminal.pub); got != "dev_counsel dev_terminal" {
		t.Errorf("got %q", got)
	}
	// Another key under the trusted device's name.
	impostor := newDevice(t, log, "dev_counsel")
	if got := names(impostor.pub); got != "" {
		t.Errorf("another key of that name counted: %q", got)
	}
	// A cosignature of a trusted key that was changed spoils the checkpoint.
	at := strings.Index(p.Checkpoint, "dev_counsel ") + 40
	spoiled := p
	spoiled.Checkpoint = p.Checkpoint[:at] + flip(p.Checkpoint[at:at+1]) + p.Checkpoint[at+1:]
	if _, _, err := VerifyInclusion(spoiled, log.Key(), []string{counsel.pub}); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("changed cosignature: got %v", err)
	}
}

func flip(letter string) string {
	if letter == "A" {
		return "B"
	}
	return "A"
}

func TestCosignaturesAreCheckedBeforeTheyAreKept(t *testing.T) {
	t.Parallel()
	log, other := openLog(t), openLog(t)
	log.append(t, leaves(t, 1))
	other.append(t, leaves(t, 1))
	checkpoint, foreign := log.prove(t, 0).Checkpoint, other.prove(t, 0).Checkpoint
	d := newDevice(t, log, "dev_1")
	line := d.cosign(t, log, checkpoint)
	someone := newDevice(t, log, "dev_2")
	for name, err := range map[string]error{
		"of another device":     log.AddCosignature(checkpoint, line, someone.pub),
		"to another checkpoint": log.AddCosignature(foreign, line, d.pub),
		"of two lines":          log.AddCosignature(checkpoint, line+"\n"+line, d.pub),
		"none":                  log.AddCosignature(checkpoint, "", d.pub),
		"no note":               log.AddCosignature("x", line, d.pub),
	} {
		if !errors.Is(err, ErrCheckpoint) {
			t.Errorf("cosignature %s: got %v", name, err)
		}
	}
	if _, err := log.Cosigned(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
}

func TestWitnessCosignsOnlyWhatContinues(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	batch := leaves(t, 3)
	log.append(t, batch)
	first := log.prove(t, 2).Checkpoint
	d := newDevice(t, log, "dev_1")
	d.cosign(t, log, first)

	// It remembers over a restart.
	again, err := NewWitness(log.Key(), d.name, d.key, d.Last())
	if err != nil || again.Size() != 3 {
		t.Fatalf("remembers %d entries, %v", again.Size(), err)
	}
	log.append(t, leaves(t, 4))
	second := log.prove(t, 6).Checkpoint
	hashes, err := log.Consistency(t.Context(), 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Cosign(second, hashes[1:]); !errors.Is(err, ErrProof) {
		t.Errorf("without the whole proof: got %v", err)
	}
	if _, err := again.Cosign(second, hashes); err != nil {
		t.Errorf("an honest continuation: %v", err)
	}
	if _, err := again.Cosign(first, nil); !errors.Is(err, ErrProof) {
		t.Errorf("going back: got %v", err)
	}

	// The same key signs another history: whoever runs the server rewrote it.
	rewritten := &logWorld{folder: t.TempDir(), key: log.key}
	rewritten.open(t)
	t.Cleanup(func() { _ = rewritten.Close() })
	rewritten.append(t, leaves(t, 9))
	third := rewritten.prove(t, 8).Checkpoint
	hashes, err = rewritten.Consistency(t.Context(), 7, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Cosign(third, hashes); !errors.Is(err, ErrProof) {
		t.Errorf("another history: got %v", err)
	}
	if again.Size() != 7 {
		t.Errorf("a refused checkpoint was remembered: %d", again.Size())
	}
}

// full makes a log of more than one full tile and closes it.
func full(t *testing.T) (folder, key string, checkpoint string) {
	t.Helper()
	log := openLog(t)
	for range 2 {
		log.append(t, leaves(t, MaxBatch))
	}
	places := log.append(t, leaves(t, 10))
	checkpoint = log.prove(t, places[9]).Checkpoint
	d := newDevice(t, log, "dev_1")
	if err := log.AddCosignature(checkpoint, d.cosign(t, log, checkpoint), d.pub); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return log.folder, log.Key(), checkpoint
}

// Every file of the log, a byte at its start, middle and end.
func TestAFlippedByteIsFoundAndItsFileNamed(t *testing.T) {
	t.Parallel()
	folder, key, _ := full(t)
	if size, err := Check(t.Context(), folder, key); err != nil || size != 522 {
		t.Fatalf("whole log: %d entries, %v", size, err)
	}
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		inside, _ := filepath.Rel(folder, path)
		partialOfOld := strings.Contains(inside, ".p/") && !strings.HasSuffix(inside, ".p/10") && !strings.HasSuffix(inside, "tile/1/000.p/2")
		if err == nil && !entry.IsDir() && !strings.HasPrefix(inside, ".") && !partialOfOld {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 8 {
		t.Fatalf("log has only %v", files)
	}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(path, 0o600)
		inside, _ := filepath.Rel(folder, path)
		for _, at := range []int{0, len(content) / 2, len(content) - 1} {
			changed := bytes.Clone(content)
			changed[at] ^= 1
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Check(t.Context(), folder, key)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s byte %d: got %v", inside, at, err)
			} else if len(err.Error()) > 400 {
				t.Errorf("%s byte %d: message of %d bytes", inside, at, len(err.Error()))
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Check(t.Context(), folder, key); err != nil {
		t.Fatalf("after mending: %v", err)
	}
}

func TestALogThatWasCutIsFound(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	log.append(t, leaves(t, 5))
	early := log.prove(t, 4).Checkpoint
	log.append(t, leaves(t, 5))
	late := log.prove(t, 9).Checkpoint
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(log.folder, "checkpoint")
	_ = os.Chmod(path, 0o600)
	if err := os.WriteFile(path, []byte(early), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), log.folder, log.Key()); err != nil {
		t.Fatalf("alone, the shorter log looks whole: %v", err)
	}
	if _, err := Check(t.Context(), log.folder, log.Key(), late); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a kept checkpoint: got %v", err)
	}
	folder, key, _ := full(t)
	if err := os.Remove(filepath.Join(folder, "tile", "entries", "001")); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), folder, key); !errors.Is(err, ErrDamaged) {
		t.Errorf("missing bundle: got %v", err)
	}
}

func TestOutboxReachesTheLogOnce(t *testing.T) {
	t.Parallel()
	db, log := storetest.Open(t), openLog(t)
	for range 3 {
		if err := Record(t.Context(), db, event(t)); err != nil {
			t.Fatal(err)
		}
	}
	// The log takes them but the answer is lost: they are sent again.
	lost := errors.New("answer lost")
	if _, err := Drain(t.Context(), db, appenderFunc(func(ctx context.Context, batch []Leaf) ([]uint64, error) {
		if _, err := log.Append(ctx, batch); err != nil {
			return nil, err
		}
		return nil, lost
	})); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []int{3, 0} {
		if got, err := Drain(t.Context(), db, log); err != nil || got != want {
			t.Fatalf("carried %d, %v; want %d", got, err, want)
		}
	}
	rows, err := Events(t.Context(), db, hearing)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		if row.LogIndex == nil || *row.LogIndex != int64(i) {
			t.Fatalf("row %d has place %v", i, row.LogIndex)
		}
		leaf, _, err := VerifyInclusion(log.prove(t, uint64(*row.LogIndex)), log.Key(), nil)
		if err != nil {
			t.Fatal(err)
		}
		salt, err := base64.RawURLEncoding.DecodeString(row.Salt)
		if err != nil {
			t.Fatal(err)
		}
		if err := leaf.CheckBody([]byte(row.Body), salt); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
	}
}

type appenderFunc func(context.Context, []Leaf) ([]uint64, error)

func (f appenderFunc) Append(ctx context.Context, batch []Leaf) ([]uint64, error) {
	return f(ctx, batch)
}

func TestEventStandsAndFallsWithItsTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Record(t.Context(), tx, event(t)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if rows, err := Events(t.Context(), db, hearing); err != nil || len(rows) != 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
}

func TestWorkerWaitsForALogThatIsAway(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	if err := Record(t.Context(), db, event(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls, taken := 0, make(chan struct{})
	worker := Worker{DB: db, Interval: time.Millisecond, Log: appenderFunc(func(context.Context, []Leaf) ([]uint64, error) {
		if calls++; calls < 3 {
			return nil, errors.New("authority is away")
		}
		close(taken)
		return []uint64{0}, nil
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); worker.Run(ctx) }()
	select {
	case <-taken:
	case <-time.After(10 * time.Second):
		t.Error("event was never carried")
	}
	cancel()
	<-ended
}

func FuzzVerifyInclusion(f *testing.F) {
	log := openLog(f)
	log.append(f, leaves(f, 3))
	p := log.prove(f, 1)
	f.Add(p.Index, p.Leaf, strings.Join(p.Hashes, "\n"), p.Checkpoint)
	f.Fuzz(func(t *testing.T, index uint64, leaf, hashes, checkpoint string) {
		got, _, err := VerifyInclusion(Proof{Index: index, Leaf: leaf, Hashes: strings.Split(hashes, "\n"), Checkpoint: checkpoint}, log.Key(), nil)
		if err == nil && (fmt.Sprint(got) == "" || leaf != p.Leaf) {
			t.Fatalf("%q was proved", leaf)
		}
	})
}
