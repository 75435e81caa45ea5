// Package vendorporttest plays makers' parts: one simulator for each port of
// package vendorport, as a program behind a unix socket or TLS. They judge by
// plain rules that a test can foresee, and by nothing that a real part would; each
// fault that package conformance has to find can be switched on.
package vendorporttest
