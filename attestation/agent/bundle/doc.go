// Package bundle signs the web pages at release and opens them on a device.
//
// The agent serves the page of an attested seat from such a bundle and from
// nothing else, so a server that was taken over cannot slip other code into
// that seat: it holds only the bundle, not the key that signed it. A bundle is
// one file: the manifest as a compact JWS (typ "kuule-bundle+jws") on the first
// line, then a ZIP. The manifest names the hash of the whole ZIP and of every
// file in it; a byte that was flipped, a file that was added, left out or
// renamed, and a signature under any key but the pinned one are all refused
// before anything of the ZIP is read.
//
// The same folder and Ed25519 key give the same bytes. Everything is bounded.
package bundle
