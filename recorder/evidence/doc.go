// Package evidence writes what a hearing left as one file that anybody can
// check, and checks it.
//
// A bundle is a ZIP of one possible form: stored entries, fixed times, no extra
// fields, the signed manifest first and the rest in the order of their names.
// Verify knows from the manifest, whose signature it checks under a key that
// the verifier holds, what every other byte must be, headers included, and
// names the first place that differs. Then it follows the proofs inside: each
// member's statement and admission to trusted roots, rosters to an interviewer,
// journals to their recorder, origin lists to their senders, transcript records
// to the sealing key, the log to its cosigners. Keys inside a bundle are never
// trusted by themselves. None of it needs a secret.
//
// With a recording's data key, given apart to a named recipient, every frame is
// also opened and held against its sender's signed list.
package evidence
