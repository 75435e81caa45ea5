// Package port is the way between a media node and its peers: sockets, ICE,
// DTLS and SRTP, and nothing of rooms or tracks.
//
// It promises that no packet reaches a handler that was not authenticated by
// SRTP under the keys of that handler's own connection; that the only profile
// is AEAD_AES_256_GCM (RFC 7714), keyed by DTLS with the certificate whose
// fingerprint was given; that an address is sent to only after it proved by a
// checked message integrity that it wants to be (RFC 8445, ICE-lite); and that
// a packet passes without an allocation, a goroutine or a timer of its own.
//
// One UDP socket for each address serves all connections, told apart by the
// remote address; the same port number takes ICE-TCP (RFC 6544, RFC 4571).
package port
