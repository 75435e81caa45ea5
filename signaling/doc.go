// Package signaling is the door of a room: pages over WebSocket and recorders
// over the bus speak the messages of interview/wire with it.
//
// It promises that nobody's message goes further than that member may speak
// (one table, in rules.go, says who may send what); that whoever joins waits
// until the chair admits exactly the persons seen, or is told the rule that
// refused and the way still open; that media is forwarded only between members
// on the chair's newest roster; and that the phase leaves "on record" when no
// recorder proves durable data.
//
// It is trusted with none of the keys: rosters, wraps and origin lists pass
// through and are judged by the pages. A hub holds no state that its members
// cannot bring back: after a restart they rejoin with their admissions.
package signaling
