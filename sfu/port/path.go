package port

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

// What the silence of the selected path means. A peer that is connected sends at
// least reports several times a second.
const (
	followAfter = 60 * time.Millisecond  // no packets: those that come by another path move it
	doubtAfter  = 250 * time.Millisecond // another path is sent everything too
	silentFor   = 500 * time.Millisecond // any fresh check by another path moves it; where only packets are missing, one that nominates
	willingFor  = 30 * time.Second       // a path that was not heard for so long is not sent to by guess (RFC 7675, section 5.1)
)

// path is one way to the peer that proved itself by a check.
type path struct {
	conn   *Conn
	socket *socket
	stream *stream // over TCP
	name   sockaddr
	key    key

	media   atomic.Int64 // when an authentic packet came last that was not seen before
	checked atomic.Int64 // likewise a check
	wanted  atomic.Int64 // when a check nominated it while packets came by another path
	since   atomic.Int64 // when it was selected

	checks, repeats quota // guarded by the connection's lock
}

// heard is when anything fresh came last.
func (to *path) heard() int64 { return max(to.media.Load(), to.checked.Load()) }

// brings reports whether packets come by it.
func (to *path) brings(at int64) bool {
	last := to.media.Load()
	return last != 0 && at-last <= int64(silentFor)
}

// heardBy notes that an authentic packet came.
func (c *Conn) heardBy(via *path, at int64) {
	via.media.Store(at)
	c.heard.Store(at)
}

// follow moves to the path by which the peer sends: at once where a check has
// nominated it, else when the selected one brings no packets any more, since a peer
// that has left a path may tell only with its next check. Checks do not hold the
// selected one against that. That a late packet comes by the path before changes
// nothing.
func (c *Conn) follow(via *path, at int64) {
	selected := c.selected.Load()
	if selected == via || selected == nil {
		return
	}
	since := selected.since.Load()
	if via.wanted.Load() <= since && at-max(selected.media.Load(), since) <= int64(followAfter) {
		return
	}
	c.choose(selected, via, at)
}

// choose moves from one path to another, unless somebody else did meanwhile.
func (c *Conn) choose(from, to *path, at int64) {
	to.since.Store(at)
	if !c.selected.CompareAndSwap(from, to) || from == nil {
		return
	}
	if at-from.heard() > int64(doubtAfter) {
		c.handler.State(Rescued)
	} else {
		c.handler.State(Moved)
	}
}

// doubt has another path sent everything too while the selected one is silent:
// who is there to hear it does not wait until the peer finds out and says so.
func (c *Conn) doubt(now int64) {
	selected := c.selected.Load()
	if selected == nil || now-selected.heard() <= int64(doubtAfter) {
		c.beside.Store(nil)
		return
	}
	c.port.mu.RLock()
	other := c.other(selected, now)
	c.port.mu.RUnlock()
	c.beside.Store(other)
}

// other is the best path beside one: from another address of the peer's, since
// those of the same are on the same network, and heard last; nil where none is to
// be sent to. The port's lock is held.
func (c *Conn) other(than *path, now int64) (best *path) {
	better := func(a, b *path) bool {
		if apart := a.host() != than.host(); apart != (b.host() != than.host()) {
			return apart
		}
		return a.heard() > b.heard()
	}
	for _, to := range c.paths {
		if to == than || now-to.heard() > int64(willingFor) || c.port.byAddr[to.key] != to {
			continue
		}
		if best == nil || better(to, best) {
			best = to
		}
	}
	return best
}

// host is the peer's address without its port.
func (to *path) host() netip.Addr {
	if to.stream != nil {
		return to.stream.conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	}
	return to.name.addrPort().Addr()
}

// gone takes out a path whose stream has ended, and goes on by another.
func (c *Conn) gone(via *path, now int64) {
	p := c.port
	p.mu.Lock()
	_, open := p.conns[c]
	if p.byAddr[via.key] == via {
		delete(p.byAddr, via.key)
	}
	c.paths = slices.DeleteFunc(c.paths, func(to *path) bool { return to == via })
	other := c.other(via, now)
	p.mu.Unlock()
	if open && other != nil && c.selected.CompareAndSwap(via, other) {
		c.handler.State(Rescued)
	}
}

// forget drops the path that was not heard for longest of those that are not in
// use, with its stream: nobody else would ever end that. The port's lock is held.
func (c *Conn) forget() {
	selected := c.selected.Load()
	oldest := -1
	for i, to := range c.paths {
		if to != selected && (oldest < 0 || to.heard() < c.paths[oldest].heard()) {
			oldest = i
		}
	}
	if oldest < 0 {
		return
	}
	to := c.paths[oldest]
	if to.stream != nil {
		to.stream.close()
	}
	if c.port.byAddr[to.key] == to {
		delete(c.port.byAddr, to.key)
	}
	c.paths = slices.Delete(c.paths, oldest, oldest+1)
}

// mapped is the address that the peer is seen at.
func (to *path) mapped() *stun.XORMappedAddress {
	if to.stream != nil {
		a := to.stream.conn.RemoteAddr().(*net.TCPAddr)
		return &stun.XORMappedAddress{IP: a.IP, Port: a.Port}
	}
	a := to.name.addrPort()
	return &stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}
