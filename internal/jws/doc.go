// Package jws signs and verifies the statements of Kuule.
//
// Each is a compact JWS (RFC 7515, https://www.rfc-editor.org/rfc/rfc7515)
// over the canonical JSON of package canon, with ES256 or EdDSA and a "typ"
// header that separates domains: what was signed as a roster can never be read
// as a wrap. Verification names the type and the key it expects; the key or
// certificate that travels inside a message is never trusted by itself.
//
// Keys are crypto.Signer, so a TPM, a file and a test key are used alike.
package jws
