package vendorporttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/kiosk-bridge/vendorport"
)

// Fault is something that a part does wrong.
type Fault string

// Faults.
const (
	Forgetful   Fault = "forgetful"   // does a request twice where the key is the same
	Careless    Fault = "careless"    // takes another request under a used key
	Keyless     Fault = "keyless"     // takes requests without a key
	Timeless    Fault = "timeless"    // takes any version of the contract
	Lenient     Fault = "lenient"     // takes fields that the contract does not know
	Talkative   Fault = "talkative"   // quotes requests in refusals
	Greedy      Fault = "greedy"      // reads whatever is sent
	Inventive   Fault = "inventive"   // answers with fields of its own
	Floating    Fault = "floating"    // answers with numbers that are not whole
	Nameless    Fault = "nameless"    // has no threshold id
	Crashing    Fault = "crashing"    // fails on pictures that are none
	Catchall    Fault = "catch-all"   // answers operations that there are not
	Unversioned Fault = "unversioned" // describes itself without versions
	Forging     Fault = "forging"     // signs results for other probes
	Waiting     Fault = "waiting"     // waits for a finger longer than it was told
	Lying       Fault = "lying"       // gives hashes that are not the images'
	Amnesic     Fault = "amnesic"     // knows no search that it was given
	Busy        Fault = "busy"        // is busy the first time
	Open        Fault = "open-to-all" // asks for no certificate
	Contrary    Fault = "contrary"    // says match below its threshold
	Generous    Fault = "generous"    // gives pictures that nobody asked for
	Guessing    Fault = "guessing"    // finds somebody where nobody is named
	Credulous   Fault = "credulous"   // takes any number for that of somebody
	Purposeless Fault = "purposeless" // asks for no purpose
)

// Part plays one part. It is an [http.Handler]; its fields are set before it is
// used.
type Part struct {
	Description vendorport.Description
	Faults      []Fault
	// Answer does an operation. It gives a value of the contract or a refusal.
	Answer func(o vendorport.Operation, body []byte) (any, *vendorport.Refusal)
	// Searched answers GET of a search; nil: there are none.
	Searched func(search string) (any, *vendorport.Refusal)

	mu    sync.Mutex
	key   string // of the request that is being done
	done  map[string]done
	asked int
}

type done struct {
	body   []byte
	status int
	answer []byte
}

func (p *Part) has(f Fault) bool { return slices.Contains(p.Faults, f) }

// Asked counts the operations that were done.
func (p *Part) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// ServeHTTP implements [http.Handler].
func (p *Part) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == vendorport.PathDescription && r.Method == http.MethodGet {
		d := p.Description
		if p.has(Unversioned) {
			d.Versions = nil
		}
		write(w, http.StatusOK, encode(d))
		return
	}
	if r.Header.Get(vendorport.HeaderVersion) != strconv.Itoa(vendorport.Version) && !p.has(Timeless) {
		refuse(w, vendorport.CodeVersion, "version 1 is spoken here")
		return
	}
	if search, ok := strings.CutPrefix(r.URL.Path, vendorport.PathSearches); ok && r.Method == http.MethodGet && p.Searched != nil {
		p.answer(w, http.StatusOK, func() (any, *vendorport.Refusal) {
			if p.has(Amnesic) {
				return nil, &vendorport.Refusal{Code: vendorport.CodeUnknown}
			}
			return p.Searched(search)
		})
		return
	}
	operation, ok := strings.CutPrefix(r.URL.Path, vendorport.PathOperation)
	if !ok || r.Method != http.MethodPost || !p.Description.Offers(vendorport.Operation(operation)) && !p.has(Catchall) {
		refuse(w, vendorport.CodeUnknown, "there is no such operation")
		return
	}
	p.operate(w, r, vendorport.Operation(operation))
}

func (p *Part) operate(w http.ResponseWriter, r *http.Request, o vendorport.Operation) {
	limit := int64(vendorport.MaxRequest)
	if p.has(Greedy) {
		limit = 1 << 30
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		refuse(w, vendorport.CodeTooLarge, "at most 16 MiB")
		return
	}
	key := r.Header.Get(vendorport.HeaderIdempotency)
	if !vendorport.ValidKey(key) && !p.has(Keyless) {
		refuse(w, vendorport.CodeMalformed, "a key of 16 to 64 letters, digits, hyphens and underscores is needed")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = map[string]done{}
	}
	if before, known := p.done[key]; known && !p.has(Forgetful) {
		if bytes.Equal(before.body, body) || p.has(Careless) {
			write(w, before.status, before.answer)
			return
		}
		refuse(w, vendorport.CodeConflict, "this key was used for another request")
		return
	}
	if p.asked++; p.asked == 1 && p.has(Busy) {
		w.Header().Set("Retry-After", "0")
		refuse(w, vendorport.CodeBusy, "one moment")
		return
	}
	status := http.StatusOK
	if o == vendorport.OpSearch {
		status = http.StatusAccepted
	}
	p.key = key
	answer, refusal := p.do(o, body)
	if refusal != nil {
		refuse(w, refusal.Code, refusal.Detail)
		return
	}
	text := p.spoil(encode(answer))
	p.done[key] = done{body, status, text}
	write(w, status, text)
}

// do reads strictly before it answers.
func (p *Part) do(o vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
	answer, refusal := p.Answer(o, body)
	if refusal != nil && refusal.Code == vendorport.CodeMalformed {
		if p.has(Talkative) {
			refusal.Detail = "not understood: " + string(body[:min(len(body), 200)])
		}
		if p.has(Crashing) {
			return nil, &vendorport.Refusal{Code: "crash"}
		}
	}
	return answer, refusal
}

func (p *Part) answer(w http.ResponseWriter, status int, f func() (any, *vendorport.Refusal)) {
	answer, refusal := f()
	if refusal != nil {
		refuse(w, refusal.Code, refusal.Detail)
		return
	}
	write(w, status, p.spoil(encode(answer)))
}

// spoil changes an answer as the faults say.
func (p *Part) spoil(text []byte) []byte {
	switch {
	case p.has(Inventive):
		return append(text[:len(text)-1], `,"extra":true}`...)
	case p.has(Floating):
		return append(text[:len(text)-1], `,"score":0.5}`...)
	case p.has(Forgetful):
		return append(text, []byte(strings.Repeat(" ", p.asked))...) // no answer is the same twice
	default:
		return text
	}
}

// read decodes a request strictly, unless the part is lenient.
func (p *Part) read(body []byte, into any) *vendorport.Refusal {
	var err error
	if p.has(Lenient) {
		err = json.Unmarshal(body, into)
	} else {
		err = canon.Strict(body, into)
	}
	if err != nil {
		return &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "the request is not of the contract"}
	}
	return nil
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func write(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func refuse(w http.ResponseWriter, code vendorport.Code, detail string) {
	status := vendorport.Statuses[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(vendorport.Refusal{Code: code, Detail: detail}))
}

// Serve runs a part behind a unix socket until the test ends, and gives the
// address for a client.
func Serve(t testing.TB, p http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return "unix:" + path
}

// Client makes a client of a part that is served for the test.
func Client(t testing.TB, p *Part) *vendorport.Client {
	t.Helper()
	c, err := vendorport.NewClient(vendorport.Config{Port: p.Description.Port, URL: Serve(t, p), Wait: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func describe(port vendorport.Port, operations ...vendorport.Operation) vendorport.Description {
	return vendorport.Description{
		Port: port, Versions: []int{vendorport.Version}, Vendor: "Simulator", Product: fmt.Sprintf("play of %s", port), Release: "1",
		Algorithm: "simulator-1", Operations: operations,
	}
}
