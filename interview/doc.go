// Package interview holds the words that every room of Kuule speaks: case,
// hearing, participant, seat, device, leg, member, group, phase, hearing clock
// and verdict.
//
// A participant is a person in a role at a hearing; a seat is where that person
// sits; a device may carry several seats (counsel beside the client is the
// ordinary case); a leg is one device's media connection; a member is one page
// instance, or a recorder, in a group, the set that shares keys. docs/protocol.md
// tells the same with pictures; tests keep both true.
//
// This package also owns the hearing itself: its booking, its phases and its
// clock. Rooms ask for a transition by its name and get it or a reason.
package interview
