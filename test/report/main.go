package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// missing is what a test says that was skipped for want of a program.
var missing = regexp.MustCompile(`(?i)not installed|is missing|needs (chromium|curl|ffmpeg|certutil|the pages|libopenjp2)|apt-get install|\.ci/packages`)

type skipped struct{ test, reason string }

func main() {
	if !report(os.Stdin, os.Stdout, os.Getenv("CI") != "") {
		os.Exit(1)
	}
}

// report tells whether all is well: nothing failed and, in CI, nothing was skipped
// for want of a program.
func report(in io.Reader, out io.Writer, ci bool) bool {
	good := true
	outputs := map[string][]string{} // of each test, and of each package by its name
	var skips []skipped
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // go itself speaks
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "output":
			outputs[key] = append(outputs[key], e.Output)
		case "skip":
			if e.Test != "" {
				skips = append(skips, skipped{test: strings.TrimPrefix(key, "kuule/"), reason: reason(outputs[key])})
			}
			delete(outputs, key)
		case "pass":
			if e.Test == "" {
				fmt.Fprintf(out, "ok    %-48s %6.1f s\n", e.Package, e.Elapsed)
			}
			delete(outputs, key)
		case "fail", "build-fail":
			good = false
			fmt.Fprintf(out, "FAIL  %s %s\n%s", cmp.Or(e.Package, e.ImportPath), e.Test, strings.Join(outputs[key], ""))
			delete(outputs, key)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(out, "report: go test's output ended early:", err)
		return false
	}
	if len(skips) > 0 {
		fmt.Fprintf(out, "\nskipped, %d:\n", len(skips))
	}
	slices.SortFunc(skips, func(a, b skipped) int { return cmp.Compare(a.test, b.test) })
	for _, s := range skips {
		fmt.Fprintf(out, "  %s: %s\n", s.test, s.reason)
		if ci && missing.MatchString(s.reason) {
			fmt.Fprintln(out, "    CI skips nothing for want of a program: name its package in .ci/packages")
			good = false
		}
	}
	return good
}

var place = regexp.MustCompile(`^\s*\S+_test\.go:\d+: `)

// reason is the last thing that a skipped test said.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if place.MatchString(line) {
			return strings.TrimSpace(place.ReplaceAllString(line, ""))
		}
	}
	return "no reason given"
}
