package member

import (
	"errors"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/wire"
)

// How a broken media connection is mended.
const (
	lookEvery    = 500 * time.Millisecond
	tryEvery     = time.Second
	connectTakes = 5 * time.Second // after that one that does not come up is broken
	restarts     = 2               // before a connection is begun anew
)

// link is the media connection of now.
func (m *Member) link() *Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peer
}

// look has the media connection looked at soon.
func (m *Member) look() {
	select {
	case m.broken <- struct{}{}:
	default:
	}
}

// forgotten takes the room's word on which leg it knows of this member.
func (m *Member) forgotten(leg interview.LegID) {
	m.mu.Lock()
	m.peer.mu.Lock()
	lost := !m.peer.leg.IsZero() && m.peer.leg != leg
	m.peer.mu.Unlock()
	m.renew = m.renew || lost
	m.mu.Unlock()
	if lost {
		m.look()
	}
}

// keepLink mends the media connection until the member leaves: on another path
// first, then by a new connection.
func (m *Member) keepLink() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	tried, tries := time.Now(), 0
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.broken:
		case <-tick.C:
		}
		m.mu.Lock()
		renew := m.renew
		m.mu.Unlock()
		since := time.Since(tried)
		switch state := m.link().pc.ConnectionState(); {
		case renew:
		case state == webrtc.PeerConnectionStateConnected:
			tries = 0
			continue
		case state == webrtc.PeerConnectionStateNew || state == webrtc.PeerConnectionStateConnecting:
			if since < connectTakes {
				continue
			}
		}
		if since < tryEvery && tries > 0 && !renew { // what the room forgot no waiting brings back
			continue
		}
		tries++
		tried = time.Now()
		if err := m.mend(renew || tries > restarts); err != nil {
			m.log.Warn("media connection could not be mended", "try", tries, "err", err)
		}
	}
}

// errForgotten says that the media node answered for another connection.
var errForgotten = errors.New("the media node does not know this connection any more")

func (m *Member) mend(anew bool) error {
	if !anew {
		err := m.call(m.link())
		if !errors.Is(err, errForgotten) {
			return err
		}
	}
	old := m.link()
	next, err := old.Anew()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.peer, m.renew = next, false
	m.mu.Unlock()
	old.Close()
	return m.call(next)
}

// call offers a connection and takes the answer.
func (m *Member) call(p *Peer) error {
	offer, err := p.Offer()
	if err != nil {
		return err
	}
	var answer wire.Answer
	if err := m.Request(m.ctx, wire.TypeOffer, offer, &answer); err != nil {
		return err
	}
	p.mu.Lock()
	known := p.leg.IsZero() || p.leg == answer.Leg
	p.leg = answer.Leg
	p.mu.Unlock()
	if !known {
		return errForgotten
	}
	for _, hint := range answer.Hints {
		if err := m.takeHint(hint); err != nil {
			return err
		}
	}
	return p.Answer(answer.SDP)
}
