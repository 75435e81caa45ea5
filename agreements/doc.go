// Package agreements keeps the register of security agreements: which
// organisation may use which devices, at which premises, by which persons, and
// where each agreement stands (rows C3, C4, C6, C11).
//
// An agreement walks from request over negotiation, assessment and decision to
// signed; only a document that the security office's pinned key signed makes it
// so. Suspension and revocation count from the moment they are committed. Every
// change raises one generation number, so that whoever acts on an older answer
// notices. Answers are drawn from signed documents, verified again at each
// question: a row that somebody put into the database names nothing.
package agreements
