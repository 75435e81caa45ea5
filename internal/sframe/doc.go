// Package sframe seals media frames in the sender's page and opens them in the
// receiver's, so that what carries them in between stays blind.
//
// It is SFrame (RFC 9605, https://www.rfc-editor.org/rfc/rfc9605) with the one
// cipher suite AES_256_GCM_SHA512_128. A Sealer owns its key's counter: it
// starts at zero, never repeats and refuses to overflow, so a key must never be
// given to two Sealers; after a restart take a new key. An Opener answers for
// one key id and opens each counter at most once within its window.
//
// Both are safe for concurrent use and do not allocate per frame when the
// destination has room. Neither prints its key.
package sframe
