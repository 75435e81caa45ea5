// Package offer reads what a member offers to a media node and writes the
// node's answer (SDP, RFC 8866; offer and answer, RFC 9429).
//
// It promises that an offer it takes is bounded, is one bundle over one
// transport, carries no certificate but the announced one, and has on each line
// at least one codec that the node forwards; and that the answer names nothing
// that was not offered. What it does not know it leaves out of the answer; what
// it cannot do without it refuses and says why.
//
// The clear audio level (RFC 6464) is known and left out: a media node must not
// learn who speaks.
package offer
