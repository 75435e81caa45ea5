package journal_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("KUULE_JOURNAL_WRITER") != "" {
		writeUntilKilled()
		return
	}
	goleak.VerifyTestMain(m)
}
