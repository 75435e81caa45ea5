package tracing_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kuule/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type request struct {
	ResourceSpans []struct {
		ScopeSpans []struct {
			Spans []struct {
				TraceID, SpanID, ParentSpanID, Name string
				Status                              map[string]int
			}
		}
	}
}

// The provider is the process's: one test after the other.
func TestJoinIsFollowedAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces.jsonl")
	bodies := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/traces" && r.Header.Get("Content-Type") == "application/json" {
			bodies <- b
		}
	}))
	defer collector.Close()
	for name, place := range map[string]string{"file": path, "endpoint": collector.URL} {
		stop, err := tracing.Start("door", place)
		if err != nil {
			t.Fatal(err)
		}
		ctx, span := tracing.Begin(tracing.Of(t.Context(), "mem_1"), "join", "hearing", "hrg_1")
		_, stray := tracing.Begin(t.Context(), "somebody else's")
		stray.End()
		parent := tracing.Parent(ctx)
		_, far := tracing.Begin(tracing.Under(context.Background(), parent), "admit")
		tracing.End(far, errors.New("a secret that somebody said"))
		tracing.End(span, nil)
		stop()
		var text []byte
		if name == "file" {
			if text, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		} else {
			text = <-bodies
		}
		var got request
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spans := got.ResourceSpans[0].ScopeSpans[0].Spans
		if len(spans) != 2 || spans[0].Name != "admit" || spans[0].TraceID != spans[1].TraceID || spans[0].ParentSpanID != spans[1].SpanID || spans[0].Status["code"] != 2 {
			t.Errorf("%s: %+v", name, spans)
		}
		if strings.Contains(string(text), "secret") {
			t.Errorf("%s: the words of an error left the process", name)
		}
		if info, err := os.Stat(path); name == "file" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
}

func TestNothingIsSentUnasked(t *testing.T) {
	stop, err := tracing.Start("door", "")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for _, place := range []string{"traces.jsonl", "ftp://x", "collector:4318"} {
		if _, err := tracing.Start("door", place); err == nil {
			t.Errorf("%q was taken", place)
		}
	}
}
