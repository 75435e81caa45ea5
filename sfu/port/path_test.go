package port

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
)

// walker is a peer with several addresses of one connection that has keys.
type walker struct {
	t        *testing.T
	port     *Port
	conn     *Conn
	ear      *ear
	opens    *srtp.Context
	seals    *srtp.Context
	sent     uint16
	name     string
	password string
}

func newWalker(t *testing.T) *walker {
	t.Helper()
	w := &walker{t: t, port: listen(t), ear: newEar()}
	w.conn = open(t, w.port, w.ear)
	w.opens, w.seals = keyed(t, w.conn, 1)
	w.name, w.password = w.conn.Credentials()
	return w
}

// comes hands the port a packet of the peer's from an address at a time.
func (w *walker) comes(from remote, at int64) {
	w.t.Helper()
	w.sent++
	b, err := w.seals.EncryptRTP(nil, plainPacket(w.t, 7, w.sent), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.port.mu.RLock()
	via := w.port.byAddr[w.key(from)]
	w.port.mu.RUnlock()
	if via == nil {
		w.t.Fatalf("%s is no path", from.LocalAddr())
	}
	out, buffer := w.port.NewBatch(), w.port.buffers.get()
	w.conn.take(via, out, at, buffer, buffer.data[:copy(buffer.data[:], b)])
	out.Flush()
}

func (w *walker) key(from remote) key {
	name := sockaddrOf(from.LocalAddr().(*net.UDPAddr).AddrPort())
	return name.key(0)
}

// on fails unless the port sends to this address.
func (w *walker) on(want remote) {
	w.t.Helper()
	if _, at := w.conn.Path(); at != want.LocalAddr().String() {
		w.t.Errorf("sent to %s, want %s", at, want.LocalAddr())
	}
}

// heardAt sets when a path was heard last, however slow this machine is.
func (w *walker) heardAt(from remote, at int64) {
	w.port.mu.RLock()
	defer w.port.mu.RUnlock()
	w.port.byAddr[w.key(from)].checked.Store(at)
	w.port.byAddr[w.key(from)].media.Store(at)
}

// says has the port send one packet and gives the addresses at which it came
// and was opened; the second of two copies must not be.
func (w *walker) says(number uint16, ears ...remote) (came int) {
	w.t.Helper()
	header := make([]byte, 12)
	header[0] = 0x80
	binary.BigEndian.PutUint16(header[2:], number)
	out := w.port.NewBatch()
	w.conn.Send(out, header, nil, []byte("sealed"))
	out.Flush()
	b := make([]byte, 1500)
	for _, r := range ears {
		_ = r.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := r.Read(b)
		if err != nil {
			continue
		}
		if _, err := w.opens.DecryptRTP(nil, b[:n], nil); err != nil {
			w.t.Errorf("a packet that came is not the port's: %v", err)
		}
		came++
	}
	return came
}

// RFC 8445, section 9: a restart costs nothing before it leads somewhere. The
// generation before is checked, heard and sent to until a path of the new one is
// selected, then not any more.
func TestARestartKeepsTheOldPathUntilTheNewOneIsSelected(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	old, fresh := dial(t, w.port), dial(t, w.port)
	old.check(w.name, w.password, nominate)
	name, password := w.conn.Restart()
	if fresh.check(name, password) == nil {
		t.Fatal("the new generation is not answered")
	}
	w.on(old)
	if old.check(w.name, w.password, nominate) == nil {
		t.Error("the generation before is refused as soon as the new one is checked")
	}
	w.on(old)
	w.comes(old, Now())
	if w.ear.heard() != 1 {
		t.Error("a packet by the old path does not count")
	}
	now := Now() + int64(time.Hour)
	w.comes(old, now)
	w.port.byAddr[w.key(fresh)].wanted.Store(now) // as a nominating check does while packets come
	w.comes(fresh, now)
	w.on(fresh)
	expect(t, w.ear, Moved)
	fresh.check(name, password)
	w.comes(old, now) // was on its way
	if w.ear.heard() != 4 {
		t.Error("a packet that was on its way by the old path is lost")
	}
	w.on(fresh)
	if old.check(w.name, w.password, nominate) != nil {
		t.Error("the generation before still opens the way")
	}
}

// A peer that has begun to send by another path is sent to by that one, also
// before its next check says so; a late packet by the path before moves nothing.
func TestThePathFollowsTheMedia(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	first, second := dial(t, w.port), dial(t, w.port)
	first.check(w.name, w.password, nominate)
	second.check(w.name, w.password)
	now := Now() + int64(time.Hour)
	w.comes(first, now)
	w.comes(second, now+int64(followAfter))
	w.on(first) // may be one that was overtaken
	w.comes(second, now+int64(followAfter)+1)
	w.on(second)
	expect(t, w.ear, Moved)
	w.comes(first, now+int64(followAfter)+2)
	w.on(second)
}

// While the selected path is silent another one is sent everything too, and only
// then: the peer hears on, and hears nothing twice.
func TestASilentPathHasAnotherBesideIt(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	first, second, third := dial(t, w.port), dial(t, w.port), dial(t, w.port)
	first.check(w.name, w.password, nominate)
	second.check(w.name, w.password)
	third.check(w.name, w.password)
	now := Now()
	set := func(one, two, three time.Duration) {
		w.heardAt(first, now-int64(one))
		w.heardAt(second, now-int64(two))
		w.heardAt(third, now-int64(three))
		w.conn.look(now)
	}
	for i, tc := range []struct {
		first, second, third time.Duration
		want                 []remote
		not                  []remote
	}{
		{-time.Hour, 0, 0, []remote{first}, []remote{second, third}},
		{doubtAfter + 1, 2 * time.Second, time.Second, []remote{first, third}, []remote{second}},
		{doubtAfter + 1, time.Second, willingFor + 1, []remote{first, second}, []remote{third}},
		{doubtAfter + 1, willingFor + 1, willingFor + 1, []remote{first}, []remote{second, third}},
		{-time.Hour, 0, 0, []remote{first}, []remote{second, third}},
	} {
		set(tc.first, tc.second, tc.third)
		if came := w.says(uint16(2*i), tc.want...); came != len(tc.want) {
			t.Errorf("%d: came at %d addresses, want %d", i, came, len(tc.want))
		}
		if came := w.says(uint16(2*i+1), tc.not...); came != 0 {
			t.Errorf("%d: came at %d addresses that are not to be sent to", i, came)
		}
		for _, r := range tc.want { // the copies of the second packet
			_ = r.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			_, _ = r.Read(make([]byte, 1500))
		}
		w.on(first)
	}
}

// A path of the generation before is on the network that has just died, however
// lately it was heard: one from another address comes first.
func TestThePathBesideIsOfAnotherNetwork(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	first, before := dial(t, w.port), dial(t, w.port)
	socket, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(w.port.Addresses()[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	apart := remote{socket, t}
	first.check(w.name, w.password, nominate)
	before.check(w.name, w.password)
	apart.check(w.name, w.password)
	now := Now()
	w.heardAt(first, now-int64(doubtAfter)-1)
	w.heardAt(before, now-int64(doubtAfter)-1)
	w.heardAt(apart, now-int64(20*time.Second))
	w.conn.look(now)
	if beside := w.conn.beside.Load(); beside == nil || beside.key != w.key(apart) {
		t.Error("what is sent beside takes the network that is silent")
	}
}

// An address that has become another connection's is not sent to by guess (E12).
func TestAnothersAddressIsNoPathBeside(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	first, second := dial(t, w.port), dial(t, w.port)
	first.check(w.name, w.password, nominate)
	second.check(w.name, w.password)
	now := Now()
	w.heardAt(second, now-int64(silentFor))
	other := open(t, w.port, newEar())
	name, password := other.Credentials()
	second.check(name, password)
	w.conn.selected.Load().checked.Store(now - int64(doubtAfter) - 1)
	w.conn.look(now)
	if w.conn.beside.Load() != nil {
		t.Error("another connection's address is sent to")
	}
}

// A path over TCP that ends is left at once, for another that the peer has.
func TestAStreamThatEndsIsLeftAtOnce(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(w.name+":far"), nominate, stun.NewShortTermIntegrity(w.password), stun.Fingerprint)
	s, err := net.Dial("tcp", w.port.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m.Raw))), m.Raw...)); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := s.Read(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
	beside := dial(t, w.port)
	beside.check(w.name, w.password)
	if network, _ := w.conn.Path(); network != "tcp" {
		t.Fatalf("sent by %q, want tcp", network)
	}
	_ = s.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if network, _ := w.conn.Path(); network == "udp" {
			break
		}
	}
	w.on(beside)
	state := <-w.ear.states
	if state != Rescued && state != Moved {
		t.Errorf("told %v", state)
	}
	w.port.mu.RLock()
	defer w.port.mu.RUnlock()
	if len(w.conn.paths) != 1 {
		t.Errorf("%d paths are kept", len(w.conn.paths))
	}
}
