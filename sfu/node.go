package sfu

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// Bounds of a node.
const (
	MaxLegs       = 1000 // per node
	MaxRoomLegs   = 64   // per room
	MaxSlots      = 32   // per leg
	MaxTracks     = 8    // published per leg
	MaxOfferBytes = offer.MaxBytes
	tickEvery     = 20 * time.Millisecond
	paceEvery     = 5 * time.Millisecond // while somebody's packets wait, or a probe is under way
	// Where there are many legs, each tick is for some of them: what came meanwhile
	// would wait until all are done.
	turns      = int(tickEvery / paceEvery)
	turnsAbove = 40
)

// Config says where a node listens.
type Config struct {
	// Addresses are those of the one media port, for UDP and TCP; port 0 is chosen
	// by the system. Loopback addresses are offered as candidates like any other.
	Addresses []netip.AddrPort
	Log       *slog.Logger
	// OnEvent is called when a leg's state changes, from the node's own
	// goroutines, never with a lock held.
	OnEvent func(media.Event)
	// OnHint is called with advice to the sender of a track, likewise.
	OnHint func(media.Hint)
	// Relayed says by what a peer at this address reaches the relay beside the node:
	// udp, tcp or tls; "" where it comes by itself. Nil: there is no relay.
	Relayed func(address string) string
	// OnQuality is called with how each leg fared, every media.QualityEvery.
	OnQuality func(media.Quality)
}

// Node is one media node. Its methods are safe for concurrent use.
type Node struct {
	port      *port.Port
	log       *slog.Logger
	onEvent   func(media.Event)
	onHint    func(media.Hint)
	onQuality func(media.Quality)
	relayed   func(string) string
	done      chan struct{}
	ticker    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	legs   int // open, and those being opened
	opened int // ever
	rooms  map[interview.GroupID]*room
	tasks  sync.WaitGroup // legs on their way out
}

// New binds the node's port and is ready for legs.
func New(cfg Config) (*Node, error) {
	p, err := port.Listen(port.Config{Addresses: cfg.Addresses, Log: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	n := &Node{port: p, log: cfg.Log, onEvent: cfg.OnEvent, onHint: cfg.OnHint, onQuality: cfg.OnQuality, relayed: cfg.Relayed, done: make(chan struct{}), rooms: map[interview.GroupID]*room{}}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.onEvent == nil {
		n.onEvent = func(media.Event) {}
	}
	if n.onHint == nil {
		n.onHint = func(media.Hint) {}
	}
	if n.onQuality == nil {
		n.onQuality = func(media.Quality) {}
	}
	if n.relayed == nil {
		n.relayed = func(string) string { return "" }
	}
	n.ticker.Go(n.tick)
	return n, nil
}

// Addresses are the addresses the node listens on, over UDP and TCP.
func (n *Node) Addresses() []net.Addr {
	var out []net.Addr
	for _, a := range n.port.Addresses() {
		out = append(out, net.UDPAddrFromAddrPort(a))
	}
	return out
}

// Close ends every leg and frees the port.
func (n *Node) Close() {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return
	}
	n.closed = true
	close(n.done)
	legs := n.all(nil)
	for _, r := range n.rooms {
		r.legs = map[interview.LegID]*leg{}
	}
	n.mu.Unlock()
	n.ticker.Wait()
	var closing sync.WaitGroup
	for _, l := range legs {
		closing.Go(l.close)
	}
	closing.Wait()
	n.tasks.Wait()
	n.port.Close()
}

// Rooms is how many rooms the node knows: each has a leg, or a route for one.
func (n *Node) Rooms() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.rooms)
}

// all appends every open leg; the lock is held.
func (n *Node) all(legs []*leg) []*leg {
	for _, r := range n.rooms {
		for _, l := range r.legs {
			legs = append(legs, l)
		}
	}
	return legs
}

// tick lets every leg do what is due: reports, and what is asked for again.
func (n *Node) tick() {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	out := n.port.NewBatch()
	var legs []*leg
	work := new(allocation)
	var sounds []advised
	every, ticked, protected := tickEvery, int64(0), int64(0)
	for step := 0; ; step++ {
		select {
		case <-n.done:
			return
		case <-ticker.C:
		}
		n.mu.Lock()
		legs = n.all(legs[:0])
		n.mu.Unlock()
		at := port.Now()
		full, busy := at-ticked >= int64(tickEvery-paceEvery/2), false
		if full {
			ticked = at
		}
		many := len(legs) > turnsAbove
		for _, l := range legs {
			if due(l.turn, step, many, full) {
				l.tick(at, out)
				l.allocate(work, at)
				l.observe(at)
			}
			busy = l.pace(at, out) || busy
		}
		out.Flush()
		if at-protected >= reportEvery {
			protected = at
			sounds = n.protect(sounds, at)
		}
		next := tickEvery
		if busy || many {
			next = paceEvery
		}
		if next != every {
			every = next
			ticker.Reset(every)
		}
	}
}

// due reports whether a leg is looked after at a step of the tick: all at once,
// at those that are full, or each at its turn.
func due(turn, step int, many, full bool) bool {
	if many {
		return turn == step%turns
	}
	return full
}

// OpenLeg answers a member's offer. One that comes from the very connection of
// the leg before is an ICE restart of that leg: keys, numbers and slots stay. Any
// other opens a leg in its place.
func (n *Node) OpenLeg(_ context.Context, req media.OpenLeg) (media.LegOpened, error) {
	if err := checkOpen(req); err != nil {
		return media.LegOpened{}, err
	}
	o, err := readOffer(req)
	if err != nil {
		return media.LegOpened{}, err
	}
	for _, id := range []interview.LegID{req.Before, req.Leg} {
		if l := n.leg(req.Room, id); l != nil && l.continues(req, o) {
			return l.renew(o)
		}
		n.CloseLeg(media.CloseLeg{Room: req.Room, Leg: id})
	}
	// The place is taken before the work is done, so that a flood of offers does
	// no more work than there are places.
	if err := n.reserve(req.Room); err != nil {
		return media.LegOpened{}, err
	}
	l, opened, err := n.newLeg(req, o)
	n.mu.Lock()
	if err == nil {
		n.opened++
		l.turn = n.opened % turns
	}
	r := n.rooms[req.Room]
	r.opening--
	switch {
	case err != nil:
	case n.closed:
		err = problem.New(problem.CodeUnavailable, "media node: it is closing")
	case r.legs[req.Leg] != nil:
		err = problem.New(problem.CodeConflict, "media node: leg %s was opened twice at once", req.Leg)
	}
	if err != nil {
		n.legs--
		n.tidy(r)
		n.mu.Unlock()
		if l != nil {
			l.close()
		}
		return media.LegOpened{}, err
	}
	opened.Advice = l.begin(r.start(port.Now()), port.Now())
	r.legs[req.Leg] = l
	// Routes of the table that is in force may name this leg already.
	r.apply(n.log)
	n.mu.Unlock()
	return opened, nil
}

func (n *Node) leg(room interview.GroupID, id interview.LegID) *leg {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.rooms[room]; r != nil {
		return r.legs[id]
	}
	return nil
}

// reserve takes a place for a leg that is being opened.
func (n *Node) reserve(id interview.GroupID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id]
	if n.closed || n.legs >= MaxLegs || r != nil && len(r.legs)+r.opening >= MaxRoomLegs {
		return problem.New(problem.CodeUnavailable, "media node: no place for another leg")
	}
	if r == nil {
		r = &room{id: id, legs: map[interview.LegID]*leg{}}
		n.rooms[id] = r
	}
	r.opening++
	n.legs++
	return nil
}

// tidy forgets a room of which nothing is left; the lock is held.
func (n *Node) tidy(r *room) {
	if len(r.legs) == 0 && r.opening == 0 && len(r.table.Routes) == 0 && n.rooms[r.id] == r {
		delete(n.rooms, r.id)
	}
}

// leave takes out a leg whose connection is over, or never came: the door may
// have restarted and not know of it any more. It does not wait.
func (n *Node) leave(l *leg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.tasks.Go(func() {
		if n.leg(l.room, l.id) != l {
			return
		}
		n.log.Info("leg is abandoned", "leg", l.id)
		n.CloseLeg(media.CloseLeg{Room: l.room, Leg: l.id})
		n.onEvent(media.Event{Room: l.room, Leg: l.id, State: media.LegClosed})
	})
}

// CloseLeg ends a leg; a leg that is not there is no error.
func (n *Node) CloseLeg(req media.CloseLeg) {
	n.mu.Lock()
	r := n.rooms[req.Room]
	if r == nil || r.legs[req.Leg] == nil {
		n.mu.Unlock()
		return
	}
	l := r.legs[req.Leg]
	delete(r.legs, req.Leg)
	n.legs--
	r.apply(n.log)
	n.tidy(r)
	n.mu.Unlock()
	l.close()
}

// Forward replaces a room's table. A generation that does not grow is refused,
// so that an old command can open nothing again.
func (n *Node) Forward(t media.Table) error {
	if len(t.Routes) > MaxRoomLegs*MaxSlots {
		return problem.New(problem.CodeTooLarge, "media node: table of %d routes", len(t.Routes))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[t.Room]
	if r == nil {
		if len(t.Routes) == 0 {
			return nil
		}
		r = &room{id: t.Room, legs: map[interview.LegID]*leg{}}
		n.rooms[t.Room] = r
	}
	if t.Generation <= r.table.Generation {
		return problem.New(problem.CodeConflict, "media node: table generation %d is not newer than %d", t.Generation, r.table.Generation)
	}
	r.table = t
	r.apply(n.log)
	n.tidy(r)
	return nil
}

func checkOpen(req media.OpenLeg) error {
	switch {
	case req.Room.IsZero() || req.Leg.IsZero():
		return problem.New(problem.CodeMalformed, "leg without room or id")
	case len(req.Offer) > MaxOfferBytes:
		return problem.New(problem.CodeTooLarge, "offer of %d bytes, at most %d", len(req.Offer), MaxOfferBytes)
	case len(req.Tracks) > MaxTracks:
		return problem.New(problem.CodeMediaRefused, "%d tracks, at most %d", len(req.Tracks), MaxTracks)
	}
	return nil
}
