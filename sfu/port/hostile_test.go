package port

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
)

// inHand agrees keys over a path that loses the given number of the port's last
// handshake messages, and gives the connection, the peer and its socket.
func inHand(t *testing.T, lose int) (*Conn, *ear, *dtls.Conn, remote) {
	t.Helper()
	p, far := listen(t), listen(t) // the second only for its certificate
	ear := newEar()
	c, err := p.Open(far.Fingerprint(), ear)
	if err != nil {
		t.Fatal(err)
	}
	r := dial(t, p)
	fragment, password := c.Credentials()
	r.check(fragment, password, nominate)
	_ = r.SetReadDeadline(time.Time{})
	client, err := dtls.ClientWithOptions(&lossy{connected{r.UDPConn}, lose}, r.RemoteAddr(), dtls.WithCertificates(far.certificate),
		dtls.WithSRTPProtectionProfiles(profile), dtls.WithInsecureSkipVerify(true), dtls.WithFlightInterval(flightEvery))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := client.HandshakeContext(ctx); err != nil {
		t.Fatalf("the peer: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	expect(t, ear, Connected)
	return c, ear, client, r
}

func expect(t *testing.T, e *ear, want State) {
	t.Helper()
	select {
	case got := <-e.states:
		if got != want {
			t.Fatalf("told %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing was told, want %v", want)
	}
}

// lossy loses datagrams that begin with a change of cipher.
type lossy struct {
	connected
	lose int
}

func (l *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.connected.ReadFrom(b)
		if err == nil && n > 0 && b[0] == 20 && l.lose > 0 {
			l.lose--
			continue
		}
		return n, from, err
	}
}

func record(kind byte, epoch uint16, body ...byte) []byte {
	b := []byte{kind, 254, 253}
	b = binary.BigEndian.AppendUint16(b, epoch)
	b = append(b, 0, 0, 0, 0, 1, 0)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// E12: whoever can send a datagram in the peer's name, which takes no more than
// its address, ends nothing by it: once there are keys, only what they sealed
// counts.
func TestNothingInClearEndsAConnection(t *testing.T) {
	t.Parallel()
	c, ear, client, r := inHand(t, 0)
	for what, b := range map[string][]byte{
		"a goodbye":                 record(recordAlert, 0, 1, 0),
		"a fatal alert":             record(recordAlert, 0, 2, 40),
		"what is no record at all":  record(23, 0, 1),
		"an unknown kind of record": record(60, 0, 1),
		"a goodbye behind another":  append(record(20, 0, 1), record(recordAlert, 0, 2, 0)...),
		"a goodbye of made-up keys": record(recordAlert, 1, make([]byte, 40)...),
	} {
		if _, err := r.Write(b); err != nil {
			t.Fatal(err)
		}
		// What is authentic goes on counting after it.
		fragment, password := c.Credentials()
		m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(fragment+":far"), stun.NewShortTermIntegrity(password), stun.Fingerprint)
		before := c.Heard()
		for end := time.Now().Add(30 * time.Second); c.Heard() == before; time.Sleep(time.Millisecond) {
			if _, err := r.Write(m.Raw); err != nil || time.Now().After(end) {
				t.Fatalf("%s: the connection hears nothing more: %v", what, err)
			}
		}
		select {
		case got := <-ear.states:
			t.Fatalf("%s: told %v", what, got)
		default:
		}
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, ear, Closed) // the peer's own goodbye is heard
}

// The last words of a handshake may be lost: what the peer then says again is in
// clear but for its end, and that end is enough.
func TestALostEndOfTheHandshakeIsSaidAgain(t *testing.T) {
	t.Parallel()
	c, _, _, _ := inHand(t, 2)
	if c.Heard() == 0 {
		t.Error("nothing was heard")
	}
}

func TestOnlyEncryptedRecordsAreLeft(t *testing.T) {
	t.Parallel()
	clear, sealed, second := record(22, 0, 1, 2, 3), record(22, 1, 4, 5), record(recordAlert, 1, 6)
	for name, tc := range map[string]struct{ in, want [][]byte }{
		"none":                   {[][]byte{clear, clear}, nil},
		"all":                    {[][]byte{sealed, second}, [][]byte{sealed, second}},
		"the second and third":   {[][]byte{clear, sealed, second}, [][]byte{sealed, second}},
		"the first and third":    {[][]byte{sealed, clear, second}, [][]byte{sealed, second}},
		"cut short":              {[][]byte{sealed, second[:len(second)-1]}, [][]byte{sealed}},
		"a header that is short": {[][]byte{sealed[:5]}, nil},
	} {
		if got := sealedRecords(bytes.Join(tc.in, nil)); !bytes.Equal(got, bytes.Join(tc.want, nil)) {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// The library keeps what is said in a handshake, so it is not told without end; a
// goodbye is still heard.
func TestWhatIsSaidInAHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	c := &Conn{pipe: newPipe()}
	c.pipe.in.SetLimitSize(8 * saidBytes) // nobody takes it away, and nothing else bounds it
	for range 2 * saidBytes / 1024 {
		c.takeRecords(record(22, 0, make([]byte, 1024-recordHeader)...))
	}
	if got := c.pipe.in.Count(); got != saidBytes/1024 {
		t.Errorf("%d KiB were taken, at most %d", got, saidBytes/1024)
	}
	before := c.pipe.in.Count()
	c.takeRecords(record(recordAlert, 0, 1, 0))
	if c.pipe.in.Count() != before+1 {
		t.Error("a goodbye was not heard")
	}
}

// One address that opens streams without end takes no place from others.
func TestStrangersOfOneAddressTakeNoPlaceFromOthers(t *testing.T) {
	t.Parallel()
	p := listen(t)
	at := p.Addresses()[0].String()
	var all []net.Conn
	for range 3 * maxStrangersIP {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	cut := 0
	for _, c := range all[maxStrangersIP:] {
		_ = c.SetReadDeadline(time.Now().Add(proveWithin / 2))
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cut++
		}
	}
	if cut != len(all)-maxStrangersIP {
		t.Errorf("%d of %d were cut", cut, len(all)-maxStrangersIP)
	}
	other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_ = other.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("another address is kept out: %v", err)
	}
}

func TestSubscribersAreToldApart(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := subscriber(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s counts as %s", address, got)
		}
	}
}

// A path that made place for others gives its stream back.
func TestAForgottenPathEndsItsStream(t *testing.T) {
	t.Parallel()
	p := listen(t)
	c := open(t, p, newEar())
	name, password := c.Credentials()
	var first net.Conn
	for i := range maxPaths + 2 { // the first of all is in use and stays
		s, err := net.Dial("tcp", p.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if i == 1 {
			first = s
		}
		m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), stun.NewShortTermIntegrity(password), stun.Fingerprint)
		if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m.Raw))), m.Raw...)); err != nil {
			t.Fatal(err)
		}
		_ = s.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := s.Read(make([]byte, 1500)); err != nil {
			t.Fatalf("path %d was not answered: %v", i, err)
		}
	}
	_ = first.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		if _, err := first.Read(make([]byte, 1500)); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("its stream is held for ever")
			}
			return
		}
	}
}

// A restart that comes as the connection is closed leaves nothing behind.
func TestARestartOfAClosedConnectionOpensNothing(t *testing.T) {
	t.Parallel()
	p := listen(t)
	c := open(t, p, newEar())
	c.Close()
	name, _ := c.Restart()
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.byName[name] != nil || len(p.byName) != 0 {
		t.Error("its credentials are remembered for ever")
	}
}

// E12: what was sent once counts once, also on another path and over an ICE
// restart: the windows live as long as the keys.
func TestAnOldPacketDoesNotCountAfterARestart(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear := newEar()
	c := open(t, p, ear)
	_, x := keyed(t, c, 1)
	first, second := dial(t, p), dial(t, p)
	name, password := c.Credentials()
	first.check(name, password, nominate)
	sealed := func(sequence uint16) []byte {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: sequence}, Payload: []byte("sealed")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if b, err = x.EncryptRTP(nil, b, nil); err != nil {
			t.Fatal(err)
		}
		return b
	}
	send := func(r remote, b []byte, want int) {
		t.Helper()
		if _, err := r.Write(b); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); ear.heard() < want && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if ear.heard() != want {
			t.Fatalf("%d packets count, want %d", ear.heard(), want)
		}
	}
	old, last := sealed(65535), sealed(0) // the rollover counter goes on too
	send(first, old, 1)
	send(first, last, 2)
	name, password = c.Restart()
	second.check(name, password, nominate)
	for _, b := range [][]byte{old, last} {
		if _, err := second.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(second, sealed(1), 3) // comes after both on the same path
}

// A member that sends checks without end does not keep the node busy with its
// paths: beyond some number they are not heeded, of one path sooner than of all,
// and for a second only.
func TestChecksAreBounded(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear := newEar()
	ear.states = make(chan State, 10*checksPerSecond)
	c := open(t, p, ear)
	name, password := c.Credentials()
	integrity := stun.NewShortTermIntegrity(password)
	from := func(port uint16) *path {
		a := sockaddrOf(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
		return &path{socket: p.sockets[0], name: a, key: a.key(0)}
	}
	flood := func(at int64) int {
		before := len(ear.states)
		for i := range uint16(5 * checksPerSecond) {
			m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), nominate, integrity, stun.Fingerprint)
			p.check(at, m.Raw, from(9+i%2))
		}
		return len(ear.states) - before
	}
	if moved := flood(1); moved != checksPerSecond-1 {
		t.Errorf("the path moved %d times", moved)
	}
	if moved := flood(1 + int64(time.Second)); moved < checksPerSecond-1 || moved > checksPerSecond {
		t.Errorf("a second later it moved %d times", moved)
	}
	// By one path alone there is half of it, and a repeated one takes none of that.
	at := 3 * int64(time.Second)
	one := p.byAddr[from(9).key]
	for range 5 * checksPerSecond {
		m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name+":far"), integrity, stun.Fingerprint)
		for range 2 {
			p.check(at, bytes.Clone(m.Raw), from(9))
		}
	}
	if c.checks.taken > checksOfPath {
		t.Errorf("one path took %d places of all", c.checks.taken)
	}
	if one.repeats.taken == 0 {
		t.Error("a repeated check is not told from a fresh one")
	}
	if moved := flood(at); moved == 0 {
		t.Error("one path took the places of the other")
	}
}

// E12: who has credentials of one connection and writes another's address on its
// envelopes does not get that address while the other speaks from it.
func TestAnAddressInUseIsNotTakenOver(t *testing.T) {
	t.Parallel()
	p := listen(t)
	ear := newEar()
	c, thief := open(t, p, ear), open(t, p, newEar())
	_, mine := keyed(t, c, 1)
	name, password := c.Credentials()
	thiefName, thiefPassword := thief.Credentials()
	r := dial(t, p) // both come from here, as with a forged source
	if r.check(name, password, nominate) == nil {
		t.Fatal("the first was not answered")
	}
	for sequence := uint16(1); sequence <= 3; sequence++ {
		c.selected.Load().checked.Store(Now() + int64(time.Hour)) // however slow this machine is
		if r.check(thiefName, thiefPassword, nominate) != nil {
			t.Error("the address was given to another")
		}
		b, err := mine.EncryptRTP(nil, plainPacket(t, 7, sequence), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write(b); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ear.heard() < int(sequence) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
	}
	if ear.heard() != 3 {
		t.Errorf("%d of 3 packets came", ear.heard())
	}
	// Once the first is silent the address is free: behind a translator of addresses
	// it may be somebody else's.
	c.selected.Load().checked.Store(Now() - int64(silentFor))
	c.selected.Load().media.Store(Now() - int64(silentFor))
	if r.check(thiefName, thiefPassword, nominate) == nil {
		t.Error("the address is not to be had any more")
	}
}

// FuzzSealedRecords: whatever a datagram holds, what is left of it are whole
// records of a later epoch, in their order.
func FuzzSealedRecords(f *testing.F) {
	f.Add(record(22, 0, 1, 2, 3))
	f.Add(append(record(22, 1, 1, 2, 3), record(21, 0, 1, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		rest := sealedRecords(b)
		if len(rest) > len(before) {
			t.Fatal("it grew")
		}
		for len(rest) > 0 {
			size := recordHeader + int(rest[recordHeader-2])<<8 + int(rest[recordHeader-1])
			if len(rest) < size || rest[3] == 0 && rest[4] == 0 || !bytes.Contains(before, rest[:size]) {
				t.Fatalf("left %x of %x", rest, before)
			}
			rest = rest[size:]
		}
	})
}

// A stream whose peer does not read loses what does not fit; nobody waits for it.
func TestAStreamThatIsNotReadLosesPackets(t *testing.T) {
	t.Parallel()
	s := &stream{out: make(chan []byte, streamQueue), done: make(chan struct{})}
	for i := range 2 * streamQueue {
		s.queue([]byte{byte(i)})
	}
	if len(s.out) != streamQueue {
		t.Errorf("%d datagrams wait, at most %d", len(s.out), streamQueue)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	p := listen(t)
	c, err := net.Dial("tcp", p.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var made []*stream
	for i := range maxStreams + 10 {
		if s := p.welcome(c, uint16(i)); s != nil {
			made = append(made, s)
		}
	}
	if len(made) > maxStreams || len(made) < maxStreams-1 { // one may be the connection's own
		t.Errorf("%d streams, at most %d", len(made), maxStreams)
	}
	p.mu.Lock()
	for _, s := range made {
		delete(p.streams, s)
	}
	p.mu.Unlock()
}
