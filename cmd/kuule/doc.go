// Command kuule is the server of Kuule and the administrator's tool.
//
// `kuule init` makes an installation in a folder, `kuule serve` runs it: one
// process that supervises door, authority, sfu, recorder and, one per viewing,
// playback. `kuule evidence` writes what a hearing left as one file and `kuule
// verify` checks such a file anywhere, with nothing but the installation's
// trust file. `kuule agreement` prepares, signs and imports security
// agreements; the signing key is the security office's and stays there.
//
// It holds no rule of its own: package internal/app wires the rooms.
package main
