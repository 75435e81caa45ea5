package app

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
)

// Bounds of measurements on the media port itself.
const (
	maxDirect  = 8 // at one time
	maxByPass  = 4 // of them, under a pass: devices keep the others
	directLife = 30 * time.Second
)

// directProbes measures the media port itself, without the relay: one leg sends
// sounds, another one receives them, in a room of their own that nobody else is
// in. A measurement is over when one of the two says goodbye, and after a time
// whatever they do; its place, legs and room are free then.
type directProbes struct {
	node *sfu.Node
	life time.Duration

	mu   sync.Mutex
	open map[interview.GroupID]*directProbe
}

type directProbe struct {
	from   interview.LegID
	to     interview.LegID // zero before it came
	tracks []media.Publish
	pass   bool // who measures is no device
	ends   *time.Timer
}

// Generations of a measurement's table: what is forwarded, and nothing.
const (
	probeForwards = 1 + iota
	probeIsOver
)

func newDirectProbes() *directProbes {
	return &directProbes{life: directLife, open: map[interview.GroupID]*directProbe{}}
}

var (
	sdpMid         = regexp.MustCompile(`(?m)^a=mid:(\S+)\s*$`)
	sdpFingerprint = regexp.MustCompile(`(?im)^a=fingerprint:sha-256 (\S+)\s*$`)
)

// answer opens the leg that sends, where no room is named, or the one that
// receives what the room's first sends.
func (d *directProbes) answer(ctx context.Context, q probeQuestion) (probeAnswer, error) {
	print := sdpFingerprint.FindStringSubmatch(q.Offer)
	if print == nil {
		return probeAnswer{}, problem.New(problem.CodeMediaRefused, "probe: the offer has no fingerprint")
	}
	leg := media.OpenLeg{Room: q.Room, Leg: interview.NewLegID(), Offer: q.Offer, Fingerprint: strings.ToUpper(print[1])}
	if q.Room.IsZero() {
		return d.sender(ctx, leg, q.Pass)
	}
	return d.receiver(ctx, leg)
}

func (d *directProbes) sender(ctx context.Context, leg media.OpenLeg, pass bool) (probeAnswer, error) {
	leg.Room = interview.NewGroupID()
	p := &directProbe{from: leg.Leg, pass: pass}
	for line := range strings.SplitSeq(leg.Offer, "\nm=") {
		if mid := sdpMid.FindStringSubmatch(line); mid != nil && strings.HasPrefix(line, "audio") && strings.Contains(line, "a=sendonly") {
			p.tracks = append(p.tracks, media.Publish{Mid: mid[1], Track: interview.NewTrackID(), Source: interview.SourceAudio})
		}
	}
	leg.Tracks = p.tracks
	d.mu.Lock()
	byPass := 0
	for _, other := range d.open {
		if other.pass {
			byPass++
		}
	}
	if len(d.open) >= maxDirect || pass && byPass >= maxByPass {
		d.mu.Unlock()
		return probeAnswer{}, problem.New(problem.CodeUnavailable, "%d measurements are under way, %d of them under a pass", len(d.open), byPass)
	}
	d.open[leg.Room] = p
	p.ends = time.AfterFunc(d.life, func() { d.end(leg.Room) })
	d.mu.Unlock()
	opened, err := d.node.OpenLeg(ctx, leg)
	if err != nil {
		d.end(leg.Room)
		return probeAnswer{}, err
	}
	return probeAnswer{Answer: opened.Answer, Room: leg.Room}, nil
}

func (d *directProbes) receiver(ctx context.Context, leg media.OpenLeg) (probeAnswer, error) {
	d.mu.Lock()
	p := d.open[leg.Room]
	taken := p != nil && !p.to.IsZero()
	if p != nil && !taken {
		p.to = leg.Leg
	}
	d.mu.Unlock()
	switch {
	case p == nil:
		return probeAnswer{}, problem.New(problem.CodeNotFound, "measurement %s is over", leg.Room)
	case taken:
		return probeAnswer{}, problem.New(problem.CodeConflict, "measurement %s has its receiver", leg.Room)
	}
	opened, err := d.node.OpenLeg(ctx, leg)
	if err != nil {
		d.end(leg.Room)
		return probeAnswer{}, err
	}
	table := media.Table{Room: leg.Room, Generation: probeForwards}
	for i, t := range p.tracks {
		if i < len(opened.Slots) {
			table.Routes = append(table.Routes, media.Route{From: p.from, Track: t.Track, To: leg.Leg, Mid: opened.Slots[i].Mid})
		}
	}
	d.mu.Lock()
	current := d.open[leg.Room] == p
	if current { // with the lock held: what ends it takes the routes away after this
		err = d.node.Forward(table)
	}
	d.mu.Unlock()
	if !current {
		d.node.CloseLeg(media.CloseLeg{Room: leg.Room, Leg: leg.Leg})
		return probeAnswer{}, problem.New(problem.CodeNotFound, "measurement %s is over", leg.Room)
	}
	return probeAnswer{Answer: opened.Answer, Room: leg.Room}, err
}

// told hears of the node's legs. One of a measurement that is closed ends it.
func (d *directProbes) told(ev media.Event) {
	if ev.State == media.LegClosed {
		d.end(ev.Room)
	}
}

// end frees a measurement's place, its legs and, with the routes, its room. One
// that is over is no error.
func (d *directProbes) end(room interview.GroupID) {
	d.mu.Lock()
	p := d.open[room]
	delete(d.open, room)
	var legs []interview.LegID
	if p != nil {
		p.ends.Stop()
		legs = []interview.LegID{p.from, p.to}
	}
	d.mu.Unlock()
	for _, leg := range legs {
		d.node.CloseLeg(media.CloseLeg{Room: room, Leg: leg})
	}
	if p != nil {
		_ = d.node.Forward(media.Table{Room: room, Generation: probeIsOver}) // refused where nothing is left to take away
	}
}
