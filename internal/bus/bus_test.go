package bus

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"kuule/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	ca     *CA
	server *Server
}

func start(t *testing.T) *world {
	t.Helper()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{ca: ca}
	w.serve(t, 0)
	t.Cleanup(func() { w.server.Close() })
	return w
}

func (w *world) serve(t *testing.T, port int) {
	t.Helper()
	server, err := Serve(w.credentials(t, Main(Supervisor)), port)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
}

func (w *world) credentials(t *testing.T, name Name) *Credentials {
	t.Helper()
	credentials, err := w.ca.Issue(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func (w *world) connect(t *testing.T, name Name) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := Connect(ctx, w.credentials(t, name), w.server.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// raw is a connection without this package's own checks: a captured process.
func (w *world) raw(t *testing.T, name Name) (*nats.Conn, <-chan error) {
	t.Helper()
	refused := make(chan error, 64)
	connection, err := nats.Connect("tls://"+w.server.Address(), nats.Secure(w.credentials(t, name).clientConfig()), nats.TLSHandshakeFirst(),
		nats.CustomInboxPrefix(inbox(name)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	return connection, refused
}

type note struct {
	Text string `json:"text"`
}

func TestRequestIsAnsweredAndTheCallerIsKnown(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, door := w.connect(t, Main(Authority)), w.connect(t, Main(Door))
	err := Handle(authority, "audit.append", func(_ context.Context, caller Name, in note) (note, error) {
		return note{Text: caller.String() + " said " + in.Text}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out note
	if err := door.Call(t.Context(), Main(Authority), "audit.append", note{"hello"}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Text != "door.main said hello" {
		t.Fatalf("got %q", out.Text)
	}
}

func TestProblemsTravelAndInnerErrorsStayInside(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, door := w.connect(t, Main(Authority)), w.connect(t, Main(Door))
	err := Handle(authority, "posture.verify", func(_ context.Context, _ Name, in note) (note, error) {
		if in.Text == "coded" {
			return note{}, fmt.Errorf("sign: %w", problem.Refused(problem.CodePremises, "C4.place", "device is elsewhere"))
		}
		return note{}, errors.New("secret path /x")
	})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		in   any
		want problem.Code
		rule string
	}{
		{"coded problem", note{"coded"}, problem.CodePremises, "C4.place"},
		{"other error", note{"other"}, problem.CodeInternal, ""},
		{"unknown field", map[string]string{"texts": "x"}, problem.CodeMalformed, ""},
		{"not an object", []int{1}, problem.CodeMalformed, ""},
		{"too large", note{strings.Repeat("x", maxPayload)}, problem.CodeTooLarge, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := door.Call(t.Context(), Main(Authority), "posture.verify", c.in, nil)
			var got *problem.Error
			if !errors.As(err, &got) || got.Code != c.want || got.Rule != c.rule {
				t.Fatalf("got %v, want %s by rule %q", err, c.want, c.rule)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Fatalf("inner text went over the bus: %v", err)
			}
		})
	}
}

func TestNobodyAnswersIsSaidSoonAndASlowAnswerAtTheDeadline(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, door := w.connect(t, Main(Authority)), w.connect(t, Main(Door))
	if err := door.Call(t.Context(), Main(Authority), "audit.nothing", note{}, nil); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Fatalf("nobody answered, and the call said %v", err)
	}
	ended := make(chan struct{})
	if err := Handle(authority, "audit.slow", func(ctx context.Context, _ Name, _ note) (note, error) {
		<-ctx.Done() // the caller's deadline reaches the handler
		close(ended)
		return note{}, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := door.Call(ctx, Main(Authority), "audit.slow", note{}, nil); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Fatalf("got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("handler did not learn that its caller has gone")
	}
}

// A process that is restarted costs its callers a moment and no error.
func TestACallWaitsForAProcessThatComesBack(t *testing.T) {
	t.Parallel()
	w := start(t)
	door := w.connect(t, Main(Door))
	answered := make(chan error, 1)
	go func() { answered <- door.Call(t.Context(), Main(Authority), "audit.back", note{}, nil) }()
	select {
	case err := <-answered:
		t.Fatalf("answered before anybody was there: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	authority := w.connect(t, Main(Authority))
	if err := Handle(authority, "audit.back", func(context.Context, Name, note) (note, error) { return note{}, nil }); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

func TestMessagesReachAllWhoMayHearThem(t *testing.T) {
	t.Parallel()
	w := start(t)
	door, sfu, recorder := w.connect(t, Main(Door)), w.connect(t, Name{SFU, "node-2"}), w.connect(t, Main(Recorder))
	got := make(chan string, 2)
	for _, conn := range []*Conn{sfu, recorder} {
		stop, err := Subscribe(conn, Door, "revocation.>", func(speaker Name, topic string, m note) {
			got <- fmt.Sprint(speaker, " ", topic, " ", m.Text)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	if err := door.Publish("revocation.device", note{"7"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case text := <-got:
			if text != "door.main revocation.device 7" {
				t.Fatalf("got %q", text)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("message did not arrive")
		}
	}
}

// Every pair of processes and every subject of every other process: what the
// table does not grant, the server refuses to a process without our own checks.
func TestServerRefusesWhatTheTableDoesNotGrant(t *testing.T) {
	t.Parallel()
	w := start(t)
	denied := map[Role]struct{ publish, subscribe []string }{
		Door: {
			publish: []string{
				"rpc.authority.main.door.main.keyring.recording.unwrap",
				"rpc.authority.main.door.main.keyring.recording.wrap",
				"rpc.authority.main.door.main.certify",
				"rpc.authority.main.playback.v1.keyring.recording.unwrap", // as playback
				"event.sfu.main.leg.closed",                               // as sfu
				"_INBOX.authority.main.x",
			},
			subscribe: []string{">", "rpc.>", "rpc.authority.>", "_INBOX.>", "_INBOX.authority.main.>", "_INBOX.recorder.main.>", "event.supervisor.main.>", "$SYS.>"},
		},
		Authority: {
			publish:   []string{"rpc.sfu.main.authority.main.leg.close", "rpc.door.main.authority.main.anything", "event.door.main.revocation.device"},
			subscribe: []string{">", "_INBOX.door.main.>", "rpc.door.>", "rpc.sfu.>", "event.recorder.>", "event.door.main.room.x"},
		},
		SFU: {
			publish:   []string{"rpc.authority.main.sfu.main.audit.append", "rpc.authority.main.sfu.main.keyring.records.unwrap", "rpc.recorder.main.sfu.main.room.join", "rpc.sfu.main.door.main.leg.close", "event.door.main.revocation.device"},
			subscribe: []string{">", "rpc.authority.>", "rpc.recorder.>", "_INBOX.recorder.>", "event.recorder.>", "event.authority.>", "event.door.main.room.x"},
		},
		Recorder: {
			publish:   []string{"rpc.authority.main.recorder.main.keyring.recording.unwrap", "rpc.authority.main.recorder.main.keyring.records.unwrap", "rpc.authority.main.recorder.main.audit.append", "rpc.sfu.main.recorder.main.room.join", "event.door.main.room.phase"},
			subscribe: []string{">", "_INBOX.playback.>", "_INBOX.*.*.>", "rpc.playback.>", "rpc.authority.>", "event.sfu.>"},
		},
		Playback: {
			publish:   []string{"rpc.authority.main.playback.main.keyring.recording.wrap", "rpc.authority.main.playback.main.keyring.records.unwrap", "rpc.authority.main.playback.other.keyring.recording.unwrap", "rpc.sfu.main.playback.main.room.join"},
			subscribe: []string{">", "_INBOX.playback.other.>", "_INBOX.playback.>", "rpc.playback.other.door.main.view", "event.door.main.room.x"},
		},
		Supervisor: {
			publish:   []string{"rpc.authority.main.supervisor.main.keyring.recording.unwrap", "rpc.authority.main.supervisor.main.posture.verify", "rpc.sfu.main.supervisor.main.leg.close"},
			subscribe: []string{">", "_INBOX.door.main.>", "event.recorder.main.room.x", "rpc.authority.>"},
		},
	}
	for role, subjects := range denied {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			connection, refused := w.raw(t, Main(role))
			for _, subject := range subjects.publish {
				if err := connection.Publish(subject, []byte("{}")); err != nil {
					t.Fatal(err)
				}
				wantRefusal(t, connection, refused, "Publish", subject)
			}
			for _, subject := range subjects.subscribe {
				if _, err := connection.SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
				wantRefusal(t, connection, refused, "Subscription", subject)
			}
		})
	}
}

func wantRefusal(t *testing.T, connection *nats.Conn, refused <-chan error, action, subject string) {
	t.Helper()
	if err := connection.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+subject+`"`) {
			t.Errorf("%s %s: got %v", action, subject, err)
		}
	case <-time.After(2 * time.Second):
		t.Errorf("%s %s was not refused", action, subject)
	}
}

func TestOwnChecksAgreeWithTheServer(t *testing.T) {
	t.Parallel()
	w := start(t)
	sfu := w.connect(t, Main(SFU))
	err := sfu.Call(t.Context(), Main(Authority), "keyring.records.unwrap", note{}, nil)
	if !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Fatalf("got %v", err)
	}
	if _, err := Subscribe(sfu, Recorder, "room.x", func(Name, string, note) {}); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Fatalf("got %v", err)
	}
	if err := Handle(sfu, "keyring.records.unwrap", func(context.Context, Name, note) (note, error) { return note{}, nil }); err == nil {
		t.Fatal("sfu could offer to unwrap keys")
	}
}

// A caller that names another place for its answer could make the callee publish
// there with the callee's rights.
func TestAnswerGoesToTheCallerOnly(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority := w.connect(t, Main(Authority))
	var asked atomic.Int32
	if err := Handle(authority, "keyring.recording.wrap", func(context.Context, Name, note) (note, error) {
		asked.Add(1)
		return note{"forged"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	connection, _ := w.raw(t, Main(Recorder))
	door, _ := w.raw(t, Main(Door))
	stolen, err := door.SubscribeSync("event.authority.main.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := door.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := connection.PublishRequest("rpc.authority.main.recorder.main.keyring.recording.wrap", "event.authority.main.room.x", []byte(`{"text":""}`)); err != nil {
		t.Fatal(err)
	}
	// An honest request after it is answered, so the forged one was dealt with.
	if _, err := connection.Request("rpc.authority.main.recorder.main.keyring.recording.wrap", []byte(`{"text":""}`), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1 {
		t.Fatalf("handler ran %d times, want once", n)
	}
	if message, err := stolen.NextMsg(100 * time.Millisecond); err == nil {
		t.Fatalf("answer was published as authority's message: %s", message.Data)
	}
}

func TestNoCertificateNoBus(t *testing.T) {
	t.Parallel()
	w := start(t)
	other, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := other.Issue(Main(Door), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := w.ca.Issue(Main(SFU), -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	mine := w.credentials(t, Main(SFU))
	configs := map[string]*tls.Config{
		"none":            {RootCAs: mine.pool, ServerName: serverName},
		"other authority": {RootCAs: mine.pool, ServerName: serverName, Certificates: []tls.Certificate{stranger.pair}},
		"expired":         expired.clientConfig(),
		"old TLS":         {RootCAs: mine.pool, ServerName: serverName, Certificates: []tls.Certificate{mine.pair}, MaxVersion: tls.VersionTLS12},
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			connection, err := nats.Connect("tls://"+w.server.Address(), nats.Secure(config), nats.TLSHandshakeFirst(), nats.Timeout(3*time.Second))
			if err == nil {
				connection.Close()
				t.Fatal("connected")
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		socket, err := net.Dial("tcp", w.server.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		if _, err := socket.Write([]byte("CONNECT {}\r\nPING\r\n")); err != nil {
			t.Fatal(err)
		}
		_ = socket.SetDeadline(time.Now().Add(30 * time.Second))
		told, _ := io.ReadAll(socket)
		if bytes.Contains(told, []byte("INFO")) || bytes.Contains(told, []byte("PONG")) {
			t.Fatalf("server spoke to a stranger: %q", told)
		}
	})
}

// Who runs the bus reads every message and enforces the table: never the door,
// which is the process most likely to fall (promise 7).
func TestOnlyTheSupervisorServes(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, role := range []Role{Door, Authority, SFU, Recorder, Playback} {
		if s, err := Serve(w.credentials(t, Main(role)), 0); err == nil {
			s.Close()
			t.Errorf("%s served a bus", role)
		}
	}
	// And clients would not believe it: its certificate is no server's.
	listener, err := tls.Listen("tcp", "127.0.0.1:0", w.credentials(t, Main(Door)).serverConfig())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		_ = socket.(*tls.Conn).Handshake()
		_ = socket.Close()
	}()
	if _, err := connect(w.credentials(t, Main(Authority)), listener.Addr().String()); err == nil {
		t.Error("authority took the door for the bus")
	}
	_ = listener.Close()
	<-done
}

func TestCertificatesEndIsTheConnectionsEnd(t *testing.T) {
	t.Parallel()
	w := start(t)
	short, err := w.ca.Issue(Name{Playback, "v1"}, 1500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	connection, err := nats.Connect("tls://"+w.server.Address(), nats.Secure(short.clientConfig()), nats.TLSHandshakeFirst(), nats.NoReconnect(),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("connection outlived its certificate")
	}
}

func TestBusComesBackAndSoDoTheProcesses(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, recorder := w.connect(t, Main(Authority)), w.connect(t, Main(Recorder))
	if err := Handle(authority, "trust", func(context.Context, Name, note) (note, error) { return note{"ok"}, nil }); err != nil {
		t.Fatal(err)
	}
	port := w.server.nats.Addr().(*net.TCPAddr).Port
	w.server.Close()
	if err := recorder.Call(t.Context(), Main(Authority), "trust", note{}, nil); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Fatalf("while the bus is away: got %v", err)
	}
	w.serve(t, port)
	var out note
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := recorder.Call(t.Context(), Main(Authority), "trust", note{}, &out)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("bus came back, processes did not: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestCloseEndsWhatHandlersDo(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, door := w.connect(t, Main(Authority)), w.connect(t, Main(Door))
	begun := make(chan struct{})
	if err := Handle(authority, "audit.wait", func(ctx context.Context, _ Name, _ note) (note, error) {
		close(begun)
		<-ctx.Done()
		return note{}, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- door.Call(t.Context(), Main(Authority), "audit.wait", note{}, nil) }()
	<-begun
	authority.Close()
	if err := <-answered; err == nil {
		t.Fatal("cancelled request was answered as done")
	}
}

func TestHTTPOverTheBus(t *testing.T) {
	t.Parallel()
	w := start(t)
	authority, door := w.connect(t, Main(Authority)), w.connect(t, Main(Door))
	err := HandleHTTP(authority, "enrol", http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		switch request.URL.Path {
		case "/empty":
		case "/large":
			_, _ = writer.Write(make([]byte, MaxBody))
			_, _ = writer.Write([]byte{1})
		default:
			writer.Header().Add("Link", "<a>")
			writer.Header().Add("Link", "<b>")
			writer.WriteHeader(http.StatusCreated)
			fmt.Fprintf(writer, "%s %s %s %s %s", request.Method, request.URL.RequestURI(), request.Host, request.RemoteAddr, body)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: door.Transport(Main(Authority), "enrol")}
	post := func(path string, body []byte) (*http.Response, string, error) {
		response, err := client.Post("https://enrol.example"+path, "application/jose+json", bytes.NewReader(body))
		if err != nil {
			return nil, "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return response, string(text), err
	}
	t.Run("whole", func(t *testing.T) {
		response, text, err := post("/acme/order?x=%2F", []byte("a\nb"))
		if err != nil || response.StatusCode != http.StatusCreated || len(response.Header["Link"]) != 2 {
			t.Fatalf("got %v, %v", response, err)
		}
		if want := "POST /acme/order?x=%2F enrol.example door.main a\nb"; text != want {
			t.Fatalf("got %q, want %q", text, want)
		}
	})
	t.Run("empty answer is 200", func(t *testing.T) {
		response, text, err := post("/empty", nil)
		if err != nil || response.StatusCode != http.StatusOK || text != "" {
			t.Fatalf("got %v %q, %v", response, text, err)
		}
	})
	t.Run("largest body", func(t *testing.T) {
		if _, _, err := post("/x", bytes.Repeat([]byte{'x'}, MaxBody/2)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("too large a request", func(t *testing.T) {
		if _, _, err := post("/x", make([]byte, MaxBody+1)); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("too large an answer", func(t *testing.T) {
		response, text, err := post("/large", nil)
		if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(text, string(problem.CodeTooLarge)) {
			t.Fatalf("got %v %q, %v", response, text, err)
		}
	})
}

func TestCredentialsCannotBePrinted(t *testing.T) {
	t.Parallel()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := ca.Issue(Main(SFU), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(credentials), fmt.Sprintf("%+v", *credentials), fmt.Sprintf("%#v", credentials)} {
		if !strings.Contains(text, "redacted") || len(text) > 60 {
			t.Errorf("printed: %s", text)
		}
	}
	if text, err := json.Marshal(credentials); err == nil {
		t.Errorf("marshalled: %s", text)
	}
	text, err := credentials.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCredentials(text)
	if err != nil || again.Name() != Main(SFU) {
		t.Fatalf("got %v, %v", again, err)
	}
	if _, err := ca.Issue(Name{"ghost", "main"}, time.Hour); err == nil {
		t.Error("certificate for a process that does not exist")
	}
	if _, err := ca.Issue(Name{SFU, "a.b"}, time.Hour); err == nil {
		t.Error("certificate for an instance with a dot")
	}
}

func FuzzDecodeHTTP(f *testing.F) {
	f.Add([]byte("{\"method\":\"GET\",\"url\":\"/\"}\nbody"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		request, err := readRequest(t.Context(), Main(Door), message)
		if err == nil && request.RemoteAddr != "door.main" {
			t.Fatal("caller came from the message")
		}
	})
}

func FuzzParseCredentials(f *testing.F) {
	f.Add([]byte(`{"name":"door.main"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := ParseCredentials(text); err == nil && c.key == nil {
			t.Fatal("credentials without a key")
		}
	})
}
