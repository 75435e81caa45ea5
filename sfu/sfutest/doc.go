// Package sfutest holds links that are worse than the machine's own, for tests
// of media: a Link is the arithmetic of one direction (bit rate with a queue,
// delay, jitter, loss); a Forwarder puts two of them between UDP sockets; a
// Tunnel puts them between two network namespaces, so that a whole browser lives
// behind them. None needs a queueing discipline of the kernel's.
package sfutest
