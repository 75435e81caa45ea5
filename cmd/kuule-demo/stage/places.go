package stage

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"kuule/internal/config"
)

// Files and folders of a stage, under its own folder. Paths are short: sockets
// lie in some of them.
func (s *Stage) in(parts ...string) string {
	return filepath.Join(append([]string{s.o.Dir}, parts...)...)
}
func (s *Stage) logs() string            { return s.in("logs") }
func (s *Stage) data() string            { return s.in("kuule") }
func (s *Stage) layout() config.Layout   { return config.NewLayout(s.data()) }
func (s *Stage) bundle() string          { return filepath.Join(s.layout().Bundle(), "kuule.bundle") }
func (s *Stage) program(n string) string { return filepath.Join(s.o.Bin, n) }

// TrustFile is the installation file that devices and verifiers pin.
func (s *Stage) TrustFile() string { return s.layout().Trust() }

// Data is the installation's data folder.
func (s *Stage) Data() string { return s.data() }

// Logs is where the lines of every program are.
func (s *Stage) Logs() string { return s.logs() }

// host is the door's name. It need not resolve: devices are given its address.
const host = "kuule.localhost"

// Ports of a stage, counted from its base.
const (
	portLauncher = iota
	portInterviewer
	portApplicant
	portCounsel
	portSignIn
	portHTTPS
	portBus
	portMedia
	portTURN
	portSplice
	portKiosk
	portDesk
	portCount // further kiosks and rooms follow
)

const portRoom = 20 // for them

// DefaultPortBase is where the ports of a demonstration begin.
const DefaultPortBase = 8400

func (s *Stage) port(n int) int { return s.o.PortBase + n }

func (s *Stage) door() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port(portHTTPS))) }

func (s *Stage) server() string {
	return "https://" + net.JoinHostPort(host, strconv.Itoa(s.port(portHTTPS)))
}

// freePorts finds a base whose next ports are all free, or checks the one given.
func freePorts(base, count int) (int, error) {
	if base != 0 {
		return base, tryPorts(base, count)
	}
	var last error
	for base = 20100 + os.Getpid()%250*40; base < 32000; base += 40 { // below the kernel's own choice
		if last = tryPorts(base, count); last == nil {
			return base, nil
		}
	}
	return 0, last // of some that were tried: the highest beginning is below the end
}

func tryPorts(base, count int) error {
	for p := base; p < base+count; p++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("port %d is taken: end what holds it (ss -ltnp), or choose another --port-base: %w", p, err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}
