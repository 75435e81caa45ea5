// Package duplicate searches the register for a person who is in it under
// another name (row B5): one face against all.
//
// A search is handed in and forgotten by whoever handed it in: a kiosk, an
// applicant and counsel learn nothing of it, neither that something was found nor
// that nothing was. What is found becomes a task of officers, who look at both
// persons' files. Nobody is refused by a machine: with a large register false
// hits are ordinary, and [Arithmetic] says how ordinary.
//
// The register is behind [Searcher]: a maker's part (docs/integration.md), or
// [Local], an exact scan over a sealed file. Results are signed, and count only
// for the search and the probes that they name. Probes and templates live for
// the search alone (row B19).
package duplicate
