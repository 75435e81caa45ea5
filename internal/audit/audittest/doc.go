// Package audittest gives tests and the demonstration a device that cosigns
// checkpoints of an audit log as an outside witness does, with a fresh key and
// its memory in this process only. The device that people have is kuule-agent.
// No production binary imports this package.
package audittest
