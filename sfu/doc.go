// Package sfu is a media node: it takes sealed RTP packets from one leg and
// gives them to others, and can read none of them.
//
// It promises that a packet goes only where the newest table of its room sends
// it; that nothing is forwarded between rooms; that a receiver's stream changes
// source only on a key frame; that packets which arrive twice are forwarded
// once; and that SRTP is AEAD_AES_256_GCM or there is no connection. It decides
// by the RTP header and the Dependency Descriptor
// (https://aomediacodec.github.io/av1-rtp-spec/), never by payload: what it
// forwards is SFrame ciphertext (RFC 9605).
//
// The node obeys whoever holds its Node value: the door, over the bus.
package sfu
