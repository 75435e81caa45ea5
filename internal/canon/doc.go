// Package canon gives the one byte form in which Kuule signs and hashes.
//
// That form is RFC 8785 (JSON Canonicalization Scheme,
// https://www.rfc-editor.org/rfc/rfc8785) with two further rules: no number
// may have a fraction or an exponent or lie outside ±(2^53-1), and reading is
// strict: unknown fields, duplicate names, and trailing bytes are errors. So a
// value has exactly one text, and a text that was signed is read as it was
// meant or not at all.
//
// Signed text is stored as text and never re-made from a database's JSON type.
package canon
