package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

type seekCommand struct {
	Hours  float64 `default:"4" help:"Length of the synthetic recording: one person's sound and picture at 500 kbit/s, a key frame every 10 s."`
	Seeks  int     `default:"200" help:"Seeks to random moments, 10 to 10000."`
	Folder string  `help:"Folder for it, removed afterwards; by default a temporary one." type:"path"`
	JSON   bool    `help:"Print one JSON object instead of lines."`
}

// Help says what is measured.
func (seekCommand) Help() string {
	return `A seek finds the block of a moment by the index, goes back to the last key frame
of the picture, verifies and opens the blocks from there on and opens all frames
up to the moment: what a decoder needs to show it. The pages of the recording
are dropped from the system's cache before each cold seek. Not in it: network,
the browser.`
}

// Validate implements kong's check.
func (c *seekCommand) Validate() error {
	if c.Seeks < 10 || c.Seeks > 10_000 {
		return fmt.Errorf("--seeks must be 10 to 10000, not %d", c.Seeks)
	}
	return hoursWithin(c.Hours)
}

type seekResult struct {
	Hours   float64 `json:"hours"`
	Bytes   int64   `json:"bytes"`
	Blocks  int     `json:"blocks"`
	Opening struct {
		Indexed float64 `json:"indexed_ms"` // with the index files
		Skimmed float64 `json:"skimmed_ms"` // making them again
	} `json:"opening"`
	Cold       seekTimes `json:"cold"`
	Warm       seekTimes `json:"warm"`
	LoadBefore float64   `json:"load_before"`
	LoadAfter  float64   `json:"load_after"`
}

type seekTimes struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	Max float64 `json:"max_ms"`
}

// Run measures once.
func (c *seekCommand) Run(ctx context.Context) error {
	folder, err := os.MkdirTemp(c.Folder, "kuule-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	l, err := recordLong(ctx, folder, c.Hours)
	if err != nil {
		return err
	}
	r, err := l.seek(c)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err = fmt.Printf(`recording %.2f h, %.0f MB, %d blocks
opening   %.1f ms with the index files, %.0f ms when they have to be made again
seek      cold %.1f / %.1f / %.1f ms, warm %.1f / %.1f / %.1f ms (p50 / p95 / most)
load      %.2f before, %.2f after
`, r.Hours, float64(r.Bytes)/1e6, r.Blocks, r.Opening.Indexed, r.Opening.Skimmed,
		r.Cold.P50, r.Cold.P95, r.Cold.Max, r.Warm.P50, r.Warm.P95, r.Warm.Max, r.LoadBefore, r.LoadAfter)
	return err
}

func (l *long) seek(c *seekCommand) (r seekResult, err error) {
	r.Hours, r.LoadBefore = c.Hours, load()
	ms := func(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }
	begun := time.Now()
	x, err := journal.OpenIndex(l.path)
	if err != nil {
		return r, err
	}
	r.Opening.Indexed = ms(begun)
	if err := x.Close(); err != nil {
		return r, err
	}
	indexes, err := filepath.Glob(filepath.Join(l.path, "*.kx"))
	for _, name := range indexes {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return r, err
	}
	begun = time.Now()
	if x, err = journal.OpenIndex(l.path); err != nil {
		return r, err
	}
	defer x.Close()
	r.Opening.Skimmed, r.Blocks = ms(begun), x.Len()
	last, _ := x.Position(int64(x.Len()) - 1)
	files, err := filepath.Glob(filepath.Join(l.path, "*.kj"))
	if err != nil {
		return r, err
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			return r, err
		}
		r.Bytes += st.Size()
	}
	for _, cold := range []bool{true, false} {
		var times []time.Duration
		for range c.Seeks {
			t := interview.Micros(rand.Int64N(int64(last.To))) //nolint:gosec // where to seek in a measurement
			if cold {
				if err := forget(files); err != nil {
					return r, err
				}
			}
			begun := time.Now()
			if err := l.show(x, t); err != nil {
				return r, fmt.Errorf("seek to %d: %w", t, err)
			}
			times = append(times, time.Since(begun))
		}
		into := &r.Warm
		if cold {
			into = &r.Cold
		}
		into.P50, _, into.Max = ranksOf(times)
		into.P95 = float64(times[len(times)*95/100].Microseconds()) / 1000
	}
	r.LoadAfter = load()
	return r, nil
}

// show opens what a decoder needs for a moment.
func (l *long) show(x *journal.IndexedFolder, t interview.Micros) error {
	audio, err := sealing.NewFrameKey(sealing.Wrap{KID: l.audio.KID, Track: l.audio.Track, Source: interview.SourceAudio}, l.audio.Key)
	if err != nil {
		return err
	}
	video, err := sealing.NewFrameKey(sealing.Wrap{KID: l.video.KID, Track: l.video.Track, Source: interview.SourceVideo}, l.video.Key)
	if err != nil {
		return err
	}
	var blocks [][]journal.Frame
	found := false
	for seq := x.Find(t); seq >= 0 && !found; seq-- {
		b, err := x.Block(seq)
		if err != nil {
			return err
		}
		frames, _, err := b.Open(l.world.Key)
		if err != nil {
			return err
		}
		for _, f := range frames {
			found = found || f.Key && f.Arrival <= t
		}
		blocks = append(blocks, frames)
	}
	if !found {
		return errors.New("no key frame before it")
	}
	for i := len(blocks) - 1; i >= 0; i-- {
		for _, f := range blocks[i] {
			k := audio
			if f.Source == interview.SourceVideo {
				k = video
			}
			if _, _, err := k.Open(nil, f.Sealed); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget drops files from the system's cache.
func forget(files []string) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = errors.Join(unix.Fdatasync(int(f.Fd())), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
		if err != nil {
			return err
		}
	}
	return nil
}
