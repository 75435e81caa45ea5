package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	files, err := Generate(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "src", "api", name))
		if err != nil || string(got) != want {
			t.Errorf("web/src/api/%s is not what the Go source says (%v): run go run ./web/gen", name, err)
		}
	}
}
