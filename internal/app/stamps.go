package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp"
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
