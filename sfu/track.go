package sfu

import (
	"sync/atomic"

	"kuule/internal/repair"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// track is one published track: one stream, or one for each layer of a simulcast.
type track struct {
	id        interview.TrackID
	mid       string
	source    interview.Source
	kind      offer.Kind
	types     offer.Types
	uses      offer.Extensions
	rids      []string // best first
	repairs   bool     // the sender resends what is asked for
	leg       *leg
	allowance bucket // guarded by the leg's receiving

	subscribers atomic.Pointer[[]*slot]               // replaced whole, so that packets take no lock
	layers      [offer.MaxRids]atomic.Pointer[stream] // smallest first
	wanted      atomic.Bool                           // somebody who has just come waits for a key frame
	advice      advisor
	announced   map[uint32]announcement // sources named in the offer
}

// announcement says what a source of the offer is.
type announcement struct{ repairs uint32 }

func newTrack(l *leg, p media.Publish, line *offer.Line) *track {
	t := &track{
		id: p.Track, mid: p.Mid, source: p.Source, kind: line.Kind, types: line.Types, uses: line.Uses, rids: line.Rids, repairs: line.Nack,
		leg: l, allowance: soundAllowance, announced: map[uint32]announcement{},
	}
	if t.kind == offer.Video {
		t.allowance = pictureAllowance
	}
	if len(t.rids) > 0 {
		return t // its sources name themselves by their rids
	}
	for _, s := range line.Sources {
		t.announced[s.Media] = announcement{}
		if s.Repair != 0 {
			t.announced[s.Repair] = announcement{repairs: s.Media}
		}
	}
	return t
}

func (t *track) setSubscribers(slots []*slot) {
	t.subscribers.Store(&slots)
}

// stream gives the stream of a layer, nil where none came yet.
func (t *track) stream(layer int) *stream {
	if layer < 0 || layer >= len(t.layers) {
		return nil
	}
	return t.layers[layer].Load()
}

// isWatched says that somebody receives the track.
func (t *track) isWatched() bool {
	s := t.subscribers.Load()
	return s != nil && len(*s) > 0
}

// requestKey asks the sender for a key frame of a layer, or of any where that
// one never came: browsers then make one of each.
func (t *track) requestKey(layer int, at int64, out *port.Batch) {
	if s := t.keyed(layer); s != nil {
		s.requestKey(at, out, (*repair.Keys).Want)
	}
}

// keyed is the stream to ask for a key frame; nil: none came, or it has none.
func (t *track) keyed(layer int) *stream {
	if t.kind != offer.Video {
		return nil
	}
	s := t.stream(layer)
	for i := 0; s == nil && i < len(t.layers); i++ {
		s = t.stream(i)
	}
	return s
}

// askKeys asks for the key frames that those who have just come wait for.
func (t *track) askKeys(at int64, out *port.Batch) {
	if !t.wanted.Swap(false) {
		return
	}
	if s := t.keyed(layer.Off); s != nil {
		s.requestKey(at, out, (*repair.Keys).Newcomer)
	}
}

// forward hands a packet to all who receive the track.
func (t *track) forward(out *port.Batch, p *incoming) {
	subscribers := t.subscribers.Load()
	if subscribers == nil {
		return
	}
	for _, s := range *subscribers {
		s.write(out, p)
	}
}
