// Package house holds the tests of the house itself: who may import whom, that
// what exists for demonstration and test stays out of the production binaries,
// that every package says what it promises, and that docs/protocol.md names what
// the code has. It holds nothing but tests.
package house
