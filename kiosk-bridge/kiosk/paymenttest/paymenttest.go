package paymenttest

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"kuule/internal/canon"
	"kuule/kiosk-bridge/kiosk"
)

// Port is a payment port without money. The zero value is ready.
type Port struct {
	mu       sync.Mutex
	payments map[string]*payment
}

type payment struct {
	order kiosk.PaymentOrder
	state kiosk.PaymentState
}

// ServeHTTP implements the port's three requests.
func (p *Port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/payments/{payment}", p.put)
	mux.HandleFunc("GET /v1/payments/{payment}", p.get)
	mux.HandleFunc("DELETE /v1/payments/{payment}", p.cancel)
	mux.ServeHTTP(w, r)
}

// Taken counts the payments that were approved, and what they brought.
func (p *Port) Taken() (payments int, cents int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.payments {
		if each.state == kiosk.PaymentApproved {
			payments++
			cents += each.order.Cents
		}
	}
	return payments, cents
}

func (p *Port) put(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<10))
	var order kiosk.PaymentOrder
	if err != nil || canon.Strict(text, &order) != nil || order.V != 1 || order.Cents <= 0 || len(order.Currency) != 3 {
		http.Error(w, "no order", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.payments == nil {
		p.payments = map[string]*payment{}
	}
	name := r.PathValue("payment")
	if known := p.payments[name]; known != nil && known.order != order {
		http.Error(w, "another order has that name", http.StatusConflict)
		return
	}
	if p.payments[name] == nil {
		p.payments[name] = &payment{order, kiosk.PaymentPending}
	}
	p.answer(w, name)
}

func (p *Port) get(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := r.PathValue("payment")
	one := p.payments[name]
	if one == nil {
		http.NotFound(w, r)
		return
	}
	if one.state == kiosk.PaymentPending {
		switch one.order.Cents % 100 {
		case 51:
			one.state = kiosk.PaymentDeclined
		case 99: // the person does nothing
		default:
			one.state = kiosk.PaymentApproved
		}
	}
	p.answer(w, name)
}

func (p *Port) cancel(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := r.PathValue("payment")
	one := p.payments[name]
	if one == nil {
		http.NotFound(w, r)
		return
	}
	if one.state == kiosk.PaymentPending {
		one.state = kiosk.PaymentCancelled
	}
	p.answer(w, name)
}

func (p *Port) answer(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(kiosk.Payment{V: 1, Payment: name, State: p.payments[name].state})
}
