// Package keyringtest holds the conformance test of a keyring backend: what
// every implementation of keyring.Keyring promises, as one function that takes a
// fresh ring, and a local ring that is cheap to open. It is for tests only; no
// production binary imports it.
package keyringtest
