package signaling

import "kuule/interview"

// Occupied reports whether anybody but a recorder is in a hearing's room now, or
// waits at its door, or may come back to a seat that is kept for them.
func (h *Hub) Occupied(hearing interview.HearingID) bool {
	h.mu.Lock()
	r := h.rooms[hearing]
	h.mu.Unlock()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.members {
		if s.state != recorder {
			return true
		}
	}
	return len(r.waiters) > 0
}
