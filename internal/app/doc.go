// Package app is the one place that wires the rooms of Kuule together.
//
// It knows what an installation looks like on disk, starts the processes of
// DESIGN section 3, and hands each room its neighbours through the small
// interfaces that the room declared. Nothing here decides anything about a
// hearing: whoever looks for a rule finds it in a room.
//
// One file per process (authority.go, door.go, sfu.go, recorder.go,
// playback.go), serve.go for the supervisor, installation.go for the files.
package app
