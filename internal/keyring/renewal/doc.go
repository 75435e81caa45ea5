// Package renewal lets keys rotate although what they wrapped lies in places
// that are never changed (a journal's block, an append-only row).
//
// Over puts a register beside a ring: every text that is wrapped through it is
// noted, by key. Renew makes a new version of a key, rewraps every noted text
// and keeps the newest form beside the first. Whoever unwraps goes on showing
// the text that was first given out; the register finds the newest form of it.
// Media is never encrypted anew: what rotates wraps data keys. Old versions are
// retired only when every text of the key is known to be renewed.
//
// The register holds wrapped texts and contexts, no secret. It is as needed as
// the ring itself once old versions are retired: back up both together.
package renewal
