package port

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	size   uint32
}

// sockaddr holds an address of either family as the kernel writes it: both
// begin with family and port, an IPv6 address is the longer one.
type sockaddr struct {
	raw  unix.RawSockaddrInet6
	size uint32
}

func sockaddrOf(a netip.AddrPort) sockaddr {
	var s sockaddr
	if addr := a.Addr().Unmap(); addr.Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		v4.Family, v4.Addr = unix.AF_INET, addr.As4()
		s.size = unix.SizeofSockaddrInet4
	} else {
		s.raw.Family, s.raw.Addr = unix.AF_INET6, addr.As16()
		s.size = unix.SizeofSockaddrInet6
	}
	port := (*[2]byte)(unsafe.Pointer(&s.raw.Port))
	binary.BigEndian.PutUint16(port[:], a.Port())
	return s
}

func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.raw.Port))[:])
	if s.raw.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), port)
}

// key tells remote addresses apart; link-local ones also by their interface.
type key struct {
	addr  [16]byte
	scope uint32
	port  uint16
	over  uint16 // the socket's number
}

func (s *sockaddr) key(over uint16) key {
	k := key{port: s.raw.Port, over: over}
	if s.raw.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr
		copy(k.addr[:], v4[:])
		return k
	}
	k.addr, k.scope = s.raw.Addr, s.raw.Scope_id
	return k
}

// receiver reads datagrams many at a time.
type receiver struct {
	raw   syscall.RawConn
	pool  *pool
	msgs  [readAtOnce]mmsghdr
	iovs  [readAtOnce]unix.Iovec
	names [readAtOnce]sockaddr
	bufs  [readAtOnce]*Buffer
	n     int
	err   error
	take  func(fd uintptr) bool
	look  func(fd uintptr) bool
}

func newReceiver(raw syscall.RawConn, p *pool) *receiver {
	r := &receiver{raw: raw, pool: p}
	for i := range r.msgs {
		r.bufs[i] = p.get()
		r.arm(i)
	}
	r.take = r.receive
	r.look = func(fd uintptr) bool {
		r.n = 0
		r.receive(fd)
		return true
	}
	return r
}

func (r *receiver) arm(i int) {
	r.iovs[i].Base = &r.bufs[i].data[0]
	r.iovs[i].SetLen(MaxDatagram)
	h := &r.msgs[i].header
	h.Iov, h.Name = &r.iovs[i], (*byte)(unsafe.Pointer(&r.names[i].raw))
	h.SetIovlen(1)
	h.Namelen = unix.SizeofSockaddrInet6
}

// receive, as send below, does not tell the runtime that it enters the system:
// nothing waits there, and after an idle moment being told wakes a thread of the
// runtime's for each packet. What is stopped for may wait for one batch.
func (r *receiver) receive(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), readAtOnce, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		r.n, r.err = int(n), nil
		return true
	case unix.EAGAIN:
		return false
	case unix.EINTR, unix.ECONNREFUSED:
		r.n, r.err = 0, nil
		return true
	default:
		r.n, r.err = 0, errno
		return true
	}
}

// wait blocks until datagrams came; it reports how many.
func (r *receiver) wait() (int, error) {
	if err := r.raw.Read(r.take); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// more takes what has come meanwhile; it reports how many.
func (r *receiver) more() (int, error) {
	if err := r.raw.Read(r.look); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// datagram gives the i-th of those received, nil when it did not fit.
func (r *receiver) datagram(i int) (*Buffer, []byte, *sockaddr) {
	m := &r.msgs[i]
	if m.header.Flags&unix.MSG_TRUNC != 0 {
		return nil, nil, nil
	}
	r.names[i].size = m.header.Namelen
	return r.bufs[i], r.bufs[i].data[:m.size], &r.names[i]
}

// done makes the i-th place ready to be received into again.
func (r *receiver) done(i int) {
	if b := r.bufs[i]; b.refs.Load() != 1 {
		b.Release()
		r.bufs[i] = r.pool.get()
		r.iovs[i].Base = &r.bufs[i].data[0]
	}
	r.msgs[i].header.Namelen = unix.SizeofSockaddrInet6
}

// sender writes datagrams many at a time. Those of one receiver that follow each
// other, such as the packets of a picture, go through the network stack as one
// (UDP_SEGMENT, udp(7)). Its buffers are its own.
type sender struct {
	raw      syscall.RawConn
	msgs     [sendAtOnce]mmsghdr
	iovs     [sendAtOnce][maxSegments]unix.Iovec
	controls [sendAtOnce][controlBytes]byte
	paths    [sendAtOnce]*path // what Name points into
	segment  [sendAtOnce]int   // size of all but the last of a message
	last     [sendAtOnce]int   // size of the last
	count    [sendAtOnce]int
	slab     []byte
	slots    int
	n        int
	at       int
	whole    bool // the system takes no segments
	put      func(fd uintptr) bool
}

const (
	maxSegments = 8
	lookBack    = 16 // messages among which one for the same receiver is looked for
)

// controlBytes is the room of one control message, where it is laid out as on
// 64-bit systems; elsewhere no segments are asked for.
const controlBytes = 24

func newSender(raw syscall.RawConn) *sender {
	s := &sender{raw: raw, slab: make([]byte, sendAtOnce*slotSize), whole: unix.CmsgSpace(2) != controlBytes}
	for i := range s.msgs {
		s.msgs[i].header.Iov = &s.iovs[i][0]
		c := (*unix.Cmsghdr)(unsafe.Pointer(&s.controls[i][0]))
		c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
	}
	s.put = s.send
	return s
}

// full reports whether no slot is left.
func (s *sender) full() bool { return s.slots == sendAtOnce }

// slot is where the next datagram is written.
func (s *sender) slot() []byte {
	return s.slab[s.slots*slotSize : (s.slots+1)*slotSize : (s.slots+1)*slotSize]
}

// add takes the datagram of size bytes that was written to the slot.
func (s *sender) add(to *path, size int) {
	base := &s.slab[s.slots*slotSize]
	s.slots++
	for i := s.n - 1; i >= max(0, s.n-lookBack) && !s.whole; i-- {
		if s.paths[i] != to {
			continue
		}
		if n := s.count[i]; n < maxSegments && s.last[i] == s.segment[i] && size <= s.segment[i] {
			s.iovs[i][n].Base = base
			s.iovs[i][n].SetLen(size)
			s.count[i], s.last[i] = n+1, size
			h := &s.msgs[i].header
			h.SetIovlen(n + 1)
			h.Control = &s.controls[i][0]
			h.SetControllen(controlBytes)
			binary.NativeEndian.PutUint16(s.controls[i][unix.CmsgLen(0):], uint16(s.segment[i]))
			return
		}
		break // order is kept: nothing goes before the newest for this receiver
	}
	i := s.n
	s.iovs[i][0].Base = base
	s.iovs[i][0].SetLen(size)
	s.count[i], s.segment[i], s.last[i], s.paths[i] = 1, size, size, to
	h := &s.msgs[i].header
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.name.raw)), to.name.size
	h.SetIovlen(1)
	h.Control = nil
	h.SetControllen(0)
	s.n++
}

func (s *sender) send(fd uintptr) bool {
	for s.at < s.n {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[s.at])), uintptr(s.n-s.at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.at += int(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			s.apart(fd, errno)
			s.at++ // the first of the rest cannot be sent: its receiver will ask again
		}
	}
	return true
}

// apart sends the segments of a message that was refused one by one. A system or
// a network card that takes no segments is not asked again.
func (s *sender) apart(fd uintptr, why unix.Errno) {
	if s.count[s.at] == 1 {
		return
	}
	s.whole = s.whole || why == unix.EINVAL || why == unix.EIO || why == unix.ENOPROTOOPT
	h := s.msgs[s.at].header
	h.Control = nil
	h.SetControllen(0)
	h.SetIovlen(1)
	for i := range s.count[s.at] {
		h.Iov = &s.iovs[s.at][i]
		_, _, _ = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT)
	}
}

// flush sends what was added.
func (s *sender) flush() {
	if s.n == 0 {
		return
	}
	s.at = 0
	_ = s.raw.Write(s.put) // a closed socket sends nothing more
	s.n, s.slots = 0, 0
}
