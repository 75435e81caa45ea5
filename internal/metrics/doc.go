// Package metrics shows what a process does to a Prometheus server of the
// installation's own network.
//
// It is off until the configuration names a port, and then answers on the
// machine's loopback address alone, at /metrics: whoever collects from elsewhere
// puts a proxy with its own rules in front. Nothing is ever sent by itself. What
// is shown names no person: rooms, legs and tracks by their ids, everything else
// by closed sets of words, and only as many series as there are open legs.
package metrics
