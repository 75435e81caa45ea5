// Package gateway is the door between a browser and its device's agent:
// http://NAME.localhost:PORT, a secure context that no other machine reaches.
//
// It serves the pages of the signed bundle, sends /api/ and /ws/ on to the
// server with mutual TLS by the device's key, and signs the page's statement.
// What may pass is decided in this order: the socket's owner (sock_diag), the
// exact Host, Origin and Sec-Fetch headers, then a bearer that lives in the
// page's memory and was got with a one-time start code. There are no cookies
// and no CORS. Both loopback families are held or nothing is served, since
// Chromium prefers [::1] and a squatter there would be the page.
//
// Routes lists every path with who may call it; the handler is made from that
// table, so a path without an entry does not exist. Everything is bounded.
// What it cannot stop: another process of the same user, which could read the
// browser's memory anyway (docs/threat-model.md).
package gateway
