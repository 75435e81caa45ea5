// Package engines plugs engines into the bridge: the reference engine for faces,
// makers' parts for faces, fingers and presentation attacks, the register, and the
// search for duplicates. It turns what they say into the bridge's words, and nowhere makes
// more of it than it is: a reference engine decides nothing, a maker's part
// asserts.
package engines
