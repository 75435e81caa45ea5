package sfu

import (
	"sync"

	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// Bounds of what waits for its turn.
const (
	maxHeld  = 256   // packets of one leg
	heldFor  = 300e6 // what waited longer is of no use: who misses it asks for it
	tagBytes = 16    // of SRTP's AEAD_AES_256_GCM
)

// way is a leg's way down: what left over it, what it is held to carry and what
// waits. Its lock is taken under a slot's, never the other way round.
type way struct {
	mu     sync.Mutex
	sender *bandwidth.Sender // nil: the receiver tells nothing
	last   uint16            // number that was given, without a sender
	pacer  bandwidth.Pacer
	held   []held // a ring, made when first needed
	first  int
	count  int
	wanted int // bit/s

	padding [maxPadding]byte // written by the node's tick alone
}

// held is a packet of a picture that waits for its turn.
type held struct {
	slot *slot
	kept
	track *track
	at    int64
}

// maxPadding is the most padding that one packet has (RFC 3550, section 5.1).
const maxPadding = 255

// onWire is what a packet takes of the link, headers of IP and UDP included.
func onWire(w *rewritten, payload int) int {
	return 12 + 8 + len(w.descriptor) + 2 + payload + tagBytes + bandwidth.Overhead
}

// number counts a packet that leaves now, and gives it its number.
func (s *slot) number(w *rewritten, payload int, at int64) {
	if s.uses.Transport != 0 {
		w.transport = s.leg.way.number(onWire(w, payload), at)
	}
}

// narrow reports whether the way is known to carry less than is wanted.
func (w *way) narrow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pacer.Limited()
}

// restart forgets what was learned of the way.
func (w *way) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender != nil {
		w.sender.Restart()
	}
}

// number counts a packet that leaves now and gives its transport-wide number.
func (w *way) number(size int, at int64) uint16 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counted(size, at)
}

func (w *way) counted(size int, at int64) uint16 {
	if w.sender == nil {
		w.last++
		return w.last
	}
	return w.sender.Sent(size, at)
}

// leave gives a packet its number, or says that it has to wait. What is urgent
// never waits.
func (w *way) leave(size int, urgent bool, at int64) (number uint16, now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.pacer.Limited() && w.count == 0:
	case urgent:
		w.pacer.Spend(size, at)
	case w.count > 0 || !w.pacer.Take(size, at):
		return 0, false
	}
	return w.counted(size, at), true
}

// affords reports whether there is room for a packet beside those that wait for
// their turn, and takes it.
func (w *way) affords(size int, at int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pacer.Take(size, at)
}

// hold keeps a packet until its turn comes, if there is room.
func (w *way) hold(s *slot, r *rewritten, p *incoming) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == maxHeld {
		return
	}
	if w.held == nil {
		w.held = make([]held, maxHeld)
	}
	p.Buffer.Retain()
	w.held[(w.first+w.count)%maxHeld] = held{slot: s, kept: kept{rewritten: *r, bytes: p.payload, buffer: p.Buffer}, track: p.stream.track, at: p.At}
	w.count++
}

// next takes the packet whose turn it is, if any. Its buffer is to be released.
func (w *way) next(at int64) (held, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.count > 0 {
		h := w.held[w.first]
		old := at-h.at > heldFor
		if !old && !w.pacer.Take(onWire(&h.rewritten, len(h.bytes)), at) {
			return held{}, false
		}
		w.held[w.first] = held{}
		w.first = (w.first + 1) % maxHeld
		w.count--
		if !old {
			return h, true
		}
		h.buffer.Release()
	}
	return held{}, false
}

// drop gives up what waits.
func (w *way) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.count > 0; w.count-- {
		w.held[w.first].buffer.Release()
		w.held[w.first] = held{}
		w.first = (w.first + 1) % maxHeld
	}
}

// probe says how many bytes of padding are to leave now, and whether the way
// wants to be looked after more often than every tick.
func (w *way) probe(at int64) (padding int, busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender == nil {
		return 0, w.count > 0
	}
	padding = w.sender.Padding(w.wanted, at)
	return padding, w.count > 0 || w.sender.Probing()
}

// pace sends what waited for its turn, and padding where a probe is under way.
// It reports whether it is to be called again soon.
func (l *leg) pace(at int64, out *port.Batch) bool {
	for h, ok := l.way.next(at); ok; h, ok = l.way.next(at) {
		h.slot.release(out, &h, at)
	}
	padding, busy := l.way.probe(at)
	if padding == 0 {
		return busy
	}
	for _, s := range l.slots {
		if s.repairs != 0 && s.uses.Transport != 0 {
			for padding > 0 {
				padding -= s.pad(out, padding, at)
			}
			break
		}
	}
	return busy
}

// leave sends a packet, now or when its turn comes; the lock is held.
func (s *slot) leave(out *port.Batch, w *rewritten, p *incoming) {
	s.watch(p.At)
	if s.uses.Transport != 0 {
		// What has no repair stream is resent under the number that it has now.
		number, now := s.leg.way.leave(onWire(w, len(p.payload)), s.repairs == 0, p.At)
		if !now {
			s.leg.way.hold(s, w, p)
			s.keep(w, p)
			return
		}
		w.transport = number
	}
	s.keep(w, p)
	s.emit(out, w, p.payload)
}

// release sends a packet that waited, unless the slot is not for it any more.
func (s *slot) release(out *port.Batch, h *held, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == h.track {
		s.number(&h.rewritten, len(h.bytes), at)
		s.emit(out, &h.rewritten, h.bytes)
	}
	h.buffer.Release()
}

// pad sends one packet of padding on the slot's repair stream, where a receiver
// looks at its number alone, and gives its size on the wire.
func (s *slot) pad(out *port.Batch, bytes int, at int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := rewritten{timestamp: s.timestamp}
	n := min(max(bytes-onWire(&w, 0), 1), maxPadding)
	s.number(&w, n, at)
	s.repair++
	h := s.headerOf(&w, s.repairs, s.repair, s.types[offer.RTX])
	h[0] |= 0x20
	b := s.leg.way.padding[:n]
	b[n-1] = byte(n)
	s.leg.conn.Send(out, h, nil, b)
	b[n-1] = 0
	return onWire(&w, n)
}
