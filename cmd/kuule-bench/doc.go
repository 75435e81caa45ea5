// Kuule-bench puts load on one part of Kuule and says what it cost.
//
// It promises that what is measured is the part alone: the media node runs as a
// process of its own, whose processor time and memory the system counts apart
// from the load generator's, and packets travel over real UDP sockets, through
// real ICE, DTLS and SRTP. A run is bounded in rooms, members and time, leaves
// nothing behind, and says with its figures what else the machine was doing.
//
// It is a yardstick for this project's own changes on one machine. Figures of
// other machines, or of this one under other load, are not comparable.
package main
