// Package shares splits a secret into three shares of which any two bring it
// back and one alone says nothing (Shamir, "How to share a secret", 1979), for
// unlocking the keyring by four eyes.
//
// Each byte is the value at zero of a line with a random slope over GF(256),
// reduced by x⁸+x⁴+x³+x+1 as in AES; a share holds the line's value at its own
// number. The form over bytes is that of draft-mcgrew-tss-03, whose vector the
// tests hold. Arithmetic has no table and no branch that depends on a secret.
//
// A share's text names its set and carries a checksum, so that a slip of the
// pen, or a share of another keyring, is told apart from a wrong secret.
package shares
