// Package agent is the device's side: it holds the TPM for everybody else on
// the machine.
//
// Enrol makes an attestation key and a device key in the TPM, proves both to
// the authority and pins the installation's trust file. Open gives the enrolled
// Device, which answers TLS handshakes, signs statements and log checkpoints,
// quotes the machine's state over nonces, and renews its certificate at two
// thirds of its life with a new key each time. Run keeps the posture connection
// and whatever else the program hooks in.
//
// No private key but the cosigning key ever exists outside the TPM: a state
// directory that is copied to another machine opens nothing there (row C5).
// A Device is safe for concurrent use; the TPM is used by one call at a time.
package agent
