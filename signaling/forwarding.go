package signaling

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// leg is a member's media connection as the door knows it.
type leg struct {
	id        interview.LegID
	tracks    []wire.OfferTrack
	slots     []media.Slot
	assigned  map[string]wire.Slot            // by mid; stable while the track stays
	shared    map[interview.TrackID]time.Time // screens that are shown now, since when
	kept      map[interview.TrackID]struct{}  // those of which a recorder has shown durable data since
	connected bool
}

// openLeg has the media node answer a member's offer.
func (r *room) openLeg(ctx context.Context, s *Session, b wire.Offer) (wire.Message, error) {
	if s.peer.Recorder && len(b.Tracks) > 0 {
		return wire.Message{}, problem.New(problem.CodeForbidden, "a recorder sends no media")
	}
	if len(b.Tracks) > sealing.MaxTracks {
		return wire.Message{}, problem.New(problem.CodeTooLarge, "%d tracks", len(b.Tracks))
	}
	req := media.OpenLeg{Room: r.group, Leg: interview.NewLegID(), Offer: b.SDP, Fingerprint: s.statement.DTLS}
	numbers, ids := map[int]bool{}, map[interview.TrackID]bool{}
	for _, t := range b.Tracks {
		if t.Number < 0 || t.Number >= sealing.MaxTracks || numbers[t.Number] || ids[t.Track] || !slices.Contains(sources, t.Source) {
			return wire.Message{}, problem.New(problem.CodeMediaRefused, "track number %d", t.Number)
		}
		numbers[t.Number], ids[t.Track] = true, true
		req.Tracks = append(req.Tracks, media.Publish{Mid: t.Mid, Track: t.Track, Source: t.Source})
	}
	r.mu.Lock()
	if err := r.mayPublish(s, ids); err != nil {
		r.mu.Unlock()
		return wire.Message{}, err
	}
	old := s.leg
	if old != nil {
		req.Before = old.id
	}
	s.opening, s.early = req.Leg, nil
	r.mu.Unlock()
	opened, err := r.hub.cfg.Media.OpenLeg(ctx, req)
	l := &leg{id: req.Leg, tracks: b.Tracks, slots: opened.Slots, assigned: map[string]wire.Slot{}}
	if err == nil && old != nil && opened.Leg == old.id {
		l = old // the same connection on another path
	}
	r.mu.Lock()
	s.leg = nil
	if err == nil {
		// Who was taken out, or published the same track, while the node worked?
		if err = r.mayPublish(s, ids); err == nil {
			s.leg = l
		}
		if l != old { // what was said to a leg of before does not hold
			s.advice = map[interview.TrackID]media.Advice{}
			for _, a := range opened.Advice {
				s.advice[a.Track] = a.Advice
			}
			maps.Copy(s.advice, s.early)
		}
	}
	s.opening, s.early = interview.LegID{}, nil
	r.mu.Unlock()
	// Slots may reach the member before its answer does: it offered the mids
	// itself, so it can place them already.
	r.forward()
	if err != nil {
		r.closeLegs([]*leg{l, old})
		return wire.Message{}, err
	}
	answer := wire.Answer{SDP: opened.Answer, Leg: l.id}
	r.mu.Lock()
	if l != old { // what the node says by now: it may have said more since it opened the leg
		for _, t := range l.tracks {
			if a, ok := s.advice[t.Track]; ok {
				answer.Hints = append(answer.Hints, sendHint(t.Track, a))
			}
		}
	}
	r.mu.Unlock()
	return wire.New(wire.TypeAnswer, answer)
}

var sources = []interview.Source{interview.SourceAudio, interview.SourceVideo, interview.SourceScreen}

// mayPublish refuses tracks that are another member's: the recorder's word
// that a track is durable must be about one track. The lock is held.
func (r *room) mayPublish(s *Session, ids map[interview.TrackID]bool) error {
	if err := r.holds(s); err != nil {
		return err
	}
	for _, other := range r.members {
		if other == s || other.leg == nil {
			continue
		}
		for _, t := range other.leg.tracks {
			if ids[t.Track] {
				return problem.New(problem.CodeMediaRefused, "track %s is another member's", t.Track)
			}
		}
	}
	return nil
}

// mediaContext bounds a command to the media node. Commands that cut somebody
// off are given also while the door closes, but then not for long.
func (r *room) mediaContext() (context.Context, context.CancelFunc) {
	patience := requestTimeout
	if r.hub.ctx.Err() != nil {
		patience = time.Second
	}
	return context.WithTimeout(context.WithoutCancel(r.hub.ctx), patience)
}

func (r *room) closeLegs(legs []*leg) {
	for _, l := range legs {
		r.closeLeg(l)
	}
}

func (r *room) closeLeg(l *leg) {
	if l == nil {
		return
	}
	ctx, cancel := r.mediaContext()
	defer cancel()
	if err := r.hub.cfg.Media.CloseLeg(ctx, media.CloseLeg{Room: r.group, Leg: l.id}); err != nil {
		r.log.Warn("leg could not be closed", "leg", l.id, "err", err)
	}
}

// forward makes the table from the newest roster and the open legs, tells the
// media node, and tells each member what comes where.
// Callers that wait for each other share one table.
func (r *room) forward() {
	r.mu.Lock()
	r.wanted++
	mine := r.wanted
	r.mu.Unlock()
	r.forwarding.Lock()
	defer r.forwarding.Unlock()
	r.mu.Lock()
	if r.shown >= mine {
		r.mu.Unlock()
		return
	}
	r.shown, r.wished = r.wanted, false
	r.generation++
	table := media.Table{Room: r.group, Generation: r.generation}
	var on []*Session
	for _, m := range r.roster.Members {
		if s := r.members[m.Member]; s != nil && s.leg != nil {
			on = append(on, s)
		}
	}
	changed := map[*Session][]wire.Slot{}
	for _, to := range r.members {
		if to.leg == nil {
			continue
		}
		var sources []wire.Slot
		if slices.Contains(on, to) {
			sources = r.sourcesFor(to, on)
		}
		if to.leg.assign(sources) {
			changed[to] = to.leg.list()
		}
		for mid, slot := range to.leg.assigned {
			from := r.members[slot.Member]
			route := media.Route{From: from.leg.id, Track: slot.Track, To: to.leg.id, Mid: mid, Rank: rank(to.roles(), from.roles(), slot.Source)}
			if w, ok := to.wishes[slot.Track]; ok {
				route.Rank, route.Height, route.Off = w.Rank, w.Height, w.Off
			}
			table.Routes = append(table.Routes, route)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(table.Routes, func(a, b media.Route) int {
		return strings.Compare(a.To.String()+a.Mid, b.To.String()+b.Mid)
	})
	ctx, cancel := r.mediaContext()
	defer cancel()
	// Those who receive are told first: a key id that is not expected on a slot
	// is refused there, so the other order would lose frames.
	r.mu.Lock()
	for s, slots := range changed {
		if s.here() {
			s.send(wire.TypeSlots, wire.Slots{Slots: slots})
		}
	}
	r.mu.Unlock()
	err := r.hub.cfg.Media.Forward(ctx, table)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tableOwed = time.Time{}
	if err != nil {
		// Somebody may still be sent to who must not be: the watch tries again.
		r.tableOwed = time.Now()
		r.log.Error("forwarding table was refused", "generation", table.Generation, "err", err)
	}
}

// sourcesFor lists the tracks of everybody else on the roster. On record a screen
// goes to the recorders alone until one has kept a picture of it: nobody sees
// what may not be on the record. The lock is held.
func (r *room) sourcesFor(to *Session, on []*Session) []wire.Slot {
	first := r.phase.Phase == interview.PhaseOnRecord && !to.peer.Recorder
	var out []wire.Slot
	for _, from := range on {
		if from == to {
			continue
		}
		for _, t := range from.leg.tracks {
			if !from.leg.shows(t) || first && !from.leg.keeps(t) {
				continue
			}
			out = append(out, wire.Slot{Member: from.member, Track: t.Track, Source: t.Source, Number: t.Number, Seat: t.Seat})
		}
	}
	return out
}

// assign gives each source a mid of its kind, leaves those that have one where
// they are, and reports whether anything changed.
func (l *leg) assign(sources []wire.Slot) bool {
	next := map[string]wire.Slot{}
	var fresh []wire.Slot
	for _, src := range sources {
		placed := false
		for mid, old := range l.assigned {
			if old.Track == src.Track && old.Member == src.Member {
				src.Mid = mid
				next[mid] = src
				placed = true
			}
		}
		if !placed {
			fresh = append(fresh, src)
		}
	}
	for _, src := range fresh {
		kind := "video"
		if src.Source == interview.SourceAudio {
			kind = "audio"
		}
		for _, slot := range l.slots {
			if _, taken := next[slot.Mid]; !taken && slot.Kind == kind {
				src.Mid = slot.Mid
				next[slot.Mid] = src
				break
			}
		}
	}
	same := len(next) == len(l.assigned)
	for mid, slot := range next {
		same = same && l.assigned[mid] == slot
	}
	l.assigned = next
	return !same
}

func (l *leg) list() []wire.Slot {
	out := make([]wire.Slot, 0, len(l.assigned))
	for _, s := range l.assigned {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b wire.Slot) int { return strings.Compare(a.Mid, b.Mid) })
	return out
}
