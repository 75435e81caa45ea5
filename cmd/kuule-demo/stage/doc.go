// Package stage brings up a whole installation on one machine: software TPMs
// of a demonstration manufacturer, a passport factory, a demonstration sign-in,
// the real `kuule serve`, one real `kuule-agent` per device, agreements signed
// by a demonstration security office, and a booked hearing.
//
// Only what no demonstration can have is made up: the chips, the passport, the
// people. Everything between them is the programs that ship, reached as devices
// and browsers reach them. A Stage owns every process that it starts: Close
// ends them all, software TPMs in order.
package stage
