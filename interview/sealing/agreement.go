package sealing

import (
	"crypto/hpke"
	"encoding/base64"
	"fmt"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
)

// MaxWrap bounds one wrap in bytes.
const MaxWrap = 4096

// KeyAgreement carries sender keys from member to member. Its messages are
// bound to everything a Wrap says. SignedWraps is the one in use; MLS (RFC
// 9420) could take its place.
type KeyAgreement interface {
	// Give makes the message that carries key to its recipient, as w says.
	Give(w Wrap, key []byte, to *Member) (string, error)
	// Take verifies a message for this member, from whom sender finds, and
	// returns what it says and the key. The caller checks that it fits.
	Take(message string, sender func(interview.MemberID) (*Member, error)) (Wrap, []byte, error)
}

// SignedWraps seals each key to its recipient with HPKE base mode (RFC 9180;
// P-256, HKDF-SHA256, AES-256-GCM) and signs the whole with the page key.
func SignedWraps(self *Identity) KeyAgreement { return signedWraps{self} }

type signedWraps struct{ self *Identity }

// wrapInfo is a Wrap without what HPKE makes: the HPKE info.
type wrapInfo struct {
	V         int                 `json:"v"`
	Hearing   interview.HearingID `json:"hearing"`
	Group     interview.GroupID   `json:"group"`
	Epoch     int64               `json:"epoch"`
	Sender    interview.MemberID  `json:"sender"`
	Recipient interview.MemberID  `json:"recipient"`
	Track     interview.TrackID   `json:"track"`
	Source    interview.Source    `json:"source"`
	KID       int64               `json:"kid"`
	Roster    string              `json:"roster"`
}

func (w *Wrap) info() ([]byte, error) {
	return canon.Marshal(wrapInfo{w.V, w.Hearing, w.Group, w.Epoch, w.Sender, w.Recipient, w.Track, w.Source, w.KID, w.Roster})
}

func (s signedWraps) Give(w Wrap, key []byte, to *Member) (string, error) {
	w.V, w.Sender, w.Recipient = 1, s.self.member, to.Statement.Member
	info, err := w.info()
	if err != nil {
		return "", fmt.Errorf("wrap: %w", err)
	}
	enc, hs, err := hpke.NewSender(to.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return "", fmt.Errorf("wrap for %s: %w", w.Recipient, err)
	}
	ct, err := hs.Seal(nil, key)
	if err != nil {
		return "", fmt.Errorf("wrap for %s: %w", w.Recipient, err)
	}
	w.Enc = base64.RawURLEncoding.EncodeToString(enc)
	w.CT = base64.RawURLEncoding.EncodeToString(ct)
	return jws.Sign(w, TypeWrap, s.self.sign)
}

func (s signedWraps) Take(message string, sender func(interview.MemberID) (*Member, error)) (Wrap, []byte, error) {
	var w Wrap
	if len(message) > MaxWrap {
		return Wrap{}, nil, fmt.Errorf("%w: longer than %d bytes", ErrWrap, MaxWrap)
	}
	// Only the sender is used of what is not verified yet, to find its key.
	if err := jws.Peek(message, TypeWrap, &w); err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	from, err := sender(w.Sender)
	if err != nil {
		return Wrap{}, nil, err
	}
	w = Wrap{}
	if err := jws.Verify(message, TypeWrap, from.sign, &w); err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	if w.V != 1 || w.Sender != from.Statement.Member || w.Recipient != s.self.member {
		return Wrap{}, nil, fmt.Errorf("%w: not from its signer, or for somebody else", ErrWrap)
	}
	info, err := w.info()
	if err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	enc, err := base64.RawURLEncoding.Strict().DecodeString(w.Enc)
	if err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: enc is not base64url", ErrWrap)
	}
	ct, err := base64.RawURLEncoding.Strict().DecodeString(w.CT)
	if err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: ct is not base64url", ErrWrap)
	}
	r, err := hpke.NewRecipient(enc, s.self.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return Wrap{}, nil, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	key, err := r.Open(nil, ct)
	if err != nil || len(key) != SenderKeyBytes {
		return Wrap{}, nil, fmt.Errorf("%w: key does not open", ErrWrap)
	}
	return w, key, nil
}
