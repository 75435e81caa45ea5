package relay

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxMetered  = 64 // clients remembered at one time
	meterForget = 30 * time.Second
)

// meter answers bare datagrams as the probe does those of a data channel. It
// listens on the machine's loopback address, so that nobody reaches it but
// through the relay: sent from outside it could be made to flood a stranger.
type meter struct {
	udp  *net.UDPConn
	stop chan struct{}
	work sync.WaitGroup

	mu      sync.Mutex
	clients map[netip.AddrPort]*metered
	floods  int
}

type metered struct {
	came     tally
	total    int
	heard    time.Time
	flooding bool
}

func newMeter(six bool) (*meter, error) {
	at := net.IPv4(127, 0, 0, 1)
	if six {
		at = net.IPv6loopback
	}
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: at})
	if err != nil {
		return nil, fmt.Errorf("relay: meter: %w", err)
	}
	m := &meter{udp: u, stop: make(chan struct{}), clients: map[netip.AddrPort]*metered{}}
	m.work.Go(m.serve)
	return m, nil
}

func (m *meter) address() netip.AddrPort { return m.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

func (m *meter) close() {
	close(m.stop)
	_ = m.udp.Close()
	m.work.Wait()
}

func (m *meter) serve() {
	p := make([]byte, 2048)
	for {
		n, from, err := m.udp.ReadFromUDPAddrPort(p)
		if err != nil {
			return
		}
		if n > 0 {
			m.take(plain(from), p[:n])
		}
	}
}

func (m *meter) take(from netip.AddrPort, p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.client(from)
	if c == nil {
		return
	}
	c.heard = time.Now()
	if c.total += len(p); c.total > maxProbeBytes {
		return
	}
	switch p[0] {
	case probeEcho:
		m.send(from, p)
	case probeFill:
		c.came.add(len(p))
	case probeCount:
		m.send(from, c.came.take())
	case probeFlood:
		bits, length, ok := readFlood(p)
		if !ok || c.flooding || m.floods >= maxProbes {
			return
		}
		c.flooding = true
		m.floods++
		m.work.Go(func() {
			flood(func(p []byte) { m.send(from, p) }, bits, length, m.stop)
			m.mu.Lock()
			defer m.mu.Unlock()
			c.flooding = false
			m.floods--
		})
	}
}

// client finds or remembers a client; the lock is held.
func (m *meter) client(from netip.AddrPort) *metered {
	if c := m.clients[from]; c != nil {
		return c
	}
	if len(m.clients) >= maxMetered {
		for a, c := range m.clients {
			if !c.flooding && time.Since(c.heard) > meterForget {
				delete(m.clients, a)
			}
		}
		if len(m.clients) >= maxMetered {
			return nil
		}
	}
	c := &metered{}
	m.clients[from] = c
	return c
}

func (m *meter) send(to netip.AddrPort, p []byte) { _, _ = m.udp.WriteToUDPAddrPort(p, to) }
