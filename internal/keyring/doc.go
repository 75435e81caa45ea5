// Package keyring keeps the keys under which a case's records and recordings
// are sealed, and the promise that rests on them: when a key is destroyed, what
// was sealed under it is gone, on every copy and back-up (erasure by key).
//
// A case has two keys, records and recording, because different processes may
// use them. Keys never leave the ring: callers hand it plaintext to wrap, or ask
// for a fresh data key together with its wrapped form. Every wrap is bound to a
// context (which recording, which table and row) and opens in no other.
//
// Rights are split by role (RightsOf): a recorder can wrap and never unwrap, the
// door has nothing to do with recording keys, a viewing only unwraps. Restrict
// enforces them in the process that holds the ring, whatever the caller does.
//
// Local keeps the ring in a folder, sealed by a passphrase; package keyringtest
// holds the conformance test that a Vault Transit backend has to pass as well.
// A back-up of the ring's folder keeps a destroyed key alive for whoever holds
// the passphrase: keep such back-ups apart and no longer than erasure allows.
package keyring
