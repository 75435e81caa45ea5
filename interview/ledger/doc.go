// Package ledger writes what happened at hearings, agreements and transcripts
// into the audit outbox. It is the one list of these event types and of the
// fields that each has: an event with a field more or less is not kept, and
// neither is the change that it tells of. No field ever holds a name, a text or
// anything else that speaks of a person: ids, codes, numbers and hashes only.
package ledger
