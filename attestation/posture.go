package attestation

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-attestation/attest"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	// QuoteEvery is the cadence of quotes on a posture connection.
	QuoteEvery = 20 * time.Second
	// PostureWithin is how old a verified quote may be at the door.
	PostureWithin = time.Minute

	nonceLifetime = 30 * time.Second
	maxNonces     = 4096
	maxQuote      = 4096 // of one TPM structure, in bytes
)

// PCRPolicy says, as data, what a device's registers may hold.
type PCRPolicy struct {
	// Registers that are quoted, ascending.
	Registers []int `json:"registers"`
	// Allowed lists, by register, the only values (hexadecimal SHA-256) that are
	// accepted. A register without an entry may hold anything, but the same as
	// when the device was approved.
	Allowed map[int][]string `json:"allowed,omitempty"`
}

// DefaultPCRs covers firmware and its configuration, boot loader and secure
// boot (TCG PC Client Platform Firmware Profile, section 3.3.4): each as it was
// when the device was approved.
var DefaultPCRs = PCRPolicy{Registers: []int{0, 1, 2, 3, 4, 5, 6, 7}}

func (p PCRPolicy) check() error {
	for i, n := range p.Registers {
		if n < 0 || n > wire.MaxPCR || (i > 0 && n <= p.Registers[i-1]) {
			return fmt.Errorf("PCR policy: registers must ascend between 0 and %d", wire.MaxPCR)
		}
	}
	for n, values := range p.Allowed {
		if !slices.Contains(p.Registers, n) {
			return fmt.Errorf("PCR policy: register %d has allowed values but is not quoted", n)
		}
		for _, v := range values {
			if b, err := hex.DecodeString(v); err != nil || len(b) != sha256.Size || hex.EncodeToString(b) != v {
				return fmt.Errorf("PCR policy: register %d: %q is not a SHA-256 value in lower-case hexadecimal", n, v)
			}
		}
	}
	return nil
}

// Verdict is what a quote was found to be.
type Verdict struct {
	Device  wire.Device       `json:"device"`
	At      time.Time         `json:"at"`
	Outcome interview.Verdict `json:"outcome"` // verified or failed
	Code    problem.Code      `json:"code,omitempty"`
	Detail  string            `json:"detail,omitempty"`
}

// posture judges quotes and remembers the latest verdict of each device.
type posture struct {
	records *records
	policy  PCRPolicy
	now     func() time.Time

	mu       sync.Mutex
	nonces   map[[wire.NonceSize]byte]nonce
	verdicts map[interview.DeviceID]Verdict
}

// nonce belongs to one certificate.
type nonce struct {
	serial string
	until  time.Time
}

func newPosture(records *records, policy PCRPolicy, now func() time.Time) *posture {
	return &posture{
		records: records, policy: policy, now: now,
		nonces: map[[wire.NonceSize]byte]nonce{}, verdicts: map[interview.DeviceID]Verdict{},
	}
}

func (p *posture) challenge(d wire.Device) (wire.Challenge, error) {
	var n [wire.NonceSize]byte
	if _, err := rand.Read(n[:]); err != nil {
		return wire.Challenge{}, err
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.nonces) >= maxNonces {
		for k, v := range p.nonces {
			if now.After(v.until) {
				delete(p.nonces, k)
			}
		}
	}
	if len(p.nonces) >= maxNonces {
		return wire.Challenge{}, problem.New(problem.CodeTooFast, "%d challenges are open", maxNonces)
	}
	p.nonces[n] = nonce{serial: d.Serial, until: now.Add(nonceLifetime)}
	return wire.Challenge{Nonce: n[:], PCRs: p.policy.Registers}, nil
}

// verify reaches a verdict and remembers it. A nonce is spent whatever comes
// of it. A quote that fails takes the place of one that held before: a device
// that cannot prove its state now has none.
func (p *posture) verify(d wire.Device, attestationKey []byte, q wire.NoncedQuote) (Verdict, error) {
	now := p.now()
	v := Verdict{Device: d, At: now.UTC(), Outcome: interview.Verified}
	err := p.spend(d, q.Nonce, now)
	if err == nil {
		err = p.judge(d, attestationKey, q, now)
	}
	var refused *problem.Error
	switch {
	case errors.As(err, &refused):
		v.Outcome, v.Code, v.Detail = interview.Failed, refused.Code, refused.Detail
	case err != nil:
		return Verdict{}, fmt.Errorf("posture of device %s: %w", d.DeviceID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.verdicts[d.DeviceID] = v
	return v, nil
}

func (p *posture) spend(d wire.Device, value []byte, now time.Time) error {
	if len(value) != wire.NonceSize {
		return problem.New(problem.CodeQuoteRefused, "the nonce has %d bytes", len(value))
	}
	key := [wire.NonceSize]byte(value)
	p.mu.Lock()
	n, ok := p.nonces[key]
	delete(p.nonces, key)
	p.mu.Unlock()
	switch {
	case !ok:
		return problem.New(problem.CodeQuoteRefused, "the nonce is unknown or was used before")
	case now.After(n.until):
		return problem.New(problem.CodeQuoteRefused, "the nonce is older than %s", nonceLifetime)
	case n.serial != d.Serial:
		return problem.New(problem.CodeQuoteRefused, "the nonce was given to another certificate")
	}
	return nil
}

func (p *posture) judge(d wire.Device, attestationKey []byte, q wire.NoncedQuote, now time.Time) error {
	if len(q.Quote.Quote) > maxQuote || len(q.Quote.Signature) > maxQuote || len(q.Quote.PCRs) != len(p.policy.Registers) {
		return problem.New(problem.CodeQuoteRefused, "the quote does not cover the %d registers asked for", len(p.policy.Registers))
	}
	pcrs := make([]attest.PCR, len(q.Quote.PCRs))
	for i, r := range q.Quote.PCRs {
		if r.Index != p.policy.Registers[i] || len(r.Digest) != sha256.Size {
			return problem.New(problem.CodeQuoteRefused, "the quote does not cover the %d registers asked for", len(p.policy.Registers))
		}
		pcrs[i] = attest.PCR{Index: r.Index, Digest: r.Digest, DigestAlg: crypto.SHA256}
	}
	key, err := x509.ParsePKIXPublicKey(attestationKey)
	if err != nil {
		return fmt.Errorf("enrolled attestation key: %w", err)
	}
	ak := attest.AKPublic{Public: key, Hash: crypto.SHA256}
	if err := ak.VerifyAll([]attest.Quote{{Quote: q.Quote.Quote, Signature: q.Quote.Signature}}, pcrs, q.Nonce); err != nil {
		return problem.New(problem.CodeQuoteRefused, "the quote does not hold under the enrolled attestation key: %w", err)
	}
	for _, r := range q.Quote.PCRs {
		if allowed, ok := p.policy.Allowed[r.Index]; ok && !slices.Contains(allowed, hex.EncodeToString(r.Digest)) {
			return problem.New(problem.CodePostureDrift, "register %d does not hold an allowed value", r.Index)
		}
	}
	baseline, err := p.records.baseline(d.PermanentIdentifier, q.Quote.PCRs, now)
	if err != nil {
		return err
	}
	for _, r := range q.Quote.PCRs {
		if _, ok := p.policy.Allowed[r.Index]; ok {
			continue
		}
		if !slices.ContainsFunc(baseline, func(b wire.PCR) bool { return b.Index == r.Index && bytes.Equal(b.Digest, r.Digest) }) {
			return problem.New(problem.CodePostureDrift, "register %d is not as it was approved", r.Index)
		}
	}
	return nil
}

func (p *posture) fresh(device interview.DeviceID, now time.Time, within time.Duration) (Verdict, error) {
	p.mu.Lock()
	v, ok := p.verdicts[device]
	p.mu.Unlock()
	switch {
	case !ok:
		return Verdict{}, problem.New(problem.CodePostureStale, "device %s has sent no quote", device)
	case v.Outcome != interview.Verified:
		return v, problem.New(v.Code, "device %s: %s", device, v.Detail)
	case now.Sub(v.At) > within || v.At.Sub(now) > time.Second:
		return v, problem.New(problem.CodePostureStale, "the last quote of device %s is of %s", device, v.At.Format(time.RFC3339))
	}
	return v, nil
}

func (p *posture) forget(device interview.DeviceID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.verdicts, device)
}
