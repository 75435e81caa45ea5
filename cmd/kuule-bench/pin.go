package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Processors that the two sides are held on.
const (
	nodeOn      = 0
	generatorOn = 1
	anywhere    = -1
)

func nodeCPU(pinned bool) int {
	if pinned {
		return nodeOn
	}
	return anywhere
}

// pin holds this process, the load generator, on its processor. With one
// processor for each side nothing depends on how the system's scheduler moves
// threads; a Go process with two, run as real-time FIFO, may stand still with its
// threads yielding to each other for ever.
func pin(pinned bool) (restore func(), err error) {
	if !pinned {
		return func() {}, nil
	}
	if runtime.NumCPU() < 2 {
		return nil, fmt.Errorf("--pin needs two processors, this machine has %d: use --no-pin", runtime.NumCPU())
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	if err := affinity(only(generatorOn)); err != nil {
		return nil, err
	}
	threads := runtime.GOMAXPROCS(1)
	return func() {
		runtime.GOMAXPROCS(threads)
		_ = affinity(before)
	}, nil
}

func only(cpu int) (set unix.CPUSet) {
	set.Set(cpu)
	return set
}

// affinity holds all threads of this process; those that they start follow.
func affinity(set unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("thread %d cannot be held on its processor: %w", id, err)
		}
	}
	return nil
}

// startOn starts a process that runs on one processor from its first
// instruction: it inherits that from the thread that starts it.
func startOn(process *exec.Cmd, cpu int) error {
	if cpu == anywhere {
		return process.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set := only(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return process.Start()
}

// profiler writes what one process did while measured.
type profiler struct {
	folder, name string

	mu   sync.Mutex
	file *os.File
}

func (p *profiler) start() error {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(p.folder, p.name+".cpu.pprof"))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = f
	return pprof.StartCPUProfile(f)
}

// stop writes the profiles, once.
func (p *profiler) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return
	}
	pprof.StopCPUProfile()
	_ = p.file.Close()
	p.file = nil
	for _, kind := range []string{"heap", "allocs", "goroutine"} {
		if f, err := os.Create(filepath.Join(p.folder, p.name+"."+kind+".pprof")); err == nil {
			_ = pprof.Lookup(kind).WriteTo(f, 0)
			_ = f.Close()
		}
	}
}
