// Package sandbox runs programs that decode what strangers sent: pictures of
// documents, recordings, faces.
//
// A program that is started here has no network and no environment, opens the
// system's libraries and what it was given and nothing else, writes only to what
// was opened for it, and is bounded in memory, processor time, size of output
// open files and threads. It starts no process, and dies with whoever started it. All of this holds before the
// program's first instruction: the running binary starts itself as a launcher,
// gives up its rights, and becomes the program.
//
// The walls are Linux namespaces, Landlock and seccomp. Where the system allows
// only some of them the rest still stands, and [Walls] tells which are absent.
// Where it allows neither namespaces nor Landlock nothing is run.
package sandbox
