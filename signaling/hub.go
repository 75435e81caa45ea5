package signaling

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/wire"
)

// Config is what a hub needs from its neighbours.
type Config struct {
	Admission Admission
	Hearings  Hearings
	Media     Media
	Recorders Recorders
	Journal   Journal
	Audit     Audit
	Limits    Limits
	Log       *slog.Logger
}

// Hub holds the open rooms. Its methods are safe for concurrent use.
type Hub struct {
	cfg Config

	mu     sync.Mutex
	rooms  map[interview.HearingID]*room
	groups map[interview.GroupID]*room
	used   map[interview.DeviceID]*use
	tasks  sync.WaitGroup
	ctx    context.Context
	stop   context.CancelFunc
}

// NewHub makes a hub without rooms. Close it to end its goroutines.
func NewHub(cfg Config) *Hub {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Hub{cfg: cfg, rooms: map[interview.HearingID]*room{}, groups: map[interview.GroupID]*room{}, used: map[interview.DeviceID]*use{}, ctx: ctx, stop: stop}
}

// use is what one device does at this door, over all its connections.
type use struct {
	open        int
	rare        *rate.Limiter
	revocations int64
}

// rareBurst is how many rare messages a device may send at once: enough for
// everybody at it to open the page and fumble.
const rareBurst = 20

// maxUsed bounds the devices remembered without a connection.
const maxUsed = 4096

// use finds what is remembered of a device; the lock is held.
func (h *Hub) use(device interview.DeviceID) *use {
	u := h.used[device]
	if u != nil {
		return u
	}
	if len(h.used) >= maxUsed {
		for id, old := range h.used {
			if old.open == 0 && old.rare.Tokens() >= rareBurst {
				delete(h.used, id)
			}
		}
	}
	u = &use{rare: rate.NewLimiter(rate.Limit(h.cfg.Limits.RarePerSecond), rareBurst)}
	h.used[device] = u
	return u
}

// revocations counts how often a device was revoked: a join that was judged
// before a revocation must not be let in after it.
func (h *Hub) revocations(peer Peer) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.used[peer.Device]; u != nil {
		return u.revocations
	}
	return 0
}

// occupy counts a connection of a device in; the device may hold only so many.
func (h *Hub) occupy(device interview.DeviceID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.use(device)
	if u.open >= h.cfg.Limits.Connections {
		return problem.New(problem.CodeTooFast, "device %s holds %d connections", device, u.open)
	}
	u.open++
	return nil
}

func (h *Hub) free(device interview.DeviceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.use(device).open--
}

// Close ends every room and connection.
func (h *Hub) Close() {
	h.stop()
	h.mu.Lock()
	rooms := h.rooms
	h.rooms, h.groups = map[interview.HearingID]*room{}, map[interview.GroupID]*room{}
	h.mu.Unlock()
	var closing sync.WaitGroup
	for _, r := range rooms {
		closing.Go(func() { r.close(problem.New(problem.CodeUnavailable, "the door is closing")) })
	}
	closing.Wait()
	h.tasks.Wait()
}

// Connect begins a session for a new connection.
func (h *Hub) Connect(peer Peer, conn Conn) *Session {
	l := h.cfg.Limits
	s := &Session{
		hub: h, peer: peer, conn: conn, state: stranger,
		limit: rate.NewLimiter(rate.Limit(l.MessagesPerSecond), l.MessagesPerSecond),
		bytes: rate.NewLimiter(rate.Limit(l.BytesPerSecond), l.BytesPerSecond+wire.MaxSize),
		rare:  rate.NewLimiter(rate.Limit(l.RarePerSecond), rareBurst),
	}
	if !peer.Recorder {
		h.mu.Lock()
		s.rare = h.use(peer.Device).rare
		h.mu.Unlock()
	}
	return s
}

// LegEvent takes the media node's word on a leg.
func (h *Hub) LegEvent(ev media.Event) {
	h.mu.Lock()
	r := h.groups[ev.Room]
	all := mapValues(h.rooms)
	h.mu.Unlock()
	switch {
	case ev.State == media.NodeStarted:
		for _, r := range all {
			r.legEvent(ev)
		}
	case r != nil:
		r.legEvent(ev)
	}
}

// Hint takes the media node's advice to the sender of a track.
func (h *Hub) Hint(hint media.Hint) {
	h.mu.Lock()
	r := h.groups[hint.Room]
	h.mu.Unlock()
	if r != nil {
		r.hint(hint)
	}
}

// Revoke takes every member of a device out of its rooms: forwarding is cut
// first, then the chair's page rotates the keys.
func (h *Hub) Revoke(device interview.DeviceID, why error) {
	h.mu.Lock()
	h.use(device).revocations++
	rooms := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		rooms = append(rooms, r)
	}
	h.mu.Unlock()
	for _, r := range rooms {
		r.revoke(device, why)
	}
}

// PhaseNow reports a room's phase to its members when somebody else than the
// room changed it.
func (h *Hub) PhaseNow(hearing interview.HearingID, now wire.PhaseNow) {
	h.mu.Lock()
	r := h.rooms[hearing]
	h.mu.Unlock()
	if r != nil {
		r.setPhase(now)
	}
}

// room finds or opens the room of a hearing.
func (h *Hub) room(ctx context.Context, hearing interview.HearingID) (*room, error) {
	h.mu.Lock()
	r := h.rooms[hearing]
	h.mu.Unlock()
	if r != nil {
		return r, nil
	}
	opened, err := h.cfg.Hearings.Open(ctx, hearing)
	if err != nil {
		return nil, err
	}
	phase, err := h.cfg.Hearings.Phase(ctx, hearing)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.rooms[hearing]; r != nil {
		return r, nil
	}
	if h.ctx.Err() != nil {
		return nil, problem.New(problem.CodeUnavailable, "the door is closing")
	}
	r = newRoom(h, hearing, opened, phase)
	h.rooms[hearing], h.groups[opened.Group] = r, r
	h.tasks.Go(r.watch)
	h.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
		defer cancel()
		if err := h.cfg.Recorders.Invite(ctx, hearing, opened.Group); err != nil {
			h.cfg.Log.Warn("no recorder came", "hearing", hearing, "err", err)
		}
	})
	return r, nil
}

// forget drops an empty room.
func (h *Hub) forget(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.hearing] == r {
		delete(h.rooms, r.hearing)
		delete(h.groups, r.group)
	}
}
