// Package trust reads the installation file: the keys that everybody holds
// who does not want to trust the server.
//
// kuule-agent pins the file at enrolment, the agent hands it to its page,
// and `kuule verify --trust` reads the same format. A key that is not in the
// file is trusted for nothing. The file is canonical JSON, at most 256 KiB,
// given out of band; its own integrity is the business of whoever hands it over.
package trust
