package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrConflict says that a row was changed by somebody else since it was read.
// The caller reads it again and decides anew.
var ErrConflict = errors.New("record was changed by someone else meanwhile: read it again")

// sqliteOptions make a commit durable before it is answered (synchronous FULL
// under WAL) and take the write lock at BEGIN, so that a transaction never
// fails half way because another one upgraded its lock first.
const sqliteOptions = "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=trusted_schema(0)" +
	"&_txlock=immediate&_time_format=sqlite"

// Open connects to the database at address, brings its schema up to date and
// arms the append-only triggers. The address is "sqlite:PATH" (created with
// mode 0600 where it does not exist) or a "postgres://" URL. The returned
// handle is safe for concurrent use; the caller closes it.
func Open(ctx context.Context, address string) (*bun.DB, error) {
	db, gooseDialect, err := connect(address)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, db, gooseDialect); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func connect(address string) (*bun.DB, goose.Dialect, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return connectSQLite(path)
	}
	if strings.HasPrefix(address, "postgres://") {
		pool, err := sql.Open("pgx", address)
		if err != nil {
			return nil, "", errors.New("open database: the postgres:// address cannot be read: check it in the configuration")
		}
		return bun.NewDB(pool, pgdialect.New()), goose.DialectPostgres, nil
	}
	return nil, "", errors.New(`open database: address must begin with "sqlite:" or "postgres://"`)
}

func connectSQLite(path string) (*bun.DB, goose.Dialect, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, "", errors.New(`open database: "sqlite:" needs the path of a file: records are never kept in memory only`)
	}
	// SQLite gives its journal files the mode of the main file, so making it
	// here closes all of them to others.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("open database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, "", fmt.Errorf("open database: %w", err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + sqliteOptions
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, "", fmt.Errorf("open database %s: %w", path, err)
	}
	pool.SetMaxOpenConns(4)
	return bun.NewDB(pool, sqlitedialect.New()), goose.DialectSQLite3, nil
}

func prepare(ctx context.Context, db *bun.DB, gooseDialect goose.Dialect) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read embedded migrations: %w", err)
	}
	// Ranges of numbers belong to rooms, so 0101 may well appear after 0200.
	provider, err := goose.NewProvider(gooseDialect, db.DB, folder,
		goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return armAppendOnly(ctx, db)
}

// CompareAndSet runs an update of one row only if its version column still
// holds the version that was read, and raises it by one. The query names what
// it changes by Column or Set and its row by WherePK or Where; it does not name
// the version. ErrConflict when no row matched.
func CompareAndSet(ctx context.Context, query *bun.UpdateQuery, version int64) error {
	result, err := query.Set("version = version + 1").Where("version = ?", version).Exec(ctx)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if changed != 1 {
		return ErrConflict
	}
	return nil
}

// Clock is the SQL expression for the database's own clock, in whole
// milliseconds since 1970 (BIGINT). Leases and expiry compare against it, never
// against a process's clock. In PostgreSQL it advances inside a transaction.
func Clock(db bun.IDB) schema.QueryAppender {
	if db.Dialect().Name() == dialect.PG {
		return bun.Safe("CAST(extract(epoch from clock_timestamp()) * 1000 AS BIGINT)")
	}
	return bun.Safe("CAST(unixepoch('subsec') * 1000 AS INTEGER)")
}

// Now reads the database's clock, to the millisecond, in UTC.
func Now(ctx context.Context, db bun.IDB) (time.Time, error) {
	var milliseconds int64
	if err := db.NewRaw("SELECT ?", Clock(db)).Scan(ctx, &milliseconds); err != nil {
		return time.Time{}, fmt.Errorf("read database clock: %w", err)
	}
	return time.UnixMilli(milliseconds).UTC(), nil
}

// IsDuplicate reports whether err is the database's refusal of a second row
// with the same primary key or unique columns: how "once" is enforced.
func IsDuplicate(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
}
