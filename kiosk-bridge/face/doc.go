// Package face compares pictures of faces, one person with one picture.
//
// The comparing itself is done by cmd/kuule-face, a program of its own: this
// package starts it once for each question, without network, without a file that
// it may write, bounded in memory and time, hands it the pictures through a
// pipe and reads numbers back. When it has answered it ends, and with it every
// picture and template that it had. Nothing here writes anything to a disk
// (row B19).
//
// The engine is a reference: its models are public, nobody has measured their
// error rates for the people who come here. Its score is shown to an
// interviewer as advice; it admits nobody and refuses nobody.
package face
