// Package signin verifies what the agency's identity provider says of a person.
//
// A person signs in by OpenID Connect (https://openid.net/specs/openid-connect-core-1_0.html)
// at one device. The device's agent chooses the nonce as a hash over its own
// device id, so the identity token that comes back counts on that device and
// on no other: a token that was stolen, or that a captured server kept, cannot
// be brought along by another machine. Agent, door and authority each verify
// the token themselves with the same Verifier; none takes another's word.
//
// Verification fails closed, fetches the provider's keys once and again only
// for a key it has not seen, at a bounded rate, and puts no name, subject or
// token into an error or a log.
package signin
