// Package relay is the way to the media port for who cannot reach it: a TURN
// server (RFC 8656) over UDP, TCP and TLS inside the process of the media node.
//
// It promises to be of no other use. It relays only for who brings a credential
// that the door minted for a device minutes ago; only to the node's own media
// port and to the probe that the self-test measures against; only so many
// allocations for a device and so many bits a second for each. Whatever comes to
// a relayed address from anywhere else is dropped. TLS arrives from the door,
// which tells it from its own by the name turn.HOST and splices it unopened.
//
// The probe answers one data channel and says how many bytes reached it, so that
// a page can measure up and down on exactly the way that a hearing would take.
package relay
