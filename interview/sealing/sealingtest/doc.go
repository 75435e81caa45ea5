// Package sealingtest makes an installation for tests: roots, an authority
// that admits whom the test says, devices, pages and recorders.
//
// It is for tests alone. Its keys live in memory, its certificates are signed
// here, and its authority asks nobody: what a test forges, it forges with real
// keys of the wrong kind, so that a refusal is earned.
package sealingtest
