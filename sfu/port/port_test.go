package port

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ear is a handler that remembers, and sends everything back if it is told to.
type ear struct {
	mu      sync.Mutex
	packets [][]byte
	reports int
	states  chan State
	back    *Conn
	header  [12]byte
}

func newEar() *ear { return &ear{states: make(chan State, 100)} }

func (e *ear) Packet(out *Batch, p *Packet) {
	if e.back != nil {
		e.header[0], e.header[1] = 0x80, 96
		binary.BigEndian.PutUint16(e.header[2:], p.Header.SequenceNumber)
		e.back.Send(out, e.header[:], nil, p.Payload)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.packets = append(e.packets, bytes.Clone(p.Payload))
}

func (e *ear) Control(*Batch, int64, []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reports++
}
func (e *ear) State(s State) { e.states <- s }

func (e *ear) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.packets)
}

func listen(t testing.TB) *Port {
	t.Helper()
	p, err := Listen(Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func open(t testing.TB, p *Port, h Handler) *Conn {
	t.Helper()
	c, err := p.Open("AA:BB", h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyed gives a connection SRTP keys without a handshake, and gives the peer's.
func keyed(t testing.TB, c *Conn, seed byte) (in, out *srtp.Context) {
	t.Helper()
	secret := func(b byte) ([]byte, []byte) {
		return bytes.Repeat([]byte{b}, keyBytes), bytes.Repeat([]byte{b + 1}, saltBytes)
	}
	own := func(b byte) *keys {
		master, salt := secret(b)
		k, err := newKeys(master, salt)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	far := func(b byte) *srtp.Context {
		master, salt := secret(b)
		x, err := srtp.CreateContext(master, salt, srtp.ProtectionProfileAeadAes256Gcm)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	c.in, c.out = own(seed), own(seed+2)
	return far(seed + 2), far(seed)
}

// remote is a peer's socket.
type remote struct {
	*net.UDPConn
	t testing.TB
}

func dial(t testing.TB, p *Port) remote {
	t.Helper()
	s, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.Addresses()[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return remote{s, t}
}

// check asks as an ICE agent does and gives the answer, nil if there is none.
func (r remote) check(name, password string, more ...stun.Setter) *stun.Message {
	r.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(name + ":far")}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(password), stun.Fingerprint)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.ask(m.Raw)
}

func (r remote) ask(b []byte) *stun.Message {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
	// What is not answered is told from what is late by a question that is answered.
	buf := make([]byte, 1500)
	_ = r.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := r.Read(buf)
	if err != nil {
		return nil
	}
	var m stun.Message
	if err := stun.Decode(buf[:n], &m); err != nil {
		r.t.Fatal(err)
	}
	return &m
}

// nominate marks a check as one for the path to use.
var nominate = stun.RawAttribute{Type: stun.AttrUseCandidate}

// Only who knows the password is answered, and each lack alone is enough.
func TestChecksThatAreNotAnswered(t *testing.T) {
	t.Parallel()
	p := listen(t)
	c, other := open(t, p, newEar()), open(t, p, newEar())
	name, password := c.Credentials()
	otherName, otherPassword := other.Credentials()
	r := dial(t, p)
	// E12: what admits to one is useless at another.
	for what, pair := range map[string][2]string{
		"a wrong password": {name, "wrong"}, "no name": {"", password}, "another's password": {name, otherPassword}, "another's name": {otherName, password},
	} {
		if m := r.check(pair[0], pair[1]); m != nil {
			t.Errorf("%s: answered %v", what, m)
		}
	}
	plain := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), stun.NewShortTermIntegrity(password))
	if m := r.ask(plain.Raw); m != nil {
		t.Errorf("without a fingerprint: answered %v", m)
	}
	plain = stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), stun.Fingerprint)
	if m := r.ask(plain.Raw); m != nil {
		t.Errorf("without integrity: answered %v", m)
	}
	if m := r.check(name, password, stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)}); m == nil || m.Type.Class != stun.ClassErrorResponse {
		t.Errorf("a second controlled agent: answered %v, want a role conflict", m)
	}
	if network, _ := c.Path(); network != "" {
		t.Error("one of these proved a path")
	}
	m := r.check(name, password)
	if m == nil || m.Type != stun.BindingSuccess || stun.NewShortTermIntegrity(password).Check(m) != nil {
		t.Fatalf("the right one: answered %v", m)
	}
	var at stun.XORMappedAddress
	if err := at.GetFrom(m); err != nil || at.Port != r.LocalAddr().(*net.UDPAddr).Port {
		t.Errorf("seen at %v: %v", at, err)
	}
}

// D6: the path is where the peer last said it is, by a check that proves who it
// is; a restart keeps the old path until the new one is there.
func TestThePathFollowsThePeer(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear := newEar()
	c := open(t, p, ear)
	name, password := c.Credentials()
	first, second, third := dial(t, p), dial(t, p), dial(t, p)
	path := func(want remote) {
		t.Helper()
		if _, at := c.Path(); at != want.LocalAddr().String() {
			t.Errorf("sent to %s, want %s", at, want.LocalAddr())
		}
	}
	first.check(name, password, nominate)
	path(first)
	second.check(name, password) // a check alone moves nothing while the first lives
	path(first)
	second.check(name, password, nominate)
	path(second)
	fresh, secret := c.Restart()
	path(second)
	if m := second.check(name, password); m == nil {
		t.Error("the old path is refused before the new one is there")
	}
	third.check(fresh, secret, nominate)
	path(third)
	if m := second.check(name, password, nominate); m != nil {
		t.Error("credentials of before still open the way")
	}
	path(third)
	for range 2 {
		if s := <-ear.states; s != Moved {
			t.Errorf("told %v", s)
		}
	}
}

// A packet counts only under the keys of the connection whose path it came by.
func TestPacketsOfOthersAreDropped(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear, otherEar := newEar(), newEar()
	c, other := open(t, p, ear), open(t, p, otherEar)
	_, mine := keyed(t, c, 1)
	_, theirs := keyed(t, other, 50)
	r := dial(t, p)
	name, password := c.Credentials()
	r.check(name, password)
	send := func(x *srtp.Context, sequence uint16) {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: sequence}, Payload: []byte("sealed")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if b, err = x.EncryptRTP(nil, b, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(theirs, 1)
	send(mine, 2)
	for deadline := time.Now().Add(30 * time.Second); ear.heard() < 1 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if ear.heard() != 1 || otherEar.heard() != 0 {
		t.Errorf("%d came, and %d at the other connection", ear.heard(), otherEar.heard())
	}
}

// A peer that makes up sources without end does not fill the memory.
func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear := newEar()
	c := open(t, p, ear)
	_, x := keyed(t, c, 1)
	buffer := p.buffers.get()
	for source := range uint32(3 * maxSources) {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: source}, Payload: []byte("x")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if b, err = x.EncryptRTP(nil, b, nil); err != nil {
			t.Fatal(err)
		}
		c.take(&path{conn: c}, nil, 1, buffer, b)
	}
	if ear.heard() != maxSources {
		t.Errorf("%d sources were taken", ear.heard())
	}
}

// Who never comes, or goes without a word, is given up after the stated time.
func TestSilenceEndsAConnection(t *testing.T) {
	t.Parallel()
	p := listen(t)
	told := func(e *ear) (list []State) {
		for len(e.states) > 0 {
			list = append(list, <-e.states)
		}
		return list
	}
	never := newEar()
	c := open(t, p, never)
	c.look(c.opened + int64(ConnectWithin))
	if got := told(never); len(got) != 0 {
		t.Errorf("told %v too soon", got)
	}
	c.look(c.opened + int64(ConnectWithin) + 1)
	c.look(c.opened + int64(ConnectWithin) + 2)
	if got := told(never); len(got) != 1 || got[0] != Closed {
		t.Errorf("told %v", got)
	}
	gone := newEar()
	c = open(t, p, gone)
	now := Now()
	c.up = true
	c.heard.Store(now)
	for _, after := range []time.Duration{LostAfter, LostAfter + 1, LostAfter + time.Second, LostAfter + ClosedAfter + 1, time.Hour} {
		c.look(now + int64(after))
	}
	if got := told(gone); len(got) != 2 || got[0] != Lost || got[1] != Closed {
		t.Errorf("told %v", got)
	}
}

// Keys are agreed only with the certificate that was announced, and only for the
// one profile.
func TestOnlyTheAnnouncedCertificate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		profile dtls.SRTPProtectionProfile
		known   bool
		want    State
	}{
		"announced":         {dtls.SRTP_AEAD_AES_256_GCM, true, Connected},
		"another":           {dtls.SRTP_AEAD_AES_256_GCM, false, Closed},
		"a weaker profile":  {dtls.SRTP_AEAD_AES_128_GCM, true, Closed},
		"the usual profile": {dtls.SRTP_AES128_CM_HMAC_SHA1_80, true, Closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, far := listen(t), listen(t) // the second only for its certificate
			print := "AA:BB"
			if tc.known {
				print = far.Fingerprint()
			}
			ear := newEar()
			c, err := p.Open(print, ear)
			if err != nil {
				t.Fatal(err)
			}
			r := dial(t, p)
			fragment, password := c.Credentials()
			r.check(fragment, password, nominate)
			_ = r.SetReadDeadline(time.Time{})
			client, err := dtls.ClientWithOptions(connected{r.UDPConn}, r.RemoteAddr(), dtls.WithCertificates(far.certificate),
				dtls.WithSRTPProtectionProfiles(tc.profile), dtls.WithInsecureSkipVerify(true))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_ = client.HandshakeContext(ctx) // the port's word counts
			select {
			case got := <-ear.states:
				if got != tc.want {
					t.Errorf("told %v, want %v", got, tc.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing was told")
			}
			_ = client.Close()
		})
	}
}

// connected makes a connected socket a net.PacketConn.
type connected struct{ *net.UDPConn }

func (c connected) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

// The way of a packet through the port, decrypted and sealed for another, costs
// no allocation.
func TestPassingAllocatesNothing(t *testing.T) {
	p := listen(t)
	ear := newEar()
	c := open(t, p, ear)
	ear.back = c
	_, x := keyed(t, c, 1)
	r := dial(t, p)
	name, password := c.Credentials()
	r.check(name, password)
	packets := make([][]byte, 1200)
	for i := range packets {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: uint16(i)}, Payload: make([]byte, 1000)}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if packets[i], err = x.EncryptRTP(nil, b, nil); err != nil {
			t.Fatal(err)
		}
	}
	via := c.selected.Load()
	out, buffer, next := p.NewBatch(), p.buffers.get(), 0
	if got := testing.AllocsPerRun(1000, func() {
		b := buffer.data[:copy(buffer.data[:], packets[next])]
		next++
		c.take(via, out, 1, buffer, b)
		if next%8 == 0 {
			out.Flush()
		}
	}); got != 0 {
		t.Errorf("%v allocations for each packet", got)
	}
}

// BenchmarkPass is one packet of 1,000 bytes in and one out, with SRTP and the
// system call shared by eight.
func BenchmarkPass(b *testing.B) {
	p := listen(b)
	ear := newEar()
	c := open(b, p, ear)
	_, _ = keyed(b, c, 1)
	r := dial(b, p)
	name, password := c.Credentials()
	r.check(name, password)
	header, payload, out, n := make([]byte, 12), make([]byte, 1000), p.NewBatch(), uint16(0)
	header[0] = 0x80
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		n++
		binary.BigEndian.PutUint16(header[2:], n)
		c.Send(out, header, nil, payload)
		if n%8 == 0 {
			out.Flush()
		}
	}
}

// Whatever comes from wherever, nothing reaches a handler and nothing is sent
// back that was not authentic.
func FuzzDatagram(f *testing.F) {
	p := listen(f)
	ear := newEar()
	c := open(f, p, ear)
	_, x := keyed(f, c, 1)
	name, password := c.Credentials()
	good := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), stun.NewShortTermIntegrity(password), stun.Fingerprint)
	f.Add(good.Raw)
	b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7}, Payload: []byte{1, 2, 3, 200}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	b[0] |= 0x20 // more padding than there is packet
	if b, err = x.EncryptRTP(nil, b, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0})
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1})
	via := &path{conn: c, socket: p.sockets[0], name: sockaddrOf(netip.MustParseAddrPort("127.0.0.1:9"))}
	via.key = via.name.key(0)
	out, buffer := p.NewBatch(), p.buffers.get()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > MaxDatagram {
			return
		}
		d := buffer.data[:copy(buffer.data[:], b)]
		p.datagram(out, 1, p.sockets[0], &via.name, buffer, d)
		if d[0] >= 4 {
			c.take(via, out, 1, buffer, d)
		}
		// What is authentic was made above, with one byte of difference it is not.
		if n := ear.heard(); n > 1 {
			t.Fatalf("%d packets were taken", n)
		}
	})
}

// Whatever bytes a TCP stream carries, frames are bounded and nothing that is not
// authentic is taken.
func FuzzStream(f *testing.F) {
	p := listen(f)
	ear := newEar()
	c := open(f, p, ear)
	name, password := c.Credentials()
	good := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), stun.NewShortTermIntegrity(password), stun.Fingerprint)
	framed := append([]byte{byte(len(good.Raw) >> 8), byte(len(good.Raw))}, good.Raw...)
	f.Add(append(framed, 0, 4, 0x80, 0x60, 0, 1))
	f.Add([]byte{0xff, 0xff, 1, 2, 3})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		client, err := net.Dial("tcp", p.Addresses()[0].String())
		if err != nil {
			t.Skip(err)
		}
		_, _ = client.Write(b)
		_ = client.Close()
		if ear.heard() > 0 {
			t.Fatal("something was taken")
		}
	})
}

// A stream that proves nothing is cut, and many of them leave room for others.
func TestStrangersOverTCPAreBounded(t *testing.T) {
	t.Parallel()
	p := listen(t)
	var all []net.Conn
	for i := range maxStrangers + 2*maxStrangersIP {
		from := net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/maxStrangersIP))}
		c, err := (&net.Dialer{LocalAddr: &from}).Dial("tcp", p.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	// Those who came when all places were taken are cut at once.
	for _, c := range all[maxStrangers:] {
		_ = c.SetReadDeadline(time.Now().Add(proveWithin / 2))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stranger too many is held: %v", err)
			break
		}
	}
	for _, c := range all {
		_ = c.Close()
	}
}

// What is kept stays as it was, and goes back when it is given up.
func TestBuffersAreUsedAgain(t *testing.T) {
	t.Parallel()
	var p pool
	b := p.get()
	b.Retain()
	b.Release()
	if len(p.free) != 0 {
		t.Error("a buffer that is in use was given back")
	}
	b.Release()
	if again := p.get(); again != b {
		t.Error("a free buffer was not used again")
	}
}

// Addresses are written and read as the kernel does, in both families.
func TestSocketAddresses(t *testing.T) {
	t.Parallel()
	seen := map[key]bool{}
	for _, text := range []string{"127.0.0.1:80", "127.0.0.1:81", "[::1]:80", "[2001:db8::7]:65535", "10.0.0.1:80"} {
		want := netip.MustParseAddrPort(text)
		s := sockaddrOf(want)
		if got := s.addrPort(); got != want {
			t.Errorf("%s became %s", want, got)
		}
		k := s.key(0)
		if seen[k] {
			t.Errorf("%s has another's key", text)
		}
		seen[k] = true
	}
}

// Datagrams for one receiver that leave together arrive apart, whole and in their
// order, whatever their sizes; those of others do not come between.
func TestWhatLeavesTogetherArrivesApart(t *testing.T) {
	t.Parallel()
	for _, segments := range []bool{true, false} {
		p := listen(t)
		out := p.NewBatch()
		out.senders[0].whole = !segments
		near, other := dial(t, p), dial(t, p)
		paths := [2]*path{}
		for i, r := range []remote{near, other} {
			paths[i] = &path{socket: p.sockets[0], name: sockaddrOf(r.LocalAddr().(*net.UDPAddr).AddrPort())}
		}
		sizes := []int{1000, 1000, 400, 400, 1000, 1, 1, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 7}
		for i, size := range sizes {
			for j, to := range paths {
				b := out.slot(to)[:size]
				for k := range b {
					b[k] = byte(i + j)
				}
				out.add(to, b)
			}
		}
		out.Flush()
		for j, r := range []remote{near, other} {
			_ = r.SetReadDeadline(time.Now().Add(30 * time.Second))
			b := make([]byte, 2000)
			for i, size := range sizes {
				n, err := r.Read(b)
				if err != nil {
					t.Fatalf("segments %v: datagram %d: %v", segments, i, err)
				}
				if n != size || b[0] != byte(i+j) || b[n-1] != byte(i+j) {
					t.Fatalf("segments %v: datagram %d is %d bytes of %d, want %d of %d", segments, i, n, b[0], size, byte(i+j))
				}
			}
		}
	}
}

// A message that the system refuses is sent apart.
func TestWhatCannotLeaveTogetherLeavesApart(t *testing.T) {
	t.Parallel()
	p := listen(t)
	out := p.NewBatch()
	r := dial(t, p)
	to := &path{socket: p.sockets[0], name: sockaddrOf(r.LocalAddr().(*net.UDPAddr).AddrPort())}
	for range 2 {
		out.add(to, out.slot(to)[:100])
	}
	s := out.senders[0]
	binary.NativeEndian.PutUint16(s.controls[0][16:], 1) // more segments than any system takes
	out.Flush()
	_ = r.SetReadDeadline(time.Now().Add(30 * time.Second))
	for i := range 2 {
		if n, err := r.Read(make([]byte, 200)); err != nil || n != 100 {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
}
