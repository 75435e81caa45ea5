package kiosk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/kiosk/paymenttest"
	"kuule/kiosk-bridge/tunnel"
)

// program writes a shell script that stands in for scanimage.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scanimage")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// B16: a paper is read through SANE, here on Debian's test scanner.
func TestPaperIsReadThroughSANE(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("scanimage"); err != nil {
		missing(t, "scanimage is missing: apt-get install sane-utils")
	}
	page, err := kiosk.Scanner{Device: "test:0"}.Page(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shape, format, err := image.DecodeConfig(bytes.NewReader(page))
	if err != nil || format != "jpeg" || shape.Width < 300 || shape.Height < 300 {
		t.Errorf("%s of %dx%d, %v", format, shape.Width, shape.Height, err)
	}
	if _, err := (kiosk.Scanner{Device: "nowhere:0"}).Page(t.Context()); kiosk.ReasonOf(err) != tunnel.ReasonPartAbsent {
		t.Errorf("a scanner that is not there: %v", err)
	}
}

// B16: whatever the scanner does, its end has a name, and nothing grows without
// bound.
func TestScannerThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, reason string }{
		"no paper":        {"exit 7", tunnel.ReasonNoPaper},
		"jammed":          {"exit 6", tunnel.ReasonPartBroken},
		"hangs":           {"exec sleep 60", tunnel.ReasonTimedOut},
		"never ends":      {"exec cat /dev/zero", tunnel.ReasonPartBroken},
		"no picture":      {"echo hello", tunnel.ReasonPartBroken},
		"cut picture":     {`printf '\377\330\377'`, tunnel.ReasonPartBroken},
		"refuses":         {"exit 1", tunnel.ReasonPartAbsent},
		"not a programme": {"exec /nonexistent", tunnel.ReasonPartAbsent},
	} {
		within := 30 * time.Second
		if c.reason == tunnel.ReasonTimedOut {
			within = 300 * time.Millisecond
		}
		_, err := kiosk.Scanner{Device: "x", Program: program(t, c.script), Within: within}.Page(t.Context())
		var part *kiosk.PartError
		if !errors.As(err, &part) || part.Part != "scanner" || part.Reason != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A scanner's program that talks much is heard out: its page counts, and what it
// says of an error is cut.
func TestAScannerThatTalksMuchIsHeardOut(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	if err := jpeg.Encode(&page, image.NewGray(image.Rect(0, 0, 64, 64)), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.jpg")
	if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	talk := "head -c 300000 /dev/zero | tr '\\0' 'x' >&2\n"
	got, err := kiosk.Scanner{Device: "x", Program: program(t, talk+"exec cat "+path)}.Page(t.Context())
	if err != nil || !bytes.Equal(got, page.Bytes()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err = kiosk.Scanner{Device: "x", Program: program(t, talk+"exit 7")}.Page(t.Context())
	if kiosk.ReasonOf(err) != tunnel.ReasonNoPaper || len(err.Error()) > 5000 {
		t.Errorf("%s, %d bytes", kiosk.ReasonOf(err), len(err.Error()))
	}
}

// The scanner's program is told nothing of this one's surroundings.
func TestScannerKnowsNothingElse(t *testing.T) {
	t.Setenv("KUULE_SECRET", "secret")
	_, err := kiosk.Scanner{Device: "x", Program: program(t, `echo "[$KUULE_SECRET]" >&2; exit 9`)}.Page(t.Context())
	if err == nil || !strings.Contains(err.Error(), "[]") {
		t.Errorf("%v", err)
	}
}

// printer is an IPP printer of the test's own making.
type printer struct {
	mu        sync.Mutex
	reasons   []string // of the printer's state
	state     uint32
	jobs      []uint32 // states of the job, one after the other; the last stays
	printed   []byte
	cancelled bool
	silent    bool
}

func (p *printer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	out := append([]byte{2, 0, 0, 0}, body[4:8]...)
	add := func(tag byte, name, value string) {
		out = append(out, tag)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(name))), name...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(value))), value...)
	}
	number := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	out = append(out, 1)
	add(0x47, "attributes-charset", "utf-8")
	switch binary.BigEndian.Uint16(body[2:]) {
	case 0x000B:
		out = append(out, 4)
		add(0x23, "printer-state", number(p.state))
		for i, reason := range p.reasons {
			add(0x44, []string{"printer-state-reasons", "", ""}[i], reason)
		}
		add(0x22, "printer-is-accepting-jobs", "\x01")
	case 0x0002:
		_, p.printed, _ = bytes.Cut(body, []byte("\x03%PDF"))
		out = append(out, 2)
		add(0x21, "job-id", number(7))
	case 0x0009:
		out = append(out, 2)
		add(0x23, "job-state", number(p.jobs[0]))
		if len(p.jobs) > 1 {
			p.jobs = p.jobs[1:]
		}
	case 0x0008:
		p.cancelled = true
	}
	if p.silent {
		out = out[:6]
	}
	_, _ = w.Write(append(out, 3))
}

// B16: a certificate is printed, or the end has a name and the paper is called
// back: the next person must not find it.
func TestPrinterEndsAreNamed(t *testing.T) {
	t.Parallel()
	const idle, stopped = 3, 5
	for name, c := range map[string]struct {
		state     uint32
		reasons   []string
		jobs      []uint32
		silent    bool
		reason    string
		cancelled bool
	}{
		"prints":              {state: idle, reasons: []string{"none"}, jobs: []uint32{3, 5, 9}},
		"prints, little left": {state: idle, reasons: []string{"media-low-warning", "marker-supply-low-report"}, jobs: []uint32{9}},
		"no paper":            {state: stopped, reasons: []string{"media-empty-error"}, reason: tunnel.ReasonNoPaper},
		"paper needed":        {state: idle, reasons: []string{"media-needed"}, reason: tunnel.ReasonNoPaper},
		"stopped":             {state: stopped, reasons: []string{"cover-open"}, reason: tunnel.ReasonPartBroken},
		"aborts":              {state: idle, reasons: []string{"none"}, jobs: []uint32{5, 8}, reason: tunnel.ReasonPartBroken, cancelled: true},
		"never ends":          {state: idle, reasons: []string{"none"}, jobs: []uint32{5}, reason: tunnel.ReasonTimedOut, cancelled: true},
		"speaks no IPP":       {state: idle, silent: true, reason: tunnel.ReasonPartBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &printer{state: c.state, reasons: c.reasons, jobs: c.jobs, silent: c.silent}
			server := httptest.NewServer(p)
			defer server.Close()
			client := &kiosk.Printer{URL: "ipp" + strings.TrimPrefix(server.URL, "http") + "/ipp/print", Within: 2 * time.Second}
			if c.reason != tunnel.ReasonTimedOut {
				client.Within = time.Minute
			}
			err := client.Print(t.Context(), "certificate", []byte("%PDF-1.7 test"))
			p.mu.Lock()
			defer p.mu.Unlock()
			if c.reason == "" {
				if err != nil || string(p.printed) != "-1.7 test" || p.cancelled {
					t.Errorf("%v, printed %q", err, p.printed)
				}
				return
			}
			if kiosk.ReasonOf(err) != c.reason || p.cancelled != c.cancelled {
				t.Errorf("%v, called back %v", err, p.cancelled)
			}
			if !c.cancelled && p.printed != nil {
				t.Error("a printer that cannot print was given the paper")
			}
		})
	}
}

func TestPrinterAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "http://printer", "file:///etc/passwd", "ipp:", "ipp://127.0.0.1:1/ipp/print"} {
		err := (&kiosk.Printer{URL: address, Within: 5 * time.Second}).Print(t.Context(), "x", nil)
		if kiosk.ReasonOf(err) != tunnel.ReasonPartAbsent {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A real printer, as far as a program can be one: CUPS's own.
func TestPrintsOnCUPSsPrinter(t *testing.T) {
	t.Parallel()
	eve, err := exec.LookPath("ippeveprinter")
	if err != nil {
		eve = "/usr/sbin/ippeveprinter"
	}
	if _, err := os.Stat(eve); err != nil {
		missing(t, "ippeveprinter is missing: apt-get install cups-ipp-utils")
	}
	folder, port := t.TempDir(), freePort(t)
	var said bytes.Buffer
	cmd := exec.Command(eve, "-d", folder, "-k", "-f", "application/pdf", "-p", port, "-n", "localhost", "-r", "off", "kuule-test")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	client := &kiosk.Printer{URL: "ipp://localhost:" + port + "/ipp/print"}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := client.Print(t.Context(), "certificate", []byte("%PDF-1.7 test"))
		if err == nil {
			break
		}
		select {
		case <-ended: // it wants the system's bus and its announcer, which few test machines run
			t.Skipf("ippeveprinter does not run here: %s", said.String())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v; it said: %s", err, said.String())
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if text, err := os.ReadFile(files[0]); err != nil || string(text) != "%PDF-1.7 test" {
		t.Errorf("%q %v", text, err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	defer s.Close()
	return s.URL[strings.LastIndex(s.URL, ":")+1:]
}

// B8: each way in which a payment can end has a name, and none is an error that
// stops anybody.
func TestPaymentsEnd(t *testing.T) {
	t.Parallel()
	port := &paymenttest.Port{}
	server := httptest.NewServer(port)
	defer server.Close()
	for cents, want := range map[int64]kiosk.PaymentState{53000: kiosk.PaymentApproved, 53051: kiosk.PaymentDeclined, 53099: kiosk.PaymentCancelled} {
		p := kiosk.Payments{URL: server.URL, Cents: cents, Currency: "EUR", Within: 3 * time.Second}
		if got, err := p.Pay(t.Context(), kiosk.NewPayment(), "vis_1"); err != nil || got != want {
			t.Errorf("%d: %s, %v", cents, got, err)
		}
	}
	if n, cents := port.Taken(); n != 1 || cents != 53000 {
		t.Errorf("%d payments of %d", n, cents)
	}
	if _, err := (kiosk.Payments{URL: "http://127.0.0.1:1", Cents: 1, Currency: "EUR", Within: 200 * time.Millisecond}).Pay(t.Context(), kiosk.NewPayment(), "x"); kiosk.ReasonOf(err) != tunnel.ReasonPartAbsent {
		t.Errorf("no port: %v", err)
	}
}

// deaf loses every second answer after the port has done its work.
type deaf struct {
	http.Handler

	mu sync.Mutex
	n  int
}

func (d *deaf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.n++
	lose := d.n%2 == 1
	d.mu.Unlock()
	if !lose {
		d.Handler.ServeHTTP(w, r)
		return
	}
	d.Handler.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// B8: idempotent: lost answers and asking twice take the money once.
func TestPaymentIsTakenOnce(t *testing.T) {
	t.Parallel()
	port := &paymenttest.Port{}
	server := httptest.NewServer(&deaf{Handler: port})
	defer server.Close()
	p := kiosk.Payments{URL: server.URL, Cents: 53000, Currency: "EUR", Within: 30 * time.Second}
	name := kiosk.NewPayment()
	for range 2 {
		if got, err := p.Pay(t.Context(), name, "vis_1"); err != nil || got != kiosk.PaymentApproved {
			t.Errorf("%s, %v", got, err)
		}
	}
	if n, _ := port.Taken(); n != 1 {
		t.Errorf("%d payments", n)
	}
}

// A person who leaves takes an open payment with them.
func TestPaymentOfSomebodyWhoLeft(t *testing.T) {
	t.Parallel()
	port := &paymenttest.Port{}
	server := httptest.NewServer(port)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	name := kiosk.NewPayment()
	got, err := kiosk.Payments{URL: server.URL, Cents: 53099, Currency: "EUR"}.Pay(ctx, name, "vis_1")
	if err != nil || got != kiosk.PaymentCancelled {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPaymentAnswersAreRead(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"another payment": `{"v":1,"payment":"pay_x","state":"approved"}`,
		"no state":        `{"v":1,"payment":"pay_1","state":"perhaps"}`,
		"a card number":   `{"v":1,"payment":"pay_1","state":"approved","pan":"4111"}`,
		"not JSON":        `ok`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, answer) }))
		got, err := kiosk.Payments{URL: server.URL, Cents: 1, Currency: "EUR", Within: 200 * time.Millisecond}.Pay(t.Context(), "pay_1", "x")
		if err == nil {
			t.Errorf("%s: %s", name, got)
		}
		server.Close()
	}
}
