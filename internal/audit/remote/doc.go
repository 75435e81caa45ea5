// Package remote lets the door reach the audit log that authority holds.
//
// Serve answers on the bus; Client is the caller's side and the Appender of the
// door's outbox worker. What comes back is only ever text that carries its own
// proof (leaves, signed checkpoints, hashes), so neither side has to believe the
// other: callers verify with the functions of package audit.
package remote
