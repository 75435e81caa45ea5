// Package blob keeps finished files: sealed journals, evidence, exports. A file
// is put once under a name and never changed; readers take any range of it.
//
// The interface is small so that a folder (one machine) and an object store with
// Object Lock (package s3) can both keep it; package blobtest holds the
// conformance test. A file may be locked until a time, which is extended and
// never shortened, and held whatever its time. WriteOnce tells whether the
// storage itself refuses then: a folder is not write-once, whoever runs the
// machine can remove files, and it says so. What must not be changed unnoticed
// is signed and logged by its owner, and what must be erased is sealed under a
// key that can be destroyed.
package blob
