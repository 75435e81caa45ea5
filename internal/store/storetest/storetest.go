package storetest

import (
	"path/filepath"
	"testing"

	"github.com/uptrace/bun"

	"kuule/internal/store"
)

// Open returns an empty, migrated SQLite database that is closed with the test.
func Open(t testing.TB) *bun.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "kuule.db"))
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
