// Package pipeline turns a picture into the numbers of a face: it finds the
// face, its eyes, nose and mouth, turns and scales them to fixed places, and has
// a network describe what is there. The networks themselves are behind [Nets], so
// that all geometry here is plain Go.
//
// Whoever calls it decodes what strangers sent: it runs in cmd/kuule-face alone,
// in a process that can do nothing else.
package pipeline
