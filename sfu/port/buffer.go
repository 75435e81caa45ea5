package port

import (
	"sync"
	"sync/atomic"
	"time"
)

// MaxDatagram is the largest packet that is received: what is longer did not
// come over an ordinary path and is dropped.
const MaxDatagram = 1500

var start = time.Now()

// Now is the monotonic time in nanoseconds since the process started.
func Now() int64 { return int64(time.Since(start)) }

// Buffer holds one received datagram. A reader uses its buffers again and again
// unless somebody retains them.
type Buffer struct {
	refs atomic.Int32
	from *pool
	data [MaxDatagram]byte
}

// Retain keeps the buffer's bytes until Release.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release gives up what Retain took. The bytes must not be used after it.
func (b *Buffer) Release() {
	if b.refs.Add(-1) == 0 {
		b.from.put(b)
	}
}

// maxFree bounds the buffers that wait to be used again.
const maxFree = 4096

// pool is a plain free list: unlike sync.Pool it gives back what it was given.
type pool struct {
	mu   sync.Mutex
	free []*Buffer
}

func (p *pool) get() *Buffer {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		b.refs.Store(1)
		return b
	}
	p.mu.Unlock()
	b := &Buffer{from: p}
	b.refs.Store(1)
	return b
}

func (p *pool) put(b *Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < maxFree {
		p.free = append(p.free, b)
	}
}
