// Package outside is a client of another code base at a media node without
// admission. It knows docs/protocol.md and a WebRTC library, and imports nothing
// of Kuule's: what it needs and cannot find there is missing from that page.
//
// It promises that such a client publishes, a picture in layers too, repairs what
// was lost when it is asked to, subscribes, says what it wants,
// moves its path, leaves, and is told why when it is refused.
package outside
