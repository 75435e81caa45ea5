package member

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"kuule/interview/wire"
)

const readWait = 10 * time.Second

// Dial opens a room connection over WebSocket.
func Dial(ctx context.Context, url string, config *tls.Config, header http.Header) (Conn, error) {
	d := websocket.Dialer{TLSClientConfig: config, HandshakeTimeout: 5 * time.Second, Subprotocols: []string{wire.Protocol}}
	ws, resp, err := d.DialContext(ctx, url, header)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("room at %s: %s: %w", url, resp.Status, err)
		}
		return nil, fmt.Errorf("room at %s: %w", url, err)
	}
	return Over(ws), nil
}

// Over carries a room over a WebSocket that is open already, and takes it over:
// somebody behind a device's gateway dials it in the gateway's way.
func Over(ws *websocket.Conn) Conn {
	ws.SetReadLimit(4 * wire.MaxSize)
	// The door pings every two seconds: one that does not is gone.
	alive := func() { _ = ws.SetReadDeadline(time.Now().Add(readWait)) }
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		alive()
		return pong(data)
	})
	alive()
	c := &socket{ws: ws, in: make(chan wire.Message, 64)}
	go c.read()
	return c
}

type socket struct {
	ws   *websocket.Conn
	in   chan wire.Message
	mu   sync.Mutex // gorilla allows one writer at a time
	once sync.Once
}

func (c *socket) read() {
	defer close(c.in)
	for {
		_, text, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		var m wire.Message
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		c.in <- m
	}
}

// Send writes one message.
func (c *socket) Send(m wire.Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return c.ws.WriteMessage(websocket.TextMessage, text)
}

// Receive gives what comes.
func (c *socket) Receive() <-chan wire.Message { return c.in }

// Close ends the connection; messages that still come are dropped.
func (c *socket) Close() {
	c.once.Do(func() {
		_ = c.ws.Close()
		go func() {
			for range c.in {
			}
		}()
	})
}
