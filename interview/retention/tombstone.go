package retention

import (
	"crypto"
	"errors"
	"fmt"
	"regexp"
	"time"

	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/interview"
)

// JWS "typ" of the two messages, both signed by authority's sealing key.
const (
	TypeTombstone = "kuule-erasure+jws"
	TypeOrder     = "kuule-erasure-order+jws"
)

// Rules by which something is erased.
const (
	ByClock    = "clock"    // its time has come
	ByOrder    = "order"    // two persons ordered it
	ByNeedless = "needless" // a note of special categories that nobody needs, or whose months are over
)

// OrderLife is how long an order waits for the second person.
const OrderLife = 7 * 24 * time.Hour

var (
	// ErrTombstone says that a tombstone does not hold.
	ErrTombstone = errors.New("tombstone does not hold")
	// ErrOrder says that an order of erasure does not hold.
	ErrOrder = errors.New("order of erasure does not hold")
)

// Ended is a key that was destroyed.
type Ended struct {
	Kind     keyring.Kind `json:"kind"`
	Versions []string     `json:"versions"` // ids of the key's versions, oldest first
	At       int64        `json:"at"`       // Unix seconds
}

// Tombstone is the dated proof that something was erased.
type Tombstone struct {
	V       int      `json:"v"`       // 1
	Subject string   `json:"subject"` // the case, or the note
	Keys    []Ended  `json:"keys"`
	Rule    string   `json:"rule"`
	Rules   int      `json:"rules"`           // version of the rules; 0 where none decided
	Order   string   `json:"order,omitempty"` // hash of the order
	Persons []string `json:"persons"`         // hashes of those who ordered it
	At      int64    `json:"at"`              // Unix seconds
}

// Sign signs the tombstone.
func (t Tombstone) Sign(key crypto.Signer) (string, error) { return jws.Sign(t, TypeTombstone, key) }

var subjectPattern = regexp.MustCompile(`^(cas|nte)_[0-9a-f-]{36}$`)

// VerifyTombstone reads a tombstone.
func VerifyTombstone(message string, key crypto.PublicKey) (Tombstone, error) {
	var t Tombstone
	if err := jws.Verify(message, TypeTombstone, key, &t); err != nil {
		return Tombstone{}, fmt.Errorf("%w: %w", ErrTombstone, err)
	}
	if t.V != 1 || !subjectPattern.MatchString(t.Subject) || len(t.Keys) == 0 || len(t.Keys) > 3 {
		return Tombstone{}, fmt.Errorf("%w: it is no tombstone of this version", ErrTombstone)
	}
	for _, k := range t.Keys {
		if err := (keyring.Key{Case: t.Subject, Kind: k.Kind}).Check(); err != nil {
			return Tombstone{}, fmt.Errorf("%w: %w", ErrTombstone, err)
		}
	}
	return t, nil
}

// Order is authority's word that one person ordered an erasure before its time.
type Order struct {
	V       int                 `json:"v"` // 1
	Erasure string              `json:"erasure"`
	Case    interview.CaseID    `json:"case"`
	Hearing interview.HearingID `json:"hearing"` // the one that both consents name
	Purpose string              `json:"purpose"` // hash of the written ground
	Asker   string              `json:"asker"`   // hash of the person
	Expires int64               `json:"exp"`
}

// VerifyOrder reads an order that still waits for its second person.
func VerifyOrder(message string, key crypto.PublicKey, now time.Time) (Order, error) {
	var o Order
	if err := jws.Verify(message, TypeOrder, key, &o); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	switch {
	case o.V != 1 || o.Case.IsZero() || o.Asker == "":
		return Order{}, fmt.Errorf("%w: it is no order of this version", ErrOrder)
	case now.Unix() >= o.Expires:
		return Order{}, fmt.Errorf("%w: nobody confirmed it in time", ErrOrder)
	}
	return o, nil
}
