package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"syscall"
)

// ErrSquatted says that another process holds the gateway's port on one of the
// loopback addresses: browsers could be shown that process's pages instead.
var ErrSquatted = errors.New("another process holds the port on this machine: find it (ss -ltnp), end it, start again")

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}\.localhost$`)

// Address is a name and port, held on 127.0.0.1 and on [::1].
type Address struct {
	host      string // as in the Host header
	port      int
	listeners []net.Listener
}

// Bind takes name (NAME.localhost) and port on both loopback families, or
// fails; a host without IPv6 is held on 127.0.0.1 alone, which is then all that
// browsers can reach. Port 0 picks one that is free on both. Serve or Close it.
func Bind(ctx context.Context, name string, port int) (*Address, error) {
	return bind(name, port, func(network, address string) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(ctx, network, address)
	})
}

type listenFunc func(network, address string) (net.Listener, error)

func bind(name string, port int, listen listenFunc) (*Address, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("gateway: %q is no name like counsel.localhost", name)
	}
	if port < 0 || port > 65535 {
		return nil, fmt.Errorf("gateway: %d is no port", port)
	}
	var err error
	for range 10 { // with port 0, the one that IPv4 gave may be taken on IPv6
		var a *Address
		if a, err = bindBoth(name, port, listen); err == nil {
			return a, nil
		}
		if port != 0 || !errors.Is(err, ErrSquatted) {
			break
		}
	}
	return nil, err
}

func bindBoth(name string, port int, listen listenFunc) (*Address, error) {
	v4, err := listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, bindError("127.0.0.1", port, err)
	}
	port = v4.Addr().(*net.TCPAddr).Port
	a := &Address{host: name, port: port, listeners: []net.Listener{v4}}
	if port != 80 {
		a.host = net.JoinHostPort(name, strconv.Itoa(port))
	}
	v6, err := listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		a.listeners = append(a.listeners, v6)
	case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
		// No IPv6 here: nobody else can hold [::1] either.
	default:
		return nil, errors.Join(bindError("[::1]", port, err), v4.Close())
	}
	return a, nil
}

func bindError(ip string, port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("gateway: %s port %d: %w", ip, port, ErrSquatted)
	}
	return fmt.Errorf("gateway: %s port %d: %w", ip, port, err)
}

// Host is the one value of the Host header that is answered.
func (a *Address) Host() string { return a.host }

// Origin is the gateway's web origin.
func (a *Address) Origin() string { return "http://" + a.host }

// Port is the port that is held.
func (a *Address) Port() int { return a.port }

// Callback is where the identity provider sends people back to.
func (a *Address) Callback() string { return a.Origin() + pathCallback }

// Close lets go of an address that is not served.
func (a *Address) Close() error {
	var errs []error
	for _, l := range a.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
