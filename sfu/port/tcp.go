package port

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of ICE-TCP.
const (
	maxStreams     = 1024
	maxStrangers   = 256             // streams that have not proved themselves
	maxStrangersIP = 16              // and those of one address
	proveWithin    = 5 * time.Second // or be cut
	streamQueue    = 256             // datagrams; a stream that does not take them loses them
	writeWithin    = 5 * time.Second
)

// stream is one TCP connection that carries datagrams, each after its length
// (RFC 4571, RFC 6544).
type stream struct {
	conn net.Conn
	out  chan []byte
	done chan struct{}
	once sync.Once
	via  path
}

// strangers counts streams that have not proved themselves. An address that opens
// them without end takes no place from others; one of IPv6 is a network of 64
// bits, since all of it is one subscriber's.
type strangers struct {
	mu    sync.Mutex
	count int
	from  map[netip.Addr]int
}

func subscriber(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		network, _ := a.WithZone("").Prefix(64) // never fails
		return network.Addr()
	}
	return a
}

func (s *strangers) enter(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= maxStrangers || s.from[from] >= maxStrangersIP {
		return false
	}
	s.count++
	s.from[from]++
	return true
}

func (s *strangers) leave(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	if s.from[from]--; s.from[from] == 0 {
		delete(s.from, from)
	}
}

// accept takes streams until the listener is closed.
func (p *Port) accept(l net.Listener) {
	waiting := &strangers{from: map[netip.Addr]int{}}
	var number uint16
	for {
		conn, err := l.Accept()
		select {
		case <-p.done:
			if err == nil {
				_ = conn.Close()
			}
			return
		default:
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		number++
		s := p.welcome(conn, number)
		if s == nil {
			_ = conn.Close()
			continue
		}
		from := subscriber(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		if !waiting.enter(from) {
			p.dismiss(s)
			_ = conn.Close()
			continue
		}
		p.tasks.Go(func() { p.receive(s, func() { waiting.leave(from) }) })
		p.tasks.Go(s.write)
	}
}

// welcome gives a stream its place, nil if there is none.
func (p *Port) welcome(conn net.Conn, number uint16) *stream {
	s := &stream{conn: conn, out: make(chan []byte, streamQueue), done: make(chan struct{})}
	s.via.stream = s
	remote := sockaddrOf(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	s.via.key = remote.key(1<<15 | number) // no socket has this number
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.streams) >= maxStreams {
		return nil
	}
	p.streams[s] = struct{}{}
	return s
}

func (p *Port) dismiss(s *stream) {
	p.mu.Lock()
	delete(p.streams, s)
	conn := s.via.conn
	p.mu.Unlock()
	s.close()
	if conn != nil {
		conn.gone(&s.via, Now())
	}
}

// receive reads datagrams until the stream ends; known is called once, when it
// has proved itself or is over.
func (p *Port) receive(s *stream, known func()) {
	defer p.dismiss(s)
	stranger := true
	leave := func() {
		if stranger {
			stranger = false
			known()
		}
	}
	defer leave()
	_ = s.conn.SetReadDeadline(time.Now().Add(proveWithin))
	in := bufio.NewReaderSize(s.conn, 4<<10)
	var out *Batch
	var length [2]byte
	for {
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(length[:]))
		if size == 0 || size > MaxDatagram {
			return
		}
		buffer := p.buffers.get()
		b := buffer.data[:size]
		if _, err := io.ReadFull(in, b); err != nil {
			buffer.Release()
			return
		}
		if b[0] < 4 {
			p.check(Now(), b, &s.via)
		}
		p.mu.RLock()
		via := p.byAddr[s.via.key]
		p.mu.RUnlock()
		if via != nil {
			if stranger {
				leave()
				_ = s.conn.SetReadDeadline(time.Time{})
				out = p.NewBatch()
			}
			via.conn.take(via, out, Now(), buffer, b)
			out.Flush()
		}
		buffer.Release()
	}
}

// queue hands a datagram to the stream's writer, which is not waited for.
func (s *stream) queue(b []byte) {
	framed := make([]byte, 2+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	copy(framed[2:], b)
	select {
	case s.out <- framed:
	default:
	}
}

func (s *stream) write() {
	defer s.close()
	out := bufio.NewWriterSize(s.conn, 16<<10)
	for {
		select {
		case <-s.done:
			// A goodbye that is queued still leaves.
			for len(s.out) > 0 {
				_, _ = out.Write(<-s.out)
			}
			_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
			_ = out.Flush()
			_ = s.conn.Close()
			return
		case b := <-s.out:
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeWithin))
			if _, err := out.Write(b); err != nil {
				_ = s.conn.Close()
				return
			}
			if len(s.out) == 0 && out.Flush() != nil {
				_ = s.conn.Close()
				return
			}
		}
	}
}

// close ends the stream; its writer closes the connection.
func (s *stream) close() {
	s.once.Do(func() {
		close(s.done)
		_ = s.conn.SetReadDeadline(time.Now())
	})
}
