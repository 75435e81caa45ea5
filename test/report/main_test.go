package main

import (
	"strings"
	"testing"
)

const said = `{"Action":"output","Package":"kuule/a","Test":"TestX","Output":"    a_test.go:3: pdftotext is missing: apt-get install poppler-utils\n"}
{"Action":"skip","Package":"kuule/a","Test":"TestX"}
{"Action":"output","Package":"kuule/a","Test":"TestSoak","Output":"    a_test.go:9: four hours: KUULE_SOAK=1 runs it\n"}
{"Action":"skip","Package":"kuule/a","Test":"TestSoak"}
{"Action":"output","Package":"kuule/a","Test":"TestGood","Output":"chatter\n"}
{"Action":"pass","Package":"kuule/a","Test":"TestGood"}
{"Action":"pass","Package":"kuule/a","Elapsed":1.5}
`

func TestReportNamesWhatWasSkippedAndFailsInCI(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if !report(strings.NewReader(said), &out, false) {
		t.Error("a skipped test failed the run outside CI")
	}
	for _, want := range []string{"a TestX: pdftotext is missing", "a TestSoak: four hours", "ok    kuule/a"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "chatter") {
		t.Errorf("what a good test said was shown:\n%s", &out)
	}
	if report(strings.NewReader(said), &out, true) {
		t.Error("CI went on without a program that a test needs")
	}
	if report(strings.NewReader(strings.ReplaceAll(said, "pdftotext is missing: apt-get install", "a long form:")), &out, true) != true {
		t.Error("a long form that CI leaves out failed the run")
	}
}

func TestReportFailsWithWhatFailed(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"test":  `{"Action":"output","Package":"kuule/a","Test":"TestX","Output":"want 1, got 2\n"}` + "\n" + `{"Action":"fail","Package":"kuule/a","Test":"TestX"}`,
		"build": `{"Action":"build-output","ImportPath":"kuule/a","Output":"want 1, got 2\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"kuule/a"}`,
	} {
		var out strings.Builder
		if report(strings.NewReader(in), &out, false) || !strings.Contains(out.String(), "want 1, got 2") {
			t.Errorf("%s: %s", name, &out)
		}
	}
}
