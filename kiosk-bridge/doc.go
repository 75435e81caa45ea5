// Package kioskbridge identifies people at kiosks and writes join tickets.
//
// The kiosk is a pipe: through its WebSocket (mutual TLS, a device of the
// register) the bridge itself speaks to the document's chip, so a broken kiosk
// can spoil a visit but not invent a chip's answer. Every check ends in a
// verdict with a reason; the kiosk learns only where the person goes next.
//
// A machine's "no" ends no one's access: each visit ends in join, again or desk,
// and desk is a person. A ticket is a signed row, bound to hearing, purpose,
// participant and room terminal, for minutes, redeemed once by that terminal
// (row B21). It stands on evidence that the kiosk's own device key vouches for,
// so a captured server cannot invent a visit (package interview/ticket).
//
// What was read of a document is sealed under the case's records key; portraits
// end with the visit. Nobody outside is asked anything (row B20).
package kioskbridge
