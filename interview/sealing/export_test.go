package sealing

import (
	"crypto/ecdsa"
	"crypto/hpke"

	"kuule/interview"
)

// IdentityOf makes an identity of given keys, for vectors that other code made.
func IdentityOf(member interview.MemberID, wrap hpke.PrivateKey, sign *ecdsa.PrivateKey) *Identity {
	return &Identity{member: member, hpke: wrap, sign: sign}
}
