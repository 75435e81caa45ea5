// Package s3 keeps finished files in a bucket of an S3 service with Object Lock
// (blob.Store over minio-go).
//
// The bucket is made by the operator with Object Lock, which brings versioning;
// Open refuses any other. Locks are of compliance mode: the service itself
// refuses to delete or shorten, to this program and to the operator alike, so
// WriteOnce is true. A name is taken by If-None-Match, so that of two writers
// one wins. Erasure never waits for a lock: what lies here is sealed, and its
// key is destroyed.
//
// Requests are bounded in time and retried at most twice; a service that does
// not answer is blob.ErrAway.
package s3
