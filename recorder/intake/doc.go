// Package intake takes in a room terminal's own back-up, where both recorders
// failed and only there (row H5).
//
// The hearing's verified evidence says what is missing and who was in the room:
// a chunk counts if its roster and its sender's statement are in the bundle, a
// frame if the sender's signed list holds its hash, and only where no recorder
// has its moment. The rest is counted and left.
package intake
