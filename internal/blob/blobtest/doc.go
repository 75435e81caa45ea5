// Package blobtest holds the conformance test of a blob store: what every
// implementation of blob.Store promises, as one function that takes an empty
// store. It is for tests only; no production binary imports it.
package blobtest
