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
}

func newReceiver(raw syscall.RawConn, p *pool) *receiver {
	r := &receiver{raw: raw, pool: p}
	for i := range r.msgs {
		r.bufs[i] = p.get()
		r.arm(i)
	}
	r.take = r.receive
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

func (r *receiver) receive(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), readAtOnce, unix.MSG_DONTWAIT, 0, 0)
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

// sender writes datagrams many at a time. Its buffers are its own.
type sender struct {
	raw   syscall.RawConn
	msgs  [sendAtOnce]mmsghdr
	iovs  [sendAtOnce]unix.Iovec
	paths [sendAtOnce]*path // what Name points into
	slab  []byte
	n     int
	at    int
	put   func(fd uintptr) bool
}

func newSender(raw syscall.RawConn) *sender {
	s := &sender{raw: raw, slab: make([]byte, sendAtOnce*slotSize)}
	for i := range s.msgs {
		s.iovs[i].Base = &s.slab[i*slotSize]
		s.msgs[i].header.Iov = &s.iovs[i]
		s.msgs[i].header.SetIovlen(1)
	}
	s.put = s.send
	return s
}

// slot is where the next datagram is written.
func (s *sender) slot() []byte { return s.slab[s.n*slotSize : (s.n+1)*slotSize : (s.n+1)*slotSize] }

// add takes the datagram of size bytes that was written to the slot.
func (s *sender) add(to *path, size int) {
	s.iovs[s.n].SetLen(size)
	h := &s.msgs[s.n].header
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.name.raw)), to.name.size
	s.paths[s.n] = to
	s.n++
}

func (s *sender) send(fd uintptr) bool {
	for s.at < s.n {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[s.at])), uintptr(s.n-s.at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.at += int(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			s.at++ // the first of the rest cannot be sent: its receiver will ask again
		}
	}
	return true
}

// flush sends what was added.
func (s *sender) flush() {
	if s.n == 0 {
		return
	}
	s.at = 0
	_ = s.raw.Write(s.put) // a closed socket sends nothing more
	s.n = 0
}
