// Package paymenttest is a simulated payment port, for tests and the
// demonstration: it keeps the contract of docs/integration.md and moves no
// money. The amount decides how a payment ends, so that each end can be tried:
// amounts ending in 51 cents are declined, in 99 stay pending until they are
// cancelled; all others are approved at the second look. It is safe for
// concurrent use.
package paymenttest
