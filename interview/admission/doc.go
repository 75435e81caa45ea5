// Package admission decides who may join a hearing: the rules are Cedar policies
// in rules.cedar, the facts come from checks that were made elsewhere, and
// every answer names the rule that gave it (rows C3, C4, C6, C9, C11, D1).
//
// A seat is asked for by a person who signed in or by a join ticket, on the
// device that the booking names, with a posture not older than 60 seconds,
// within the door's window. The interviewer whose seat it is chairs the room;
// everybody else waits to be admitted by name. What the rules do not permit is
// refused, and each refusal has a code with the way that is still open.
package admission
