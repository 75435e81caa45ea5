package certificate

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
)

// Typ is the type of the signed message (docs/protocol.md).
const Typ = "kuule-pending-matter+jws"

// MaxCode bounds a code as it is read back from a paper.
const MaxCode = 4096

// Claims are what a certificate says.
type Claims struct {
	V      int                `json:"v"`
	Visit  interview.VisitID  `json:"visit"` // after which it was made
	Kiosk  interview.DeviceID `json:"kiosk"` // where it was printed
	Diary  string             `json:"diary"`
	Name   string             `json:"name"`
	Issued int64              `json:"issued"` // seconds since 1970
}

// ErrInvalid says that a code is not of a certificate that was made here.
var ErrInvalid = errors.New("no certificate of this installation says this")

// Sign makes the code of a certificate with the bridge's key.
func Sign(c Claims, key crypto.Signer) (string, error) {
	if c.V != 1 || c.Visit.IsZero() || c.Kiosk.IsZero() || c.Diary == "" || c.Name == "" || c.Issued <= 0 {
		return "", errors.New("a certificate names visit, kiosk, matter, person and time")
	}
	return jws.Sign(c, Typ, key)
}

// Verify reads a code as it was scanned or typed, under the bridge's key. It is
// safe for concurrent use.
func Verify(code string, key crypto.PublicKey, now time.Time) (Claims, error) {
	if len(code) > MaxCode {
		return Claims{}, fmt.Errorf("%w: the code is too long", ErrInvalid)
	}
	// Scanners and typists add line ends and spaces.
	code = strings.Join(strings.Fields(code), "")
	var c Claims
	if err := jws.Verify(code, Typ, key, &c); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.V != 1 || c.Issued > now.Add(5*time.Minute).Unix() {
		return Claims{}, fmt.Errorf("%w: its version or time is not possible", ErrInvalid)
	}
	return c, nil
}
