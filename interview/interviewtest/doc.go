// Package interviewtest holds what tests of several rooms need around a
// hearing: a sealer with keys in memory, an outbox that remembers, a clock that
// a test moves, a register that knows the devices it was told, and a walk over
// every route as every role. It exists for tests only.
package interviewtest
