// Package conformance tries a maker's part against the contract of package
// vendorport, over the wire and with a client of its own, so that the part is
// judged and not our client. It asks what the contract asks: shape, bounds, keys,
// versions, refusals. It does not ask whether the part is any good at what it
// does; that takes a laboratory.
//
// Makers run it as `kuule-kiosk conformance`. The faces that it shows are drawn.
package conformance
