// Package tpmseal seals the keyring's root key to this machine: under its TPM's
// storage root key, and openable only while the boot state is the one at sealing
// (PCR 7 of the SHA-256 bank: secure boot). What comes back from the TPM is
// encrypted on its way.
//
// A machine that breaks takes the key with it: keep the shares or the passphrase
// of another sealing apart (docs/keys.md).
package tpmseal
