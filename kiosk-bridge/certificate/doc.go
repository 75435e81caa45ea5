// Package certificate is the paper that says that a person's matter is pending
// (row B16): what it says, signed, and a PDF of one page for a kiosk's printer.
//
// The bridge signs it after a visit in which the person was identified; the
// kiosk only carries the PDF to the printer. The signed text stands on the paper
// as a QR code and in letters, so that whoever is shown the paper can ask the
// agency whether it is genuine: a changed name, number or date does not verify.
// The paper proves that the certificate was made, then, and nothing about the
// matter's later course. It is no identity document, and says so.
package certificate
