package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"kuule/cmd/kuule-demo/people"
	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

// evidence is what is left, checked with the programs that others would use.
func (r *rehearsal) evidence() []step {
	return slices.Concat([]step{
		{name: "evidence bundle written", do: r.writeEvidence},
		{name: "log cosigned, bundle verifies", do: r.verify},
		{name: "one flipped byte is refused", do: r.flip},
	}, r.backups(), []step{
		{name: "recording opened for a written purpose", do: r.openRecording},
		{name: "any moment plays", do: r.seek},
		{name: "playback exported", do: r.export},
		{name: "mixed into one file", do: r.mixed},
		{name: "exported for hand-over", do: r.handOver},
		{name: "opened for a named recipient", do: r.openFor},
		{name: "counsel listens with permission", do: r.counselListens},
		{name: "the applicant listens to the own hearing", do: r.applicantListens},
		{name: "who listened is on record", do: r.listened},
		{name: "what was said is in it", do: r.listen},
		{name: "notes stay where they are", do: r.observationsStay},
	})
}

func (r *rehearsal) out(name string) string { return filepath.Join(r.o.Out, name) }

// tool runs the server's own program.
func (r *rehearsal) tool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.stage.Program("kuule"), args...)
	var bad strings.Builder
	cmd.Stderr = &bad
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kuule %s: %w: %s", args[0], err, strings.TrimSpace(bad.String()))
	}
	return string(out), nil
}

func (r *rehearsal) writeEvidence(ctx context.Context) (string, error) {
	keys, err := os.ReadFile(r.stage.TrustFile())
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(r.out("trust.keys"), keys, 0o644); err != nil {
		return "", err
	}
	said, err := r.tool(ctx, "evidence", r.hearing.ID.String(), "--out", r.out("evidence.zip"), "--data", r.stage.Data())
	return strings.TrimSpace(said), err
}

// report is what `kuule verify` says of the bundle, with no key but the pinned ones.
func (r *rehearsal) report(ctx context.Context) (out evidence.Report, err error) {
	text, err := r.tool(ctx, "verify", "--trust", r.out("trust.keys"), "--json", r.out("evidence.zip"))
	if err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	return out, err
}

func (r *rehearsal) verify(ctx context.Context) (string, error) {
	report, err := r.report(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case report.AgencyOnly || len(report.Log.Cosigned) == 0:
		return "", errors.New("nobody outside the agency cosigned the log")
	case r.o.Browser == "" && len(report.Recordings) < 5:
		return "", fmt.Errorf("%d recordings, three lives of one recorder and two of the other were expected", len(report.Recordings))
	case report.Records != 2:
		return "", fmt.Errorf("%d sealed versions of the transcript", report.Records)
	}
	c := report.Coverage
	if c.Recorded+c.OffRecord+c.Missing != c.To-c.From || c.Recorded == 0 {
		return "", fmt.Errorf("the time line does not add up: %d recorded, %d off the record and %d missing of %d µs", c.Recorded, c.OffRecord, c.Missing, c.To-c.From)
	}
	for _, s := range c.Spans {
		// Both recorders were killed at once: that is marked, and nothing else is
		// missing.
		if s.State == coverage.Missing && s.Cause != journal.CauseRestarted {
			return "", fmt.Errorf("%d ms are missing on record because of %s", (s.To-s.From)/1000, s.Cause)
		}
	}
	r.missing = c.Missing
	var frames int64
	for _, rec := range report.Recordings {
		frames += rec.Frames
	}
	return fmt.Sprintf("%d members, %d recordings with %d frames: %.1f s on record are kept, %d ms while no recorder lived are marked; %d sealed versions, %d log entries proved, cosigned outside the agency by %d", report.Members, len(report.Recordings), frames, float64(c.Recorded)/1e6, c.Missing/1000, report.Records, report.Log.Entries, len(report.Log.Cosigned)), nil
}

// settle asks whether room terminals may delete their back-ups: not while
// anything is missing that they may have.
func (r *rehearsal) settle(ctx context.Context) (string, error) {
	release := r.out("backup.release")
	if err := os.Remove(release); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	said, err := r.tool(ctx, "recording", "settle", r.hearing.ID.String(), "--out", release, "--data", r.stage.Data())
	_, absent := os.Stat(release)
	switch {
	case r.missing > 0 && (err == nil || absent == nil || !strings.Contains(err.Error(), "are wanted")):
		return "", errors.Join(fmt.Errorf("%d ms are missing, and the back-ups were not asked for: %s", r.missing/1000, said), err)
	case r.missing > 0:
		return fmt.Sprintf("%d ms are missing: no release, the terminal's back-up is asked for", r.missing/1000), nil
	case err != nil:
		return "", err
	default:
		return strings.TrimSpace(said), absent
	}
}

// flip changes one bit at several places, headers included, and wants each
// named.
func (r *rehearsal) flip(ctx context.Context) (string, error) {
	whole, err := os.ReadFile(r.out("evidence.zip"))
	if err != nil {
		return "", err
	}
	defer os.Remove(r.out("changed.zip"))
	var last string
	places := []int{10, len(whole) / 3, len(whole) / 2, len(whole) - 5}
	for _, at := range places {
		changed := append([]byte(nil), whole...)
		changed[at] ^= 1
		if err := os.WriteFile(r.out("changed.zip"), changed, 0o600); err != nil {
			return "", err
		}
		_, err := r.tool(ctx, "verify", "--trust", r.out("trust.keys"), r.out("changed.zip"))
		if err == nil {
			return "", fmt.Errorf("byte %d was changed and the bundle verifies", at)
		}
		if !strings.Contains(err.Error(), "DOES NOT VERIFY") {
			return "", err
		}
		_, last, _ = strings.Cut(err.Error(), "DOES NOT VERIFY: ")
	}
	return fmt.Sprintf("at %d places of %d bytes, each refused; the last: %.160s", len(places), len(whole), last), nil
}

// sound is one decoded track; its title names the roles of those who sat at it.
type sound struct {
	title string
	pcm   []float64
}

// listen decodes every track and looks for each sentence where it was said.
func (r *rehearsal) listen(ctx context.Context) (string, error) {
	for _, tool := range []string{"ffprobe", "ffmpeg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s is not installed: apt-get install ffmpeg", tool)
		}
	}
	all, err := streams(ctx, r.out("playback.webm"))
	if err != nil {
		return "", err
	}
	var sounds []sound
	pictures := 0
	for _, s := range all {
		switch s.CodecType {
		case "audio":
			pcm, err := decode(ctx, r.out("playback.webm"), s.Index)
			if err != nil {
				return "", err
			}
			sounds = append(sounds, sound{s.Tags.Title, pcm})
		case "video":
			pictures++
			if n, err := decodable(ctx, r.out("playback.webm"), s.Index); err != nil || n == 0 {
				return "", fmt.Errorf("%d frames: %w", n, orAccepted(err))
			}
		}
	}
	if len(sounds) < 3 || pictures < 3 {
		return "", fmt.Errorf("%d sounds and %d pictures in the export, three of each were expected", len(sounds), pictures)
	}
	return r.matchSounds(sounds, pictures)
}

// matchSounds finds where on the hearing clock the export begins by its first
// sentence, and then holds everything else against that.
func (r *rehearsal) matchSounds(sounds []sound, pictures int) (string, error) {
	if len(r.spans) == 0 {
		return audibleTracks(sounds, pictures)
	}
	base, err := r.findBase(sounds)
	if err != nil {
		return "", err
	}
	found := 0
	for _, s := range r.spans {
		from, to := seconds(s.span.From-base), seconds(s.span.To-base)
		var heard []people.Voice
		for _, one := range sounds {
			if loudness(part(one.pcm, from+0.2, to-0.2)) < audible {
				continue
			}
			v, _ := whose(part(one.pcm, from+0.2, to-0.2))
			if !strings.Contains(one.title, string(v)) {
				v = "a stranger"
			}
			heard = append(heard, v)
		}
		want := 1
		if !s.recorded {
			want = 0
		}
		if len(heard) != want || want == 1 && heard[0] != s.clip.Voice {
			return "", fmt.Errorf("at %.1f s of the export %q was said by %s (recorded: %t), and %v is heard", from, s.clip.Text, s.clip.Voice, s.recorded, heard)
		}
		found += want
	}
	for _, one := range sounds {
		if l := loudness(part(one.pcm, seconds(r.paused.From-base)+0.1, seconds(r.paused.To-base)-0.1)); l > silent {
			return "", fmt.Errorf("%s is not silent in the pause: %.0f dB", one.title, l)
		}
	}
	return fmt.Sprintf("%d sounds, %d pictures, all decodable; %d sentences each at its time with its speaker's own tone on one track alone; the pause is silent", len(sounds), pictures, found), nil
}

func seconds[T ~int64](micros T) float64 { return float64(micros) / 1e6 }

// findBase looks for the first sentence and gives the hearing clock at the
// export's zero. The export begins with the first frame that was recorded,
// which nobody outside the recorder knows to the millisecond.
func (r *rehearsal) findBase(sounds []sound) (interview.Micros, error) {
	first := r.spans[0]
	const window, hop = 0.1, 0.02
	for _, one := range sounds {
		if !strings.Contains(one.title, string(first.clip.Voice)) {
			continue
		}
		for at := 0.0; at+window < float64(len(one.pcm))/rate; at += hop {
			if loudness(part(one.pcm, at, at+window)) > audible {
				return first.span.From - interview.Micros(at*1e6), nil
			}
		}
	}
	return 0, fmt.Errorf("the first sentence (%q by %s) is not in the export", first.clip.Text, first.clip.Voice)
}

// audibleTracks is what can be said where browsers gave their voice's tone all
// the time: each sound is audible, and is its speaker's.
func audibleTracks(sounds []sound, pictures int) (string, error) {
	for _, one := range sounds {
		if l := loudness(one.pcm); l < audible {
			return "", fmt.Errorf("%s is not audible: %.0f dB", one.title, l)
		}
		if v, dB := whose(one.pcm); v == "" || !strings.Contains(one.title, string(v)) {
			return "", fmt.Errorf("%s sounds like %q (%.0f dB)", one.title, v, dB)
		}
	}
	return fmt.Sprintf("%d sounds, each audible and with its speaker's own tone, and %d pictures, all decodable", len(sounds), pictures), nil
}
