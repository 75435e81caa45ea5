package playback_test

import (
	"io"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
	"kuule/recorder/playback/playbacktest"
)

// What a mixed file of four people costs: CPU seconds of ffmpeg for a recorded
// hour, its peak of memory, and how much faster than the hearing it is made.
func BenchmarkMixedFile(b *testing.B) {
	const seconds = 24
	w := journaltest.New(b)
	path := playbacktest.Held(b, w, playbacktest.Scene{
		Seconds: seconds, Roles: []interview.Role{interview.RoleInterviewer, interview.RoleApplicant, interview.RoleInterpreter, interview.RoleCounsel}, Tones: []int{310, 430, 550, 670},
	})
	var cpu time.Duration
	var peak int64
	for b.Loop() {
		r, err := new(playback.Mixer).Mix(b.Context(), io.Discard, playback.Options{}, playback.Folder(path, w.Key))
		if err != nil {
			b.Fatal(err)
		}
		cpu, peak = cpu+r.Mixed.CPU, max(peak, r.Mixed.Peak)
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N)*3600/seconds, "cpu-s/hour")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	b.ReportMetric(seconds*float64(b.N)/b.Elapsed().Seconds(), "x-hearing")
}
