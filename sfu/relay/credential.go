package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lifetime is how long a credential opens allocations. One that is open lives
// on while its client refreshes it, up to MaxStay.
const (
	Lifetime = 10 * time.Minute
	MaxStay  = 12 * time.Hour
)

// keySize is the size of a Secret in bytes.
const keySize = 32

// Secret is what door and media node share: the door mints with it, the node
// checks. It never leaves the two and is never printed.
type Secret struct{ key [keySize]byte }

// NewSecret makes a fresh secret. Every start of the supervisor has its own.
func NewSecret() (Secret, error) {
	var s Secret
	_, err := rand.Read(s.key[:])
	return s, err
}

// ParseSecret reads what Bytes gave.
func ParseSecret(b []byte) (Secret, error) {
	var s Secret
	if len(b) != keySize {
		return s, errors.New("relay: a secret has 32 bytes")
	}
	copy(s.key[:], b)
	return s, nil
}

// Bytes is the secret for its hand-over to another process.
func (s Secret) Bytes() []byte { return s.key[:] }

// String hides the secret.
func (s Secret) String() string { return "relay secret" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// Credential is a user name and a password for TURN's long-term mechanism.
type Credential struct {
	Username string
	Password string
	Expires  time.Time
}

// Mint makes a credential for a device. The name says until when and for whom,
// the password is a MAC over it by the key of that day: the habit of the TURN
// REST interface (draft-uberti-behave-turn-rest), with SHA-256.
func (s Secret) Mint(device string, now time.Time) Credential {
	expires := now.Add(Lifetime).Truncate(time.Second)
	name := strconv.FormatInt(expires.Unix(), 10) + ":" + device
	return Credential{Username: name, Password: s.password(name, expires), Expires: expires}
}

// Check reports whether a user name and its password were minted for this device
// and still hold. A secret that nobody made takes none.
func (s Secret) Check(name, password, device string, now time.Time) bool {
	whose, expires, err := readName(name)
	if err != nil || s == (Secret{}) || whose != device || !now.Before(expires) || expires.Sub(now) > Lifetime {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(password), []byte(s.password(name, expires))) == 1
}

// password is the one password of a name; keys change with the day.
func (s Secret) password(name string, expires time.Time) string {
	day := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()/86400))
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(day)
	mac = hmac.New(sha256.New, mac.Sum(nil))
	mac.Write([]byte(name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// maxName bounds a user name that is looked at.
const maxName = 128

// readName reads a user name's parts. It says nothing of their truth.
func readName(name string) (device string, expires time.Time, err error) {
	if len(name) > maxName {
		return "", time.Time{}, fmt.Errorf("user name of %d bytes", len(name))
	}
	until, device, ok := strings.Cut(name, ":")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if !ok || device == "" || err != nil || seconds <= 0 || strconv.FormatInt(seconds, 10) != until {
		return "", time.Time{}, errors.New("user name is no time and device")
	}
	return device, time.Unix(seconds, 0), nil
}
