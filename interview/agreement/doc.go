// Package agreement is the signed security agreement as everybody reads it: the
// organisation, the devices, premises and persons that it names one by one, the
// criteria it was assessed by, and how long it holds (rows C3, C4, C6, C11).
//
// The document is a compact JWS of type kuule-agreement+jws by the security
// office's key, which the installation file pins. Whoever decides by an
// agreement verifies that signature again; a register's row alone is worth
// nothing. Whether an agreement is suspended is not in the document: the
// register says so, and says it at once. This package is pure: no clock, no
// database, no network.
package agreement
