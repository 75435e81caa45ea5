package port

import (
	"crypto/rand"
	"strings"

	"github.com/pion/stun/v4"
)

// credentials let a peer's checks through, for one generation of a connection
// (RFC 8445, section 5.3).
type credentials struct {
	conn     *Conn
	name     string
	password string
	taken    bool // one of its paths was selected: the generations before are over
	seen     seen // guarded by the connection's lock
}

// How many authentic checks of a peer are heeded in a second: in all, so that one
// path leaves room for the others, and of those that come again. A browser sends a
// few dozen. Each may move the path, after which much is learned anew.
const (
	checksPerSecond  = 200
	checksOfPath     = 100
	repeatsPerSecond = 20
)

// repeated reports whether a check came before.
func (c *Conn) repeated(n *credentials, m *stun.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.seen.has(m.TransactionID[:])
}

// admit counts an authentic check. One that comes again is answered, since the
// answer may have been lost, but by a path that proved itself without it, and it
// says nothing new: somebody may have captured it.
func (c *Conn) admit(at int64, n *credentials, m *stun.Message, via *path, proved bool) (fresh, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.seen.add(m.TransactionID[:]) {
		return false, proved && via.repeats.take(at, repeatsPerSecond)
	}
	ok := via.checks.take(at, checksOfPath) && c.checks.take(at, checksPerSecond)
	return ok, ok
}

// GenerationMark ends the user fragment in a check's name, whatever follows it up
// to the colon. With it a peer can call a generation of its own making another
// one, and so look for a path anew when nobody can be asked for an answer.
const GenerationMark = "+"

// name gives a connection new credentials; the port's lock is held. Those of
// before hold until a path of the new ones is selected.
func (p *Port) name(c *Conn) *credentials {
	n := &credentials{conn: c, name: rand.Text()[:16], password: rand.Text() + rand.Text()[:6]}
	if len(c.names) > 1 { // a restart that nobody took up
		delete(p.byName, c.names[1].name)
		c.names = c.names[:1]
	}
	c.names = append(c.names, n)
	p.byName[n.name] = n
	return n
}

// Credentials are the user fragment and password of the newest generation.
func (c *Conn) Credentials() (fragment, password string) {
	c.port.mu.RLock()
	defer c.port.mu.RUnlock()
	n := c.names[len(c.names)-1]
	return n.name, n.password
}

// Restart begins a new generation (RFC 8445, section 9): the peer may come from
// somewhere else, keys and everything above stay.
func (c *Conn) Restart() (fragment, password string) {
	c.port.mu.Lock()
	defer c.port.mu.Unlock()
	n := c.names[len(c.names)-1]
	if _, open := c.port.conns[c]; open { // of one that is closed nobody would take them back
		n = c.port.name(c)
	}
	return n.name, n.password
}

// check answers a connectivity check as a lite agent does (RFC 8445, sections
// 2.5 and 7.3). What is not authentic is not answered: nobody can be made a
// target through this port.
func (p *Port) check(at int64, b []byte, via *path) {
	var m stun.Message
	if stun.Decode(b, &m) != nil || m.Type != stun.BindingRequest {
		return
	}
	username, err := m.Get(stun.AttrUsername)
	if err != nil {
		return
	}
	local, _, _ := strings.Cut(string(username), ":")
	local, _, _ = strings.Cut(local, GenerationMark)
	p.mu.RLock()
	n, known := p.byName[local], p.byAddr[via.key]
	p.mu.RUnlock()
	if n == nil {
		return
	}
	proved := known != nil && known.conn == n.conn
	if proved {
		via = known
	}
	if !proved && n.conn.repeated(n, &m) { // not worth the work of looking whose it is
		return
	}
	if stun.MessageIntegrity(n.password).Check(&m) != nil || stun.Fingerprint.Check(&m) != nil {
		return
	}
	fresh, answered := n.conn.admit(at, n, &m, via, proved)
	if !answered {
		return
	}
	reply := []stun.Setter{stun.NewTransactionIDSetter(m.TransactionID)}
	if m.Contains(stun.AttrICEControlled) {
		reply = append(reply, stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeRoleConflict)
	} else {
		if fresh {
			via = p.proved(at, n, via, m.Contains(stun.AttrUseCandidate))
		}
		if via == nil {
			return
		}
		reply = append(reply, stun.BindingSuccess, via.mapped())
	}
	reply = append(reply, stun.MessageIntegrity(n.password), stun.Fingerprint)
	if answer, err := stun.Build(reply...); err == nil {
		via.write(answer.Raw)
	}
}

// proved takes a path that a fresh authentic check came over and gives the one
// known for its address; nil when it cannot be had. While packets come by the
// selected path a check moves nothing: what it nominates is moved to with the
// first packet by it, which nobody but the peer can send.
func (p *Port) proved(at int64, n *credentials, via *path, nominated bool) *path {
	c := n.conn
	p.mu.RLock()
	known, taken := p.byAddr[via.key], n.taken
	p.mu.RUnlock()
	if known == nil || known.conn != c {
		if known = p.adopt(at, c, via); known == nil {
			return nil
		}
	}
	known.checked.Store(at)
	c.heard.Store(at)
	selected := c.selected.Load()
	switch {
	case selected == known:
	case selected == nil, at-selected.heard() > int64(silentFor), nominated && !selected.brings(at):
		c.choose(selected, known, at)
	case nominated:
		known.wanted.Store(at)
	}
	if !taken && c.selected.Load() == known {
		p.take(n)
	}
	return known
}

// take ends the generations before, since the peer has moved on to this one. Until
// then their paths are checked and used as before (RFC 8445, section 9), so that
// a restart that leads nowhere costs nothing.
func (p *Port) take(n *credentials) {
	c := n.conn
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.taken || p.byName[n.name] != n {
		return
	}
	n.taken = true
	for len(c.names) > 1 && c.names[0] != n {
		delete(p.byName, c.names[0].name)
		c.names = c.names[1:]
	}
}

func (p *Port) adopt(at int64, c *Conn, via *path) *path {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byAddr[via.key]
	if known != nil && known.conn == c {
		return known
	}
	if known != nil && at-known.heard() < int64(silentFor) {
		return nil // the address is another's, who speaks from it: not to be had by writing it on an envelope
	}
	if _, open := p.conns[c]; !open || via.conn != nil { // one stream serves one connection
		return nil
	}
	if len(c.paths) >= maxPaths {
		c.forget()
	}
	via.conn = c
	c.paths = append(c.paths, via)
	p.byAddr[via.key] = via
	return via
}
