package sfutest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Tunnel joins two network namespaces by a link in each direction: whatever is
// sent between them, a browser's packets too, goes over it.
type Tunnel struct {
	Near, Far            Namespace
	NearToFar, FarToNear *Link

	done sync.WaitGroup
}

// Namespace is one end of a tunnel.
type Namespace struct {
	Name    string // for ip netns exec; "" is this process's own
	Address netip.Addr

	file *os.File
}

// ErrNoTunnel says that this machine or user cannot make tunnels.
var ErrNoTunnel = errors.New("no tunnel on this machine: it needs root, /dev/net/tun and the ip command")

// NewTunnel makes a namespace called name that is joined to this process's own
// by 10.x addresses: near is here, far in the namespace. Close it.
func NewTunnel(name string, network byte, nearToFar, farToNear Shape) (*Tunnel, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNoTunnel
	}
	t := &Tunnel{
		Near: Namespace{Address: netip.AddrFrom4([4]byte{10, 207, network, 1})}, Far: Namespace{Name: name, Address: netip.AddrFrom4([4]byte{10, 207, network, 2})},
		NearToFar: NewLink(nearToFar, 21), FarToNear: NewLink(farToNear, 22),
	}
	if err := run("ip", "netns", "add", name); err != nil {
		return nil, errors.Join(ErrNoTunnel, err)
	}
	if err := t.open(fmt.Sprintf("kuule%d", network)); err != nil {
		t.Close()
		return nil, errors.Join(ErrNoTunnel, err)
	}
	begin := time.Now()
	t.done.Go(func() { t.carry(begin, t.Near.file, t.Far.file, t.NearToFar) })
	t.done.Go(func() { t.carry(begin, t.Far.file, t.Near.file, t.FarToNear) })
	return t, nil
}

// Command is a command that runs in the far namespace.
func (n Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Close takes the devices and the namespace away again.
func (t *Tunnel) Close() {
	for _, n := range []Namespace{t.Near, t.Far} {
		if n.file != nil {
			_ = n.file.Close()
		}
	}
	t.done.Wait()
	_ = run("ip", "netns", "del", t.Far.Name)
}

func (t *Tunnel) open(device string) (err error) {
	if t.Near.file, err = tun(device + "n"); err != nil {
		return err
	}
	if t.Far.file, err = tun(device + "f"); err != nil {
		return err
	}
	far := []string{"-n", t.Far.Name}
	for _, args := range [][]string{
		{"link", "set", device + "f", "netns", t.Far.Name},
		{"addr", "add", t.Near.Address.String() + "/24", "dev", device + "n"},
		{"link", "set", device + "n", "up"},
		append(far[:2:2], "addr", "add", t.Far.Address.String()+"/24", "dev", device+"f"),
		append(far[:2:2], "link", "set", "lo", "up"),
		append(far[:2:2], "link", "set", device+"f", "up"),
		append(far[:2:2], "route", "add", "default", "via", t.Near.Address.String()),
	} {
		if err := run("ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// carry takes packets out of one device and puts them into the other when the
// link lets them through.
func (t *Tunnel) carry(begin time.Time, from, to *os.File, link *Link) {
	l := newLane(&t.done)
	defer l.close()
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if at, ok := link.Send(n, time.Since(begin)); ok {
			l.put(parcel{at: begin.Add(at), bytes: append([]byte(nil), buf[:n]...), deliver: func(b []byte) { _, _ = to.Write(b) }})
		}
	}
}

// tun opens a device that hands its packets to this process.
func tun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
