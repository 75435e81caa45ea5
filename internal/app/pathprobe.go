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
	directLife = 30 * time.Second
)

// directProbes measures the media port itself, without the relay: one leg sends
// sounds, another one receives them, in a room of their own that nobody else is in.
type directProbes struct {
	node *sfu.Node

	mu   sync.Mutex
	open map[interview.GroupID]*directProbe
}

type directProbe struct {
	from   interview.LegID
	tracks []media.Publish
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
		return d.sender(ctx, leg)
	}
	d.mu.Lock()
	p := d.open[q.Room]
	d.mu.Unlock()
	if p == nil {
		return probeAnswer{}, problem.New(problem.CodeNotFound, "measurement %s is over", q.Room)
	}
	opened, err := d.node.OpenLeg(ctx, leg)
	if err != nil {
		return probeAnswer{}, err
	}
	table := media.Table{Room: q.Room, Generation: time.Now().UnixMicro()}
	for i, t := range p.tracks {
		if i < len(opened.Slots) {
			table.Routes = append(table.Routes, media.Route{From: p.from, Track: t.Track, To: leg.Leg, Mid: opened.Slots[i].Mid})
		}
	}
	time.AfterFunc(directLife, func() { d.over(q.Room, leg.Leg) })
	return probeAnswer{Answer: opened.Answer, Room: q.Room}, d.node.Forward(table)
}

// over closes a leg, and takes the routes away: a room that has some is kept.
func (d *directProbes) over(room interview.GroupID, leg interview.LegID) {
	d.node.CloseLeg(media.CloseLeg{Room: room, Leg: leg})
	// The other end may have said so at the same microsecond; then nothing is left to take away.
	_ = d.node.Forward(media.Table{Room: room, Generation: time.Now().UnixMicro()})
}

func (d *directProbes) sender(ctx context.Context, leg media.OpenLeg) (probeAnswer, error) {
	leg.Room = interview.NewGroupID()
	p := &directProbe{from: leg.Leg}
	for line := range strings.SplitSeq(leg.Offer, "\nm=") {
		if mid := sdpMid.FindStringSubmatch(line); mid != nil && strings.HasPrefix(line, "audio") && strings.Contains(line, "a=sendonly") {
			p.tracks = append(p.tracks, media.Publish{Mid: mid[1], Track: interview.NewTrackID(), Source: interview.SourceAudio})
		}
	}
	leg.Tracks = p.tracks
	d.mu.Lock()
	if len(d.open) >= maxDirect {
		d.mu.Unlock()
		return probeAnswer{}, problem.New(problem.CodeUnavailable, "%d measurements are under way", maxDirect)
	}
	d.open[leg.Room] = p
	d.mu.Unlock()
	end := func() {
		d.mu.Lock()
		delete(d.open, leg.Room)
		d.mu.Unlock()
		d.over(leg.Room, leg.Leg)
	}
	opened, err := d.node.OpenLeg(ctx, leg)
	if err != nil {
		end()
		return probeAnswer{}, err
	}
	time.AfterFunc(directLife, end)
	return probeAnswer{Answer: opened.Answer, Room: leg.Room}, nil
}
