package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp"
	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/recorder/evidence"
)

// stampedEvery is how often the log is stamped where nothing else is set.
const stampedEvery = time.Hour

// startStamps has the time-stamping authority of the configuration, if there is
// one, stamp the log. What it returns ends that.
func startStamps(ctx context.Context, in *installation, log *audit.Log) (stop func(), err error) {
	if in.Stamps.Authority == "" {
		return func() {}, nil
	}
	roots, err := rootsOf(in.Stamps.Roots)
	if err != nil {
		return nil, fmt.Errorf("roots of the time-stamping authority: %w", err)
	}
	keeper := stamp.Keeper{Address: in.Stamps.Authority, Roots: roots, Folder: in.layout.Stamps(), Every: stampedEvery, Newest: func(ctx context.Context) (string, uint64, error) {
		text, err := log.Checkpoint(ctx)
		if err != nil {
			return "", 0, err
		}
		c, err := audit.VerifyCheckpoint(text, log.Key(), nil)
		return text, c.Size, err
	}}
	if in.Stamps.Minutes > 0 {
		keeper.Every = time.Duration(in.Stamps.Minutes) * time.Minute
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { keeper.Run(ctx) })
	return func() { cancel(); running.Wait() }, nil
}

// What the door asks authority about time stamps.
type (
	stampQuestion struct {
		Entry int64 `json:"entry"` // of the log
	}
	// stampAnswer is the first stamp of a log that has the entry; none: "".
	stampAnswer struct {
		Checkpoint string `json:"checkpoint"`
		Answer     []byte `json:"answer"`
	}
)

// serveStamps gives the stamps that are kept.
func serveStamps(conn *bus.Conn, folder string) error {
	return bus.Handle(conn, "audit.stamp", func(_ context.Context, _ bus.Name, q stampQuestion) (stampAnswer, error) {
		if q.Entry < 0 {
			return stampAnswer{}, problem.New(problem.CodeMalformed, "entry %d", q.Entry)
		}
		text, answer, err := stamp.Covering(folder, uint64(q.Entry))
		return stampAnswer{text, answer}, err
	})
}

// stampsOf gives for each entry of a hearing the first time stamp that covers it, as
// far as there is one, with what shows that it is of the same log.
func (d *door) stampsOf(ctx context.Context, entries []evidence.LogEntry) ([]evidence.LogStamp, error) {
	var indices, sizes []uint64
	for _, e := range entries {
		c, err := audit.VerifyCheckpoint(e.Proof.Checkpoint, d.in.trust.LogKey, nil)
		if err != nil {
			return nil, err
		}
		indices, sizes = append(indices, e.Proof.Index), append(sizes, c.Size)
	}
	slices.Sort(indices)
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	var out []evidence.LogStamp
	covered := uint64(0) // entries before this one
	for _, index := range indices {
		if index < covered {
			continue
		}
		var a stampAnswer
		if err := d.conn.Call(ctx, bus.Main(bus.Authority), "audit.stamp", stampQuestion{int64(index)}, &a); err != nil {
			return nil, fmt.Errorf("time stamp of entry %d: %w", index, err)
		}
		if a.Checkpoint == "" {
			break
		}
		c, err := audit.VerifyCheckpoint(a.Checkpoint, d.in.trust.LogKey, nil)
		if err != nil {
			return nil, err
		}
		covered = max(c.Size, index+1)
		s := evidence.LogStamp{Checkpoint: a.Checkpoint, Answer: base64.RawURLEncoding.EncodeToString(a.Answer), Beside: []evidence.LogBeside{}}
		for _, size := range sizes {
			hashes, err := d.log.Consistency(ctx, min(size, c.Size), max(size, c.Size))
			if err != nil {
				return nil, err
			}
			s.Beside = append(s.Beside, evidence.LogBeside{Entries: int64(size), Hashes: hashes})
		}
		out = append(out, s)
	}
	return out, nil
}
