package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

const (
	// MaxBody bounds the body of a message, in bytes.
	MaxBody = 1 << 20
	// maxPayload leaves room for what stands around a body.
	maxPayload = MaxBody + 128<<10
	// maxAnswerTime is how long a request may be worked on.
	maxAnswerTime = time.Minute
)

// Server is the bus itself. The supervisor runs it: whoever does sees every
// message and decides who is believed, so it is no process that the world can
// reach (decision 4).
type Server struct{ nats *natsserver.Server }

// Serve starts the bus on the loopback interface at port, or at a free one for
// 0, and returns when it accepts connections. The credentials must be the supervisor's.
func Serve(credentials *Credentials, port int) (*Server, error) {
	if credentials.Name().Role != Supervisor {
		return nil, fmt.Errorf("serve bus: %s has no server's certificate", credentials.Name())
	}
	if port == 0 {
		port = natsserver.RANDOM_PORT
	}
	server, err := natsserver.NewServer(&natsserver.Options{
		ServerName:                 credentials.Name().String(),
		Host:                       "127.0.0.1",
		Port:                       port,
		NoLog:                      true,
		NoSigs:                     true,
		NoSystemAccount:            true,
		TLS:                        true,
		TLSVerify:                  true,
		TLSHandshakeFirst:          true, // says nothing at all before the certificate
		TLSTimeout:                 2,
		TLSConfig:                  credentials.serverConfig(),
		CustomClientAuthentication: byCertificate{},
		MaxPayload:                 maxPayload,
		MaxPending:                 64 << 20,
		MaxConn:                    256,
		MaxSubs:                    512,
		WriteDeadline:              5 * time.Second,
		PingInterval:               2 * time.Second, // default 2 min: a hung process would hide that long
		MaxPingsOut:                2,
	})
	if err != nil {
		return nil, fmt.Errorf("serve bus: %w", err)
	}
	server.Start()
	if !server.ReadyForConnections(10 * time.Second) {
		server.Shutdown()
		server.WaitForShutdown()
		return nil, fmt.Errorf("serve bus: port %d cannot be opened: is another installation running?", port)
	}
	return &Server{nats: server}, nil
}

// Address is where processes connect: host and port.
func (s *Server) Address() string {
	address, ok := s.nats.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return net.JoinHostPort(address.IP.String(), strconv.Itoa(address.Port))
}

// Close ends every connection and waits until the server has stopped.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// byCertificate gives a connection the subjects of the process that its
// certificate names, until the certificate ends.
type byCertificate struct{}

// Check implements server.Authentication.
func (byCertificate) Check(client natsserver.ClientAuthentication) bool {
	name, until, err := identify(client)
	if err != nil {
		slog.Warn("bus connection refused", "from", client.RemoteAddress(), "reason", err)
		return false
	}
	granted := grants(name)
	client.RegisterUser(&natsserver.User{
		Username:           name.String(),
		ConnectionDeadline: until,
		Permissions: &natsserver.Permissions{
			Publish:   &natsserver.SubjectPermission{Allow: granted.publish},
			Subscribe: &natsserver.SubjectPermission{Allow: granted.subscribe},
			// An answer goes once to where its request asked for it.
			Response: &natsserver.ResponsePermission{MaxMsgs: 1, Expires: maxAnswerTime},
		},
	})
	return true
}

func identify(client natsserver.ClientAuthentication) (Name, time.Time, error) {
	state := client.GetTLSConnectionState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return Name{}, time.Time{}, errors.New("no verified certificate")
	}
	leaf := state.VerifiedChains[0][0]
	name, err := ParseName(leaf.Subject.CommonName)
	return name, leaf.NotAfter, err
}
