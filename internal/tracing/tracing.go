package tracing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of an exporter.
const (
	maxFile     = 64 << 20 // bytes; a full file is kept once and begun anew
	sendWithin  = 5 * time.Second
	tracesPath  = "/v1/traces"
	scope       = "kuule"
	maxQueue    = 2048
	maxPerBatch = 256
)

// Start makes spans of this process go to a place: "" nowhere, "/path" into a
// file, "http://host:port" or "https://..." to an OTLP endpoint. The function
// that it returns sends what is left.
func Start(process, place string) (stop func(), err error) {
	if place == "" {
		return func() {}, nil
	}
	e := &exporter{process: process}
	switch {
	case strings.HasPrefix(place, "/"):
		e.send = (&file{path: place}).append
	case strings.HasPrefix(place, "http://"), strings.HasPrefix(place, "https://"):
		e.send = (&endpoint{url: strings.TrimSuffix(place, "/") + tracesPath, client: &http.Client{Timeout: sendWithin}}).post
	default:
		return nil, fmt.Errorf("traces %q: name a file by its absolute path, or an OTLP endpoint by http:// or https://", place)
	}
	// Libraries trace themselves too: only what continues a span of ours is kept.
	provider := sdk.NewTracerProvider(sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())), sdk.WithBatcher(e, sdk.WithMaxQueueSize(maxQueue), sdk.WithMaxExportBatchSize(maxPerBatch), sdk.WithExportTimeout(sendWithin)))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
		defer cancel()
		_ = provider.Shutdown(ctx) // what could not be sent is lost, and nothing else
	}, nil
}

// Begin starts a span. Attributes are name and value in turn: ids and codes.
func Begin(ctx context.Context, name string, attributes ...string) (context.Context, trace.Span) {
	var kv []attribute.KeyValue
	for i := 0; i+1 < len(attributes); i += 2 {
		kv = append(kv, attribute.String(attributes[i], attributes[i+1]))
	}
	return otel.Tracer(scope).Start(ctx, name, trace.WithAttributes(kv...))
}

// End ends a span with what came of it.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Of is the trace of one thing by its id: whoever knows the id, in whichever
// process and however much later, adds to the same trace.
func Of(ctx context.Context, id string) context.Context {
	sum := sha256.Sum256([]byte(id))
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

var carrier = propagation.TraceContext{}

// Parent is the span of ctx for another process (W3C Trace Context), or "".
func Parent(ctx context.Context) string {
	m := propagation.MapCarrier{}
	carrier.Inject(ctx, m)
	return m["traceparent"]
}

// Under continues the span that another process named.
func Under(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return carrier.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

// exporter writes spans as OTLP's JSON.
type exporter struct {
	process string
	send    func(ctx context.Context, text []byte) error
}

// Interface guard.
var _ sdk.SpanExporter = (*exporter)(nil)

type (
	otlpValue struct {
		String string `json:"stringValue"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Parent     string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Begin      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     map[string]int  `json:"status,omitempty"`
	}
	otlpScope struct {
		Scope map[string]string `json:"scope"`
		Spans []otlpSpan        `json:"spans"`
	}
	otlpResource struct {
		Resource map[string][]otlpAttribute `json:"resource"`
		Scopes   []otlpScope                `json:"scopeSpans"`
	}
	otlpRequest struct {
		Resources []otlpResource `json:"resourceSpans"`
	}
)

// ExportSpans implements sdk.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	out := otlpScope{Scope: map[string]string{"name": scope}}
	for _, s := range spans {
		o := otlpSpan{
			TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(), Name: s.Name(), Kind: int(s.SpanKind()),
			Begin: strconv.FormatInt(s.StartTime().UnixNano(), 10), End: strconv.FormatInt(s.EndTime().UnixNano(), 10),
		}
		if s.Parent().SpanID().IsValid() {
			o.Parent = s.Parent().SpanID().String()
		}
		for _, a := range s.Attributes() {
			o.Attributes = append(o.Attributes, otlpAttribute{string(a.Key), otlpValue{a.Value.Emit()}})
		}
		if s.Status().Code == codes.Error {
			o.Status = map[string]int{"code": 2} // STATUS_CODE_ERROR
		}
		out.Spans = append(out.Spans, o)
	}
	resource := map[string][]otlpAttribute{"attributes": {{"service.name", otlpValue{scope}}, {"service.instance.id", otlpValue{e.process}}}}
	text, err := json.Marshal(otlpRequest{[]otlpResource{{resource, []otlpScope{out}}}})
	if err != nil {
		return err
	}
	return e.send(ctx, text)
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(context.Context) error { return nil }

// file takes a line for each batch, as the collector's otlpjsonfile receiver
// reads it. Processes share it: a line is one append.
type file struct {
	path string
	mu   sync.Mutex
}

func (f *file) append(_ context.Context, text []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st, err := os.Stat(f.path); err == nil && st.Size() > maxFile {
		if err := os.Rename(f.path, f.path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return errors.Join(err, out.Close())
}

type endpoint struct {
	url    string
	client *http.Client
}

func (e *endpoint) post(ctx context.Context, text []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("traces: %s", resp.Status)
	}
	return nil
}
