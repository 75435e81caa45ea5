package repair

const (
	// keyInterval is the shortest time, in nanoseconds, between two requests for a
	// key frame to one source: more cost its bandwidth and bring nothing sooner.
	keyInterval = 300e6
	keyPatience = 1e9 // a request that was not answered by then was lost
)

// Keys turns many wishes for a key frame of one source into few requests: one
// under way at a time. It must not be used by two goroutines at once.
type Keys struct {
	asked  bool // a request is under way
	wanted bool
	ever   bool
	at     int64 // of the last request
}

// Want says that somebody needs a key frame. It reports whether to ask now.
func (k *Keys) Want(at, rtt int64) bool {
	k.wanted = true
	return k.Due(at, rtt)
}

// Due reports whether to ask now for a key frame that was wanted before.
func (k *Keys) Due(at, rtt int64) bool {
	if !k.wanted || k.ever && at-k.at < keyInterval {
		return false
	}
	if k.asked && at-k.at < min(max(2*rtt, keyInterval), keyPatience) {
		return false
	}
	k.asked, k.ever, k.at = true, true, at
	return true
}

// Came says that a key frame began. Who wanted one since the request has it.
func (k *Keys) Came() { k.asked, k.wanted = false, false }
