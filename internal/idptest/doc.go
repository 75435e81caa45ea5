// Package idptest is the demonstration's identity provider.
//
// It speaks real OpenID Connect (zitadel/oidc, authorization code with PKCE,
// S256 only) to the agents of the demonstration and its tests, and asks nobody
// for a password: a plain page in Finnish and English lets one pick a persona.
// The redirect may end at the agents' own addresses and nowhere else. Login
// walks the same pages without a browser.
//
// Everything is in memory and made anew at each start. It is for kuule-demo
// and tests alone; no production binary imports it, which a test proves.
package idptest
