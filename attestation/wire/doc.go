// Package wire holds the words that a device and the authority exchange.
//
// A device is named by its permanent identifier, a fingerprint of its TPM's
// endorsement key; certificates carry it as an RFC 4043 name. Enrolment sends
// AttestRequest and SecretRequest over HTTPS; the posture connection is a
// WebSocket of Message. Every message is plain JSON, read strictly and bounded,
// so that the same structs travel over the bus between the door and the
// authority.
//
// The package depends on no certificate authority: the device's program links
// it without pulling in the server's side.
package wire
