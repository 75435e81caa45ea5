package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// frozenTable is a row of append_only, written by migrations.
type frozenTable struct {
	bun.BaseModel `bun:"table:append_only"`
	Name          string `bun:"table_name,pk"`
	Columns       string `bun:"frozen"` // comma-separated; empty: all columns
}

// identifier keeps what is spliced into a trigger's text to plain names.
var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// armAppendOnly makes the triggers of every table in append_only, each time the
// database is opened, so that a trigger that someone dropped comes back.
func armAppendOnly(ctx context.Context, db *bun.DB) error {
	var tables []frozenTable
	if err := db.NewSelect().Model(&tables).Order("table_name").Scan(ctx); err != nil {
		return fmt.Errorf("read append_only: %w", err)
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, table := range tables {
			statements, err := table.triggers(db.Dialect().Name())
			if err != nil {
				return err
			}
			for _, statement := range statements {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return fmt.Errorf("make %s append-only: %w", table.Name, err)
				}
			}
		}
		return nil
	})
}

func (t frozenTable) triggers(engine dialect.Name) ([]string, error) {
	if !identifier.MatchString(t.Name) {
		return nil, fmt.Errorf("append_only names %q, which is no plain table name", t.Name)
	}
	of := ""
	if t.Columns != "" {
		columns := strings.Split(t.Columns, ",")
		for i, column := range columns {
			columns[i] = strings.TrimSpace(column)
			if !identifier.MatchString(columns[i]) {
				return nil, fmt.Errorf("append_only names %q of table %s, which is no plain column name", column, t.Name)
			}
		}
		of = " OF " + strings.Join(columns, ", ")
	}
	if engine == dialect.PG {
		return t.postgresTriggers(of), nil
	}
	return t.sqliteTriggers(of), nil
}

func (t frozenTable) sqliteTriggers(of string) []string {
	const body = " ON %[1]s BEGIN SELECT RAISE(ABORT, '%[1]s is append-only'); END"
	return []string{
		fmt.Sprintf("DROP TRIGGER IF EXISTS %[1]s_no_update", t.Name),
		fmt.Sprintf("CREATE TRIGGER %[1]s_no_update BEFORE UPDATE"+of+body, t.Name),
		fmt.Sprintf("DROP TRIGGER IF EXISTS %[1]s_no_delete", t.Name),
		fmt.Sprintf("CREATE TRIGGER %[1]s_no_delete BEFORE DELETE"+body, t.Name),
	}
}

func (t frozenTable) postgresTriggers(of string) []string {
	return []string{
		`CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
		 $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = '23514'; END $$`,
		fmt.Sprintf("CREATE OR REPLACE TRIGGER %[1]s_no_update BEFORE UPDATE"+of+" ON %[1]s FOR EACH ROW EXECUTE FUNCTION refuse_change()", t.Name),
		fmt.Sprintf("CREATE OR REPLACE TRIGGER %[1]s_no_delete BEFORE DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION refuse_change()", t.Name),
		fmt.Sprintf("CREATE OR REPLACE TRIGGER %[1]s_no_truncate BEFORE TRUNCATE ON %[1]s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()", t.Name),
	}
}
