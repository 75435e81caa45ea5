// Command kuule-demo is the demonstration: everything on one machine, with
// software TPMs, a test passport, a demonstration sign-in and simulated people.
//
// `kuule-demo up` brings it up and prints a link per persona; `kuule-demo fill`
// seats simulated people beside the one who tries it; `kuule-demo rehearse`
// holds a whole interview unattended and says of every step what it found.
// Nothing of it is in the programs that ship, and everything that it starts
// are those programs.
package main
