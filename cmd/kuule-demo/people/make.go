package people

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// voices are how espeak-ng speaks for whom.
var voices = map[Voice][]string{
	Interviewer: {"-v", "fi+f3", "-s", "165", "-p", "50"},
	Applicant:   {"-v", "ar", "-s", "150", "-p", "35"},
	Interpreter: {"-v", "fi+f5", "-s", "170", "-p", "70"},
	Counsel:     {"-v", "en-gb", "-s", "165", "-p", "30"},
}

var colours = map[Voice]string{Interviewer: "0x002F6C", Applicant: "0x1F6B3A", Counsel: "0x7A3E00"}

// Make makes all media anew in dir. It needs espeak-ng, opusenc and ffmpeg,
// and is run when the script changes, not by builds.
func Make(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "kuule-media-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	levels := map[string][]byte{}
	for i, s := range Script {
		if err := speak(ctx, work, filepath.Join(dir, clipName(i)), s); err != nil {
			return err
		}
		if levels[clipName(i)], err = measure(ctx, filepath.Join(dir, clipName(i))); err != nil {
			return err
		}
	}
	wav := filepath.Join(work, "silence.wav")
	if err := run(ctx, nil, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono", "-t", "1", wav); err != nil {
		return err
	}
	if err := encode(ctx, wav, filepath.Join(dir, silenceName)); err != nil {
		return err
	}
	if levels[silenceName], err = measure(ctx, filepath.Join(dir, silenceName)); err != nil {
		return err
	}
	for i, v := range cameras {
		if err := show(ctx, filepath.Join(dir, string(v)+".ivf"), i+1, v); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(levels, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "levels.json"), append(text, '\n'), 0o644)
}

// speak makes one sentence, with the voice's tone under it.
func speak(ctx context.Context, work, out string, s Sentence) error {
	said, mixed := filepath.Join(work, "said.wav"), filepath.Join(work, "mixed.wav")
	if err := run(ctx, strings.NewReader(s.Text), "espeak-ng", append(voices[s.Voice], "--stdin", "-w", said)...); err != nil {
		return err
	}
	filter := fmt.Sprintf("[0]aresample=48000,volume=0.9[v];sine=f=%d:r=48000,volume=0.5[t];[v][t]amix=inputs=2:duration=first:normalize=0,aformat=sample_fmts=s16:channel_layouts=mono", s.Voice.Tone())
	if err := run(ctx, nil, "ffmpeg", "-v", "error", "-y", "-i", said, "-filter_complex", filter, mixed); err != nil {
		return err
	}
	return encode(ctx, mixed, out)
}

// encode gives every packet the same size: sizes tell what is said.
func encode(ctx context.Context, wav, out string) error {
	return run(ctx, nil, "opusenc", "--quiet", "--hard-cbr", "--bitrate", "24", "--framesize", "20", "--discard-comments", "--padding", "0", "--serial", "1", wav, out)
}

// measure gives the level of every packet in -dBov (RFC 6464's scale).
func measure(ctx context.Context, ogg string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", ogg, "-f", "s16le", "-ar", "48000", "-ac", "1", "-")
	pcm, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", ogg, err)
	}
	b, err := os.ReadFile(ogg)
	if err != nil {
		return nil, err
	}
	packets, err := oggPackets(b)
	if err != nil {
		return nil, err
	}
	levels := make([]byte, len(packets))
	for i := range levels {
		levels[i] = level(pcm, i*samples, (i+1)*samples)
	}
	return levels, nil
}

func level(pcm []byte, from, to int) byte {
	var sum float64
	for i := from; i < to && 2*i+1 < len(pcm); i++ {
		s := float64(int16(binary.LittleEndian.Uint16(pcm[2*i:]))) / 32768
		sum += s * s
	}
	if sum == 0 {
		return 127
	}
	return byte(min(127, max(0, -10*math.Log10(sum/float64(to-from)))))
}

// show makes two seconds of a numbered card with something that moves.
func show(ctx context.Context, out string, number int, v Voice) error {
	card := fmt.Sprintf("color=c=%s:s=160x120:r=10:d=2,drawtext=text='%d':fontcolor=white:fontsize=64:x=60:y=24,drawtext=text='●':fontcolor=white:fontsize=20:x='mod(t*80\\,160)':y=94", colours[v], number)
	return run(ctx, nil, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", card, "-c:v", "libvpx", "-b:v", "60k", "-g", "20", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-error-resilient", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", out)
}

func run(ctx context.Context, in *strings.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	if in != nil {
		cmd.Stdin = in
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed: apt-get install espeak-ng opus-tools ffmpeg", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
