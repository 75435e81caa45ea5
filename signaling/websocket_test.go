package signaling_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/signaling"
)

// server takes WebSockets of one device.
func (d *door) server(g *guest) string {
	d.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.hub.ServeWebSocket(w, r, g.peer) }))
	d.t.Cleanup(func() {
		d.hub.Close() // server.Close does not wait for WebSockets
		s.CloseClientConnections()
		s.Close()
	})
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// closedFor reads until the door closes the socket and gives its reason.
func closedFor(t *testing.T, ws *websocket.Conn) (int, string) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		_, _, err := ws.ReadMessage()
		var c *websocket.CloseError
		if errors.As(err, &c) {
			return c.Code, c.Text
		}
		if err != nil {
			return 0, err.Error()
		}
	}
}

// Bad input ends with a code, in the close frame where nothing can be answered.
func TestSocketsThatMisbehaveAreClosed(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	url := d.server(d.arrive(d.world.Person(interview.RoleApplicant, "Amal")))
	for name, tc := range map[string]struct {
		kind int
		text []byte
		code int
		want problem.Code
	}{
		"oversized": {websocket.TextMessage, make([]byte, wire.MaxSize+1), websocket.CloseMessageTooBig, ""}, // RFC 6455 section 7.4.1 has its own word
		"binary":    {websocket.BinaryMessage, []byte("{}"), websocket.ClosePolicyViolation, problem.CodeMalformed},
	} {
		ws := dial(t, url)
		if err := ws.WriteMessage(tc.kind, tc.text); err != nil {
			t.Fatal(err)
		}
		if code, why := closedFor(t, ws); code != tc.code || why != string(tc.want) {
			t.Errorf("%s: closed for %d %q, want %d %q", name, code, why, tc.code, tc.want)
		}
	}
}

// One device holds a bounded number of sockets, and gets their places back.
func TestADeviceHoldsFewSockets(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(c *signaling.Config) { c.Limits.Connections = 2 })
	url := d.server(d.arrive(d.world.Person(interview.RoleApplicant, "Amal")))
	first := dial(t, url)
	dial(t, url)
	_, answer, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err == nil || answer == nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("a third socket: %v", err)
	}
	_ = first.Close()
	eventually(t, "its place is free", func() bool {
		ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
		if err == nil {
			_ = ws.Close()
		}
		return err == nil
	})
}

// A socket that is not read is cut after a bounded number of bytes; everybody
// else goes on, and learns that it is away.
func TestASocketThatIsNotReadIsCut(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(c *signaling.Config) {
		c.Limits.BytesPerSecond, c.Limits.MessagesPerSecond, c.Limits.QueueBytes = 1<<30, 1000, 1<<20
	})
	g := d.arrive(d.world.Person(interview.RoleInterviewer, "Irja"))
	ws := dial(t, d.server(g))
	join, err := wire.New(wire.TypeJoin, wire.Join{Hearing: d.world.Hearing, Statement: g.statement})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(join)
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, text); err != nil {
		t.Fatal(err)
	}
	rec := d.comeRecorder("one")
	away := func() bool {
		list, _ := last[wire.Members](rec, wire.TypeMembers)
		for _, v := range list.Members {
			if v.Member == g.id() {
				return !v.Connected
			}
		}
		return false
	}
	long, err := rec.self.SignHeartbeat(sealing.Heartbeat{
		Hearing: d.world.Hearing, Group: d.world.Group, Recording: interview.NewRecordingID(), State: interview.RecorderRecording, Head: strings.Repeat("a", 100<<10),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the socket that is not read is cut", func() bool {
		rec.must(rec.ask(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: long}))
		return away()
	})
}
