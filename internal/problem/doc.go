// Package problem is the one registry of what can go wrong for a person.
//
// A code says what happened; its entry gives the HTTP status, an English text
// for the log, and the way that is still open. HTTP problem documents
// (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457), WebSocket messages,
// answers on the bus and refusals of the policy engine all carry these codes,
// and pages turn them into the person's language by the same name
// (problem.CODE.title, way.WAY).
//
// Rooms wrap the entry that fits in an *Error; the detail names what it
// happened to and never holds personal content or secrets.
package problem
