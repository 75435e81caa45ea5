// Package descriptor reads and writes the RTP Dependency Descriptor, the header
// extension by which a video stream says in clear what its frames depend on
// (AV1 RTP specification, appendix A:
// https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension).
//
// It promises to read every descriptor that the specification allows, within
// stated bounds, without allocating, and to refuse all else without a panic. A
// Reader keeps one stream's template structure, which key frames carry and the
// frames after them refer to. It never looks at a payload.
package descriptor
