// Package wire is the one schema of the messages in a room: between a page and
// the door over WebSocket, and between a recorder and the door over the bus.
//
// A message is a JSON object {"type", "id", "re", "body"}; the type decides the
// body. Requests carry an id and are answered by a message whose re is that id
// (type "ok", the named answer, or "problem"). Reading is strict: unknown
// types, unknown fields and messages over MaxSize are refused with a code and
// change nothing. The TypeScript types are generated from this package
// (web/src/api) and a test compares.
package wire
