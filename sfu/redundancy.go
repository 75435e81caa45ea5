package sfu

import (
	"kuule/interview/media"
	"kuule/sfu/offer"
)

// soundLoss follows the share of a sound's packets that is lost before repair.
type soundLoss struct {
	packets, missing uint64 // at the last look
	share            int64  // in parts per million, smoothed
}

// lossWeight is how much of a new second counts: one lost packet in it is no
// reason yet, one in twenty is after two seconds.
const lossWeight = 4

// look takes the counts of now, and a share that was reported, and gives the
// share as it is held to be.
func (l *soundLoss) look(packets, missing uint64, reported int64) int64 {
	came, lost := packets-l.packets, missing-l.missing
	l.packets, l.missing = packets, missing
	if came == 0 {
		return l.share
	}
	now := max(int64(lost)*1e6/int64(came+lost), reported)
	l.share += (now - l.share) / lossWeight
	return l.share
}

// weighSound finds the worst of the leg's sounds, both ways; its receiving is
// held.
func (l *leg) weighSound() {
	worst := int64(0)
	for _, s := range l.order {
		if s.of == nil && s.track.kind == offer.Audio {
			worst = max(worst, s.sound.look(s.losses.Packets, s.losses.Gaps, 0))
		}
	}
	for _, s := range l.slots {
		if s.kind != offer.Audio {
			continue
		}
		s.mu.Lock()
		share := s.sound.look(uint64(s.packets), uint64(s.asked), int64(s.loss.Load())*1e6/256)
		s.mu.Unlock()
		s.lost.Store(share)
		worst = max(worst, share)
	}
	l.soundLoss.Store(worst)
}

// mostReported bounds the loss that a sender is told of for its listeners' sake.
const mostReported = 200_000

// lossToListeners is the share of a sound's packets that is lost on the way to
// the listener who loses most, in parts per million: by it a browser decides
// whether Opus carries its own correction, which has to last for the whole way.
// Listeners' shares are those of their last look.
func (s *stream) lossToListeners() int64 {
	subscribers := s.track.subscribers.Load()
	if s.of != nil || s.track.kind != offer.Audio || subscribers == nil {
		return 0
	}
	down := int64(0)
	for _, to := range *subscribers {
		down = max(down, to.lost.Load())
	}
	up := s.sound.share
	return min(up+down-up*down/1e6, mostReported)
}

// takesRedundancy reports whether the track's sender and all its receivers know
// redundant sound: the node can neither add nor remove what is sealed.
func (t *track) takesRedundancy() bool {
	if t.kind != offer.Audio || t.types[offer.RED] == 0 {
		return false
	}
	subscribers := t.subscribers.Load()
	if subscribers == nil || len(*subscribers) == 0 {
		t.advice.mu.Lock()
		defer t.advice.mu.Unlock()
		return t.advice.told.Red // nobody receives it yet: as it began
	}
	for _, s := range *subscribers {
		if s.types[offer.RED] == 0 {
			return false
		}
	}
	return true
}

// advised is a track that is to be sent redundantly, or no more.
type advised struct {
	track *track
	red   bool
}

// protect has the sounds of rooms sent redundantly in which anybody loses too
// many of them. The list is used again.
func (n *Node) protect(list []advised, at int64) []advised {
	list = list[:0]
	n.mu.Lock()
	for _, r := range n.rooms {
		worst := int64(0)
		for _, l := range r.legs {
			worst = max(worst, l.soundLoss.Load())
		}
		red := r.redundancy.Report(int(worst), at)
		for _, l := range r.legs {
			for _, t := range l.tracks {
				if t.kind == offer.Audio {
					list = append(list, advised{t, red && t.takesRedundancy()})
				}
			}
		}
	}
	n.mu.Unlock()
	for _, x := range list {
		x.track.advise(func(a *media.Advice) { a.Red = x.red })
	}
	return list
}
