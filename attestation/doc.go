// Package attestation decides which machine is which, and in what state.
//
// It runs in the process authority and promises: a TPM is believed only if a
// manufacturer that is configured vouches for its endorsement key; a device
// certificate (at most 24 hours) is issued only to a key inside such a TPM, and
// only while an agreement in force names that TPM (rows C3, C11); a certificate
// that was revoked is refused at once; and a device's state counts as known
// for a minute after a quote over a nonce used once, signed by the attestation
// key that was enrolled together with the certificate and equal to what was
// approved (row C5).
//
// Two certificate authorities do the work: ours for attestation keys, and
// step-ca (github.com/smallstep/certificates) as a library for devices, over
// ACME device-attest-01. One http.Handler serves both. Package wire holds what
// travels, package agent is the device's side.
package attestation
