// Package record is a sealed version of a transcript as everybody reads and
// verifies it, without a server (rows J4, J7, J9).
//
// A version has two parts. The Record is a compact JWS of type
// kuule-record+jws by the authority's sealing key: ids, numbers and hashes, no
// word about a person, so it can be kept and checked after the content was
// erased. The Content is canonical JSON with everything that was said and
// written; it carries a random salt, and the record names its SHA-256. Version 2
// names the hash of version 1's signed text and repeats its utterances unchanged,
// with the amendments beside them. docs/record-format.md shows both.
package record
