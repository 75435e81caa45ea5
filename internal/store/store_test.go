package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/store"
	"kuule/internal/store/storetest"
)

type thing struct {
	bun.BaseModel `bun:"table:thing"`
	ID            string    `bun:"id,pk"`
	State         string    `bun:"state"`
	Seal          []byte    `bun:"seal"`
	At            time.Time `bun:"at"`
	Version       int64     `bun:"version"`
}

func openWithThing(t *testing.T) *bun.DB {
	t.Helper()
	db := storetest.Open(t)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE thing (id TEXT PRIMARY KEY, state TEXT NOT NULL, seal BYTEA, at TIMESTAMP NOT NULL, version BIGINT NOT NULL)`)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestNeutralColumnTypesKeepWhatWasWritten(t *testing.T) {
	t.Parallel()
	db := openWithThing(t)
	want := thing{ID: "a", State: "new", Seal: []byte{0, 255, '7'}, At: time.Date(2026, 11, 21, 9, 30, 0, 123456000, time.UTC), Version: 1}
	if _, err := db.NewInsert().Model(&want).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got thing
	if err := db.NewSelect().Model(&got).Where("id = 'a'").Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(got.Seal) != string(want.Seal) || !got.At.Equal(want.At) {
		t.Fatalf("wrote %+v, read %+v", want, got)
	}
	_, err := db.NewInsert().Model(&want).Exec(t.Context())
	if !store.IsDuplicate(err) {
		t.Fatalf("second row of the same key: got %v, want a duplicate", err)
	}
}

func TestOfTwoWritersAtTheSameVersionOneIsTold(t *testing.T) {
	t.Parallel()
	db := openWithThing(t)
	row := thing{ID: "a", State: "new", At: time.Now(), Version: 1}
	if _, err := db.NewInsert().Model(&row).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	write := func(state string) error {
		return store.CompareAndSet(t.Context(), db.NewUpdate().Model(&thing{ID: "a", State: state}).Column("state").WherePK(), 1)
	}
	if err := write("first"); err != nil {
		t.Fatal(err)
	}
	if err := write("second"); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("second writer: got %v, want ErrConflict", err)
	}
	if err := db.NewSelect().Model(&row).WherePK().Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row.State != "first" || row.Version != 2 {
		t.Fatalf("row is %q at version %d, want the first writer's at 2", row.State, row.Version)
	}
}

func TestOutboxIsAppendOnlyExceptForItsPlaceInTheLog(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	exec := func(query string) error {
		_, err := db.ExecContext(t.Context(), query)
		return err
	}
	if err := exec(`INSERT INTO audit_outbox (id, hearing_id, type, version, body, salt, created_at) VALUES ('1', 'h', 't', 1, '{}', 's', 0)`); err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"id", "hearing_id", "type", "version", "body", "salt", "created_at"} {
		if err := exec("UPDATE audit_outbox SET " + column + " = '2'"); err == nil {
			t.Errorf("column %s could be changed", column)
		}
	}
	if err := exec("DELETE FROM audit_outbox"); err == nil {
		t.Error("row could be deleted")
	}
	if err := exec("UPDATE append_only SET frozen = 'id'"); err == nil {
		t.Error("the list of frozen tables could be changed")
	}
	if err := exec("UPDATE audit_outbox SET log_index = 7"); err != nil {
		t.Errorf("place in the log: %v", err)
	}
}

func TestATriggerThatWasDroppedComesBackAtTheNextOpening(t *testing.T) {
	t.Parallel()
	address := "sqlite:" + filepath.Join(t.TempDir(), "with space ? and #.db")
	db, err := store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TRIGGER append_only_no_delete"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "DELETE FROM append_only"); err == nil {
		t.Fatal("row could be deleted after the database was opened again")
	}
}

func TestDatabaseFilesAreClosedToOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(folder, "k.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClockIsTheDatabasesOwn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	now, err := store.Now(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if away := time.Since(now).Abs(); away > 5*time.Second {
		t.Fatalf("database clock is %v away", away)
	}
}

func TestUnknownAddressIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "mysql://root:hunter2@x", "sqlite:", "sqlite::memory:", "postgres://u:hunter2@[bad"} {
		_, err := store.Open(t.Context(), address)
		if err == nil {
			t.Errorf("%q was opened", address)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error repeats the password: %v", err)
		}
	}
}

// postgres gives the address of a PostgreSQL to test against, or skips.
func postgres(t *testing.T) string {
	t.Helper()
	address := os.Getenv("KUULE_TEST_POSTGRES")
	if address == "" {
		t.Skip("KUULE_TEST_POSTGRES names no empty PostgreSQL database")
	}
	return address
}

func TestMigrationsAndTriggersOnPostgreSQL(t *testing.T) {
	address := postgres(t)
	for range 2 { // the second opening finds all in place
		db, err := store.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := store.Now(t.Context(), db); err != nil {
			t.Error(err)
		}
		for _, change := range []string{"DELETE FROM append_only", "UPDATE append_only SET frozen = ''", "TRUNCATE append_only"} {
			if _, err := db.ExecContext(t.Context(), change); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got %v", change, err)
			}
		}
		_, err = db.ExecContext(t.Context(), "INSERT INTO append_only (table_name, frozen) VALUES ('append_only', '')")
		if !store.IsDuplicate(err) {
			t.Errorf("second row of the same key: got %v", err)
		}
	}
}

// Both engines read the same files, so these hold only what both understand.
func TestMigrationsAreEngineNeutralAndInTheirOwnersRange(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	foreign := regexp.MustCompile(`(?i)\b(AUTOINCREMENT|SERIAL|BIGSERIAL|IDENTITY|JSONB?|BLOB|DATETIME|TIMESTAMPTZ|STRICT|ROWID|PRAGMA|TRIGGER|FUNCTION|NOW\(\)|REAL|DOUBLE|FLOAT|NUMERIC|INTEGER|INT)\b`)
	owned := regexp.MustCompile(`^0[0-8]\d\d_[a-z_]+\.sql$`)
	for _, path := range files {
		if !owned.MatchString(filepath.Base(path)) {
			t.Errorf("%s is in nobody's range of numbers", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			code, _, _ := strings.Cut(line, "--")
			if word := foreign.FindString(code); word != "" {
				t.Errorf("%s:%d: %s is not understood alike by both engines", path, number, word)
			}
		}
	}
}
