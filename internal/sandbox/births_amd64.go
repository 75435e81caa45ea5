package sandbox

import "golang.org/x/sys/unix"

// births are the old calls that make processes.
var births = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
