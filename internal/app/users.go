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
	type owned struct{ folder, user string }
	folders := []owned{
		{in.layout.Door(), u.Door}, {in.layout.Authority(), u.Authority}, {in.layout.SFU(), u.SFU}, {in.layout.Blobs(), u.Recorder},
		{filepath.Dir(in.layout.Recorder("1")), u.Recorder},
	}
	for _, folder := range in.Recorders {
		if folder != "" {
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return fmt.Errorf("recorder's folder: %w", err)
			}
			folders = append(folders, owned{folder, u.Recorder})
		}
	}
	for _, f := range folders {
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
