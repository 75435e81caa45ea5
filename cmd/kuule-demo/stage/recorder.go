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

// recorderPIDs finds the recorders among the children of the server.
func (s *Stage) recorderPIDs() ([]int, error) { return s.pids("recorder") }

// KillMedia ends the media node's process as a power cut would.
func (s *Stage) KillMedia() (pid int, err error) { return s.killOne("sfu") }

// KillDoor ends the door's process as a power cut would.
func (s *Stage) KillDoor() (pid int, err error) { return s.killOne("door") }

func (s *Stage) killOne(role string) (int, error) {
	all, err := s.pids(role)
	if err != nil {
		return 0, err
	}
	return all[0], syscall.Kill(all[0], syscall.SIGKILL)
}

// children are the processes that the server started.
func (s *Stage) children() ([]int, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, path := range lines {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil && parent(pid) == s.serving.cmd.Process.Pid {
			out = append(out, pid)
		}
	}
	return out, nil
}

// pids finds those of a role among the children of the server.
func (s *Stage) pids(role string) ([]int, error) {
	all, err := s.children()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, pid := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(text, []byte("process\x00"+role+"\x00")) {
			out = append(out, pid)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no %s runs under this server", role)
	}
	return out, nil
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

// KillRecorder ends one recorder's process as a power cut would; the other
// lives.
func (s *Stage) KillRecorder() (pid int, err error) {
	all, err := s.recorderPIDs()
	if err != nil {
		return 0, err
	}
	if len(all) < 2 {
		return 0, errors.New("there is no second recorder to go on")
	}
	return all[0], syscall.Kill(all[0], syscall.SIGKILL)
}

// KillRecorders ends all of them.
func (s *Stage) KillRecorders() (pids []int, err error) {
	if pids, err = s.recorderPIDs(); err != nil {
		return nil, err
	}
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	return pids, err
}

// KillServer ends every process of `kuule serve` as a power cut would, and gives
// how many they were.
func (s *Stage) KillServer() (int, error) {
	all, err := s.children()
	if err != nil {
		return 0, err
	}
	// The supervisor first: it would start the others again.
	for _, pid := range append([]int{s.serving.cmd.Process.Pid}, all...) {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	<-s.serving.done
	return len(all) + 1, err
}

// Program is the path of one of the installation's own programs.
func (s *Stage) Program(name string) string { return s.program(name) }
