package kiosk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kuule/internal/canon"
	"kuule/kiosk-bridge/tunnel"
)

// Payments is the payment port: the program of a payment terminal's maker, which
// speaks HTTP and JSON on this machine or its network (docs/integration.md).
// Card data never come here. It is safe for concurrent use.
type Payments struct {
	URL      string // of the port; its paths are below it; see [CheckPayments]
	Cents    int64  // of the fee
	Currency string // ISO 4217
	Within   time.Duration
	HTTP     *http.Client // nil: a client of its own, which goes through no proxy
}

// PaymentState is how a payment stands.
type PaymentState string

// States of a payment. The first is not final.
const (
	PaymentPending   PaymentState = "pending"
	PaymentApproved  PaymentState = "approved"
	PaymentDeclined  PaymentState = "declined"
	PaymentCancelled PaymentState = "cancelled"
)

type (
	// PaymentOrder is what the port is asked for.
	PaymentOrder struct {
		V         int    `json:"v"`
		Cents     int64  `json:"cents"`
		Currency  string `json:"currency"`
		Reference string `json:"reference"` // for the agency's books; names nobody
	}

	// Payment is the port's answer.
	Payment struct {
		V       int          `json:"v"`
		Payment string       `json:"payment"`
		State   PaymentState `json:"state"`
	}
)

const (
	payWithin   = 90 * time.Second
	paymentPoll = 500 * time.Millisecond
	maxPayment  = 16 << 10
)

// NewPayment makes the name of one payment. Whoever asks again under it pays
// once.
func NewPayment() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return "pay_" + hex.EncodeToString(b[:])
}

// Pay has one payment made and waits for its end. Asking again under the same
// name continues the same payment. A payment that does not end in time is
// cancelled; one that cannot be cancelled any more has been approved, and that
// is the answer. An error says that the port did nothing that is known of.
func (p Payments) Pay(ctx context.Context, payment, reference string) (PaymentState, error) {
	within := p.Within
	if within == 0 {
		within = payWithin
	}
	if err := CheckPayments(p.URL); err != nil {
		return "", &PartError{"payment", tunnel.ReasonPartAbsent, err}
	}
	order, err := json.Marshal(PaymentOrder{V: 1, Cents: p.Cents, Currency: p.Currency, Reference: reference})
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(paymentPoll)
	defer tick.Stop()
	method, body := http.MethodPut, order
	for {
		// A request whose answer was lost is made again: it is the same payment.
		state, err := p.ask(limited, method, payment, body)
		if err == nil {
			if state != PaymentPending {
				return state, nil
			}
			method, body = http.MethodGet, nil
		}
		select {
		case <-limited.Done():
			return p.cancel(context.WithoutCancel(ctx), payment, err)
		case <-tick.C:
		}
	}
}

// cancel ends a payment that nobody waits for.
func (p Payments) cancel(ctx context.Context, payment string, failed error) (PaymentState, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	state, err := p.ask(ctx, http.MethodDelete, payment, nil)
	if err != nil {
		return "", errors.Join(failed, err)
	}
	return state, nil
}

// base is what the paths are below; a socket has no host of its own.
func (p Payments) base() string {
	if strings.HasPrefix(p.URL, "unix:") {
		return "http://part"
	}
	return strings.TrimSuffix(p.URL, "/")
}

func (p Payments) ask(ctx context.Context, method, payment string, body []byte) (PaymentState, error) {
	fail := func(reason string, err error) (PaymentState, error) {
		return "", &PartError{"payment", reason, err}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.base()+"/v1/payments/"+url.PathEscape(payment), bytes.NewReader(body))
	if err != nil {
		return fail(tunnel.ReasonPartAbsent, err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := p.HTTP
	if client == nil {
		client = printerClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fail(tunnel.ReasonPartAbsent, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPayment))
	if err != nil || resp.StatusCode != http.StatusOK {
		return fail(tunnel.ReasonPartBroken, fmt.Errorf("HTTP status %d", resp.StatusCode))
	}
	var got Payment
	if err := canon.Strict(text, &got); err != nil {
		return fail(tunnel.ReasonPartBroken, fmt.Errorf("the answer cannot be read: %w", err))
	}
	switch {
	case got.V != 1 || got.Payment != payment:
		return fail(tunnel.ReasonPartBroken, errors.New("the answer is of another payment"))
	case got.State != PaymentPending && got.State != PaymentApproved && got.State != PaymentDeclined && got.State != PaymentCancelled:
		return fail(tunnel.ReasonPartBroken, errors.New("the answer has no known state"))
	case method == http.MethodDelete && got.State == PaymentPending:
		return fail(tunnel.ReasonTimedOut, errors.New("the payment is still open at the terminal"))
	}
	return got.State, nil
}
