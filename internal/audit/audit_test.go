package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/audit"
	"kuule/internal/audit/audittest"
	"kuule/internal/canon"
	"kuule/internal/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}

var admitted = audit.Define("test.admitted", 1, "device", "rule", "at")

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

func event(t testing.TB) audit.Event {
	t.Helper()
	e, err := admitted.New(hearing, map[string]any{"device": "dev_1", "rule": "C3", "at": 12})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func leaves(t testing.TB, n int) []audit.Leaf {
	t.Helper()
	out := make([]audit.Leaf, n)
	for i := range out {
		out[i] = event(t).Leaf()
	}
	return out
}

type logWorld struct {
	*audit.Log
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
	log, err := audit.OpenLog(w.folder, origin, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.Log = log
}

func (w *logWorld) append(t testing.TB, batch []audit.Leaf) []uint64 {
	t.Helper()
	places, err := w.Append(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// prove waits until the newest checkpoint covers the place.
func (w *logWorld) prove(t testing.TB, place uint64) audit.Proof {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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
		"large":    {"device": strings.Repeat("x", 1<<20), "rule": "C3", "at": 12},
	} {
		if _, err := admitted.New(hearing, fields); err == nil {
			t.Errorf("%s: event was made", name)
		}
	}
	if !slices.ContainsFunc(audit.Types(), func(ty audit.Type) bool {
		return ty.Name == "test.admitted" && slices.Equal(ty.Fields, []string{"at", "device", "rule"})
	}) {
		t.Error("type is not registered")
	}
}

func TestMalformedOrSecondTypeIsAMistakeInTheProgram(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"twice":       func() { audit.Define("test.admitted", 1) },
		"name":        func() { audit.Define("Admitted", 1) },
		"version":     func() { audit.Define("test.x", 0) },
		"field":       func() { audit.Define("test.y", 1, "A b") },
		"field twice": func() { audit.Define("test.z", 1, "a", "a") },
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

func TestLeafBelongsToItsBodyAndSaltOnly(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for range 2 {
		if err := audit.Record(t.Context(), db, event(t)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := audit.Events(t.Context(), db, hearing)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	leaf, err := rows[0].Leaf()
	if err != nil {
		t.Fatal(err)
	}
	own, other := salt(t, rows[0]), salt(t, rows[1])
	if err := leaf.CheckBody([]byte(rows[0].Body), own); err != nil {
		t.Fatal(err)
	}
	unsalted := sha256.Sum256([]byte(rows[0].Body))
	if leaf.H == base64.RawURLEncoding.EncodeToString(unsalted[:]) {
		t.Error("hash is not salted: a body could be guessed")
	}
	for name, err := range map[string]error{
		"changed body": leaf.CheckBody([]byte(strings.Replace(rows[0].Body, "dev_1", "dev_2", 1)), own),
		"other salt":   leaf.CheckBody([]byte(rows[0].Body), other),
		"no salt":      leaf.CheckBody([]byte(rows[0].Body), nil),
		"other event":  leaf.CheckBody([]byte(rows[1].Body), other),
	} {
		if !errors.Is(err, audit.ErrBody) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func salt(t *testing.T, row audit.Row) []byte {
	t.Helper()
	bytes, err := base64.RawURLEncoding.DecodeString(row.Salt)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func TestEntryIsProvedOfflineWithTrustedKeysOnly(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	batch := leaves(t, 5)
	places := log.append(t, batch)
	p := log.prove(t, places[3])
	leaf, checkpoint, err := audit.VerifyInclusion(p, log.Key(), nil)
	if err != nil || leaf != batch[3] || checkpoint.Size < 5 || len(checkpoint.Cosigned) != 0 {
		t.Fatalf("got %v, %+v, %v", leaf, checkpoint, err)
	}
	otherKey, err := audit.LogKey(origin, newKey(t).Public().(ed25519.PublicKey))
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
		change func(*audit.Proof)
		key    string
		want   error
	}{
		"other leaf":       {func(p *audit.Proof) { p.Leaf = string(otherText) }, log.Key(), audit.ErrProof},
		"other place":      {func(p *audit.Proof) { p.Index = places[2] }, log.Key(), audit.ErrProof},
		"place outside":    {func(p *audit.Proof) { p.Index = 1 << 40 }, log.Key(), audit.ErrProof},
		"hash missing":     {func(p *audit.Proof) { p.Hashes = p.Hashes[1:] }, log.Key(), audit.ErrProof},
		"short hash":       {func(p *audit.Proof) { p.Hashes = append([][]byte{{1}}, p.Hashes[1:]...) }, log.Key(), audit.ErrProof},
		"many hashes":      {func(p *audit.Proof) { p.Hashes = make([][]byte, 1000) }, log.Key(), audit.ErrProof},
		"leaf not canonic": {func(p *audit.Proof) { p.Leaf += " " }, log.Key(), audit.ErrProof},
		"other log's key":  {func(*audit.Proof) {}, otherKey, audit.ErrCheckpoint},
		"changed size":     {func(p *audit.Proof) { p.Checkpoint = string(flipped) }, log.Key(), audit.ErrCheckpoint},
		"no signature":     {func(p *audit.Proof) { p.Checkpoint, _, _ = strings.Cut(p.Checkpoint, "—") }, log.Key(), audit.ErrCheckpoint},
		"empty checkpoint": {func(p *audit.Proof) { p.Checkpoint = "" }, log.Key(), audit.ErrCheckpoint},
		"long checkpoint":  {func(p *audit.Proof) { p.Checkpoint += strings.Repeat("x", 1<<20) }, log.Key(), audit.ErrCheckpoint},
	}
	for name, c := range cases {
		changed := p
		changed.Hashes = slices.Clone(p.Hashes)
		c.change(&changed)
		if _, _, err := audit.VerifyInclusion(changed, c.key, nil); !errors.Is(err, c.want) {
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
	if places := log.append(t, []audit.Leaf{doubled[0], doubled[0]}); places[0] != places[1] {
		t.Errorf("twice in one batch: %v", places)
	}
	forged := batch[1]
	forged.H = leaves(t, 1)[0].H
	if _, err := log.Append(t.Context(), []audit.Leaf{forged}); !errors.Is(err, audit.ErrTaken) {
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
	if size, err := audit.Check(t.Context(), log.folder, log.Key()); err != nil || size != 4 {
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
	for name, change := range map[string]func(*audit.Leaf){
		"id":      func(l *audit.Leaf) { l.ID = "evt_1" },
		"hash":    func(l *audit.Leaf) { l.H = l.H[1:] },
		"type":    func(l *audit.Leaf) { l.Type = "some one's name" },
		"version": func(l *audit.Leaf) { l.V = 0 },
	} {
		bad := good
		change(&bad)
		if _, err := log.Append(t.Context(), []audit.Leaf{bad}); err == nil {
			t.Errorf("%s: was appended", name)
		}
	}
	if _, err := log.Append(t.Context(), leaves(t, audit.MaxBatch+1)); err == nil {
		t.Error("batch over its bound was appended")
	}
}

// cosign has a witness cosign a checkpoint.
func cosign(t testing.TB, log *logWorld, w *audittest.Witness, checkpoint string) string {
	t.Helper()
	newer, err := audit.VerifyCheckpoint(checkpoint, log.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := log.Consistency(t.Context(), w.Size(), newer.Size)
	if err != nil {
		t.Fatal(err)
	}
	line, err := w.Cosign(checkpoint, hashes)
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
	counsel, terminal, stranger := audittest.NewWitness(t, log.Key(), "dev_counsel"), audittest.NewWitness(t, log.Key(), "dev_terminal"), audittest.NewWitness(t, log.Key(), "dev_stranger")
	for _, d := range []*audittest.Witness{counsel, terminal, stranger} {
		line := cosign(t, log, d, checkpoint)
		for range 2 { // a second time changes nothing
			if err := log.AddCosignature(checkpoint, line, d.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := log.prove(t, place)
	names := func(keys ...string) string {
		_, verified, err := audit.VerifyInclusion(p, log.Key(), keys)
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
	if got := names(counsel.Key, counsel.Key); got != "dev_counsel" {
		t.Errorf("got %q", got)
	}
	if got := names(counsel.Key, terminal.Key); got != "dev_counsel dev_terminal" {
		t.Errorf("got %q", got)
	}
	// Another key under the trusted device's name.
	impostor := audittest.NewWitness(t, log.Key(), "dev_counsel")
	if got := names(impostor.Key); got != "" {
		t.Errorf("another key of that name counted: %q", got)
	}
	// A cosignature of a trusted key that was changed spoils the checkpoint.
	at := strings.Index(p.Checkpoint, "dev_counsel ") + 40
	spoiled := p
	spoiled.Checkpoint = p.Checkpoint[:at] + flip(p.Checkpoint[at:at+1]) + p.Checkpoint[at+1:]
	if _, _, err := audit.VerifyInclusion(spoiled, log.Key(), []string{counsel.Key}); !errors.Is(err, audit.ErrCheckpoint) {
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
	d := audittest.NewWitness(t, log.Key(), "dev_1")
	line := cosign(t, log, d, checkpoint)
	someone := audittest.NewWitness(t, log.Key(), "dev_2")
	for name, err := range map[string]error{
		"of another device":     log.AddCosignature(checkpoint, line, someone.Key),
		"to another checkpoint": log.AddCosignature(foreign, line, d.Key),
		"of two lines":          log.AddCosignature(checkpoint, line+"\n"+line, d.Key),
		"none":                  log.AddCosignature(checkpoint, "", d.Key),
		"no note":               log.AddCosignature("x", line, d.Key),
	} {
		if !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("cosignature %s: got %v", name, err)
		}
	}
	if _, err := log.Cosigned(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
}

// checkpointAt waits for the checkpoint that covers all n entries.
func (w *logWorld) checkpointAt(t testing.TB, n uint64) audit.Checkpoint {
	t.Helper()
	checkpoint, err := audit.VerifyCheckpoint(w.prove(t, n-1).Checkpoint, w.Key(), nil)
	if err != nil || checkpoint.Size != n {
		t.Fatalf("checkpoint of %d entries, %v; want %d", checkpoint.Size, err, n)
	}
	return checkpoint
}

func TestOnlyAContinuationIsConsistent(t *testing.T) {
	t.Parallel()
	log := openLog(t)
	log.append(t, leaves(t, 3))
	first := log.checkpointAt(t, 3)
	log.append(t, leaves(t, 4))
	second := log.checkpointAt(t, 7)
	hashes, err := log.Consistency(t.Context(), 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	// The same key signs another history: whoever runs the server rewrote it.
	rewritten := &logWorld{folder: t.TempDir(), key: log.key}
	rewritten.open(t)
	t.Cleanup(func() { _ = rewritten.Close() })
	rewritten.append(t, leaves(t, 7))
	other := rewritten.checkpointAt(t, 7)
	otherHashes, err := rewritten.Consistency(t.Context(), 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.VerifyConsistency(first, second, hashes); err != nil {
		t.Errorf("an honest continuation: %v", err)
	}
	if err := audit.VerifyConsistency(second, second, nil); err != nil {
		t.Errorf("the same checkpoint: %v", err)
	}
	if err := audit.VerifyConsistency(audit.Checkpoint{Origin: origin}, first, nil); err != nil {
		t.Errorf("the first checkpoint seen: %v", err)
	}
	elsewhere := second
	elsewhere.Origin = "other"
	for name, err := range map[string]error{
		"going back":               audit.VerifyConsistency(second, first, nil),
		"without the whole proof":  audit.VerifyConsistency(first, second, hashes[1:]),
		"another history":          audit.VerifyConsistency(first, other, otherHashes),
		"another of the same size": audit.VerifyConsistency(second, other, nil),
		"another log":              audit.VerifyConsistency(first, elsewhere, hashes),
		"short hash":               audit.VerifyConsistency(first, second, [][]byte{{1}}),
	} {
		if !errors.Is(err, audit.ErrProof) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// full makes a log of more than one full tile and closes it.
func full(t *testing.T) (folder, key string, checkpoint string) {
	t.Helper()
	log := openLog(t)
	for range 2 {
		log.append(t, leaves(t, audit.MaxBatch))
	}
	places := log.append(t, leaves(t, 10))
	checkpoint = log.prove(t, places[9]).Checkpoint
	d := audittest.NewWitness(t, log.Key(), "dev_1")
	if err := log.AddCosignature(checkpoint, cosign(t, log, d, checkpoint), d.Key); err != nil {
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
	if size, err := audit.Check(t.Context(), folder, key); err != nil || size != 522 {
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
			_, err := audit.Check(t.Context(), folder, key)
			if !errors.Is(err, audit.ErrDamaged) {
				t.Errorf("%s byte %d: got %v", inside, at, err)
			} else if len(err.Error()) > 400 {
				t.Errorf("%s byte %d: message of %d bytes", inside, at, len(err.Error()))
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Check(t.Context(), folder, key); err != nil {
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
	if _, err := audit.Check(t.Context(), log.folder, log.Key()); err != nil {
		t.Fatalf("alone, the shorter log looks whole: %v", err)
	}
	if _, err := audit.Check(t.Context(), log.folder, log.Key(), late); !errors.Is(err, audit.ErrDamaged) {
		t.Errorf("with a kept checkpoint: got %v", err)
	}
	folder, key, _ := full(t)
	if err := os.Remove(filepath.Join(folder, "tile", "entries", "001")); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Check(t.Context(), folder, key); !errors.Is(err, audit.ErrDamaged) {
		t.Errorf("missing bundle: got %v", err)
	}
}

func TestOutboxReachesTheLogOnce(t *testing.T) {
	t.Parallel()
	db, log := storetest.Open(t), openLog(t)
	for range 3 {
		if err := audit.Record(t.Context(), db, event(t)); err != nil {
			t.Fatal(err)
		}
	}
	// The log takes them but the answer is lost: they are sent again.
	lost := errors.New("answer lost")
	if _, err := audit.Drain(t.Context(), db, appenderFunc(func(ctx context.Context, batch []audit.Leaf) ([]uint64, error) {
		if _, err := log.Append(ctx, batch); err != nil {
			return nil, err
		}
		return nil, lost
	})); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []int{3, 0} {
		if got, err := audit.Drain(t.Context(), db, log); err != nil || got != want {
			t.Fatalf("carried %d, %v; want %d", got, err, want)
		}
	}
	rows, err := audit.Events(t.Context(), db, hearing)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		if row.LogIndex == nil || *row.LogIndex != int64(i) {
			t.Fatalf("row %d has place %v", i, row.LogIndex)
		}
		leaf, _, err := audit.VerifyInclusion(log.prove(t, uint64(*row.LogIndex)), log.Key(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := leaf.CheckBody([]byte(row.Body), salt(t, row)); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
	}
}

type appenderFunc func(context.Context, []audit.Leaf) ([]uint64, error)

func (f appenderFunc) Append(ctx context.Context, batch []audit.Leaf) ([]uint64, error) {
	return f(ctx, batch)
}

func TestEventStandsAndFallsWithItsTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Record(t.Context(), tx, event(t)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if rows, err := audit.Events(t.Context(), db, hearing); err != nil || len(rows) != 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
}

func TestWorkerWaitsForALogThatIsAway(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	if err := audit.Record(t.Context(), db, event(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls, taken := 0, make(chan struct{})
	worker := audit.Worker{DB: db, Interval: time.Millisecond, Log: appenderFunc(func(context.Context, []audit.Leaf) ([]uint64, error) {
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
	f.Add(p.Index, p.Leaf, bytes.Join(p.Hashes, nil), p.Checkpoint)
	f.Fuzz(func(t *testing.T, index uint64, leaf string, hashes []byte, checkpoint string) {
		got, _, err := audit.VerifyInclusion(audit.Proof{Index: index, Leaf: leaf, Hashes: [][]byte{hashes[:len(hashes)/2], hashes[len(hashes)/2:]}, Checkpoint: checkpoint}, log.Key(), nil)
		if err == nil && (leaf != p.Leaf || got.ID == "") {
			t.Fatalf("%q was proved", leaf)
		}
	})
}
