package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// Requests on the start socket: one line each.
const (
	askNew    = "new"
	askResume = "resume"
)

// serveStart hands out start links at a unix socket until ctx ends. A command
// line, which everyone on the machine can read, never carries a link.
func (g *Gateway) serveStart(ctx context.Context) error {
	ln, err := listenStart(g.cfg.StartSocket, g.cfg.BrowserUID)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })() // on the way out
	defer ln.Close()                                      // removes the file
	var asking sync.WaitGroup
	defer asking.Wait()
	limit := rate.NewLimiter(5, 10)
	for {
		c, err := ln.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("start socket: %w", err)
		}
		if !limit.Allow() {
			_ = c.Close()
			continue
		}
		asking.Go(func() {
			defer c.Close() // answered
			if err := g.answerStart(c); err != nil {
				g.cfg.Log.Warn("start socket refused", "why", err)
			}
		})
	}
}

func (g *Gateway) answerStart(c *net.UnixConn) error {
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	uid, err := peerUID(c)
	if err != nil {
		return err
	}
	// Root and the agent's own user could read a code from the agent's memory.
	if uid != g.cfg.BrowserUID && uid != 0 && uid != uint32(os.Geteuid()) {
		return fmt.Errorf("uid %d may not have start links", uid)
	}
	b := make([]byte, 16)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	ask := strings.TrimSuffix(string(b[:n]), "\n")
	if ask != askNew && ask != askResume {
		return errors.New("request is neither new nor resume")
	}
	return json.NewEncoder(c).Encode(g.StartURL(ask == askResume))
}

// listenStart makes the socket, closed to everyone but its owner (and the
// browser's user, where the agent is root and may give it away).
func listenStart(path string, browser uint32) (*net.UnixListener, error) {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("start socket: %w", err)
	}
	if dir.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("start socket: others may write in %s: choose a folder of the agent's own", filepath.Dir(path))
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("start socket: %w", err)
	}
	err = os.Chmod(path, 0o600)
	if err == nil && os.Geteuid() == 0 && browser != 0 {
		err = os.Chown(path, int(browser), -1)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start socket: %w", err), ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket of an agent that has ended.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("start socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("start socket: %s is there and is no socket: remove it", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("start socket: another agent answers at %s: end it first", path), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("start socket: %w", err)
	}
	return os.Remove(path)
}

func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, fmt.Errorf("who asks: %w", err)
	}
	return cred.Uid, nil
}

// AskStartURL asks the running agent for a start link at its socket: what
// `kuule-agent start-url` does.
func AskStartURL(ctx context.Context, socket string, resume bool) (StartURL, error) {
	c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return StartURL{}, fmt.Errorf("ask for a start link: is the agent running? %w", err)
	}
	defer c.Close() // answered
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return StartURL{}, fmt.Errorf("ask for a start link: %w", err)
	}
	ask := askNew
	if resume {
		ask = askResume
	}
	if _, err := io.WriteString(c, ask+"\n"); err != nil {
		return StartURL{}, fmt.Errorf("ask for a start link: %w", err)
	}
	var out StartURL
	if err := json.NewDecoder(io.LimitReader(c, 1<<10)).Decode(&out); err != nil {
		return StartURL{}, fmt.Errorf("ask for a start link: the agent refused: are you the browser's user? %w", err)
	}
	return out, nil
}

// WriteStartFile writes a page that leads to the link, readable by its owner
// alone, for a launcher that can only name a file on the browser's command
// line. owner is the browser's user (given the file where the caller is root).
// Remove the file once the browser has read it.
func WriteStartFile(path string, link StartURL, owner uint32) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write start file: %w", err)
	}
	_, err = fmt.Fprintf(f, "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">"+
		"<meta http-equiv=\"refresh\" content=\"0;url=%s\"><title>Kuule</title>\n", html.EscapeString(link.URL))
	if err == nil && os.Geteuid() == 0 && owner != 0 {
		err = f.Chown(int(owner), -1)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write start file: %w", err), os.Remove(path))
	}
	return nil
}
