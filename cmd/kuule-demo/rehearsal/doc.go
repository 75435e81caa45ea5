// Package rehearsal holds one complete interview unattended, on a stage of its
// own, and says of each step what it found and how long it took.
//
// Every step asserts something that the installation did: refusals by their
// code, sound by its content, the recorder's death by the clock, the evidence
// by `kuule verify` and by one flipped byte, the export by the tones in it. A
// step that cannot be tried yet is "absent" and fails the rehearsal.
package rehearsal
