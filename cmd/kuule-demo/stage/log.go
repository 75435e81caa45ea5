package stage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kuule/internal/config"
	"kuule/internal/store"
)

// logWait is how long an event may be on its way into the log.
const logWait = 30 * time.Second

// Logged counts the events of a type that name something and stand in the log,
// as soon as one does: beside the running server, as an auditor with the records
// would.
func (s *Stage) Logged(ctx context.Context, event, named string) (n int, err error) {
	c := config.Default()
	c.Data, c.Database = s.data(), s.o.Database
	db, err := store.Open(ctx, c.DatabaseAddress())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	for deadline := time.Now().Add(logWait); ; time.Sleep(200 * time.Millisecond) {
		var bodies []string
		err := db.NewSelect().Table("audit_outbox").Column("body").Where("type = ?", event).Where("log_index IS NOT NULL").Scan(ctx, &bodies)
		if err != nil {
			return 0, fmt.Errorf("read the events of type %s: %w", event, err)
		}
		for _, b := range bodies {
			if strings.Contains(b, named) {
				n++
			}
		}
		if n > 0 || time.Now().After(deadline) {
			return n, nil
		}
	}
}
