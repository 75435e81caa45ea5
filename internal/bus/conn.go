package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/tracing"
)

const (
	// defaultDeadline applies to requests whose context has none.
	defaultDeadline = 5 * time.Second
	// concurrent bounds how many requests a process works on at once; those
	// beyond are refused at once instead of queueing unseen.
	concurrent = 128

	// comingBack is how long a call waits for a process that is being restarted.
	comingBack = time.Second

	deadlineHeader = "Kuule-Within" // milliseconds left to the caller
	traceHeader    = "Traceparent"  // W3C Trace Context, where a request is followed
)

// Conn is one process's connection to the bus. It reconnects by itself for as
// long as it is open; while the bus is away every call fails at once with
// problem.CodeUnavailable. Safe for concurrent use.
type Conn struct {
	name    Name
	granted grant
	nats    *nats.Conn
	slots   chan struct{}

	ctx    context.Context // ends with Close: handlers see it
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// Connect reaches the bus at address (host and port), trying until ctx ends.
func Connect(ctx context.Context, credentials *Credentials, address string) (*Conn, error) {
	for {
		conn, err := connect(credentials, address)
		if err == nil {
			return conn, nil
		}
		if ended := pause(ctx, 50*time.Millisecond); ended != nil {
			return nil, fmt.Errorf("connect %s to the bus at %s: %w", credentials.Name(), address, errors.Join(ended, err))
		}
	}
}

func connect(credentials *Credentials, address string) (*Conn, error) {
	name := credentials.Name()
	connection, err := nats.Connect("tls://"+address,
		nats.Name(name.String()),
		nats.Secure(credentials.clientConfig()),
		nats.TLSHandshakeFirst(),
		nats.CustomInboxPrefix(inbox(name)), // nobody else may hear its answers
		nats.Timeout(2*time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.ReconnectBufSize(-1), // fail now rather than deliver late
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(2*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			slog.Error("bus", "process", name.String(), "error", err)
		}),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Conn{name: name, granted: grants(name), nats: connection, slots: make(chan struct{}, concurrent), ctx: ctx, cancel: cancel}, nil
}

// Name is the process that this connection belongs to.
func (c *Conn) Name() Name { return c.name }

// Close ends the connection, cancels what handlers are doing and waits for them.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.work.Wait()
	c.nats.Close()
}

// answer is what comes back: a result or a problem.
type answer struct {
	Result  json.RawMessage   `json:"result,omitempty"`
	Problem *problem.Document `json:"problem,omitempty"`
}

// Call asks another process and reads its answer into out (nil: not wanted).
// An error is always a *problem.Error: the handler's own, or
// problem.CodeUnavailable when no answer came before ctx ended (5 s where ctx
// has no deadline) or nobody was there to hear it for a second, so that a
// process may be restarted meanwhile, or problem.CodeForbidden when the table does not allow it.
func (c *Conn) Call(ctx context.Context, to Name, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return problem.New(problem.CodeInternal, "encode request %s: %w", what, err)
	}
	reply, err := c.request(ctx, to, what, body)
	if err != nil {
		return err
	}
	var got answer
	if err := json.Unmarshal(reply, &got); err != nil {
		return problem.New(problem.CodeInternal, "answer of %s to %s cannot be read: %w", to, what, err)
	}
	if got.Problem != nil {
		return got.Problem.Err()
	}
	if out == nil {
		return nil
	}
	if err := canon.Strict(got.Result, out); err != nil {
		return problem.New(problem.CodeInternal, "answer of %s to %s cannot be read: %w", to, what, err)
	}
	return nil
}

func (c *Conn) request(ctx context.Context, to Name, what string, body []byte) ([]byte, error) {
	subject := requestSubject(to, c.name, what)
	if !allowed(c.granted.publish, subject) {
		return nil, problem.New(problem.CodeForbidden, "%s may not ask %s for %s", c.name, to.Role, what)
	}
	if len(body) > maxPayload-1024 {
		return nil, problem.New(problem.CodeTooLarge, "request %s to %s has %d bytes", what, to, len(body))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
	deadline, _ := ctx.Deadline()
	message := nats.NewMsg(subject)
	message.Data = body
	message.Header.Set(deadlineHeader, strconv.FormatInt(time.Until(deadline).Milliseconds(), 10))
	if parent := tracing.Parent(ctx); parent != "" {
		message.Header.Set(traceHeader, parent)
	}
	until := time.Now().Add(comingBack)
	for {
		reply, err := c.nats.RequestMsgWithContext(ctx, message)
		if err == nil {
			return reply.Data, nil
		}
		// Nobody was there to hear it, so it is safe to ask again: a process that
		// was restarted is back within moments.
		if !errors.Is(err, nats.ErrNoResponders) || time.Now().After(until) || pause(ctx, 50*time.Millisecond) != nil {
			return nil, problem.New(problem.CodeUnavailable, "%s did not answer %s: %w", to, what, err)
		}
	}
}

// pause waits, or returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Handle answers the requests called what with fn, from every process that the
// table allows to ask. fn runs in a goroutine of its own; its context ends when
// the caller stops waiting or the connection closes. Its error travels as a
// problem. Unknown fields in a request are refused.
func Handle[In, Out any](c *Conn, what string, fn func(ctx context.Context, caller Name, in In) (Out, error)) error {
	return c.serve(what, func(ctx context.Context, caller Name, body []byte) []byte {
		var in In
		if err := canon.Strict(body, &in); err != nil {
			return encodeAnswer(what, nil, problem.New(problem.CodeMalformed, "request %s cannot be read: %w", what, err))
		}
		out, err := fn(ctx, caller, in)
		return encodeAnswer(what, out, err)
	})
}

func encodeAnswer(what string, out any, err error) []byte {
	var result []byte
	if err == nil {
		result, err = json.Marshal(out)
	}
	if err == nil && len(result) > MaxBody {
		err = fmt.Errorf("answer has %d bytes, more than %d", len(result), MaxBody)
	}
	reply := answer{Result: result}
	if err != nil {
		var known *problem.Error
		switch {
		case errors.As(err, &known):
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			err = problem.New(problem.CodeUnavailable, "%s was not finished in time", what)
		default:
			slog.Error("request on the bus failed", "what", what, "error", err)
		}
		document := problem.Of(err)
		reply = answer{Problem: &document}
	}
	text, err := json.Marshal(reply)
	if err != nil { // cannot happen: both parts are JSON already
		slog.Error("answer on the bus cannot be encoded", "what", what, "error", err)
	}
	return text
}

// serve subscribes to a request from all who may send it.
func (c *Conn) serve(what string, work func(ctx context.Context, caller Name, body []byte) []byte) error {
	heard := false
	for _, rule := range requests {
		subject := requestSubject(c.name, Name{rule.from, "*"}, what)
		if rule.to != c.name.Role || !allowed(patternsFor(c.name, rule.from, rule.what), subject) {
			continue
		}
		if _, err := c.nats.Subscribe(subject, func(message *nats.Msg) { c.dispatch(message, work) }); err != nil {
			return fmt.Errorf("answer %s on the bus: %w", what, err)
		}
		heard = true
	}
	if !heard {
		return fmt.Errorf("answer %s on the bus: the table lets nobody ask %s for it", what, c.name.Role)
	}
	return c.nats.FlushTimeout(defaultDeadline)
}

func patternsFor(to Name, from Role, what []string) []string {
	patterns := make([]string, len(what))
	for i, pattern := range what {
		patterns[i] = requestSubject(to, Name{from, "*"}, pattern)
	}
	return patterns
}

// dispatch starts the work for one request, or refuses it.
func (c *Conn) dispatch(message *nats.Msg, work func(context.Context, Name, []byte) []byte) {
	caller, ok := callerOf(message.Subject)
	// The server lets this process answer wherever a request asks it to, so a
	// caller could have it publish in its own name: answer only to the caller.
	if !ok || !strings.HasPrefix(message.Reply, inbox(caller)+".") {
		slog.Warn("request on the bus without a place for its answer", "subject", message.Subject)
		return
	}
	if !c.begin() {
		refusal := problem.New(problem.CodeUnavailable, "%s is busy or closing", c.name)
		_ = message.Respond(encodeAnswer(message.Subject, nil, refusal))
		return
	}
	go func() {
		defer c.end()
		ctx, cancel := context.WithTimeout(c.ctx, patience(message.Header.Get(deadlineHeader)))
		defer cancel()
		if parent := message.Header.Get(traceHeader); parent != "" {
			var span trace.Span
			ctx, span = tracing.Begin(tracing.Under(ctx, parent), message.Subject)
			defer span.End()
		}
		reply := work(ctx, caller, message.Data)
		if err := message.Respond(reply); err != nil {
			slog.Warn("answer on the bus was not delivered", "subject", message.Subject, "error", err)
		}
	}()
}

func (c *Conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	select {
	case c.slots <- struct{}{}:
		c.work.Add(1)
		return true
	default:
		return false
	}
}

func (c *Conn) end() {
	<-c.slots
	c.work.Done()
}

func patience(header string) time.Duration {
	milliseconds, err := strconv.ParseInt(header, 10, 64)
	if err != nil || milliseconds <= 0 {
		return defaultDeadline
	}
	return min(time.Duration(milliseconds)*time.Millisecond, maxAnswerTime)
}

// callerOf reads the caller from rpc.ROLE.INSTANCE.ROLE.INSTANCE.WHAT.
func callerOf(subject string) (Name, bool) {
	parts := strings.SplitN(subject, ".", 6)
	if len(parts) != 6 {
		return Name{}, false
	}
	name, err := ParseName(parts[3] + "." + parts[4])
	return name, err == nil
}

// Publish sends a message under this process's name to all who may hear it.
// Nobody confirms it.
func (c *Conn) Publish(topic string, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return problem.New(problem.CodeInternal, "encode message %s: %w", topic, err)
	}
	if len(body) > MaxBody {
		return problem.New(problem.CodeTooLarge, "message %s has %d bytes", topic, len(body))
	}
	if err := c.nats.Publish(eventSubject(c.name, topic), body); err != nil {
		return problem.New(problem.CodeUnavailable, "publish %s: %w", topic, err)
	}
	return nil
}

// Subscribe hears a topic (which may end in ".>") of every process of a role,
// one message after the other in the order sent. The returned function ends it.
// A message that cannot be read is logged and dropped.
func Subscribe[Message any](c *Conn, speaker Role, topic string, fn func(speaker Name, topic string, message Message)) (stop func(), err error) {
	subject := eventSubject(Name{speaker, "*"}, topic)
	if !allowed(c.granted.subscribe, subject) {
		return nil, problem.New(problem.CodeForbidden, "%s may not hear %s of %s", c.name, topic, speaker)
	}
	subscription, err := c.nats.Subscribe(subject, func(raw *nats.Msg) {
		parts := strings.SplitN(raw.Subject, ".", 4)
		if len(parts) != 4 {
			return
		}
		var message Message
		if err := canon.Strict(raw.Data, &message); err != nil {
			slog.Warn("message on the bus cannot be read", "subject", raw.Subject, "error", err)
			return
		}
		fn(Name{Role(parts[1]), parts[2]}, parts[3], message)
	})
	if err != nil {
		return nil, problem.New(problem.CodeUnavailable, "subscribe to %s: %w", topic, err)
	}
	if err := c.nats.FlushTimeout(defaultDeadline); err != nil {
		return nil, problem.New(problem.CodeUnavailable, "subscribe to %s: %w", topic, err)
	}
	return func() { _ = subscription.Unsubscribe() }, nil
}
