package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	launcher = "kuule-sandbox" // as the binary's own name: do not run, launch
	probe    = "probe"
	failed   = 126 // the launcher's exit, as a shell's
)

// launch is what the launcher is told.
type launch struct {
	Program   string   `json:"program"`
	Arguments []string `json:"arguments"`
	Limits    Limits   `json:"limits"`
	Apart     bool     `json:"apart"` // in namespaces of its own
}

// The launcher runs before anything of the binary that it is started from.
func init() {
	if len(os.Args) != 2 || os.Args[0] != launcher {
		return
	}
	if os.Args[1] == probe {
		os.Exit(0)
	}
	runtime.LockOSThread() // Landlock and seccomp are the thread's that becomes the program
	var l launch
	err := json.Unmarshal([]byte(os.Args[1]), &l)
	if err == nil {
		err = l.become()
	}
	fmt.Fprintf(os.Stderr, "sandbox: %s cannot be run: %v\n", l.Program, err)
	os.Exit(failed)
}

// become gives up one right after the other and then is the program. It returns
// only when that fails.
func (l launch) become() error {
	program, err := syscall.BytePtrFromString(l.Program)
	if err != nil {
		return err
	}
	arguments, err := syscall.SlicePtrFromStrings(l.Arguments)
	if err != nil {
		return err
	}
	environment, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return err
	}
	for what, most := range map[int]uint64{
		unix.RLIMIT_CPU: l.Limits.CPU, unix.RLIMIT_FSIZE: l.Limits.File, unix.RLIMIT_NOFILE: l.Limits.Files, unix.RLIMIT_CORE: 0,
	} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit %d: %w", what, err)
		}
	}
	// Counted for each user of each namespace since Linux 5.14: here alone for this
	// program. Without a namespace it would count the whole service.
	if l.Apart {
		if err := syscall.Setrlimit(unix.RLIMIT_NPROC, &syscall.Rlimit{Cur: maxThreads, Max: maxThreads}); err != nil {
			return fmt.Errorf("limit of threads: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if landlockVersion() > 0 {
		if err := l.closeFiles(); err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
	}
	if err := closeCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	// Last, and with nothing between: what runs until here needs more than a
	// decoder may have, and Go's runtime dies of memory that it is refused.
	memory := unix.Rlimit{Cur: l.Limits.Memory, Max: l.Limits.Memory}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_AS, uintptr(unsafe.Pointer(&memory)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("limit of memory: %w", errno)
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(program)), uintptr(unsafe.Pointer(&arguments[0])), uintptr(unsafe.Pointer(&environment[0])))
	return errno
}

// maxThreads bounds a program's threads, where the service is not root: those of
// a decoder on a large machine are fewer.
const maxThreads = 512

// system is what a program needs to be loaded and to find its own measure.
var system = []string{
	"/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/null", "/dev/zero", "/dev/urandom",
	"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu",
}

const (
	readOfFile   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	readOfFolder = readOfFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
)

func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// closeFiles leaves reading of what is named, and nothing else of files, TCP,
// other people's sockets and signals
// (https://docs.kernel.org/userspace-api/landlock.html).
func (l launch) closeFiles() error {
	// Each version of Landlock knows more; what it does not know cannot be asked.
	type ruleset struct{ files, network, scope uint64 }
	rules := ruleset{files: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1} // all of version 1
	size, version := uintptr(8), landlockVersion()
	if version >= 2 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		rules.network, size = unix.LANDLOCK_ACCESS_NET_BIND_TCP|unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 16
	}
	if version >= 5 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		rules.scope, size = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET|unix.LANDLOCK_SCOPE_SIGNAL, 24
	}
	set, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if errno != 0 {
		return errno
	}
	for _, path := range append(append([]string{l.Program}, l.Limits.Read...), system...) {
		if err := allow(int(set), path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); errno != 0 {
		return errno
	}
	return unix.Close(int(set))
}

func allow(set int, path string) error {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // then there is nothing to read either
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(at) }()
	var is unix.Stat_t
	if err := unix.Fstat(at, &is); err != nil {
		return err
	}
	rule := unix.LandlockPathBeneathAttr{Parent_fd: int32(at), Allowed_access: readOfFile}
	switch is.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		rule.Allowed_access = readOfFolder
	case unix.S_IFCHR: // of the three in system
		rule.Allowed_access |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(set), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// closed are the calls that no decoder needs: sockets of any family, and the
// doors through which sandboxes were left before.
var closed = []uint32{
	unix.SYS_SOCKET, unix.SYS_IO_URING_SETUP, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET, // outlive a process, and count in no bound of its memory
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_MOVE_MOUNT, unix.SYS_UNSHARE, unix.SYS_SETNS,
}

// architectures are the numbers by which seccomp tells whose call numbers these are.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// closeCalls refuses the closed calls and the making of processes, and kills what calls under the numbers of
// another architecture (seccomp(2); the offsets are those of struct seccomp_data).
func closeCalls() error {
	const (
		load, equal, atLeast, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		number, architecture         = 0, 4
		firstArgument                = 16         // its lower half: both architectures are little-endian
		otherNumbers                 = 0x40000000 // x32 on amd64
	)
	own, known := architectures[runtime.GOARCH]
	if !known {
		return fmt.Errorf("no filter of system calls is written for %s", runtime.GOARCH)
	}
	program := []unix.SockFilter{
		{Code: load, K: architecture},
		{Code: equal, K: own, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: number},
		{Code: atLeast, K: otherNumbers, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
	}
	for _, call := range closed {
		program = append(program,
			unix.SockFilter{Code: equal, K: call, Jf: 1},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	for _, call := range births {
		program = append(program,
			unix.SockFilter{Code: equal, K: call, Jf: 1},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	program = append(program,
		// What clone3 is to do stands in memory, where no filter looks: libraries that
		// are told that there is none use clone.
		unix.SockFilter{Code: equal, K: unix.SYS_CLONE3, Jf: 1},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		// Threads, and no processes.
		unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jf: 3},
		unix.SockFilter{Code: load, K: firstArgument},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jt: 1},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
}
