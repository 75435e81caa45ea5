package sfu

import (
	"log/slog"

	"kuule/internal/repair"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/offer"
)

// room is the set of legs between which a table forwards. It is guarded by the
// node's lock; packets never take that lock.
type room struct {
	id    interview.GroupID
	table media.Table
	legs  map[interview.LegID]*leg
	// opening counts legs that have a place but are not in legs yet.
	opening    int
	redundancy repair.Redundancy
}

// start is how a voice that comes in, perhaps again, is to be sent until those who
// receive it say more: as the others of the room are.
func (r *room) start(at int64) media.Advice {
	a := media.Advice{Red: r.redundancy.On(at)}
	for _, l := range r.legs {
		for _, t := range l.tracks {
			if t.isFrugal() {
				a.PacketMS, a.Bitrate = frugalPacket, frugalRate
			}
		}
		for _, s := range l.slots {
			a.Red = a.Red && (s.kind != offer.Audio || s.types[offer.RED] != 0)
		}
	}
	return a
}

// apply makes the legs' fan-out lists say what the table says, and nothing else.
func (r *room) apply(log *slog.Logger) {
	fanout := map[*track][]*slot{}
	routes := map[*slot]media.Route{}
	used := map[*slot]bool{}
	for _, route := range r.table.Routes {
		from, to := r.legs[route.From], r.legs[route.To]
		if from == nil || to == nil || from == to {
			continue // not here yet, or gone: the table stays, the packets do not
		}
		t, s := from.track(route.Track), to.slot(route.Mid)
		if t == nil || s == nil || used[s] || t.kind != s.kind {
			log.Warn("route cannot be served", "room", r.id, "from", route.From, "track", route.Track, "to", route.To, "mid", route.Mid)
			continue
		}
		used[s] = true
		routes[s] = route
		fanout[t] = append(fanout[t], s)
	}
	for _, l := range r.legs {
		for _, t := range l.tracks {
			for _, s := range fanout[t] {
				// Who is not connected yet could not be shown it, and asks when it is.
				if s.assign(t, routes[s]) && t.kind == offer.Video && s.leg.connected.Load() {
					t.wanted.Store(true)
				}
			}
			t.setSubscribers(fanout[t])
		}
		for _, s := range l.slots {
			if !used[s] {
				s.assign(nil, media.Route{})
			}
		}
	}
}
