// Package repair is what a media node, or a member, does about lost packets: it
// notices them, asks for them, and decides when asking is of no more use.
//
// It promises that everything is bounded: how many packets are missed at once,
// how often one is asked for, how many key frames a source is asked for. A packet
// that comes twice is new once. Nothing allocates. The sources are RFC 4585 (NACK,
// PLI), RFC 4588 (RTX) and RFC 2198 (RED).
package repair
