// Package opusred packs sound twice and takes it apart again: RTP payloads for
// redundant audio data (RFC 2198) that carry Opus (RFC 7587).
//
// It promises to refuse what is malformed without a panic and to copy nothing
// when it reads. Sound that is sealed is packed first and sealed then, so that
// only who opens it can use the redundancy: a media node cannot add it or take
// it away.
package opusred
