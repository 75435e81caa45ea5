package duplicate

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Standing is how a search stands.
type Standing struct {
	Done   bool
	Result string // signed, where it is done
}

// Searcher is a register that can be searched. Search hands a search in under a
// key and answers at once; the same key and probes again answer how it stands,
// the same key with other probes is [ErrConflict]. Standing is [ErrUnknown] for a
// key that it does not know. Safe for concurrent use.
type Searcher interface {
	Search(ctx context.Context, key string, probes []Probe) (Standing, error)
	Standing(ctx context.Context, key string) (Standing, error)
}

// Threshold of the local search. Its error rates are unknown: it only bounds how
// much officers are shown.
const (
	LocalThreshold      = "reference-search-unmeasured-1"
	LocalThresholdScore = 600_000
	localTop            = 10
	localAlgorithm      = "reference exact scan, cosine of 512"
	localRemembered     = time.Hour
	localWaiting        = 256
)

// Local searches a gallery file on this machine, one search after the other, so
// that it takes one core at most.
type Local struct {
	gallery *Gallery
	key     crypto.Signer
	now     func() time.Time

	ctx    context.Context //nolint:containedctx // of searches, which outlive their requests
	cancel context.CancelFunc
	work   sync.WaitGroup
	turn   chan struct{}

	mu       sync.Mutex
	searches map[string]*localSearch
}

type localSearch struct {
	probes string
	begun  time.Time
	result string // "" while it runs
	failed bool
}

// NewLocal makes a searcher over a gallery, which stays the caller's to close,
// after [Local.Close]. Key signs the results.
func NewLocal(g *Gallery, key crypto.Signer) *Local {
	l := &Local{gallery: g, key: key, now: time.Now, turn: make(chan struct{}, 1), searches: map[string]*localSearch{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Close ends all searches and waits for them.
func (l *Local) Close() {
	l.cancel()
	l.work.Wait()
}

// Search implements [Searcher]. The probes' bytes are copied and cleared when
// the search ends.
func (l *Local) Search(_ context.Context, key string, probes []Probe) (Standing, error) {
	if !validProbes(probes) {
		return Standing{}, fmt.Errorf("%w: %d probes", ErrResult, len(probes))
	}
	sum := Sum(probes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	if s, known := l.searches[key]; known && !s.failed {
		if s.probes != sum {
			return Standing{}, ErrConflict
		}
		return Standing{Done: s.result != "", Result: s.result}, nil
	}
	if len(l.searches) >= localWaiting || l.ctx.Err() != nil {
		return Standing{}, ErrFull
	}
	var templates [][]int8
	for _, p := range probes {
		if p.Format != FormatFace512 || len(p.Data) != Dimensions {
			continue // this engine knows nothing else
		}
		t := make([]int8, Dimensions)
		for i, v := range p.Data {
			t[i] = int8(v)
		}
		templates = append(templates, t)
	}
	if len(templates) == 0 {
		return Standing{}, fmt.Errorf("%w: no probe that this register can search for", ErrResult)
	}
	s := &localSearch{probes: sum, begun: l.now()}
	l.searches[key] = s
	l.work.Go(func() { l.run(key, s, templates) })
	return Standing{}, nil
}

// forget drops results that nobody came for. The caller holds mu.
func (l *Local) forget() {
	for key, s := range l.searches {
		if (s.result != "" || s.failed) && l.now().Sub(s.begun) > localRemembered {
			delete(l.searches, key)
		}
	}
}

func (l *Local) run(key string, s *localSearch, templates [][]int8) {
	defer func() {
		for _, t := range templates {
			clear(t)
		}
	}()
	signed, err := l.scan(key, s.probes, templates)
	if err != nil && l.ctx.Err() == nil {
		slog.Error("a search for duplicates failed", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.result, s.failed = signed, err != nil
}

func (l *Local) scan(key, probes string, templates [][]int8) (string, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-l.ctx.Done():
		return "", l.ctx.Err()
	}
	found, err := l.gallery.Search(l.ctx, templates, LocalThresholdScore, localTop)
	if err != nil {
		return "", err
	}
	return SignResult(Result{
		V: 1, Search: key, ProbesSHA256: probes, Gallery: l.gallery.Version(), Size: l.gallery.Size(), AsOf: l.gallery.AsOf().Unix(),
		Algorithm: localAlgorithm, Threshold: LocalThreshold, ThresholdScore: LocalThresholdScore, Candidates: found,
	}, l.key)
}

// Standing implements [Searcher]. A search that failed is unknown: it may be
// handed in again.
func (l *Local) Standing(_ context.Context, key string) (Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, known := l.searches[key]
	if !known || s.failed {
		return Standing{}, ErrUnknown
	}
	return Standing{Done: s.result != "", Result: s.result}, nil
}

var _ Searcher = (*Local)(nil)
