package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"kuule/internal/problem"
)

// httpHead is a request's or an answer's first line and headers; the body
// follows it after a line break, as it is.
type httpHead struct {
	Method string      `json:"method,omitempty"`
	URL    string      `json:"url,omitempty"`
	Host   string      `json:"host,omitempty"`
	Status int         `json:"status,omitempty"`
	Header http.Header `json:"header"`
}

func encodeHTTP(head httpHead, body []byte) ([]byte, error) {
	text, err := json.Marshal(head) // escapes line breaks, so the first one ends it
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{text, body}, []byte{'\n'}), nil
}

func decodeHTTP(message []byte) (httpHead, []byte, error) {
	text, body, found := bytes.Cut(message, []byte{'\n'})
	if !found {
		return httpHead{}, nil, errors.New("no end of the head")
	}
	var head httpHead
	if err := json.Unmarshal(text, &head); err != nil {
		return httpHead{}, nil, err
	}
	return head, body, nil
}

// HandleHTTP answers HTTP requests that come over the bus under the name what.
// Bodies are whole in memory and bounded by MaxBody in both directions. The
// request's RemoteAddr is the calling process's name.
func HandleHTTP(c *Conn, what string, handler http.Handler) error {
	return c.serve(what, func(ctx context.Context, caller Name, message []byte) []byte {
		writer := &boundedWriter{header: http.Header{}}
		request, err := readRequest(ctx, caller, message)
		if err != nil {
			problem.Write(writer, problem.New(problem.CodeMalformed, "request over the bus: %w", err))
		} else {
			handler.ServeHTTP(writer, request)
		}
		if writer.overflow {
			writer = &boundedWriter{header: http.Header{}}
			problem.Write(writer, problem.New(problem.CodeTooLarge, "answer over the bus is larger than %d bytes", MaxBody))
		}
		writer.WriteHeader(http.StatusOK) // a handler that wrote nothing agreed
		reply, err := encodeHTTP(httpHead{Status: writer.status, Header: writer.header}, writer.body.Bytes())
		if err != nil { // cannot happen: strings and numbers only
			return nil
		}
		return reply
	})
}

func readRequest(ctx context.Context, caller Name, message []byte) (*http.Request, error) {
	head, body, err := decodeHTTP(message)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, head.Method, head.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Host = head.Host
	request.RequestURI = head.URL
	request.RemoteAddr = caller.String()
	if head.Header != nil {
		request.Header = head.Header
	}
	return request, nil
}

// Transport sends HTTP requests to the handler called what of another process.
// It is safe for concurrent use.
func (c *Conn) Transport(to Name, what string) http.RoundTripper {
	return transport{conn: c, to: to, what: what}
}

type transport struct {
	conn *Conn
	to   Name
	what string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := readBody(request)
	if err != nil {
		return nil, err
	}
	message, err := encodeHTTP(httpHead{
		Method: request.Method,
		URL:    request.URL.RequestURI(),
		Host:   request.Host,
		Header: request.Header,
	}, body)
	if err != nil {
		return nil, fmt.Errorf("request over the bus: %w", err)
	}
	reply, err := t.conn.request(request.Context(), t.to, t.what, message)
	if err != nil {
		return nil, err
	}
	head, answered, err := decodeHTTP(reply)
	if err != nil || head.Status < 100 || head.Status > 999 {
		return nil, problem.New(problem.CodeUnavailable, "%s gave no HTTP answer to %s", t.to, t.what)
	}
	if head.Header == nil {
		head.Header = http.Header{}
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", head.Status, http.StatusText(head.Status)),
		StatusCode:    head.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        head.Header,
		Body:          io.NopCloser(bytes.NewReader(answered)),
		ContentLength: int64(len(answered)),
		Request:       request,
	}, nil
}

func readBody(request *http.Request) ([]byte, error) {
	if request.Body == nil {
		return nil, nil
	}
	defer request.Body.Close()
	body, err := io.ReadAll(io.LimitReader(request.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read request's body: %w", err)
	}
	if len(body) > MaxBody {
		return nil, problem.New(problem.CodeTooLarge, "request over the bus is larger than %d bytes", MaxBody)
	}
	return body, nil
}

// boundedWriter keeps an answer in memory up to MaxBody.
type boundedWriter struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	overflow bool
}

func (w *boundedWriter) Header() http.Header { return w.header }

func (w *boundedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *boundedWriter) Write(part []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(part) > MaxBody {
		w.overflow = true
		return 0, fmt.Errorf("answer is larger than %d bytes", MaxBody)
	}
	return w.body.Write(part)
}
