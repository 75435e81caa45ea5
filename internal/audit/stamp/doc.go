// Package stamp asks a time-stamping authority when a text was there, and
// checks what it answered (RFC 3161, https://www.rfc-editor.org/rfc/rfc3161).
//
// What is stamped is a checkpoint of the audit log: who holds it with its stamp
// can say that all that the log held then was there at that time, on the word of
// somebody outside the installation. The authority learns a hash and nothing
// else. Answers are kept as they came, so that other programs check them too
// (openssl ts -verify). An answer holds for one text, under roots that the
// caller names, and only from a certificate that is made for time stamps.
package stamp
