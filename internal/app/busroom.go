package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/signaling"
)

// invitation asks a recorder to come to a room.
type invitation struct {
	Hearing interview.HearingID `json:"hearing"`
	Case    interview.CaseID    `json:"case"`
	Group   interview.GroupID   `json:"group"`
}

// envelope carries one message of a room over the bus. A connection is named by
// its recorder; the first message opens it, Closed ends it.
type envelope struct {
	Conn    string       `json:"conn"`
	Message wire.Message `json:"message"`
	Opens   bool         `json:"opens,omitempty"`
	Closed  bool         `json:"closed,omitempty"`
}

// busRooms is the door's side of recorders' connections.
type busRooms struct {
	conn *bus.Conn
	hub  *signaling.Hub
	ctx  context.Context

	mu    sync.Mutex
	conns map[string]*busConn
	work  sync.WaitGroup
}

// maxBusConns bounds the connections that recorders may hold.
const maxBusConns = 256

// serveBusRooms begins to hear recorders.
func serveBusRooms(ctx context.Context, conn *bus.Conn, hub *signaling.Hub) (*busRooms, error) {
	r := &busRooms{conn: conn, hub: hub, ctx: ctx, conns: map[string]*busConn{}}
	_, err := bus.Subscribe(conn, bus.Recorder, "room.in", func(speaker bus.Name, _ string, e envelope) { r.take(speaker, e) })
	return r, err
}

func (r *busRooms) take(speaker bus.Name, e envelope) {
	key := speaker.Instance + "/" + e.Conn
	r.mu.Lock()
	c := r.conns[key]
	switch {
	case c != nil && e.Closed:
		r.mu.Unlock()
		c.Close(nil)
		return
	case c == nil && (!e.Opens || len(r.conns) >= maxBusConns):
		r.mu.Unlock()
		// Of before a restart of the door: the recorder has to join anew.
		if !e.Closed {
			r.tell(speaker.Instance, envelope{Conn: e.Conn, Closed: true})
		}
		return
	case c == nil:
		c = &busConn{rooms: r, instance: speaker.Instance, name: e.Conn, in: make(chan []byte, 256), done: make(chan struct{})}
		r.conns[key] = c
		session := r.hub.Connect(signaling.Peer{Recorder: true, Instance: speaker.Instance}, c)
		r.work.Go(func() { c.serve(session, key) })
	}
	r.mu.Unlock()
	text, err := json.Marshal(e.Message)
	if err != nil {
		return
	}
	select {
	case c.in <- text:
	default:
		c.Close(problem.New(problem.CodeStalled, "recorder %s", speaker))
	}
}

func (r *busRooms) tell(instance string, e envelope) {
	if err := r.conn.Publish("room.out."+instance, e); err != nil {
		slog.Warn("recorder was not told", "recorder", instance, "err", err)
	}
}

// busConn is one recorder's connection to one room.
type busConn struct {
	rooms    *busRooms
	instance string
	name     string
	in       chan []byte
	done     chan struct{}
	once     sync.Once
}

func (c *busConn) serve(session *signaling.Session, key string) {
	defer func() {
		session.Closed()
		c.rooms.mu.Lock()
		delete(c.rooms.conns, key)
		c.rooms.mu.Unlock()
		c.rooms.tell(c.instance, envelope{Conn: c.name, Closed: true})
	}()
	for {
		select {
		case <-c.done:
			return
		case <-c.rooms.ctx.Done():
			return
		case text := <-c.in:
			if err := session.Handle(c.rooms.ctx, text); err != nil {
				return
			}
		}
	}
}

// Send implements signaling.Conn.
func (c *busConn) Send(m wire.Message) error {
	return c.rooms.conn.Publish("room.out."+c.instance, envelope{Conn: c.name, Message: m})
}

// Close implements signaling.Conn.
func (c *busConn) Close(error) { c.once.Do(func() { close(c.done) }) }

// roomDialer is the recorder's side: member.Conn over the bus.
type roomDialer struct {
	conn *bus.Conn

	mu    sync.Mutex
	next  int
	conns map[string]*roomConn
}

func newRoomDialer(conn *bus.Conn) (*roomDialer, error) {
	d := &roomDialer{conn: conn, conns: map[string]*roomConn{}}
	_, err := bus.Subscribe(conn, bus.Door, "room.out."+conn.Name().Instance, func(_ bus.Name, _ string, e envelope) {
		d.mu.Lock()
		defer d.mu.Unlock()
		c := d.conns[e.Conn]
		if c == nil {
			return
		}
		if e.Closed {
			d.forget(c)
			return
		}
		select {
		case c.in <- e.Message:
		default:
			d.forget(c) // the owner does not keep up: it has to join anew
		}
	})
	return d, err
}

// forget ends a connection; the lock is held.
func (d *roomDialer) forget(c *roomConn) {
	if d.conns[c.name] == c {
		delete(d.conns, c.name)
		close(c.in)
	}
}

// dial makes a connection; its first message opens it at the door.
func (d *roomDialer) dial() *roomConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	// The name carries the start of this process, so that a restarted recorder
	// never continues a connection of before.
	c := &roomConn{dialer: d, name: processStart + "-" + strconv.Itoa(d.next), in: make(chan wire.Message, 1024)}
	d.conns[c.name] = c
	return c
}

// processStart tells this run of the process from others.
var processStart = strconv.FormatInt(time.Now().UnixNano(), 36)

type roomConn struct {
	dialer *roomDialer
	name   string
	in     chan wire.Message

	mu     sync.Mutex
	opened bool
}

// Send implements member.Conn.
func (c *roomConn) Send(m wire.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := envelope{Conn: c.name, Message: m, Opens: !c.opened}
	c.opened = true
	return c.dialer.conn.Publish("room.in", e)
}

// Receive implements member.Conn.
func (c *roomConn) Receive() <-chan wire.Message { return c.in }

// Close implements member.Conn.
func (c *roomConn) Close() {
	c.dialer.mu.Lock()
	_, open := c.dialer.conns[c.name]
	c.dialer.forget(c)
	c.dialer.mu.Unlock()
	if open {
		_ = c.dialer.conn.Publish("room.in", envelope{Conn: c.name, Closed: true})
	}
}
