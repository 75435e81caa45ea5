package repair

import "encoding/binary"

const (
	smallest = 16 << 10 // bytes of a cache at first
	// keepFor is how long, in nanoseconds, packets are kept while the budget
	// allows it: a second holds some round trips.
	keepFor   = 1e9
	metaBytes = 6 // timestamp, marker, length of the descriptor
)

// Packet is a packet as it came, without what belongs to the hop it came by.
type Packet struct {
	Timestamp  uint32
	Marker     bool
	Descriptor []byte // Dependency Descriptor, at most 255 bytes
	Payload    []byte
}

// Cache keeps the newest packets of one incoming stream in one ring of bytes,
// once for all who may ask. It must not be used by two goroutines at once.
type Cache struct {
	budget int
	ring   []byte
	head   int    // where the next packet is written
	total  uint64 // bytes ever written, skipped ones too
	lowest uint64 // of them: what was before is gone
	lap    int64  // when head was last at the beginning
	index  []cached
}

// cached tells where a packet lies: total when it had been written, and its size.
type cached struct {
	end      uint64
	size     uint16
	sequence uint16
}

// NewCache makes a cache of at most so many packets, a power of two, in at most
// so many bytes. It takes memory with the first packet.
func NewCache(packets, budget int) *Cache {
	return &Cache{budget: max(budget, smallest), index: make([]cached, packets)}
}

// Put keeps a packet.
func (c *Cache) Put(sequence uint16, p Packet, at int64) {
	size := metaBytes + len(p.Descriptor) + len(p.Payload)
	if size > smallest || len(p.Descriptor) > 255 {
		return
	}
	if c.ring == nil {
		c.ring, c.lap = make([]byte, smallest), at
	}
	if c.head+size > len(c.ring) {
		c.wrap(at)
	}
	b := c.ring[c.head : c.head+size]
	binary.BigEndian.PutUint32(b, p.Timestamp)
	b[4] = 0
	if p.Marker {
		b[4] = 1
	}
	b[5] = byte(len(p.Descriptor))
	copy(b[metaBytes:], p.Descriptor)
	copy(b[metaBytes+len(p.Descriptor):], p.Payload)
	c.head += size
	c.total += uint64(size)
	c.index[int(sequence)%len(c.index)] = cached{end: c.total, size: uint16(size), sequence: sequence}
}

// wrap goes on at the ring's beginning, or doubles it if it was filled too soon.
func (c *Cache) wrap(at int64) {
	if at-c.lap >= keepFor || 2*len(c.ring) > c.budget {
		c.total += uint64(len(c.ring) - c.head)
		c.head, c.lap = 0, at
		return
	}
	// What is left of the last lap comes first, then this lap: each packet stays
	// as far behind the head as it was.
	larger := make([]byte, 2*len(c.ring))
	n := copy(larger, c.ring[c.head:])
	copy(larger[n:], c.ring[:c.head])
	c.lowest = c.total - min(c.total, uint64(len(c.ring)))
	c.head, c.ring = len(c.ring), larger
}

// Get gives a packet that is still kept. Its bytes hold until the next Put.
func (c *Cache) Get(sequence uint16) (Packet, bool) {
	e := c.index[int(sequence)%len(c.index)]
	behind := c.total - e.end + uint64(e.size)
	if e.size == 0 || e.sequence != sequence || behind > uint64(len(c.ring)) || c.total-behind < c.lowest {
		return Packet{}, false
	}
	at := c.head - int(behind)
	if at < 0 {
		at += len(c.ring)
	}
	b := c.ring[at : at+int(e.size)]
	described := metaBytes + int(b[5])
	return Packet{Timestamp: binary.BigEndian.Uint32(b), Marker: b[4] == 1, Descriptor: b[metaBytes:described], Payload: b[described:]}, true
}

// Bytes is the memory that the cache holds.
func (c *Cache) Bytes() int { return len(c.ring) }
