//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "kuule-face: built without cgo, so it compares nothing: build it with 'make face-engine'")
	os.Exit(1)
}
