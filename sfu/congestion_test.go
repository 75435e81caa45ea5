package sfu

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
	"kuule/sfu/port"
	"kuule/sfu/sfutest"
)

// stage is a room of four in time that only the test moves: three people who
// publish a voice and a picture of three layers, and one who receives them all
// over a link.
type stage struct {
	t       *testing.T
	now     time.Duration
	node    *Node
	work    allocation
	people  []*publisher
	hearer  *leg
	down    *sfutest.Link
	up      *sfutest.Link
	way     []arrival // to the hearer
	back    []arrival // its feedback
	inbox   []*inbox  // what waits for the node while it stands still
	arrived bandwidth.Recorder
	stands  struct{ node, hearer stalls } // moments in which they do not get the processor
	heard   map[uint32]*heard             // by source
	hints   map[interview.TrackID]media.Advice
	told    map[interview.LegID]media.Quality
	late    time.Duration // the longest that a voice packet was on its way
	ticked  time.Duration
}

// arrival is a packet on its way.
type arrival struct {
	at, sent time.Duration
	bytes    []byte
}

// inbox is a packet of a publisher's that the node has not read.
type inbox struct {
	from *leg
	*port.Packet
}

// heard is what came of one slot.
type heard struct {
	slot    *slot
	packets int
	frames  int // whole pictures
	bytes   int
	next    uint16
	open    bool // no packet of the frame is missing so far
}

// publisher sends like a page does.
type publisher struct {
	leg      *leg
	voice    *track
	face     *track
	sequence [4]uint16 // voice, then layers
	frame    uint16
	keys     [3]bool
	nextTalk time.Duration
	nextShot time.Duration
	sent     int // voice packets
}

// Sources of a publisher, added to its own base.
const voiceSource, layerSource = 1, 10

var layerRates = [3]int{150_000, 500_000, 1_500_000}

func newStage(t *testing.T, link sfutest.Shape, height int) *stage {
	s := &stage{t: t, now: time.Second, down: sfutest.NewLink(link, 1), up: sfutest.NewLink(sfutest.Shape{Delay: link.Delay}, 2), heard: map[uint32]*heard{}, hints: map[interview.TrackID]media.Advice{}, told: map[interview.LegID]media.Quality{}}
	s.node = &Node{onHint: func(h media.Hint) { s.hints[h.Track] = h.Advice }, onQuality: func(q media.Quality) { s.told[q.Leg] = q }}
	s.hearer = &leg{node: s.node, streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12)}
	s.hearer.conn = lineTo{s}
	s.hearer.connected.Store(true)
	s.hearer.way.sender = bandwidth.NewSender()
	r := &room{legs: map[interview.LegID]*leg{}}
	s.hearer.id = interview.NewLegID()
	r.legs[s.hearer.id] = s.hearer
	for i := range 3 {
		p := &publisher{}
		p.leg = &leg{node: s.node, id: interview.NewLegID(), streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12), uses: offer.Extensions{Mid: 1, Rid: 2, Descriptor: 5, Mixed: true}}
		p.leg.conn = askedBy{p}
		p.leg.connected.Store(true)
		for _, kind := range []offer.Kind{offer.Audio, offer.Video} {
			line := testLine(kind, string(kind), true)
			line.Sources = nil
			if kind == offer.Video {
				line.Rids = []string{"f", "h", "q"}
			}
			tr := newTrack(p.leg, media.Publish{Track: interview.NewTrackID(), Mid: string(kind)}, line)
			tr.allowance = allowing(1e9, 1e12)
			p.leg.tracks = append(p.leg.tracks, tr)
			to := testLine(kind, string(rune('a'+len(s.hearer.slots))), false)
			to.Uses.Transport = 6
			sl := newSlot(s.hearer, to)
			s.hearer.slots = append(s.hearer.slots, sl)
			s.heard[sl.ssrc] = &heard{slot: sl}
			// The second publisher matters most.
			r.table.Routes = append(r.table.Routes, media.Route{From: p.leg.id, Track: tr.id, To: s.hearer.id, Mid: sl.mid, Rank: []int{1, 0, 2}[i], Height: height})
		}
		p.voice, p.face = p.leg.tracks[0], p.leg.tracks[1]
		r.legs[p.leg.id] = p.leg
		s.people = append(s.people, p)
	}
	r.apply(nil)
	return s
}

// lineTo is the hearer's network: the link.
type lineTo struct{ s *stage }

func (l lineTo) Send(_ *port.Batch, header, prefix, payload []byte) {
	b := append(append(append([]byte(nil), header...), prefix...), payload...)
	if at, ok := l.s.down.Send(len(b)+tagBytes+bandwidth.Overhead, l.s.now); ok {
		l.s.way = append(l.s.way, arrival{at: at, sent: l.s.now, bytes: b}) // a link keeps the order
	}
}
func (l lineTo) SendControl(*port.Batch, []byte) {}
func (l lineTo) Credentials() (string, string)   { return "", "" }
func (l lineTo) Restart() (string, string)       { return "", "" }
func (l lineTo) Close()                          {}

// askedBy is a publisher's network: requests for key frames come over it.
type askedBy struct{ p *publisher }

func (a askedBy) Send(*port.Batch, []byte, []byte, []byte) {}
func (a askedBy) SendControl(_ *port.Batch, b []byte) {
	if b[1] == typePayload && b[0]&0x1f == formatPLI {
		a.p.keys[binary.BigEndian.Uint32(b[8:])-layerSource] = true
	}
}
func (a askedBy) Credentials() (string, string) { return "", "" }
func (a askedBy) Restart() (string, string)     { return "", "" }
func (a askedBy) Close()                        {}

// run lets time pass, in steps of the node's quickest tick.
func (s *stage) run(d time.Duration) {
	for end := s.now + d; s.now < end; s.now += paceEvery {
		if !s.stands.hearer.at(s.now) {
			s.listen()
		}
		for _, p := range s.people {
			s.publish(p)
		}
		if s.stands.node.at(s.now) {
			continue
		}
		for ; len(s.back) > 0 && s.back[0].at <= s.now; s.back = s.back[1:] {
			s.hearer.Control(nil, int64(s.now), s.back[0].bytes)
		}
		for _, p := range s.inbox {
			p.At = int64(s.now)
			p.from.Packet(nil, p.Packet)
		}
		s.inbox = s.inbox[:0]
		if s.now-s.ticked >= tickEvery {
			s.ticked = s.now
			for _, l := range s.legs() {
				l.tick(int64(s.now), nil)
				l.allocate(&s.work, int64(s.now))
				l.observe(int64(s.now))
			}
		}
		s.hearer.pace(int64(s.now), nil)
	}
}

// listen is the hearer's turn: it sees what came when it looks.
func (s *stage) listen() {
	for ; len(s.way) > 0 && s.way[0].at <= s.now; s.way = s.way[1:] {
		a := s.way[0]
		if s.stands.hearer.every > 0 {
			a.at = s.now
		}
		s.take(a)
	}
	if b := s.arrived.Feedback(nil, 1, 2, int64(s.now)); len(b) > 0 {
		if at, ok := s.up.Send(len(b)+bandwidth.Overhead, s.now); ok {
			s.back = append(s.back, arrival{at: at, bytes: b})
		}
	}
}

func (s *stage) legs() []*leg {
	out := []*leg{s.hearer}
	for _, p := range s.people {
		out = append(out, p.leg)
	}
	return out
}

// publish sends what a page sends now: it heeds what it is advised.
func (s *stage) publish(p *publisher) {
	if s.now >= p.nextTalk {
		every, size := 20*time.Millisecond, 90
		if a := s.hints[p.voice.id]; a.PacketMS == 60 && a.Bitrate == 16_000 {
			every, size = 60*time.Millisecond, 150
		}
		p.nextTalk = s.now + every
		p.sent++
		p.sequence[0]++
		s.packet(p, voiceSource, p.sequence[0], uint32(s.now/1000*48/1000), true, nil, "audio", "", size)
	}
	if s.now < p.nextShot {
		return
	}
	p.nextShot = s.now + 35*time.Millisecond
	unneeded := map[string]bool{}
	for _, rid := range s.hints[p.face.id].Unneeded {
		unneeded[rid] = true
	}
	for l, rate := range layerRates {
		rid := []string{"q", "h", "f"}[l]
		if unneeded[rid] {
			continue
		}
		p.frame++
		left := rate * 35 / 8000
		key := p.keys[l] || p.sequence[1+l] == 0
		if p.keys[l] = false; key {
			left *= 4
		}
		for first := true; left > 0; first = false {
			n := min(left, 1100)
			left -= n
			d := []byte{1, byte(p.frame >> 8), byte(p.frame)}
			if key {
				d[0] = 0
			}
			if first {
				d[0] |= 0x80
			}
			if left == 0 {
				d[0] |= 0x40
			}
			if key && first {
				d = append(d, keyDescriptor[3:]...)
			}
			p.sequence[1+l]++
			s.packet(p, layerSource+uint32(l), p.sequence[1+l], uint32(s.now/1000*90/1000), left == 0, d, "video", rid, n)
		}
	}
}

func (s *stage) packet(p *publisher, source uint32, sequence uint16, timestamp uint32, marker bool, d []byte, mid, rid string, size int) {
	in := &port.Packet{
		Header:  rtp.Header{Version: 2, SSRC: source, PayloadType: testPayload, SequenceNumber: sequence, Timestamp: timestamp, Marker: marker},
		Payload: make([]byte, size), Size: size + 40, Buffer: &port.Buffer{},
	}
	for range 4 { // never back into a pool
		in.Buffer.Retain()
	}
	for id, value := range map[uint8]string{1: mid, 2: rid, 5: string(d)} {
		if value != "" {
			if err := in.Header.SetExtension(id, []byte(value)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	s.inbox = append(s.inbox, &inbox{p.leg, in})
}

// take is the hearer's side.
func (s *stage) take(a arrival) {
	var in rtp.Packet
	if err := in.Unmarshal(a.bytes); err != nil {
		s.t.Fatalf("what was sent is no packet: %v", err)
	}
	number := in.GetExtension(6)
	if len(number) != 2 {
		s.t.Fatal("a packet without a transport-wide number")
	}
	s.arrived.Arrived(binary.BigEndian.Uint16(number), int64(a.at))
	h := s.heard[in.SSRC]
	if h == nil || len(in.Payload) == 0 {
		return // padding
	}
	if h.packets > 0 && in.SequenceNumber != h.next {
		h.open = false
	}
	h.next = in.SequenceNumber + 1
	h.packets++
	h.bytes += len(in.Payload)
	if h.slot.kind == offer.Audio {
		s.late = max(s.late, a.at-a.sent)
		return
	}
	if d := in.GetExtension(5); len(d) >= 3 && d[0]&0x80 != 0 {
		h.open = true
	}
	if in.Marker && h.open {
		h.frames++
	}
}

// forget begins to count anew.
func (s *stage) forget() {
	for _, h := range s.heard {
		h.packets, h.frames, h.bytes = 0, 0, 0
	}
	for _, p := range s.people {
		p.sent = 0
	}
	s.late = 0
}

// of gives what was heard of a publisher: the voice, the face.
func (s *stage) of(i int) (voice, face *heard) {
	return s.heard[s.hearer.slots[2*i].ssrc], s.heard[s.hearer.slots[2*i+1].ssrc]
}

var wideLink = sfutest.Shape{Rate: 8_000_000, Delay: 25 * time.Millisecond}

// N5: what a narrow link keeps, and how soon everything is back: with a node's
// own legs, layers, pacing and advice, and publishers who heed it.
func TestANarrowLinkKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		rate   int
		voices [3]bool // that have to come whole
		face   bool    // of the second publisher, whose voice matters most too
		long   [3]bool // voices that may be asked for in long packets: no more than it takes
	}{
		{"500 kbit/s", 500_000, [3]bool{true, true, true}, true, [3]bool{}},
		{"150 kbit/s", 150_000, [3]bool{true, true, true}, false, [3]bool{true, true, true}},
		{"60 kbit/s", 60_000, [3]bool{false, true, false}, false, [3]bool{false, true, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, wideLink, 0)
			s.run(10 * time.Second)
			s.forget()
			s.run(5 * time.Second)
			s.whole("on the wide link")

			narrow := wideLink
			narrow.Rate = tc.rate
			s.down.Set(narrow)
			s.run(5 * time.Second)
			s.forget()
			s.run(30 * time.Second)
			asked := 0
			for i, p := range s.people {
				voice, face := s.of(i)
				share := 100 * float64(voice.packets) / float64(p.sent)
				t.Logf("publisher %d: %.1f %% of %d voice packets, %d pictures, %d kbit/s of them; advice %+v", i, share, p.sent, face.frames, face.bytes*8/30/1000, s.hints[p.voice.id])
				if tc.voices[i] && share < 99 {
					t.Errorf("only %.1f %% of the voice of publisher %d came", share, i)
				}
				if tc.face && i == 1 && face.frames < 25*30 {
					t.Errorf("%d whole pictures of the face that matters in 30 s", face.frames)
				}
				if a := s.hints[p.voice.id]; a.PacketMS == 60 {
					asked++
					if !tc.long[i] {
						t.Errorf("publisher %d is advised %+v", i, a)
					}
				}
			}
			if (asked > 0) != (tc.rate < 500_000) {
				t.Errorf("%d voices are asked for in long packets", asked)
			}
			t.Logf("the longest way of a voice packet %v, estimate %d", s.late, s.hearer.way.sender.Estimate())
			if s.late > 400*time.Millisecond {
				t.Errorf("a voice packet was on its way for %v", s.late)
			}

			s.down.Set(wideLink)
			back := s.now
			for !s.top() && s.now < back+20*time.Second {
				s.run(20 * time.Millisecond)
			}
			t.Logf("everything is back after %v", s.now-back)
			if s.now-back > 5*time.Second {
				t.Errorf("everything is back only after %v", s.now-back)
			}
			s.run(6 * time.Second)
			s.forget()
			s.run(5 * time.Second)
			s.whole("after the link's return")
			for _, p := range s.people {
				if a := s.hints[p.voice.id]; a.PacketMS != 0 {
					t.Errorf("still advised %+v", a)
				}
			}
		})
	}
}

// top reports whether everything is sent at its largest.
func (s *stage) top() bool {
	for i := range s.people {
		if voice, face := s.of(i); face.slot.selector.Current() != 2 || voice.slot.selector.Current() < 0 {
			return false
		}
	}
	return true
}

// whole checks that five seconds lost nothing.
func (s *stage) whole(when string) {
	s.t.Helper()
	for i, p := range s.people {
		voice, face := s.of(i)
		if voice.packets < p.sent*99/100 || face.frames < 5*28 || face.bytes*8/5 < layerRates[2]*9/10 {
			s.t.Errorf("%s: publisher %d: %d of %d voice packets, %d pictures of %d kbit/s, estimate %d", when, i, voice.packets, p.sent, face.frames, face.bytes*8/5/1000, s.hearer.way.sender.Estimate())
		}
	}
}

// What no tile shows is not sent, and its sender is told.
func TestSmallTilesGetSmallLayers(t *testing.T) {
	t.Parallel()
	s := newStage(t, wideLink, 180)
	s.run(10 * time.Second)
	s.forget()
	s.run(5 * time.Second)
	for i, p := range s.people {
		_, face := s.of(i)
		if rate := face.bytes * 8 / 5; rate > layerRates[0]*12/10 || face.frames < 5*28 {
			t.Errorf("publisher %d: %d pictures, %d bit/s", i, face.frames, rate)
		}
		if u := s.hints[p.face.id].Unneeded; len(u) != 2 || u[0] != "h" || u[1] != "f" {
			t.Errorf("publisher %d was told that %q are not needed", i, u)
		}
	}
	// A tile that grows has its layer sent again.
	for i := range s.people {
		_, face := s.of(i)
		face.slot.assign(face.slot.source, media.Route{Rank: 1, Height: 720})
	}
	s.run(3 * time.Second)
	for i := range s.people {
		if _, face := s.of(i); face.slot.selector.Current() != 2 {
			t.Errorf("publisher %d: layer %d for a large tile", i, face.slot.selector.Current())
		}
	}
}

// M4: what is told of a leg every two seconds is what happened on it.
func TestQualityIsTold(t *testing.T) {
	t.Parallel()
	s := newStage(t, wideLink, 0)
	s.run(10 * time.Second)
	near := func(what string, got, want int64) {
		t.Helper()
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("%s: %d, want about %d", what, got, want)
		}
	}
	q := s.told[s.hearer.id]
	if q.IntervalMS < 1900 || q.IntervalMS > 2100 || len(q.Slots) != 6 || len(q.Tracks) != 0 || q.Up.Packets != 0 {
		t.Fatalf("%+v", q)
	}
	near("wanted", q.Wanted, 5_000_000)
	near("down", q.Down.Bitrate, 5_000_000)
	near("round trip", q.RTT, 58_000)
	if q.Down.Loss != 0 || q.Estimate != 0 && q.Estimate < q.Wanted {
		t.Errorf("%+v", q)
	}
	for i, slot := range q.Slots {
		if want := int64(1_560_000); i%2 == 1 {
			near("picture", slot.Bitrate, want)
			if slot.Rid != "f" || slot.Shed || slot.Freezes != 0 {
				t.Errorf("%+v", slot)
			}
		} else {
			near("voice", slot.Bitrate, 62_000)
		}
	}
	q = s.told[s.people[1].leg.id]
	if len(q.Tracks) != 2 || len(q.Tracks[1].Layers) != 3 || q.Tracks[1].Layers[0].Rid != "q" || q.Tracks[1].Layers[0].FPS != 28 && q.Tracks[1].Layers[0].FPS != 29 {
		t.Fatalf("%+v", q.Tracks)
	}
	near("up", q.Up.Bitrate, 1_850_000) // the middle layer is of use to nobody

	lossy := wideLink
	lossy.Loss = 0.05
	s.down.Set(lossy)
	s.run(6 * time.Second)
	if loss := s.told[s.hearer.id].Down.Loss; loss < 25_000 || loss > 80_000 {
		t.Errorf("%d millionths are said to be lost, want about 50000", loss)
	}
	narrow := wideLink
	narrow.Rate = 150_000
	s.down.Set(narrow)
	s.run(8 * time.Second)
	q = s.told[s.hearer.id]
	shed := 0
	for _, slot := range q.Slots {
		if slot.Shed {
			shed++
		}
	}
	if shed != 3 || q.Estimate > 200_000 || q.Wanted < 4_000_000 {
		t.Errorf("%d slots are shed, %+v", shed, q)
	}
	s.down.Set(wideLink)
	s.run(6 * time.Second)
	frozen := int64(0)
	for _, slot := range s.told[s.hearer.id].Slots {
		frozen += slot.Freezes
	}
	if frozen > 0 {
		t.Error("pictures that were shed count as frozen")
	}
}
