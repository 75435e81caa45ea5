// Package vault keeps the keyring in HashiCorp Vault's Transit engine
// (https://developer.hashicorp.com/vault/docs/secrets/transit), for
// installations of many machines. Keys never leave the server.
//
// Each key of a case is a derived AES-256-GCM key; a wrap is bound to its place
// by Transit's context, not by associated data: what was sealed with associated
// data cannot be rewrapped. Login is by AppRole or TLS certificate; tokens are
// renewed, and taken anew when they were revoked. Every request is bounded; a
// server that is sealed, slow or unreachable is keyring.ErrAway after a few
// tries, and errors are told apart by status and by the key's own state, never
// by the server's texts, which change between versions.
//
// Transit forgets a deleted key, so proofs of destruction are kept in a folder
// of their own (Config.Graves) and hold even if the server's storage is set back.
// Policy gives the policy files that the server has to enforce by itself.
package vault
