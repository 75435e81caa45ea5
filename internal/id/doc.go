// Package id makes and reads the typed identifiers of Kuule.
//
// Every identifier is a UUIDv7 (RFC 9562, https://www.rfc-editor.org/rfc/rfc9562)
// that carries its kind in the Go type and, wherever it is printed, sent or
// stored, in a short prefix: "hrg_018f…" can never be taken for a seat. The
// zero value is "no identifier": it prints as the empty string and is refused
// by Parse, so a forgotten field cannot pass for a real one.
//
// Kinds are declared where the thing itself is declared (package interview for
// the words of a hearing). Values are comparable, ordered by time of making,
// and safe for use as map keys and in SQL.
package id
