package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"kuule/interview"
)

// joinCommand measures how long it takes until a newcomer receives.
type joinCommand struct {
	Trials int  `default:"100" help:"How many join, one after the other, 1 to 10000."`
	JSON   bool `help:"Print one JSON object instead of lines."`

	Pin bool `default:"true" negatable:"" help:"Hold the node on processor 0 and the members on processor 1."`
}

// reconnectCommand measures how long it takes until media is back.
type reconnectCommand struct {
	Trials int    `default:"200" help:"How often a path is cut and comes back, 1 to 10000."`
	Rooms  int    `default:"5" help:"Rooms whose members lose their paths at the same time, 1 to 50."`
	How    string `default:"restart" enum:"restart,roam,same,both" help:"What comes back: 'restart' is another address, offered to the door anew (ICE restart); 'roam' is another address that nobody was told of; 'same' is the same address; 'both' is another address that comes before the first is cut."`
	JSON   bool   `help:"Print one JSON object instead of lines."`

	Pin bool `default:"true" negatable:"" help:"Hold the node on processor 0 and the members on processor 1."`
}

// trialResult is what trials found.
type trialResult struct {
	Trials     int         `json:"trials"`
	Failed     int         `json:"failed"`
	How        string      `json:"how,omitempty"`
	Join       percentiles `json:"join_ms,omitzero"`     // keys are agreed
	Media      percentiles `json:"media_ms"`             // the first packet of another member came
	Change     *change     `json:"change,omitempty"`     // between two paths that both live
	Cut        percentiles `json:"cut_ms,omitzero"`      // how long the path was away
	Noticed    percentiles `json:"noticed_ms,omitzero"`  // from the cut until the node said that the path is lost, where it was away for long enough
	NoticedOf  int         `json:"noticed_of,omitempty"` // such cuts
	Unnoticed  int         `json:"unnoticed"`            // and those of them that it did not notice
	LoadBefore float64     `json:"load_before"`
	LoadAfter  float64     `json:"load_after"`
	Processors int         `json:"processors"`
	Go         string      `json:"go"`
}

const maxTrials = 10_000

// Validate implements kong's check.
func (c *joinCommand) Validate() error { return trialsIn(c.Trials, 1) }

// Validate implements kong's check.
func (c *reconnectCommand) Validate() error { return trialsIn(c.Trials, c.Rooms) }

func trialsIn(trials, rooms int) error {
	if trials < 1 || trials > maxTrials || rooms < 1 || rooms > 50 {
		return fmt.Errorf("--trials must be 1 to %d and --rooms 1 to 50", maxTrials)
	}
	return nil
}

func (r *trialResult) begin() {
	r.LoadBefore, r.Processors, r.Go = load(), runtime.NumCPU(), runtime.Version()
}

func (r *trialResult) write(w io.Writer, asJSON bool) error {
	r.LoadAfter = load()
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	if r.Change != nil {
		_, err := fmt.Fprintf(w, "trials    %d, %d failed\n%s\nload      %.2f before, %.2f after, %d processors\n", r.Trials, r.Failed, r.Change, r.LoadBefore, r.LoadAfter, r.Processors)
		return err
	}
	_, err := fmt.Fprintf(w, `trials    %d, %d failed
join      %.1f / %.1f / %.1f ms (p50 / p95 / p99)
media     %.1f / %.1f / %.1f ms
noticed   %.1f / %.1f / %.1f ms after the cut, in %d that were long enough; %d were not
load      %.2f before, %.2f after, %d processors
`, r.Trials, r.Failed, r.Join.P50, r.Join.P95, r.Join.P99, r.Media.P50, r.Media.P95, r.Media.P99, r.Noticed.P50, r.Noticed.P95, r.Noticed.P99, r.NoticedOf, r.Unnoticed,
		r.LoadBefore, r.LoadAfter, r.Processors)
	return err
}

// roomMembers are in each room of a trial.
const roomMembers = 4

// Run measures joins into a room of three who talk.
func (c *joinCommand) Run(ctx context.Context) error {
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	return r.write(os.Stdout, c.JSON)
}

func (c *joinCommand) measure(ctx context.Context) (r trialResult, err error) {
	r.begin()
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(c.Trials)*2*joinPatience)
	defer cancel()
	restore, err := pin(c.Pin)
	if err != nil {
		return r, err
	}
	defer restore()
	s, err := startServer(ctx, modeNode, nodeCPU(c.Pin), "")
	if err != nil {
		return r, err
	}
	defer s.stop()
	a := &crowd{server: s, members: roomMembers}
	defer a.close()
	room := interview.NewGroupID()
	for range roomMembers - 1 {
		m := newClient(room, &a.counting)
		a.all = append(a.all, m)
		if _, err := a.join(ctx, m); err != nil {
			return r, err
		}
	}
	defer a.talk(ctx)()
	var joins, medias []time.Duration
	for i := range c.Trials {
		joined, heard, err := a.newcomer(ctx, room, int64(i+1))
		if err != nil {
			return r, fmt.Errorf("newcomer %d: %w", i+1, err)
		}
		joins, medias = append(joins, joined), append(medias, heard)
	}
	r.Trials, r.Join, r.Media = c.Trials, ranks(joins), ranks(medias)
	return r, nil
}

// newcomer joins, hears and leaves.
func (a *crowd) newcomer(ctx context.Context, room interview.GroupID, generation int64) (joined, heard time.Duration, err error) {
	m := newClient(room, &a.counting)
	defer m.close()
	came := m.nextMedia()
	from := time.Now()
	req, err := m.offer(roomMembers - 1)
	if err != nil {
		return 0, 0, err
	}
	reply, err := a.server.ask(ctx, order{Open: &req})
	if err != nil {
		return 0, 0, err
	}
	at, err := m.answered(reply.Opened.Answer, reply.Opened.Slots)
	if err != nil {
		return 0, 0, err
	}
	t, err := table(generation, append(a.all[:len(a.all):len(a.all)], m))
	if err != nil {
		return 0, 0, err
	}
	if _, err := a.server.ask(ctx, order{Forward: &t}); err != nil {
		return 0, 0, err
	}
	if err := m.connect(ctx, at); err != nil {
		return 0, 0, err
	}
	joined = time.Since(from)
	select {
	case <-came:
		return joined, time.Since(from), nil
	case <-time.After(joinPatience):
		return 0, 0, fmt.Errorf("nothing was heard within %s", joinPatience)
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
}

// nextMedia is closed when the next packet of somebody else comes.
func (c *client) nextMedia() <-chan struct{} {
	came := make(chan struct{})
	once := sync.OnceFunc(func() { close(came) })
	c.onMedia.Store(&once)
	return came
}

// Run measures how media comes back.
func (c *reconnectCommand) Run(ctx context.Context) error {
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	return r.write(os.Stdout, c.JSON)
}

func (c *reconnectCommand) measure(ctx context.Context) (r trialResult, err error) {
	r.begin()
	r.How = c.How
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(c.Trials/c.Rooms+1)*trialPatience)
	defer cancel()
	restore, err := pin(c.Pin)
	if err != nil {
		return r, err
	}
	defer restore()
	s, err := startServer(ctx, modeNode, nodeCPU(c.Pin), "")
	if err != nil {
		return r, err
	}
	defer s.stop()
	a := &crowd{server: s, members: roomMembers}
	defer a.close()
	if err := a.fill(ctx, c.Rooms); err != nil {
		return r, err
	}
	if err := a.connect(ctx); err != nil {
		return r, err
	}
	defer a.talk(ctx)()
	if err := wait(ctx, time.Second); err != nil {
		return r, err
	}
	var mu sync.Mutex
	var back, away, noticed []time.Duration
	var changes []changeFound
	a.counting.Store(c.How == "both") // what is counted has a number
	var members sync.WaitGroup
	left := make(chan struct{}, c.Trials)
	for range c.Trials {
		left <- struct{}{}
	}
	close(left)
	for room := range slices.Chunk(a.all, a.members) {
		members.Go(func() { // one of each room at a time: the others talk
			next := 0
			for range left {
				next++
				if c.How == "both" {
					found, err := a.change(ctx, room, next%len(room))
					mu.Lock()
					r.Trials++
					if err != nil {
						r.Failed++
					} else {
						changes = append(changes, found)
					}
					mu.Unlock()
					continue
				}
				found, err := a.lose(ctx, room[next%len(room)], c.How)
				mu.Lock()
				r.Trials++
				if err != nil {
					r.Failed++
				} else {
					back, away = append(back, found.back), append(away, found.cut)
				}
				if found.noticed > 0 {
					noticed = append(noticed, found.noticed)
				}
				if found.cut > noticeWithin {
					r.NoticedOf++
					if found.noticed == 0 {
						r.Unnoticed++
					}
				}
				mu.Unlock()
			}
		})
	}
	members.Wait()
	r.Media, r.Cut, r.Noticed = ranks(back), ranks(away), ranks(noticed)
	if c.How == "both" {
		r.Change = newChange(changes)
	}
	return r, ctx.Err()
}

// How long a path is away: long enough that the node notices, or not.
const (
	shortestCut   = 200 * time.Millisecond
	longestCut    = 2500 * time.Millisecond
	noticeWithin  = 2 * time.Second // a path that is away for longer must have been noticed
	trialPatience = longestCut + 2*joinPatience
)

// cutFound is what one cut showed.
type cutFound struct {
	cut, back time.Duration
	noticed   time.Duration // from the cut on; 0: not
}

// lose takes a member's path away, gives one back and waits for media. What is
// measured begins with the path's return.
func (a *crowd) lose(ctx context.Context, m *client, how string) (found cutFound, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialPatience)
	defer cancel()
	a.server.noticed(m.leg) // of a cut before
	gone := time.Now()
	m.cut.Store(true)
	found.cut = shortestCut + rand.N(longestCut-shortestCut) //nolint:gosec // when to cut in a measurement
	if err := wait(ctx, found.cut); err != nil {
		return found, err
	}
	came := m.nextMedia()
	from := time.Now()
	m.cut.Store(false)
	if at, is := a.server.noticed(m.leg); is {
		found.noticed = at.Sub(gone)
	}
	if how != "same" {
		if err := a.move(ctx, m, how == "restart"); err != nil {
			return found, err
		}
	}
	select {
	case <-came:
		found.back = time.Since(from)
		return found, nil
	case <-time.After(joinPatience):
		return found, fmt.Errorf("media was not back within %s", joinPatience)
	case <-ctx.Done():
		return found, ctx.Err()
	}
}

// move brings a member back from another address.
func (a *crowd) move(ctx context.Context, m *client, restart bool) error {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	at := m.node
	if restart {
		var err error
		if at, err = a.renew(ctx, m); err != nil {
			return err
		}
	}
	select {
	case <-m.found: // of a check before
	default:
	}
	if err := m.dial(at); err != nil {
		return err
	}
	return m.checkUntilFound(ctx)
}

// renew offers the same connection with new credentials (an ICE restart) and says
// where the node is.
func (a *crowd) renew(ctx context.Context, m *client) (netip.AddrPort, error) {
	m.restart()
	req, err := m.offer(a.members - 1)
	if err != nil {
		return netip.AddrPort{}, err
	}
	req.Before = m.leg
	r, err := a.server.ask(ctx, order{Open: &req})
	if err != nil {
		return netip.AddrPort{}, err
	}
	if r.Opened.Leg != m.leg {
		return netip.AddrPort{}, fmt.Errorf("leg %s was opened anew as %s", m.leg, r.Opened.Leg)
	}
	return m.answered(r.Opened.Answer, r.Opened.Slots)
}
