// Package ticket says what a join ticket is and when it holds.
//
// A ticket lets one person take a seat from one named device, for one hearing
// and purpose, within minutes, once (row B21). It is no bearer: the row in the
// database is redeemed, and only the room terminal that it names can do so.
//
// Three texts make its proof. The kiosk and the bridge agree on the evidence of
// a visit; the kiosk's device key signs that this visit took place; the bridge
// signs the ticket over the evidence. So neither a captured server alone nor a
// captured kiosk alone can let somebody in: authority checks all three against
// roots of its own before it countersigns an admission.
package ticket
