// Package signalingtest makes a world in which a room can be tried: devices
// with certificates of a root of its own, an admission that follows a list, and
// a hearing kept in memory. It is for tests and load generators; no production
// binary imports it.
//
// What it signs is signed for real, by keys that nobody else trusts: members
// verify it as they would anywhere.
package signalingtest
