package kiosk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kuule/kiosk-bridge/tunnel"
)

// Printer prints through IPP (RFC 8011), the language of every present network
// printer and of CUPS. It is safe for concurrent use.
type Printer struct {
	URL    string        // ipps://HOST/ipp/print, or ipp:// on this machine; see [CheckPrinter]
	Within time.Duration // for one paper, from the first question to the last sheet; 0: 90 s
	HTTP   *http.Client  // nil: a client of its own, which goes through no proxy; see [PartClient]

	requests atomic.Uint32
}

const (
	printWithin = 90 * time.Second
	jobPoll     = 500 * time.Millisecond
)

// States of a job (RFC 8011, section 5.3.7).
const (
	jobStopped   = 6
	jobCanceled  = 7
	jobAborted   = 8
	jobCompleted = 9

	printerStopped = 5
)

// Print prints a PDF and returns when the paper has come out. Whatever else
// happens, nothing of it stays in the printer's queue as far as the printer
// does what it is told. Errors are of type *PartError: no-paper, part-absent,
// part-broken, timed-out.
func (p *Printer) Print(ctx context.Context, title string, pdf []byte) error {
	within := p.Within
	if within == 0 {
		within = printWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := p.ready(ctx); err != nil {
		return err
	}
	job, err := p.send(ctx, title, pdf)
	if err != nil {
		return err
	}
	err = p.await(ctx, job)
	if err != nil {
		// The person has gone on: the paper must not come out for the next one.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		r := p.request(ippCancelJob)
		r.number(ippInteger, "job-id", job)
		if _, failed := p.ask(after, r.end()); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// ready asks before anything personal is sent.
func (p *Printer) ready(ctx context.Context) error {
	r := p.request(ippPrinterStateOf)
	for i, name := range []string{"printer-state", "printer-state-reasons", "printer-is-accepting-jobs"} {
		r.text(ippKeyword, []string{"requested-attributes", "", ""}[i], name)
	}
	a, err := p.ask(ctx, r.end())
	switch {
	case err != nil:
		return err
	case !a.ok():
		return p.fail(tunnel.ReasonPartBroken, fmt.Errorf("status %#04x", a.status))
	case noPaper(a.attributes["printer-state-reasons"]):
		return p.fail(tunnel.ReasonNoPaper, errors.New("the tray is empty"))
	case a.number("printer-state") == printerStopped:
		return p.fail(tunnel.ReasonPartBroken, fmt.Errorf("stopped: %s", strings.Join(a.attributes["printer-state-reasons"], ", ")))
	case slices.Contains(a.attributes["printer-is-accepting-jobs"], "\x00"):
		return p.fail(tunnel.ReasonPartBroken, errors.New("it takes no jobs"))
	}
	return nil
}

// noPaper reads the reasons of RFC 8011, section 5.4.12; -report and -warning
// say that there is still some.
func noPaper(reasons []string) bool {
	return slices.ContainsFunc(reasons, func(r string) bool {
		switch strings.TrimSuffix(r, "-error") {
		case "media-empty", "media-needed", "input-tray-missing":
			return true
		default:
			return false
		}
	})
}

func (p *Printer) send(ctx context.Context, title string, pdf []byte) (uint32, error) {
	r := p.request(ippPrintJob)
	r.text(ippName, "requesting-user-name", "kiosk")
	r.text(ippName, "job-name", title)
	r.flag("ipp-attribute-fidelity", false)
	r.text(ippMimeType, "document-format", "application/pdf")
	r.b = append(r.b, ippJobGroup)
	r.number(ippInteger, "copies", 1)
	a, err := p.ask(ctx, append(r.end(), pdf...))
	if err != nil {
		return 0, err
	}
	job := a.number("job-id")
	if !a.ok() || job == 0 {
		return 0, p.fail(tunnel.ReasonPartBroken, fmt.Errorf("it did not take the paper: status %#04x", a.status))
	}
	return job, nil
}

// await waits until the job is over.
func (p *Printer) await(ctx context.Context, job uint32) error {
	tick := time.NewTicker(jobPoll)
	defer tick.Stop()
	for {
		r := p.request(ippJobAttributes)
		r.number(ippInteger, "job-id", job)
		for i, name := range []string{"job-state", "job-state-reasons", "job-printer-state-reasons"} {
			r.text(ippKeyword, []string{"requested-attributes", "", ""}[i], name)
		}
		a, err := p.ask(ctx, r.end())
		if err != nil {
			return err
		}
		reasons := append(slices.Clone(a.attributes["job-state-reasons"]), a.attributes["job-printer-state-reasons"]...)
		switch state := a.number("job-state"); {
		case !a.ok():
			return p.fail(tunnel.ReasonPartBroken, fmt.Errorf("status %#04x of job %d", a.status, job))
		case state == jobCompleted && !slices.Contains(reasons, "job-completed-with-errors"):
			return nil
		case noPaper(reasons):
			return p.fail(tunnel.ReasonNoPaper, errors.New("the paper ran out"))
		case state == jobStopped || state == jobCanceled || state == jobAborted || state == jobCompleted:
			// Why it stopped stands with the printer, if anywhere.
			if err := p.ready(ctx); err != nil {
				return err
			}
			return p.fail(tunnel.ReasonPartBroken, fmt.Errorf("job %d ended in state %d", job, state))
		}
		select {
		case <-ctx.Done():
			if err := p.ready(context.WithoutCancel(ctx)); err != nil && ReasonOf(err) == tunnel.ReasonNoPaper {
				return err
			}
			return p.fail(tunnel.ReasonTimedOut, ctx.Err())
		case <-tick.C:
		}
	}
}

func (p *Printer) request(operation uint16) *ippRequest {
	return newIPPRequest(operation, p.requests.Add(1), p.URL)
}

func (p *Printer) fail(reason string, err error) error { return &PartError{"printer", reason, err} }

// ask sends a request of this printer and reads the answer.
func (p *Printer) ask(ctx context.Context, body []byte) (ippAnswer, error) {
	address, err := ippAddress(p.URL)
	if err != nil {
		return ippAnswer{}, p.fail(tunnel.ReasonPartAbsent, err)
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return ippAnswer{}, p.fail(tunnel.ReasonPartAbsent, err)
	}
	req.Header.Set("Content-Type", "application/ipp")
	resp, err := p.client().Do(req)
	if err != nil && whole.Err() != nil {
		return ippAnswer{}, p.fail(tunnel.ReasonTimedOut, err)
	}
	if err != nil {
		return ippAnswer{}, p.fail(tunnel.ReasonPartAbsent, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxIPP+1))
	if err != nil || resp.StatusCode != http.StatusOK {
		return ippAnswer{}, p.fail(tunnel.ReasonPartBroken, fmt.Errorf("HTTP status %d: %w", resp.StatusCode, errors.Join(err, errIPP)))
	}
	a, err := parseIPP(answer, uint32(body[4])<<24|uint32(body[5])<<16|uint32(body[6])<<8|uint32(body[7]))
	if err != nil {
		return a, p.fail(tunnel.ReasonPartBroken, err)
	}
	return a, nil
}

var printerClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (p *Printer) client() *http.Client {
	if p.HTTP != nil {
		return p.HTTP
	}
	return printerClient
}

// ippAddress is where ipp and ipps really go (RFC 8010, section 4: port 631).
func ippAddress(printer string) (string, error) {
	u, err := checkPrinter(printer)
	if err != nil {
		return "", err
	}
	u.Scheme = map[string]string{"ipp": "http", "ipps": "https"}[u.Scheme]
	if u.Port() == "" {
		u.Host += ":631"
	}
	return u.String(), nil
}
