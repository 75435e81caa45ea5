package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
)

func FuzzName(f *testing.F) {
	f.Add("1700000000:dev_01890000-0000-7000-8000-000000000001")
	f.Add(":")
	f.Add("-1:x")
	f.Fuzz(func(t *testing.T, name string) {
		device, expires, err := readName(name)
		if err == nil && (device == "" || expires.Unix() <= 0 || len(name) > maxName) {
			t.Fatalf("%q was read as %q until %s", name, device, expires)
		}
	})
}

func FuzzFlood(f *testing.F) {
	f.Add([]byte{'d', 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		bits, length, ok := readFlood(p)
		if ok && (bits <= 0 || bits > maxFlood || length < 0 || length > maxFloodTime) {
			t.Fatalf("%x: %d bit/s for %s", p, bits, length)
		}
	})
}

// probing connects a data channel straight to the probe.
func probing(t *testing.T, p *probe) (*webrtc.DataChannel, <-chan []byte) {
	t.Helper()
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	ordered, again := false, uint16(0)
	d, err := pc.CreateDataChannel("path", &webrtc.DataChannelInit{Ordered: &ordered, MaxRetransmits: &again})
	if err != nil {
		t.Fatal(err)
	}
	opened, got := make(chan struct{}), make(chan []byte, 10000)
	d.OnOpen(func() { close(opened) })
	d.OnMessage(func(m webrtc.DataChannelMessage) { got <- m.Data })
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer, err := p.answer(t.Context(), pc.LocalDescription().SDP)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-opened:
	case <-time.After(10 * time.Second):
		t.Fatal("the probe does not answer")
	}
	return d, got
}

func aProbe(t *testing.T) *probe {
	t.Helper()
	p, err := newProbe(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func next(t *testing.T, got <-chan []byte) []byte {
	t.Helper()
	select {
	case b := <-got:
		return b
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		return nil
	}
}

func TestProbeMeasuresBothWays(t *testing.T) {
	t.Parallel()
	d, got := probing(t, aProbe(t))
	if err := d.Send([]byte("e7")); err != nil {
		t.Fatal(err)
	}
	if b := next(t, got); string(b) != "e7" {
		t.Fatalf("echo: %q", b)
	}
	for range 20 {
		if err := d.Send(append([]byte{probeFill}, make([]byte, 499)...)); err != nil {
			t.Fatal(err)
		}
	}
	counted := uint32(0)
	for counted < 10000 { // unordered: the question may overtake what it asks about
		if err := d.Send([]byte{probeCount}); err != nil {
			t.Fatal(err)
		}
		b := next(t, got)
		if len(b) != 13 || b[0] != probeCount {
			t.Fatalf("count: %x", b)
		}
		counted += binary.BigEndian.Uint32(b[5:])
	}
	ask := binary.BigEndian.AppendUint32([]byte{probeFlood}, 1_000_000)
	if err := d.Send(binary.BigEndian.AppendUint16(ask, 200)); err != nil {
		t.Fatal(err)
	}
	for came := 0; ; came++ {
		b := next(t, got)
		if b[0] == probeDone {
			if sent := int(binary.BigEndian.Uint32(b[1:])); sent < 15 || came == 0 || came > sent {
				t.Errorf("%d packets came of %d", came, sent)
			}
			break
		}
	}
}

func TestProbeIsBounded(t *testing.T) {
	t.Parallel()
	p := aProbe(t)
	if _, err := p.answer(t.Context(), string(make([]byte, probeOffer+1))); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
		t.Errorf("a huge offer: %v", err)
	}
	if _, err := p.answer(t.Context(), "v=0"); !errors.Is(err, problem.New(problem.CodeMediaRefused, "")) {
		t.Errorf("no offer: %v", err)
	}
	media, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer media.Close()
	if _, err := media.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	withMedia, err := media.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.answer(t.Context(), withMedia.SDP); !errors.Is(err, problem.New(problem.CodeMediaRefused, "")) {
		t.Errorf("an offer of media: %v", err)
	}
	open := 0
	offerer, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer offerer.Close()
	if _, err := offerer.CreateDataChannel("path", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := offerer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range maxProbes + 4 { // those refused above may still be giving their place back
		_, err := p.answer(ctx, offer.SDP)
		switch {
		case err == nil:
			open++
		case !errors.Is(err, problem.New(problem.CodeUnavailable, "")):
			t.Fatal(err)
		}
	}
	if open == 0 || open > maxProbes {
		t.Errorf("%d measurements at once, at most %d", open, maxProbes)
	}
}

// Places of the relay are bounded in all, not only for each device.
func TestAllocationsOfAllAreBounded(t *testing.T) {
	t.Parallel()
	s := &Server{device: map[string]int{}, total: MaxAllocations - 1}
	name := "1700000000:dev_one"
	if !s.quota(name, Realm, nil) {
		t.Error("the last place was refused")
	}
	s.total = MaxAllocations
	if s.quota(name, Realm, nil) || s.count.quota.Load() != 1 {
		t.Error("one place more was given")
	}
	if s.total = 0; s.quota("no name", Realm, nil) {
		t.Error("a name that is none was given a place")
	}
}

// A client that binds channels without end loses its allocation.
func TestChannelsAreBounded(t *testing.T) {
	t.Parallel()
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{UDPConn: u, forget: func() {}}
	s := &Server{relays: map[string]*conn{u.LocalAddr().String(): c}}
	bind := s.events().OnChannelCreated
	for i := range maxChannels + 1 {
		if _, err := u.SyscallConn(); err != nil {
			t.Fatal(err)
		}
		if err := u.SetDeadline(time.Now()); err != nil {
			t.Fatalf("closed after %d channels: %v", i, err)
		}
		bind(nil, nil, "", "", "", u.LocalAddr(), nil, 0)
	}
	if err := u.SetDeadline(time.Now()); err == nil {
		t.Errorf("open with %d channels", maxChannels+1)
	}
	s.events().OnChannelDeleted(nil, nil, "", "", "", u.LocalAddr(), nil, 0)
	if c.channels.Load() != maxChannels {
		t.Errorf("%d channels are counted", c.channels.Load())
	}
}

// The meter knows so many clients, answers each so many bytes, and floods each
// once at a time.
func TestTheMeterIsBounded(t *testing.T) {
	t.Parallel()
	m, err := newMeter(false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), 9)
	}
	for i := range maxMetered + 10 {
		m.take(at(i), []byte{probeFill, 0})
	}
	if len(m.clients) != maxMetered || m.clients[at(maxMetered)] != nil {
		t.Errorf("%d clients are remembered, at most %d", len(m.clients), maxMetered)
	}
	m.clients[at(0)].heard = time.Now().Add(-meterForget - time.Second)
	m.take(at(maxMetered), []byte{probeFill, 0})
	if m.clients[at(maxMetered)] == nil || m.clients[at(0)] != nil {
		t.Error("who was silent for long still holds a place")
	}
	c := m.clients[at(1)]
	c.total, c.came = maxProbeBytes, tally{}
	m.take(at(1), []byte{probeFill, 0})
	if c.came.packets != 0 {
		t.Errorf("what is beyond %d bytes was counted", maxProbeBytes)
	}
	flood := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32([]byte{probeFlood}, 1000), 2000)
	for range 3 {
		m.take(at(2), flood)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.floods != 1 {
		t.Errorf("%d floods of one client", m.floods)
	}
}

// quietConn is a connection that is never heard from; it notes its deadline.
type quietConn struct {
	net.Conn
	remote   net.Addr
	deadline time.Time
	closed   bool
}

func (c *quietConn) RemoteAddr() net.Addr              { return c.remote }
func (c *quietConn) SetDeadline(t time.Time) error     { c.deadline = t; return nil }
func (c *quietConn) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }
func (c *quietConn) Read([]byte) (int, error)          { return 0, nil }
func (c *quietConn) Close() error                      { c.closed = true; return nil }

// queue is a listener that has connections waiting.
type queue struct{ waiting []net.Conn }

func (q *queue) Accept() (net.Conn, error) {
	if len(q.waiting) == 0 {
		return nil, net.ErrClosed
	}
	c := q.waiting[0]
	q.waiting = q.waiting[1:]
	return c, nil
}
func (q *queue) Close() error   { return nil }
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

// Streams are bounded in number, and each in time: 20 s until it has an
// allocation, 12 minutes between two messages after.
func TestStreamsAreBoundedInNumberAndTime(t *testing.T) {
	t.Parallel()
	q := &queue{}
	for i := range 4 {
		q.waiting = append(q.waiting, &quietConn{remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 9}})
	}
	all := append([]net.Conn{}, q.waiting...)
	l := newListener(q, 3, 3)
	var taken []*stream
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		taken = append(taken, c.(*stream))
	}
	if len(taken) != 3 || !all[3].(*quietConn).closed {
		t.Fatalf("%d streams were taken, at most 3", len(taken))
	}
	first := all[0].(*quietConn)
	if left := time.Until(first.deadline); left <= 0 || left > idleBefore {
		t.Errorf("a stranger has %v", left)
	}
	before := first.deadline
	_, _ = taken[0].Read(nil)
	if first.deadline != before {
		t.Error("a stranger that says something has longer")
	}
	l.admit(first.remote)
	if !first.deadline.IsZero() {
		t.Errorf("who has an allocation is cut at %v", first.deadline)
	}
	_, _ = taken[0].Read(nil)
	if left := time.Until(first.deadline); left <= idleBefore || left > idleAfter {
		t.Errorf("who has an allocation and is silent has %v", left)
	}
}
