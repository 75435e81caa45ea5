// Package sealing decides who is in a group and with which keys its members
// seal media to each other, so that no server has to be trusted for either.
//
// Five signed messages make a group. A statement, signed by the device key,
// says which page instance with which keys sits on a device. An admission,
// countersigned by authority, says that this statement was admitted, for which
// seats. A roster, signed by the page of whoever chairs, lists the members of
// an epoch. A wrap, signed by the sender's page, carries one sender key to one
// member on that roster. An origin list, signed by the sender's page, names
// the frames it sealed, so that a recording proves who sent what.
//
// Media frames are sealed with SFrame (RFC 9605), the sender keys wrapped with
// HPKE (RFC 9180). KeyAgreement is an interface, so that MLS (RFC 9420) can
// take the place of signed wraps.
package sealing
