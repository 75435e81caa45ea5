package stage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// recorderPID finds the recorder among the children of the server.
func (s *Stage) recorderPID() (int, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("process\x00recorder\x00")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil && parent(pid) == s.serving.cmd.Process.Pid {
			return pid, nil
		}
	}
	return 0, errors.New("no recorder runs under this server")
}

// parent reads the fourth field of stat; the second is in parentheses and may
// hold anything.
func parent(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// KillRecorder ends the recorder's process as a power cut would.
func (s *Stage) KillRecorder() (pid int, err error) {
	if pid, err = s.recorderPID(); err != nil {
		return 0, err
	}
	return pid, syscall.Kill(pid, syscall.SIGKILL)
}

// Program is the path of one of the installation's own programs.
func (s *Stage) Program(name string) string { return s.program(name) }
