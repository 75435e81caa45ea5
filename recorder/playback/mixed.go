package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kuule/interview"
)

// ErrNoMixer says that ffmpeg, which makes mixed files, is not installed.
var ErrNoMixer = errors.New("no mixed file without ffmpeg: install it, or export the tracks")

// Bounds of the program that mixes: it decodes what strangers sent.
const (
	mixerMemory           = 3 << 30
	mixerSeconds          = 4 * 3600
	mixerFiles            = 64
	tileWidth, tileHeight = 320, 180
	mixedRate             = 10 // pictures a second
)

// ErrUnconfined says that the system gives the mixer no namespaces of its own.
var ErrUnconfined = errors.New("no mixed file: the system gives ffmpeg no namespaces of its own, so it would reach the network; allow user namespaces, or set export.mix_unconfined")

// Mixer makes mixed files by ffmpeg.
type Mixer struct {
	// Unconfined has ffmpeg run although the system gives it no namespaces of its
	// own: it then sees this machine's network and processes.
	Unconfined bool
}

// Cost is what the program that mixes took.
type Cost struct {
	CPU  time.Duration // user and system
	Peak int64         // bytes of memory
}

// Mix writes the chosen lanes as one WebM with one picture of everybody and one
// sound, made by ffmpeg. It gets and gives media by pipes alone: it runs
// without network and environment, in namespaces of its own (ErrUnconfined
// where the system refuses them), may write to no file and is bounded in memory
// and time. A file that comes from a pipe has neither cues nor duration. Out is
// not closed.
func (x Mixer) Mix(ctx context.Context, out io.Writer, o Options, journals ...Journal) (Report, error) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return Report{}, ErrNoMixer
	}
	overview, err := o.survey(ctx, journals)
	if err != nil {
		return Report{Overview: overview}, err
	}
	o.Known = &overview
	arguments, err := mixing(overview, o)
	if err != nil {
		return Report{Overview: overview}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, feed := io.Pipe()
	var said bytes.Buffer
	command := func(apart bool) *exec.Cmd {
		c := exec.CommandContext(ctx, program, arguments...)
		c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr = []string{}, "/", in, struct{ io.Writer }{out}, &limited{to: &said, left: 4096}
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
		if apart {
			c.SysProcAttr.Cloneflags = namespaces
		}
		return c
	}
	c := command(true)
	if err := c.Start(); err != nil {
		if !x.Unconfined {
			return Report{Overview: overview}, fmt.Errorf("%w (%w)", ErrUnconfined, err)
		}
		slog.Warn("the mixer runs without namespaces of its own, as the installation says", "err", err)
		c = command(false)
		if err := c.Start(); err != nil {
			return Report{Overview: overview}, fmt.Errorf("mix: %w", err)
		}
	}
	// Before it gets a byte of anybody's media.
	if err := confine(c.Process.Pid); err != nil {
		cancel()
		return Report{Overview: overview}, errors.Join(fmt.Errorf("mix: %w", err), in.Close(), feed.Close(), c.Wait())
	}
	type result struct {
		report Report
		err    error
	}
	exported := make(chan result, 1)
	go func() {
		r, err := Export(ctx, feed, o, journals...)
		_ = feed.CloseWithError(err) // nil: the end
		exported <- result{r, err}
	}()
	err = c.Wait()
	_ = in.Close() // where it ended before its input did
	r := <-exported
	r.report.Mixed.CPU = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	if used, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.report.Mixed.Peak = used.Maxrss << 10
	}
	if err != nil {
		return r.report, fmt.Errorf("mix: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return r.report, r.err
}

// namespaces are what the mixer has of its own. A variable, so that a test can
// ask for what no system gives.
var namespaces = uintptr(syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS)

func confine(pid int) error {
	var errs []error
	for what, limit := range map[int]uint64{unix.RLIMIT_FSIZE: 0, unix.RLIMIT_AS: mixerMemory, unix.RLIMIT_CPU: mixerSeconds, unix.RLIMIT_NOFILE: mixerFiles, unix.RLIMIT_CORE: 0} {
		errs = append(errs, unix.Prlimit(pid, what, &unix.Rlimit{Cur: limit, Max: limit}, nil))
	}
	return errors.Join(errs...)
}

// mixing is what ffmpeg is told: pictures beside each other, sounds together.
func mixing(v Overview, o Options) ([]string, error) {
	var sounds, pictures []int
	n := 0
	for _, l := range o.lanes(v) {
		if l.Source == interview.SourceAudio {
			sounds = append(sounds, n)
		} else {
			pictures = append(pictures, n)
		}
		n++
	}
	if n == 0 {
		return nil, ErrNothing
	}
	args := []string{"-hide_banner", "-nostdin", "-loglevel", "error", "-threads", "1", "-filter_complex_threads", "1", "-protocol_whitelist", "pipe", "-f", "matroska", "-i", "pipe:0"}
	var graph []string
	var maps []string
	if len(sounds) > 0 {
		var in strings.Builder
		for _, i := range sounds {
			fmt.Fprintf(&in, "[0:%d]", i)
		}
		graph = append(graph, fmt.Sprintf("%samix=inputs=%d:duration=longest:normalize=0,alimiter[a]", in.String(), len(sounds)))
		maps = append(maps, "-map", "[a]", "-c:a", "libopus", "-b:a", "48k", "-compression_level", "3")
	}
	if len(pictures) > 0 {
		var in strings.Builder
		var places []string
		columns := 1
		for columns*columns < len(pictures) {
			columns++
		}
		for k, i := range pictures {
			graph = append(graph, fmt.Sprintf("[0:%d]fps=%d,scale=%d:%d:flags=fast_bilinear:force_original_aspect_ratio=decrease,pad=%d:%d:-1:-1,setsar=1[v%d]", i, mixedRate, tileWidth, tileHeight, tileWidth, tileHeight, k))
			fmt.Fprintf(&in, "[v%d]", k)
			places = append(places, fmt.Sprintf("%d_%d", k%columns*tileWidth, k/columns*tileHeight))
		}
		if len(pictures) == 1 {
			graph = append(graph, "[v0]null[v]")
		} else {
			graph = append(graph, fmt.Sprintf("%sxstack=inputs=%d:layout=%s:fill=black[v]", in.String(), len(pictures), strings.Join(places, "|")))
		}
		maps = append(maps, "-map", "[v]", "-c:v", "libvpx", "-b:v", "500k", "-deadline", "realtime", "-cpu-used", "16", "-threads", "1", "-g", "50")
	}
	args = append(args, "-filter_complex", strings.Join(graph, ";"))
	return append(append(args, maps...), "-f", "webm", "pipe:1"), nil
}

// limited keeps the first bytes.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	if _, err := l.to.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}
