// Package blob keeps finished files: sealed journals, evidence, exports. A file
// is put once under a name and never changed; readers take any range of it.
//
// The interface is small so that a folder (one machine) and an object store with
// retention (many machines) can both keep it; package blobtest holds the
// conformance test. A folder is not write-once storage: whoever runs the machine
// can remove files, and it says so by not claiming otherwise. What must not be
// changed unnoticed is signed and logged by its owner, and what must be erased is
// sealed under a key that can be destroyed.
package blob
