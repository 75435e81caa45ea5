package rehearsal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"

	"kuule/cmd/kuule-demo/people"
)

const rate = 16000 // of decoded sound, in Hz

// stream is one track of a media file.
type stream struct {
	Index     int    `json:"index"`
	CodecName string `json:"codec_name"`
	CodecType string `json:"codec_type"`
	Tags      struct {
		Title string `json:"title"`
	} `json:"tags"`
}

// streams lists the tracks of a file, as ffprobe reads them.
func streams(ctx context.Context, path string) ([]stream, error) {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_streams", "-of", "json", path).Output()
	if err != nil {
		return nil, fmt.Errorf("ffprobe %s: %w", path, err)
	}
	var parsed struct {
		Streams []stream `json:"streams"`
	}
	return parsed.Streams, json.Unmarshal(out, &parsed)
}

// decode gives the samples of one track, from the file's zero on.
func decode(ctx context.Context, path string, index int) ([]float64, error) {
	out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", path, "-map", "0:"+strconv.Itoa(index),
		"-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-ac", "1", "-ar", strconv.Itoa(rate), "-").Output()
	if err != nil {
		return nil, fmt.Errorf("decode track %d of %s: %w", index, path, err)
	}
	pcm := make([]float64, len(out)/2)
	for i := range pcm {
		pcm[i] = float64(int16(binary.LittleEndian.Uint16(out[2*i:]))) / 32768
	}
	return pcm, nil
}

// decodable decodes every frame of a track and counts them. Whatever the
// decoder complains about is an error.
func decodable(ctx context.Context, path string, index int) (frames int, err error) {
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-count_frames", "-select_streams", strconv.Itoa(index),
		"-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path)
	var bad strings.Builder
	cmd.Stderr = &bad
	out, err := cmd.Output()
	if err != nil || bad.Len() > 0 {
		return 0, fmt.Errorf("track %d does not decode: %.300s: %w", index, bad.String(), orAccepted(err))
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// goertzel is the power at a frequency, as the square of an amplitude.
func goertzel(pcm []float64, hz float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	c := 2 * math.Cos(2*math.Pi*hz/rate)
	var s1, s2 float64
	for _, x := range pcm {
		s1, s2 = x+c*s1-s2, s1
	}
	n := float64(len(pcm))
	return (s1*s1 + s2*s2 - c*s1*s2) * 4 / (n * n)
}

// tone is how far the power at a frequency stands out of its neighbourhood, in
// decibels: a tone that was mixed in by far, speech hardly.
func tone(pcm []float64, hz int) float64 {
	var around float64
	near := []float64{-60, -47, -35, 35, 47, 60}
	for _, d := range near {
		around += goertzel(pcm, float64(hz)+d)
	}
	around = around/float64(len(near)) + 1e-12
	return 10 * math.Log10(goertzel(pcm, float64(hz))/around)
}

// whose tells whose tone stands out most, and by how many decibels; "" where
// none does.
func whose(pcm []float64) (found people.Voice, dB float64) {
	dB = toneFound
	for _, v := range people.Voices {
		if d := tone(pcm, v.Tone()); d > dB {
			found, dB = v, d
		}
	}
	return found, dB
}

// loudness is the mean power in decibels below full scale, -120 for nothing.
func loudness(pcm []float64) float64 {
	var sum float64
	for _, x := range pcm {
		sum += x * x
	}
	if sum == 0 {
		return -120
	}
	return max(-120, 10*math.Log10(sum/float64(len(pcm))))
}

// part cuts a time out of samples.
func part(pcm []float64, from, to float64) []float64 {
	a, b := int(from*rate), int(to*rate)
	a, b = min(max(a, 0), len(pcm)), min(max(b, 0), len(pcm))
	return pcm[a:max(a, b)]
}
