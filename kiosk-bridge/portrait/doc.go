// Package portrait makes the picture of a travel document's chip into one that
// other parts can open: most chips hold JPEG 2000 (ICAO Doc 9303-9, 3.1.2), which
// neither Go nor browsers decode.
//
// It promises that no picture is decoded before its size was read from its header
// and found within bounds, that JPEG 2000 is decoded by OpenJPEG's program in a
// sandbox (package internal/sandbox) and never in this process, and that no
// picture touches a disk on the way.
package portrait
