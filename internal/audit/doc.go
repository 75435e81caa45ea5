// Package audit keeps a log of what happened that nobody can quietly change,
// not even whoever runs the server.
//
// An event has a type, which a room defines with the fields that are hashed
// (Define). Record writes it into the SQL outbox, in the transaction of the
// change that it tells of; a Worker carries it to the Log, where it becomes a
// leaf: its id, type and version, and SHA-256 over a salt and its canonical body.
// The log itself thus holds nothing about a person, and nothing has to be taken
// out of it: erasing body and salt from SQL leaves a number without meaning.
//
// The Log is a tile log (Tessera on files, https://c2sp.org/tlog-tiles). It signs
// checkpoints; devices of other parties cosign a checkpoint only if it continues
// the one that they saw before (https://c2sp.org/tlog-cosignature). VerifyInclusion and VerifyConsistency need
// no server and trust only the keys that they are given. Without a cosignature
// from outside, a proof says only that the agency vouches for itself.
package audit
