// Package agreementstest brings an agreement into force in one call, by the
// same steps that a security office takes. It exists for the demonstration and
// for tests; no production binary imports it.
package agreementstest
