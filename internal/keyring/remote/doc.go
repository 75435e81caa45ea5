// Package remote lets the other processes use the keyring that authority holds.
//
// Serve answers on the bus with the rights of the caller's role; the bus refuses
// what the table of subjects does not name, and this package refuses it again by
// keyring.RightsOf, so that one wrong line in either opens nothing. A viewing
// (role playback) is further limited to what the approve function knows to be
// approved for exactly that viewing.
//
// New gives the same keyring.Keyring on the caller's side, with the same
// sentinel errors. A secret crosses the bus only as the answer to an unwrap or a
// data key, under mutual TLS, on a subject that only its caller can hear.
package remote
