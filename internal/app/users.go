package app

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// giveFolders gives each process's folder to its system user, where users are
// named and the supervisor may. A folder that belongs to its user already is
// left alone: what lies in it may have been put there by a process that is no
// longer to be trusted, and nothing of root's follows its links.
func (in *installation) giveFolders() error {
	u := in.Users
	if u.Door == "" && u.Authority == "" && u.SFU == "" && u.Recorder == "" && u.Playback == "" {
		slog.Warn("all processes run as one user: name one for each in kuule.json (users)")
		return nil
	}
	if os.Geteuid() != 0 {
		return nil // supervise says that users cannot be changed
	}
	for _, f := range []struct{ folder, user string }{
		{in.layout.Door(), u.Door}, {in.layout.Authority(), u.Authority}, {in.layout.SFU(), u.SFU},
		{filepath.Dir(in.layout.Recorder(mainInstance)), u.Recorder}, {in.layout.Blobs(), u.Recorder},
	} {
		if f.user == "" {
			continue
		}
		if err := giveFolder(f.folder, f.user); err != nil {
			return fmt.Errorf("give %s to %s: %w", f.folder, f.user, err)
		}
	}
	return nil
}

func giveFolder(folder, name string) error {
	who, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
		return nil
	}
	var paths []string
	if err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}); err != nil {
		return err
	}
	for _, path := range slices.Backward(paths) { // the folder itself last: only then is it done
		if err := os.Lchown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
