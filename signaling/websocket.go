package signaling

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview/wire"
)

// Times of a WebSocket. A page that says nothing for readWait, pongs included,
// is gone.
const (
	pingEvery = 2 * time.Second
	readWait  = 7 * time.Second
	writeWait = 5 * time.Second
)

var upgrader = websocket.Upgrader{
	Subprotocols:     []string{wire.Protocol},
	HandshakeTimeout: 5 * time.Second,
	ReadBufferSize:   4 << 10,
	WriteBufferSize:  4 << 10,
	// Origins are judged by the agent's gateway, which alone holds the device key
	// that this connection was made with.
	CheckOrigin: func(*http.Request) bool { return true },
}

// ServeWebSocket holds one page's conversation until it ends.
func (h *Hub) ServeWebSocket(w http.ResponseWriter, r *http.Request, peer Peer) {
	if err := h.occupy(peer.Device); err != nil {
		problem.Write(w, err)
		return
	}
	defer h.free(peer.Device)
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &socket{ws: ws, out: make(chan []byte, h.cfg.Limits.Queue), most: int64(h.cfg.Limits.QueueBytes), done: make(chan struct{})}
	s := h.Connect(peer, c)
	defer s.Closed()
	var writer sync.WaitGroup
	writer.Go(c.write)
	defer writer.Wait()
	defer c.Close(nil)
	ws.SetReadLimit(wire.MaxSize)
	alive := func(string) error { return ws.SetReadDeadline(time.Now().Add(readWait)) }
	ws.SetPongHandler(alive)
	_ = alive("")
	for {
		kind, text, err := ws.ReadMessage()
		if err != nil {
			if errors.Is(err, websocket.ErrReadLimit) {
				c.Close(problem.New(problem.CodeTooLarge, "message over %d bytes", wire.MaxSize))
			}
			return
		}
		_ = alive("")
		if kind != websocket.TextMessage {
			c.Close(problem.New(problem.CodeMalformed, "messages are text"))
			return
		}
		if err := s.Handle(r.Context(), text); err != nil {
			c.Close(err)
			return
		}
	}
}

// socket is a Conn over one WebSocket: a bounded queue and one writer.
type socket struct {
	ws   *websocket.Conn
	out  chan []byte
	size atomic.Int64 // of what waits in out
	most int64
	done chan struct{}
	once sync.Once

	mu  sync.Mutex
	why error
}

// Send queues a message. A full queue is an error: the socket is stalled.
func (c *socket) Send(m wire.Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil // closed already; its reader tells the room
	default:
	}
	if c.size.Add(int64(len(text))) > c.most {
		c.size.Add(-int64(len(text)))
		return problem.New(problem.CodeStalled, "%d bytes wait", c.size.Load())
	}
	select {
	case c.out <- text:
		return nil
	default:
		c.size.Add(-int64(len(text)))
		return problem.New(problem.CodeStalled, "%d messages wait", len(c.out))
	}
}

// Close ends the connection; why, if any, is told in the close frame by its code.
func (c *socket) Close(why error) {
	c.once.Do(func() {
		c.mu.Lock()
		c.why = why
		c.mu.Unlock()
		close(c.done)
		if errors.Is(why, problem.New(problem.CodeStalled, "")) {
			_ = c.ws.NetConn().Close() // the writer is stuck in it: nothing more can be said
		}
	})
}

func (c *socket) write() {
	defer c.ws.Close()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	send := func(kind int, b []byte) error {
		_ = c.ws.SetWriteDeadline(time.Now().Add(writeWait))
		return c.ws.WriteMessage(kind, b)
	}
	for {
		select {
		case text := <-c.out:
			c.size.Add(-int64(len(text)))
			if send(websocket.TextMessage, text) != nil {
				c.Close(nil)
				return
			}
		case <-ping.C:
			if send(websocket.PingMessage, nil) != nil {
				c.Close(nil)
				return
			}
		case <-c.done:
			c.flush(send)
			return
		}
	}
}

// flush sends what was queued before the end, then the reason of the end. A
// reader that takes it drop by drop is not waited for.
func (c *socket) flush(send func(int, []byte) error) {
	for end := time.Now().Add(writeWait); time.Now().Before(end); {
		select {
		case text := <-c.out:
			if send(websocket.TextMessage, text) != nil {
				return
			}
		default:
			c.mu.Lock()
			why := c.why
			c.mu.Unlock()
			code, text := websocket.CloseNormalClosure, ""
			if why != nil {
				code, text = websocket.ClosePolicyViolation, string(problem.Of(why).Code)
			}
			_ = send(websocket.CloseMessage, websocket.FormatCloseMessage(code, text))
			return
		}
	}
}
