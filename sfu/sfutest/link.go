package sfutest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Shape is what one direction of a link does to packets. The zero value does
// nothing to them.
type Shape struct {
	Rate   int           // bit/s; 0: unlimited
	Queue  time.Duration // how long the longest packet waits before the link drops; 0: 250 ms
	Delay  time.Duration
	Jitter time.Duration // added evenly between none and this, keeping the order
	Loss   float64       // share of packets lost at random
	Cut    bool          // nothing goes through
}

// Link is one direction. It is safe for concurrent use, and what it does follows
// from its seed.
type Link struct {
	mu      sync.Mutex
	shape   Shape
	chance  *rand.Rand
	free    time.Duration // when the sender's queue is empty
	arrived time.Duration // of the packet before
	count   Count
}

// Count is what became of packets.
type Count struct{ Passed, Lost, Dropped, Bytes int64 }

// NewLink makes a link of a shape.
func NewLink(shape Shape, seed uint64) *Link {
	return &Link{shape: shape, chance: rand.New(rand.NewPCG(seed, 7))}
}

// Set changes the shape. What is on its way arrives as it was to.
func (l *Link) Set(shape Shape) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shape = shape
}

// Count tells what became of the packets so far.
func (l *Link) Count() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Send gives the time at which a packet of size bytes, IP and UDP headers
// included, that is sent at now arrives, on any clock; false when it does not.
func (l *Link) Send(size int, now time.Duration) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shape
	if s.Cut || s.Loss > 0 && l.chance.Float64() < s.Loss {
		l.count.Lost++
		return 0, false
	}
	leaves := now
	if s.Rate > 0 {
		queue := s.Queue
		if queue == 0 {
			queue = 250 * time.Millisecond
		}
		if l.free-now > queue {
			l.count.Dropped++
			return 0, false
		}
		l.free = max(l.free, now) + time.Duration(int64(size)*8*int64(time.Second)/int64(s.Rate))
		leaves = l.free
	}
	at := leaves + s.Delay
	if s.Jitter > 0 {
		at += time.Duration(l.chance.Int64N(int64(s.Jitter)))
	}
	l.arrived = max(at, l.arrived)
	l.count.Passed++
	l.count.Bytes += int64(size)
	return l.arrived, true
}
