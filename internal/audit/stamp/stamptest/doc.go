// Package stamptest gives tests a time-stamping authority (RFC 3161) that is
// openssl's, with a root and a certificate of its own in the test's folder, so that
// what is checked was not made by the code that checks it. No production binary
// imports this package.
package stamptest
