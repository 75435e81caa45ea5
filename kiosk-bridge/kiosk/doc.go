// Package kiosk is the inside of the kiosk's program: a pipe between a card
// reader and the bridge.
//
// It opens one WebSocket over mutual TLS with the kiosk's own device
// certificate, passes the bridge's commands to the chip and the chip's answers
// back, and judges nothing: keys, checks and verdicts live in the bridge. The
// one thing it decides is what it vouches for. It signs the evidence of a visit
// with the device key only if the evidence names this visit, this nonce, and
// exactly the exchange that went through its own hands, and at most once.
//
// It keeps nothing: when a visit ends, zone and answers are forgotten.
package kiosk
