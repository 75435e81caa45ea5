// Package layer decides, packet by packet, what one subscriber is sent of a
// publisher's layers, and renumbers it so that the subscriber sees one stream.
//
// It promises that what it lets through can be decoded: a layer begins only with
// the first packet of a key frame that has come, and the old one is sent until
// then; no frame follows whose reference was left out; sequence numbers have no
// holes but those of packets that were truly lost; timestamps and frame numbers
// grow. It decides by the Dependency Descriptor, never by payload, takes plain
// values and allocates nothing per packet.
package layer
