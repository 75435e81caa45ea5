package repair

const (
	// keyInterval is the shortest time, in nanoseconds, between two requests for a
	// key frame to one source: more cost its bandwidth and bring nothing sooner.
	keyInterval = 300e6
	keyPatience = 1e9 // a request that was not answered by then was lost
	// newcomerInterval is that of requests for who has just come: a request before
	// was answered, or is about to be, with a picture that did not reach them.
	newcomerInterval = 100e6
)

// Keys turns many wishes for a key frame of one source into few requests: one
// under way at a time. It must not be used by two goroutines at once.
type Keys struct {
	asked  bool // a request is under way
	wanted bool
	fresh  bool // by somebody who saw nothing so far
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
	least, underWay := int64(keyInterval), min(max(2*rtt, keyInterval), keyPatience)
	if k.fresh {
		least, underWay = newcomerInterval, 0
	}
	if !k.wanted || k.ever && at-k.at < least || k.asked && at-k.at < underWay {
		return false
	}
	k.asked, k.ever, k.at, k.fresh = true, true, at, false
	return true
}

// Newcomer says that somebody has come who saw nothing so far. It reports whether
// to ask now.
func (k *Keys) Newcomer(at, rtt int64) bool {
	k.wanted, k.fresh = true, true
	return k.Due(at, rtt)
}

// Came says that a key frame began. Who wanted one since the request has it.
func (k *Keys) Came() { k.asked, k.wanted, k.fresh = false, false, false }
