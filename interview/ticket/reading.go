package ticket

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
)

// TypReading is a reader's word, signed by the device at which that person is
// signed in (docs/protocol.md).
const TypReading = "kuule-reading+jws"

// FreshReading is how old a reader's word may be when it is handed in.
const FreshReading = time.Minute

// Reading is what a device signs: that the person who is signed in at it reads
// back what was given in one visit at a kiosk, for one written purpose (rows B6,
// B7, B16).
type Reading struct {
	V        int                 `json:"v"` // 1
	Visit    interview.VisitID   `json:"visit"`
	Hearing  interview.HearingID `json:"hearing"`
	Purpose  string              `json:"purpose"` // hash of the written purpose
	Reader   string              `json:"reader"`  // viewing.Person of who is signed in at the device
	Device   interview.DeviceID  `json:"device"`
	IssuedAt int64               `json:"iat"`
}

// ErrReading says that a reader's word does not hold.
var ErrReading = errors.New("reading does not hold")

// Check reports whether the page's part of a word has its form.
func (r Reading) Check() error {
	if r.V != 1 || r.Visit.IsZero() || r.Hearing.IsZero() || len(r.Purpose) != 43 {
		return fmt.Errorf("%w: visit, hearing and the hash of a purpose are all needed", ErrReading)
	}
	return nil
}

// VerifyReading checks a reader's word for exactly this visit and purpose (in
// words), at the device whose certificate signed it. That the sign-in is genuine
// is the caller's to verify.
func VerifyReading(message string, want Reading, purpose string, roots *x509.CertPool, deviceOf func(*x509.Certificate) (interview.DeviceID, error), now time.Time) (Reading, error) {
	var r Reading
	cert, err := jws.VerifyChain(message, TypReading, roots, now, &r)
	if err != nil {
		return Reading{}, fmt.Errorf("%w: %w", ErrReading, err)
	}
	device, err := deviceOf(cert)
	if err != nil {
		return Reading{}, fmt.Errorf("%w: %w", ErrReading, err)
	}
	if err := r.Check(); err != nil {
		return Reading{}, err
	}
	age := now.Sub(time.Unix(r.IssuedAt, 0))
	switch {
	case r.Device != device || device != want.Device:
		return Reading{}, fmt.Errorf("%w: it is another device's", ErrReading)
	case r.Reader == "" || r.Reader != want.Reader:
		return Reading{}, fmt.Errorf("%w: it is another person's", ErrReading)
	case r.Visit != want.Visit || r.Hearing != want.Hearing:
		return Reading{}, fmt.Errorf("%w: it is of another visit", ErrReading)
	case subtle.ConstantTimeCompare([]byte(r.Purpose), []byte(Hash([]byte(purpose)))) != 1:
		return Reading{}, fmt.Errorf("%w: it is for another purpose", ErrReading)
	case age > FreshReading || age < -FreshReading:
		return Reading{}, fmt.Errorf("%w: it was signed %s ago", ErrReading, age.Round(time.Second))
	}
	return r, nil
}
