package emrtd

import (
	"context"
	"crypto/rand"
	"crypto/sha1" // the standard's choice for key derivation
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// AccessKey opens a chip. It is derived from what is printed in the document
// and therefore personal: it never prints itself.
type AccessKey struct{ seed [16]byte }

// BACKey derives the key of Basic Access Control from the machine-readable zone
// (9303-11, 4.3.2): document number, date of birth and date of expiry, each with
// its check digit.
func BACKey(m MRZ) AccessKey {
	h := sha1.Sum([]byte(m.accessInformation())) // the standard's choice
	var k AccessKey
	copy(k.seed[:], h[:16])
	return k
}

func (AccessKey) String() string       { return "redacted" }
func (AccessKey) GoString() string     { return "redacted" }
func (AccessKey) LogValue() slog.Value { return slog.StringValue("redacted") }
func (AccessKey) MarshalJSON() ([]byte, error) {
	return nil, errors.New("an access key is never written")
}

// ErrAccessRefused says that the chip did not accept the key: the optical
// zone belongs to another chip, or was misread.
var ErrAccessRefused = errors.New("chip refused the key from the machine-readable zone")

// ErrChipNotGenuine says that the chip accepted the bridge but could not prove
// that it knows the key itself.
var ErrChipNotGenuine = errors.New("chip answered the key agreement wrongly")

// openBAC runs mutual authentication (9303-11, 4.3) and returns the protected
// channel.
func openBAC(ctx context.Context, card Card, key AccessKey) (*secureChannel, error) {
	clear := plain{card}
	r, err := clear.send(ctx, Command{INS: 0x84, Le: 8})
	if err != nil {
		return nil, err
	}
	if r.Status != StatusOK {
		return nil, &StatusError{"GET CHALLENGE", r.Status}
	}
	if len(r.Data) != 8 {
		return nil, fmt.Errorf("%w: challenge of %d bytes", ErrResponse, len(r.Data))
	}
	rndIC := append([]byte{}, r.Data...)

	var own [24]byte // RND.IFD, K.IFD
	if _, err := rand.Read(own[:]); err != nil {
		return nil, err
	}
	rndIFD, kIFD := own[:8], own[8:]
	keys, err := newTDES(kdf(key.seed[:], 1), kdf(key.seed[:], 2))
	if err != nil {
		return nil, err
	}
	sealed := keys.encrypt(nil, concat(rndIFD, rndIC, kIFD))
	r, err = clear.send(ctx, Command{INS: 0x82, Data: concat(sealed, keys.mac(padISO(sealed, 8))), Le: 40})
	if err != nil {
		return nil, err
	}
	if r.Status&0xFF00 == statusAuthFailedFamily || r.Status == StatusSecurity || r.Status == StatusSMIncorrect {
		return nil, fmt.Errorf("%w (status %04X)", ErrAccessRefused, uint16(r.Status))
	}
	if r.Status != StatusOK {
		return nil, &StatusError{"EXTERNAL AUTHENTICATE", r.Status}
	}
	if len(r.Data) != 40 {
		return nil, fmt.Errorf("%w: authentication of %d bytes", ErrResponse, len(r.Data))
	}
	if subtle.ConstantTimeCompare(r.Data[32:], keys.mac(padISO(r.Data[:32], 8))) != 1 {
		return nil, fmt.Errorf("%w: wrong checksum", ErrChipNotGenuine)
	}
	answer := keys.decrypt(nil, r.Data[:32])
	if subtle.ConstantTimeCompare(answer[:16], concat(rndIC, rndIFD)) != 1 {
		return nil, fmt.Errorf("%w: wrong nonces", ErrChipNotGenuine)
	}
	seed := make([]byte, 16)
	subtle.XORBytes(seed, kIFD, answer[16:32])
	session, err := newTDES(kdf(seed, 1), kdf(seed, 2))
	if err != nil {
		return nil, err
	}
	return &secureChannel{card: card, suite: session, ssc: concat(rndIC[4:], rndIFD[4:])}, nil
}

func concat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
