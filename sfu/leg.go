package sfu

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"

	"kuule/internal/descriptor"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// transport is a leg's way to its peer: *port.Conn.
type transport interface {
	Send(out *port.Batch, header, prefix, payload []byte)
	SendControl(out *port.Batch, compound []byte)
	Credentials() (fragment, password string)
	Restart() (fragment, password string)
	Close()
}

// leg is one member's media connection: the tracks it sends and the slots on
// which it can be sent to. Its numbers (sources, mids, rids, header extensions)
// are its own: nothing that a packet of another leg says can reach them.
type leg struct {
	node   *Node
	room   interview.GroupID
	id     interview.LegID
	conn   transport
	tracks []*track
	slots  []*slot
	local  uint32 // source of the node's own reports
	uses   offer.Extensions

	connected atomic.Bool
	roundTrip atomic.Int64 // nanoseconds; 0: not measured yet
	way       way
	frugal    atomic.Bool  // voices take too much of the way
	soundLoss atomic.Int64 // the worst of its sounds, in parts per million
	turn      int          // of the node's ticks, where they are shared out; set before the leg is one of a room's
	allocated int64        // when; belongs to the node's tick
	told      sums         // likewise

	answering sync.Mutex // one offer at a time
	offered   offer.Offer
	version   uint64

	receiving  sync.Mutex // what follows belongs to who receives, and to the tick
	allowance  bucket
	reports    bucket
	repairs    bucket // sent to it
	streams    map[uint32]*stream
	order      []*stream // in the order in which they came
	in         incoming
	frame      descriptor.Descriptor // of the packet that is being received
	missing    [maxAsked]uint16
	arrivals   *bandwidth.Recorder // nil: the offerer takes no feedback
	reportedAt int64
	report     report
}

// incoming is one packet on its way through a leg. It is used again for the next.
type incoming struct {
	*port.Packet
	stream     *stream
	codec      offer.Codec
	sequence   uint16 // of the media stream, also when it came as a repair
	payload    []byte
	descriptor []byte
	frame      *descriptor.Descriptor // what it says; nil: there is none
}

// newLeg makes the connection for an offer. The offerer's recvonly media lines
// become slots, in their order, so that nothing is renegotiated when people come
// and go.
func (n *Node) newLeg(req media.OpenLeg, o offer.Offer) (*leg, media.LegOpened, error) {
	l := &leg{node: n, room: req.Room, id: req.Leg, offered: o, uses: o.Extensions, streams: map[uint32]*stream{}, allowance: legAllowance, reports: reportAllowance, repairs: repairAllowance}
	l.local = l.unused()
	for i := range o.Lines {
		line := &o.Lines[i]
		if !line.Sends {
			l.slots = append(l.slots, newSlot(l, line))
			if line.TransportCC && line.Uses.Transport != 0 && l.way.sender == nil {
				l.way.sender = bandwidth.NewSender()
			}
			continue
		}
		for _, p := range req.Tracks {
			if p.Mid == line.Mid {
				l.tracks = append(l.tracks, newTrack(l, p, line))
			}
		}
		if line.TransportCC && line.Uses.Transport != 0 && l.arrivals == nil {
			l.arrivals = new(bandwidth.Recorder)
		}
	}
	conn, err := n.port.Open(req.Fingerprint, l)
	if err != nil {
		return nil, media.LegOpened{}, problem.New(problem.CodeUnavailable, "leg %s: %w", req.Leg, err)
	}
	l.conn = conn
	opened, err := l.answer()
	if err != nil {
		l.close()
		return nil, media.LegOpened{}, problem.New(problem.CodeMediaRefused, "leg %s: %w", req.Leg, err)
	}
	return l, opened, nil
}

// unused draws a source that this leg does not use yet.
func (l *leg) unused() uint32 {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		id := binary.BigEndian.Uint32(b[:])
		if id != 0 && id != l.local && l.slotOf(id) == nil {
			return id
		}
	}
}

// answer writes the answer to the newest offer.
func (l *leg) answer() (media.LegOpened, error) {
	l.version++
	a := offer.Answer{
		Session: uint64(l.local), Version: l.version,
		Fingerprint: l.node.port.Fingerprint(), Candidates: l.node.port.Candidates(), Sources: map[string]offer.Source{},
	}
	a.Fragment, a.Password = l.conn.Credentials()
	opened := media.LegOpened{Leg: l.id}
	for _, s := range l.slots {
		a.Sources[s.mid] = offer.Source{Media: s.ssrc, Repair: s.repairs}
		opened.Slots = append(opened.Slots, media.Slot{Mid: s.mid, Kind: string(s.kind)})
	}
	var err error
	opened.Answer, err = offer.Write(l.offered, a)
	return opened, err
}

// continues reports whether an offer comes from the very connection that this
// leg is: the same peer, with the same keys, lines and tracks.
func (l *leg) continues(req media.OpenLeg, o offer.Offer) bool {
	l.answering.Lock()
	defer l.answering.Unlock()
	if !l.offered.Same(o) || len(req.Tracks) != len(l.tracks) {
		return false
	}
	for _, p := range req.Tracks {
		if t := l.track(p.Track); t == nil || t.mid != p.Mid {
			return false
		}
	}
	return true
}

// renew answers another offer of the same connection. New ICE credentials in it
// begin a new generation of the way to it, and of nothing else.
func (l *leg) renew(o offer.Offer) (media.LegOpened, error) {
	l.answering.Lock()
	defer l.answering.Unlock()
	if o.Fragment != l.offered.Fragment {
		l.conn.Restart()
	}
	l.offered = o
	opened, err := l.answer()
	if err != nil {
		return opened, problem.New(problem.CodeMediaRefused, "leg %s: %w", l.id, err)
	}
	return opened, nil
}

// readOffer checks an offer's bounds, its fingerprint and its tracks.
func readOffer(req media.OpenLeg) (offer.Offer, error) {
	refuse := func(format string, args ...any) (offer.Offer, error) {
		return offer.Offer{}, problem.New(problem.CodeMediaRefused, "offer: "+format, args...)
	}
	o, err := offer.Read(req.Offer)
	if err != nil {
		return refuse("%w", err)
	}
	if !strings.EqualFold(o.Fingerprint, req.Fingerprint) {
		return refuse("its fingerprint is not the statement's")
	}
	wanted := map[string]media.Publish{}
	for _, t := range req.Tracks {
		if _, twice := wanted[t.Mid]; twice || t.Mid == "" || t.Track.IsZero() {
			return refuse("track %s has no mid of its own", t.Track)
		}
		wanted[t.Mid] = t
	}
	slots := 0
	for _, line := range o.Lines {
		p, published := wanted[line.Mid]
		switch {
		case line.Sends != published:
			return refuse("mid %s must be sendonly with a track or recvonly without", line.Mid)
		case line.Sends && (p.Source == interview.SourceAudio) != (line.Kind == offer.Audio):
			return refuse("mid %s carries %s, not %s", line.Mid, line.Kind, p.Source)
		case !line.Sends:
			slots++
		}
		delete(wanted, line.Mid)
	}
	if len(wanted) > 0 || slots > MaxSlots {
		return refuse("%d tracks have no media line, %d slots", len(wanted), slots)
	}
	return o, nil
}

func (l *leg) track(id interview.TrackID) *track {
	for _, t := range l.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (l *leg) slot(mid string) *slot {
	for _, s := range l.slots {
		if s.mid == mid {
			return s
		}
	}
	return nil
}

// slotOf finds the slot that sends as a source.
func (l *leg) slotOf(ssrc uint32) *slot {
	for _, s := range l.slots {
		if s.ssrc == ssrc || s.repairs == ssrc {
			return s
		}
	}
	return nil
}

// State implements port.Handler.
func (l *leg) State(state port.State) {
	ev := media.Event{Room: l.room, Leg: l.id}
	switch state {
	case port.Connected, port.Moved, port.Rescued:
		// What was lost on the way before says nothing of this one.
		l.way.restart()
		if state == port.Moved {
			return // and nothing was lost
		}
		for _, s := range l.slots {
			s.wantKey()
		}
		if state == port.Rescued {
			return
		}
		l.connected.Store(true)
		ev.State = media.LegConnected
	case port.Lost:
		ev.State = media.LegDisconnected
	case port.Closed:
		l.connected.Store(false)
		l.node.leave(l)
		return
	}
	l.node.onEvent(ev)
}

// Packet implements port.Handler.
func (l *leg) Packet(out *port.Batch, p *port.Packet) {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	if !l.allowance.allow(p.At, p.Size) {
		return
	}
	if id := l.uses.Transport; l.arrivals != nil && id != 0 {
		if b := p.Header.GetExtension(id); len(b) == 2 {
			l.arrived(p.At, binary.BigEndian.Uint16(b), p.Size)
		}
	}
	s := l.streamOf(p)
	if s == nil || !s.track.allowance.allow(p.At, p.Size) {
		return
	}
	in := &l.in
	in.Packet, in.stream, in.codec, in.sequence, in.payload, in.descriptor = p, s, s.track.types.Codec(p.Header.PayloadType), p.Header.SequenceNumber, p.Payload, nil
	in.frame = nil
	if id := s.track.uses.Descriptor; id != 0 {
		in.descriptor = p.Header.GetExtension(id)
	}
	if s.arrive(in) {
		in.stream.flow.add(in)
		in.stream.track.forward(out, in)
	}
	in.stream.ask(p.At, out)
}

// trip is the round trip to the peer in nanoseconds, measured or assumed.
func (l *leg) trip() int64 {
	if trip := l.roundTrip.Load(); trip > 0 {
		return trip
	}
	return assumedTrip
}

// arrived notes when a packet came, for the sender's congestion control.
func (l *leg) arrived(at int64, sequence uint16, _ int) {
	l.arrivals.Arrived(sequence, at)
}

// tick does what is due.
func (l *leg) tick(at int64, out *port.Batch) {
	if !l.connected.Load() {
		return
	}
	for _, t := range l.tracks {
		t.askKeys(at, out)
	}
	l.receiving.Lock()
	defer l.receiving.Unlock()
	for _, s := range l.order {
		s.tick(at, out)
	}
	if l.arrivals != nil && len(l.order) > 0 {
		for {
			b := l.arrivals.Feedback(l.report.b[:0], l.local, l.order[0].ssrc, at)
			if len(b) == 0 {
				break
			}
			l.conn.SendControl(out, b)
		}
	}
	if at-l.reportedAt >= reportEvery {
		l.reportedAt = at
		l.sendReports(at, out)
		l.weighSound()
	}
}

// close ends the connection and waits for it.
func (l *leg) close() {
	for _, t := range l.tracks {
		t.setSubscribers(nil)
	}
	for _, s := range l.slots {
		s.assign(nil, media.Route{})
	}
	if l.conn != nil {
		l.conn.Close()
	}
	for _, s := range l.slots {
		s.drop()
	}
	l.way.drop()
}
