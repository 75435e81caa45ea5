package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"kuule/internal/store"
)

// Open returns an empty, migrated database that is closed with the test: SQLite,
// or PostgreSQL where KUULE_TEST_POSTGRES names a server.
func Open(t testing.TB) *bun.DB {
	t.Helper()
	db, err := store.Open(t.Context(), Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// migrated is a SQLite file with all migrations, made once: each test gets a copy,
// since making it anew takes longer than most tests do.
var migrated = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "kuule.db")
	db, err := store.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Address names a database that has the tables and nothing else, and goes away
// with the test.
func Address(t testing.TB) string {
	t.Helper()
	server := os.Getenv("KUULE_TEST_POSTGRES")
	if server == "" {
		path := filepath.Join(t.TempDir(), "kuule.db")
		text, err := migrated()
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + path
	}
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal("KUULE_TEST_POSTGRES cannot be read as the address of a server")
	}
	all, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	var random [8]byte
	rand.Read(random[:])
	name := "kuule_" + hex.EncodeToString(random[:])
	if _, err := all.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := all.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		if err := all.Close(); err != nil {
			t.Error(err)
		}
	})
	address.Path = "/" + name
	return address.String()
}

// Thaw lets a test change a row that is written once, as somebody with the
// database in hand could.
func Thaw(t testing.TB, db *bun.DB, table string) {
	t.Helper()
	statement := "DROP TRIGGER " + table + "_no_update"
	if db.Dialect().Name() == dialect.PG {
		statement += " ON " + table
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// Files names files that hold all that the database keeps, for tests that look
// for what must not be in it: SQLite's own, or a text of each table of PostgreSQL.
func Files(t testing.TB, db *bun.DB) []string {
	t.Helper()
	if db.Dialect().Name() == dialect.PG {
		return tables(t, db)
	}
	var path string
	if err := db.NewRaw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(t.Context(), &path); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal("the database has no files", err)
	}
	return files
}

func tables(t testing.TB, db *bun.DB) []string {
	t.Helper()
	var columns []struct{ Table, Column, Type string }
	if err := db.NewRaw(`SELECT table_name AS "table", column_name AS "column", data_type AS type
		FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`).Scan(t.Context(), &columns); err != nil {
		t.Fatal(err)
	}
	text := map[string][]byte{}
	for _, c := range columns {
		as := "?::text"
		if c.Type == "bytea" {
			as = "encode(?, 'hex')"
		}
		var values []string
		if err := db.NewRaw("SELECT coalesce("+as+", '') FROM ?", bun.Ident(c.Column), bun.Ident(c.Table)).Scan(t.Context(), &values); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			value := []byte(v)
			if c.Type == "bytea" {
				if _, err := hex.Decode(value, value); err != nil {
					t.Fatal(err)
				}
				value = value[:len(value)/2]
			}
			text[c.Table] = append(append(text[c.Table], value...), '\n')
		}
	}
	folder := t.TempDir()
	var files []string
	for table, content := range text {
		path := filepath.Join(folder, table)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	if len(files) == 0 {
		t.Fatal("the database has no rows")
	}
	return files
}
