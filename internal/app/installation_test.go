package app

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kuule/internal/config"
	"kuule/internal/keyring"
	"kuule/internal/trust"
)

func initOptions(t *testing.T) InitOptions {
	t.Helper()
	o := InitOptions{Config: config.Default(), OfficeKey: testKey(t).Public(), BundleKey: testKey(t).Public(), Passphrase: keyring.NewSecret([]byte("a long enough passphrase"))}
	o.Config.Data = filepath.Join(t.TempDir(), "data")
	o.Config.Identity = config.Identity{Issuer: "https://login.example", ClientID: "kuule"}
	return o
}

// Section 3: each process's folder is closed to the others, and no private key
// is readable by anybody but its owner.
func TestAnInstallationIsClosedToOthers(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(o.Config.Data, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if e.IsDir() && path != o.Config.Data && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	if in.trust.Demonstration {
		t.Error("an installation calls itself a demonstration")
	}
	text, err := os.ReadFile(in.layout.Trust())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Parse(text); err != nil {
		t.Errorf("the trust file does not hold: %v", err)
	}
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("the trust file holds a private key")
	}
	if err := Init(o); err == nil {
		t.Error("an installation was made over another one")
	}
}

// Half an installation helps nobody: what cannot be made whole leaves nothing.
func TestWhatCannotServeIsNotMade(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*InitOptions){
		"no sign-in":    func(o *InitOptions) { o.Config.Identity = config.Identity{} },
		"no office key": func(o *InitOptions) { o.OfficeKey = nil },
		"a wrong host":  func(o *InitOptions) { o.Config.Host = "not a host" },
	} {
		o := initOptions(t)
		spoil(&o)
		if err := Init(o); err == nil {
			t.Errorf("%s: an installation was made", name)
		}
		if _, err := os.Stat(o.Config.Data); !os.IsNotExist(err) {
			t.Errorf("%s: something is left: %v", name, err)
		}
	}
}

// Section 3: with a system user for each process, no process reads another's
// folder; what is given already is left alone.
func TestFoldersGoToTheirUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("folders are given away by root only")
	}
	o := initOptions(t)
	o.Config.Users = config.Users{Door: "daemon", Authority: "games", SFU: "nobody", Recorder: "man", Playback: "news"}
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.giveFolders(); err != nil {
		t.Fatal(err)
	}
	owner := func(path string) string {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		u, err := user.LookupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)))
		if err != nil {
			t.Fatal(err)
		}
		return u.Username
	}
	for path, want := range map[string]string{
		in.layout.Door(): "daemon", in.path(bridgeKeyFile): "daemon", in.layout.Keyring(): "games", filepath.Join(in.layout.Authority(), "sealing.key"): "games",
		in.layout.SFU(): "nobody", filepath.Dir(in.layout.Recorder("1")): "man", in.layout.Trust(): "root",
	} {
		if got := owner(path); got != want {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
	}
	planted := filepath.Join(in.layout.Door(), "planted")
	if err := os.WriteFile(planted, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := in.giveFolders(); err != nil || owner(planted) != "root" {
		t.Errorf("a folder that was given already was walked again: %v", err)
	}
	in.Users.Door = "no-such-user"
	if err := in.giveFolders(); err == nil {
		t.Error("a user that is not there was accepted")
	}
}
