package port

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// captured is a check that the peer made, as somebody on the network sees it.
func (w *walker) captured(more ...stun.Setter) []byte {
	w.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(w.name + ":far")}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(w.password), stun.Fingerprint)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Raw
}

// checks hands the port a check from an address at a time.
func (w *walker) checks(from remote, at int64, raw []byte) {
	name := sockaddrOf(from.LocalAddr().(*net.UDPAddr).AddrPort())
	w.port.check(at, bytes.Clone(raw), &path{socket: w.port.sockets[0], name: name, key: name.key(0)})
}

// clocks are what the port knows of the connection's life and of its paths.
func (w *walker) clocks() (heard int64, paths int) {
	w.port.mu.RLock()
	defer w.port.mu.RUnlock()
	return w.conn.Heard(), len(w.conn.paths)
}

const aLongTime = int64(time.Hour)

// A check that was captured and is sent again holds nothing and moves nothing, not
// from the peer's own address, not from another one, and not much later either:
// the connection is lost when its peer is, after the time that is stated.
func TestARepeatedCheckHoldsAndMovesNothing(t *testing.T) {
	t.Parallel()
	for name, nominating := range map[string][]stun.Setter{"plain": nil, "nominating": {nominate}} {
		for how, silence := range map[string]int64{"while packets come": 0, "in silence": int64(silentFor) + 1, "later": aLongTime} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				w := newWalker(t)
				peer, thief := dial(t, w.port), dial(t, w.port)
				begun := Now()
				w.checks(peer, begun, w.captured(nominate))
				check := w.captured(nominating...)
				w.checks(peer, begun, check)
				w.on(peer)
				w.comes(peer, begun)
				w.conn.up = true
				heard, paths := w.clocks()
				for i := range int64(3 * repeatsPerSecond) {
					at := begun + silence + i
					w.checks(thief, at, check)
					w.on(peer)
					w.checks(peer, at, check)
					w.on(peer)
				}
				if now, n := w.clocks(); now != heard || n != paths {
					t.Errorf("heard %v later, on %d paths; want nothing, on %d", time.Duration(now-heard), n, paths)
				}
				// The thief's address was not even answered; the peer's was, as often as is stated.
				if answers := w.answers(thief); answers != 0 {
					t.Errorf("%d answers for the thief", answers)
				}
				if answers := w.answers(peer); answers < 2 || answers > 2+2*repeatsPerSecond {
					t.Errorf("%d answers for the peer, at most %d repeated in a second", answers, repeatsPerSecond)
				}
				w.conn.look(begun + int64(LostAfter) + 1)
				expect(t, w.ear, Lost)
				w.checks(thief, begun+int64(LostAfter)+2, check)
				w.checks(peer, begun+int64(LostAfter)+2, check)
				w.conn.look(begun + int64(LostAfter+ClosedAfter) + 1)
				expect(t, w.ear, Closed)
			})
		}
	}
}

// answers counts what has come to an address.
func (w *walker) answers(r remote) (count int) {
	b := make([]byte, 1500)
	for {
		_ = r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := r.Read(b); err != nil {
			return count
		}
		count++
	}
}

// Over TCP a repeated check makes no path either: the stream stays a stranger's.
func TestARepeatedCheckMakesNoPathOverTCP(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	peer := dial(t, w.port)
	check := w.captured(nominate)
	w.checks(peer, Now(), check)
	s, err := net.Dial("tcp", w.port.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(check))), check...)); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := s.Read(make([]byte, 1500)); err == nil {
		t.Errorf("%d bytes were answered", n)
	}
	w.on(peer)
}

// Who takes a check out of the network, so that the port has never seen it, can
// spend it once: while the peer's packets come it moves nothing, and in silence no
// longer than until the peer's next packet.
func TestAWithheldCheckMovesNothingWhilePacketsCome(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	peer, thief := dial(t, w.port), dial(t, w.port)
	now := Now() + aLongTime
	w.checks(peer, now, w.captured(nominate))
	w.comes(peer, now)
	for range 10 { // ten of them, one after the other
		now += int64(20 * time.Millisecond)
		w.checks(thief, now, w.captured(nominate))
		w.on(peer)
		now += int64(20 * time.Millisecond)
		w.comes(peer, now)
		w.on(peer)
	}
	select {
	case s := <-w.ear.states:
		t.Errorf("told %v", s)
	default:
	}
	// The peer is silent, as one is whose packets are withheld too.
	now += int64(silentFor) + 1
	w.checks(thief, now, w.captured(nominate))
	w.on(thief)
	w.checks(thief, now+int64(followAfter)+1, w.captured(nominate)) // holds it against nobody
	w.comes(peer, now+int64(followAfter)+1)
	w.on(peer)
}

// A nominated path is moved to with the first packet by it, and not before, while
// packets come by the one in use; without packets at once, since a peer may only
// listen.
func TestANominatedPathIsTakenWithItsFirstPacket(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	first, second, third := dial(t, w.port), dial(t, w.port), dial(t, w.port)
	now := Now() + aLongTime
	w.checks(first, now, w.captured(nominate))
	w.comes(first, now)
	w.checks(second, now+1, w.captured(nominate))
	w.on(first)
	w.comes(first, now+2)
	w.on(first)
	w.comes(second, now+3)
	w.on(second)
	expect(t, w.ear, Moved)
	w.comes(first, now+4) // was on its way
	w.on(second)
	// Of the packets only their absence counts: the checks of the one in use go on.
	now += int64(silentFor) + 4
	w.checks(second, now, w.captured(nominate))
	w.checks(third, now, w.captured(nominate))
	w.on(third)
}

// A transaction is remembered for as long as its generation lives; that others are
// taken for it is seldom.
func TestTransactionsAreNotForgotten(t *testing.T) {
	t.Parallel()
	var s seen
	const checks = 14_400 // one a second for four hours
	id := func(i uint32) []byte {
		return binary.BigEndian.AppendUint32(make([]byte, 8, 12), i) // as alike as can be
	}
	mistaken := 0
	for i := range uint32(checks) {
		if s.add(id(i)) {
			mistaken++
		}
	}
	if mistaken > checks/50 {
		t.Errorf("%d of %d were taken for repeated", mistaken, checks)
	}
	for i := range uint32(checks) {
		if !s.has(id(i)) || !s.add(id(i)) {
			t.Fatalf("transaction %d was forgotten", i)
		}
	}
	if new(seen).has(id(1)) {
		t.Error("nothing was seen, and yet it was")
	}
}
