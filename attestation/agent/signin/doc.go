// Package signin signs a person in at this device.
//
// It is the agent's half of OpenID Connect: authorization code with PKCE (S256,
// RFC 7636, https://www.rfc-editor.org/rfc/rfc7636), as a public client whose
// redirect ends at the agent's own gateway, never at the server. The nonce is
// made from the device's id (package internal/signin), so that the identity
// token counts on this device alone.
//
// An Attempt is one sign-in under way; whoever keeps it (the gateway's session)
// decides to whom the answer belongs. Tokens stay in the agent's memory; the
// access token, which Kuule has no use for, is dropped at once. No refresh
// token is asked for.
package signin
