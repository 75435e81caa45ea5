package rehearsal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"

	"kuule/cmd/kuule-demo/people"
)

// A tone is found where it is and nowhere else, also under noise.
func TestToneIsFoundWhereItIs(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pcm := make([]float64, 2*rate)
	for i := range pcm {
		pcm[i] = 0.02*math.Sin(2*math.Pi*430*float64(i)/rate) + 0.05*(r.Float64()-0.5)
	}
	if v, dB := whose(pcm); v != people.Applicant {
		t.Errorf("%q at %.1f dB", v, dB)
	}
	if v, dB := whose(make([]float64, rate)); v != "" {
		t.Errorf("silence sounds like %s at %.1f dB", v, dB)
	}
}

// The media in the repository carries each voice's own tone through Opus, and
// no other's: without that the check of the export could not fail.
func TestEveryClipCarriesItsOwnTone(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	for i, s := range people.Script {
		pcm, err := decode(t.Context(), fmt.Sprintf("../people/media/%d-%s.ogg", i+1, s.Voice), 0)
		if err != nil {
			t.Fatal(err)
		}
		if v, dB := whose(pcm); v != s.Voice {
			t.Errorf("clip %d of %s sounds like %q (%.1f dB)", i+1, s.Voice, v, dB)
		}
		if l := loudness(pcm); l < audible {
			t.Errorf("clip %d is not audible: %.1f dB", i+1, l)
		}
	}
}
