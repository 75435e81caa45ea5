package trustlist

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"kuule/internal/jws"
	"kuule/kiosk-bridge/emrtd"
)

// Typ is the type of an approval (docs/protocol.md).
const Typ = "kuule-trust-list+jws"

// MaxFile bounds a list's file in bytes.
const MaxFile = 8 << 20

// ErrRefused says that a list cannot come into force: its reason is told with it.
var ErrRefused = errors.New("trust list is refused")

// Statement is what both persons sign: exactly this list, as that version.
type Statement struct {
	V            int    `json:"v"`
	Sequence     int64  `json:"sequence"` // one more than the version before
	FileSHA256   string `json:"file_sha256"`
	Version      string `json:"version"`      // of the content: emrtd.TrustList.Version
	Pin          string `json:"pin"`          // fingerprint of the list's authority; "" for plain certificates
	Certificates int    `json:"certificates"` // for people
	Countries    int    `json:"countries"`    // for people
	Prepared     int64  `json:"prepared"`     // seconds since 1970
}

// Prepare reads a list's file and makes the statement for it. sequence is that
// of the version in force and one.
func Prepare(file []byte, pin string, sequence int64, now time.Time) (Statement, *emrtd.TrustList, error) {
	if len(file) > MaxFile {
		return Statement{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRefused, len(file), MaxFile)
	}
	if sequence < 1 {
		return Statement{}, nil, fmt.Errorf("%w: sequence %d", ErrRefused, sequence)
	}
	list, err := emrtd.ImportTrustList(file, pin)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if list.Len() == 0 {
		return Statement{}, nil, fmt.Errorf("%w: it is empty", ErrRefused)
	}
	sum := sha256.Sum256(file)
	return Statement{
		V: 1, Sequence: sequence, FileSHA256: hex.EncodeToString(sum[:]), Version: list.Version(), Pin: pin,
		Certificates: list.Len(), Countries: len(list.Countries()), Prepared: now.Unix(),
	}, list, nil
}

// Approve signs the statement with one person's key.
func (s Statement) Approve(key crypto.Signer) (string, error) { return jws.Sign(s, Typ, key) }

// Approved is a list with the approvals of two persons.
type Approved struct {
	Statement Statement
	List      *emrtd.TrustList
	File      []byte
	Approvals [2]string
}

// Verify checks a file and its approvals: both are by pinned keys, by two
// different ones, over the same statement, and the statement is true of the
// file.
func Verify(file []byte, approvals [2]string, approvers []crypto.PublicKey) (*Approved, error) {
	var statements [2]Statement
	var by [2]int
	for i, text := range approvals {
		by[i] = -1
		for k, key := range approvers {
			if jws.Verify(text, Typ, key, &statements[i]) == nil {
				by[i] = k
				break
			}
		}
		if by[i] < 0 {
			return nil, fmt.Errorf("%w: approval %d is by none of the %d persons who may", ErrRefused, i+1, len(approvers))
		}
	}
	switch {
	case by[0] == by[1] || samePerson(approvers[by[0]], approvers[by[1]]):
		return nil, fmt.Errorf("%w: both approvals are by the same person", ErrRefused)
	case statements[0] != statements[1]:
		return nil, fmt.Errorf("%w: the two approvals are not of the same list", ErrRefused)
	case statements[0].V != 1:
		return nil, fmt.Errorf("%w: version %d of the statement is not known", ErrRefused, statements[0].V)
	}
	s := statements[0]
	found, list, err := Prepare(file, s.Pin, s.Sequence, time.Unix(s.Prepared, 0))
	if err != nil {
		return nil, err
	}
	if found != s {
		return nil, fmt.Errorf("%w: the file is not the one that was approved", ErrRefused)
	}
	return &Approved{Statement: s, List: list, File: file, Approvals: approvals}, nil
}

// samePerson guards against a key that was pinned twice.
func samePerson(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
