package main

import "time"

// watch is what one member receives for a while, of one sender's streams or of
// all. Its member's lock guards it.
type watch struct {
	only    map[uint32]bool // sources; nil: all
	streams map[uint32]*watchedStream
}

// watchedStream is one stream. What is missing is told by its sender's own numbers.
type watchedStream struct {
	first, highest uint32
	seen           map[uint32]bool
	at             int64
	gap            time.Duration
	settled        uint32 // what is missing up to here is missing for good
}

func (w *watch) came(at int64, source, number uint32) {
	if w.only != nil && !w.only[source] {
		return
	}
	s := w.streams[source]
	if s == nil {
		w.streams[source] = &watchedStream{first: number, highest: number, seen: map[uint32]bool{number: true}, at: at}
		return
	}
	if number < s.first { // repaired late
		return
	}
	s.seen[number] = true
	s.highest = max(s.highest, number)
	s.gap = max(s.gap, time.Duration(at-s.at))
	s.at = at
}

// watch begins to note what a member receives.
func (c *client) watch(only map[uint32]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = &watch{only: only, streams: map[uint32]*watchedStream{}}
}

// settle says that what is missing so far and does not come any more is lost.
func (c *client) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.watched.streams {
		s.settled = s.highest
	}
}

// watchEnds ends a watch and tells how many packets never came, of how many, and the
// longest time without any of a stream.
func (c *client) watchEnds() (lost, of int, gap time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := int64(time.Since(start))
	for _, s := range c.watched.streams {
		for n := s.first; n <= s.settled; n++ {
			of++
			if !s.seen[n] {
				lost++
			}
		}
		gap = max(gap, s.gap, time.Duration(now-s.at))
	}
	c.watched = nil
	return lost, of, gap
}
