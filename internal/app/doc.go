// Package app is the one place that wires the rooms of Kuule together.
//
// It knows what an installation looks like on disk, starts its processes
// (docs/threat-model.md says what each may do), and hands each room its neighbours through the small
// interfaces that the room declared. Nothing here decides anything about a
// hearing: whoever looks for a rule finds it in a room.
//
// One file per process (authority.go, door.go, sfu.go, recorder.go,
// playback.go), serve.go for the supervisor, installation.go for the files.
package app
