package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// nonceDomain separates this hash from every other one.
const nonceDomain = "kuule-signin"

// randomSize is the length of a nonce's random part in bytes.
const randomSize = 32

// Proof is what a device shows for the person who signed in at it. It travels
// in JSON, as part of a join message; printed or logged it shows nothing.
type Proof struct {
	IDToken     string `json:"id_token"`
	NonceRandom string `json:"nonce"` // base64url of 32 bytes; the token's own nonce is a hash over it
}

// String keeps the token out of logs and messages.
func (Proof) String() string { return "redacted" }

// GoString keeps the token out of %#v.
func (Proof) GoString() string { return "redacted" }

// LogValue keeps the token out of slog.
func (Proof) LogValue() slog.Value { return slog.StringValue("redacted") }

// Headers by which a device's gateway sends the proof of the person signed in
// along with every request to the door. The page can neither set nor read them.
const (
	HeaderToken = "Kuule-Identity"
	HeaderNonce = "Kuule-Identity-Nonce"
)

// FromHeader reads the proof that a gateway sent along, and whether there is one.
func FromHeader(h http.Header) (Proof, bool) {
	p := Proof{IDToken: h.Get(HeaderToken), NonceRandom: h.Get(HeaderNonce)}
	return p, p.IDToken != ""
}

// SetHeader sends the proof along.
func (p Proof) SetHeader(h http.Header) {
	h.Set(HeaderToken, p.IDToken)
	h.Set(HeaderNonce, p.NonceRandom)
}

// Identity is who signed in, as the provider says.
type Identity struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Name    string    `json:"name"`
	Role    string    `json:"role"` // one of Roles
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// String shows the role alone: a name is personal.
func (i Identity) String() string { return "signed-in " + i.Role }

// GoString is String.
func (i Identity) GoString() string { return i.String() }

// LogValue is String.
func (i Identity) LogValue() slog.Value { return slog.StringValue(i.String()) }

// Roles that the claim "kuule_role" may name. Applicants do not sign in: they
// come by a join ticket.
var Roles = []string{"interviewer", "counsel", "interpreter", "representative", "security-office", "administrator", "officer"}

// NewNonce makes the nonce of one sign-in at a device, and the random part
// that the proof shows later.
func NewNonce(deviceID string) (nonce, random string) {
	b := make([]byte, randomSize)
	rand.Read(b) // never fails (crypto/rand)
	return nonceOf(deviceID, b), base64.RawURLEncoding.EncodeToString(b)
}

// NonceFor computes the nonce again: base64url(SHA-256("kuule-signin" 0x00
// device id 0x00 random)).
func NonceFor(deviceID, random string) (string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(random)
	if err != nil || len(b) != randomSize {
		return "", errors.New("nonce of the proof is not base64url of 32 bytes")
	}
	if deviceID == "" {
		return "", errors.New("no device is named")
	}
	return nonceOf(deviceID, b), nil
}

func nonceOf(deviceID string, random []byte) string {
	h := sha256.New()
	h.Write([]byte(nonceDomain + "\x00" + deviceID + "\x00"))
	h.Write(random)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
