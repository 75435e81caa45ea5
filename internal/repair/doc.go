// Package repair is what a media node, or a member, does about lost packets: it notices them,
// asks for them, keeps what it has for those who ask, and decides when asking is
// of no more use.
//
// It promises that everything is bounded: how many packets are kept and in how
// many bytes, how many are asked for and how often, how many key frames a source
// is asked for. A packet that comes twice is new once. Nothing allocates per
// packet once its place is made, except that a Cache doubles until its budget.
// The sources are RFC 4585 (NACK, PLI), RFC 4588 (RTX) and RFC 2198 (RED).
package repair
