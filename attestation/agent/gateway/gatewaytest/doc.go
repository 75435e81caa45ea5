// Package gatewaytest is a page without a browser: it speaks to a loopback
// gateway exactly as Chromium does (Host, Origin, Sec-Fetch headers, bearer,
// subprotocols), for tests, the rehearsal and simulated people.
//
// It dials 127.0.0.1 itself, since *.localhost resolves in browsers only. No
// production binary imports it, which a test proves.
package gatewaytest
