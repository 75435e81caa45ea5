package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// needed are the programs that a stage runs and the Debian packages they are in.
var needed = []struct{ program, pkg string }{
	{"swtpm", "swtpm"},
	{"swtpm_setup", "swtpm-tools"},
	{"swtpm_localca", "swtpm-tools"},
	{"tpm2_createek", "tpm2-tools"},
}

// Missing lists the Debian packages without which no stage comes up.
func Missing() []string {
	var out []string
	for _, n := range needed {
		if _, err := exec.LookPath(n.program); err != nil && !strings.Contains(" "+strings.Join(out, " ")+" ", " "+n.pkg+" ") {
			out = append(out, n.pkg)
		}
	}
	return out
}

// Install installs missing packages where it may, and else says how.
func Install(ctx context.Context, out io.Writer, may bool) error {
	missing := Missing()
	if len(missing) == 0 {
		return nil
	}
	how := "apt-get install " + strings.Join(missing, " ")
	if !may || os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages: %s\ninstall them as root:    %s", strings.Join(missing, " "), how)
	}
	fmt.Fprintln(out, "installing", strings.Join(missing, " "))
	for _, args := range [][]string{
		{"-o", "DPkg::Lock::Timeout=300", "update"},
		append([]string{"-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
	}
	return nil
}
