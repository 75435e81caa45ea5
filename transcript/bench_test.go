package transcript_test

import (
	"testing"

	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/record"
)

// BenchmarkPut is one autosave of a line, over HTTP, durable when answered.
func BenchmarkPut(b *testing.B) {
	d := newDesk(b, func(t testing.TB) *interviewtest.World { return interviewtest.NewWorld(t, storetest.Open(t)) })
	id := interview.NewUtteranceID()
	var version int64
	for b.Loop() {
		d.must(interview.RoleInterviewer, "PUT", d.line(id), d.body(version, 1, record.Answer, answer), nil)
		version++
	}
}
