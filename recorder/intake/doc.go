// Package intake takes in a room terminal's own back-up, where both recorders
// failed and only there (row H5).
//
// A verified bundle of the hearing says what no recorder has and who was in the
// room (Open); from that authority grants a taking in, and the grant alone is what
// a chunk is held against (Under): it counts if its roster and its sender's
// statement were proved there, a frame if the sender's signed list holds its hash,
// and only in the spans that were granted. The rest is counted and left.
//
// Write makes of what counts an ordinary journal for each span and member, signed by who took
// it in and sealed under the case's recording key: it verifies, plays and is
// erased as every other, and says of itself where it comes from.
package intake
