package facetest

import (
	"os"
	"testing"

	"kuule/kiosk-bridge/face"
)

// Engine opens the engine that KUULE_TEST_FACE names, as `make test` does. Where
// nothing is named the test is left out and says so; where something is named
// and does not work the test fails.
func Engine(t testing.TB) *face.Engine {
	t.Helper()
	dir := os.Getenv("KUULE_TEST_FACE")
	if dir == "" {
		t.Skip("KUULE_TEST_FACE names no face engine: run 'make face-engine' and set it to bin/face")
	}
	e, err := face.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
