package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/sfu/relay"
)

// turnName is the name by which TURN over TLS is told from the door's own.
func (in *installation) turnName() string { return "turn." + in.Host }

func (in *installation) spliceAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(in.Ports.Splice))
}

// mediaAddresses are where members reach the media server.
func (in *installation) mediaAddresses(port int) ([]netip.AddrPort, error) {
	addresses := in.Media
	if len(addresses) == 0 {
		addresses = []string{in.Listen}
	}
	out := make([]netip.AddrPort, len(addresses))
	for i, a := range addresses {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return nil, fmt.Errorf("media address %q: %w", a, err)
		}
		out[i] = netip.AddrPortFrom(addr, uint16(port))
	}
	return out, nil
}

// openRelay starts the relay beside the media node. Without a port for it the
// installation has none: members then need the media port itself.
func openRelay(in *installation, media []netip.AddrPort) (*relay.Server, error) {
	if in.Ports.TURN == 0 {
		slog.Warn("no relay: ports.turn is 0")
		return nil, nil
	}
	secret, err := relay.ParseSecret(in.relay)
	if err != nil {
		return nil, err
	}
	cfg := relay.Config{Secret: secret, Peers: media, Log: slog.Default()}
	if cfg.Addresses, err = in.mediaAddresses(in.Ports.TURN); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(in.layout.SFU(), turnCertificate), filepath.Join(in.layout.SFU(), turnKey))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		slog.Warn("no relay over TLS: there is no certificate for it", "name", in.turnName(), "file", filepath.Join(in.layout.SFU(), turnCertificate))
		return relay.New(cfg)
	case err != nil:
		return nil, fmt.Errorf("certificate of %s: %w", in.turnName(), err)
	}
	if cfg.TLS, err = net.Listen("tcp", in.spliceAddress()); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	cfg.Certificate = &pair
	server, err := relay.New(cfg)
	if err != nil {
		return nil, errors.Join(err, cfg.TLS.Close())
	}
	return server, nil
}

// serveRelay runs the relay and answers measurements, over it and beside it.
func serveRelay(in *installation, conn *bus.Conn, media []netip.AddrPort, direct *directProbes) (*relay.Server, func(), error) {
	server, err := openRelay(in, media)
	if err != nil {
		return nil, nil, err
	}
	if server == nil {
		return nil, func() {}, bus.Handle(conn, "leg.probe", func(ctx context.Context, _ bus.Name, q probeQuestion) (probeAnswer, error) {
			return direct.answer(ctx, q)
		})
	}
	stop := func() {
		if err := server.Close(); err != nil {
			slog.Warn("the relay did not close as it should", "err", err)
		}
	}
	err = bus.Handle(conn, "leg.probe", func(ctx context.Context, _ bus.Name, q probeQuestion) (probeAnswer, error) {
		if q.Direct {
			return direct.answer(ctx, q)
		}
		answer, err := server.Probe(ctx, q.Offer)
		return probeAnswer{Answer: answer}, err
	})
	err = errors.Join(err, bus.Handle(conn, "leg.meter", func(context.Context, bus.Name, none) (meterAnswer, error) {
		return meterAnswer{server.Meter()}, nil
	}))
	if err != nil {
		stop()
		return nil, nil, err
	}
	return server, stop, nil
}

// Paths are the ways to the media server, for a page's RTCPeerConnection: the
// direct one, and the relay beside it.
type Paths struct {
	Direct     []netip.AddrPort `json:"direct"` // the media port, UDP and TCP alike; unspecified where all of a family are listened on
	Servers    []PathServer     `json:"servers"`
	Username   string           `json:"username"`
	Credential string           `json:"credential"`
	Expires    int64            `json:"expires"` // Unix seconds; an allocation that is open then lives on
}

// PathServer is the relay by one leg.
type PathServer struct {
	Leg  string   `json:"leg" enum:"udp,tcp,tls"`
	URLs []string `json:"urls"`
}

type (
	pathsOutput struct{ Body Paths }
	probeInput  struct {
		Body probeQuestion
	}
	probeOutput struct{ Body probeAnswer }
)

// probeQuestion is the offer of one data channel, to measure a path by the relay;
// or, to measure the media port itself, of a connection that sends sounds and then
// of one that receives them.
type probeQuestion struct {
	Offer  string            `json:"offer" maxLength:"16384"`
	Direct bool              `json:"direct,omitempty"`
	Pass   bool              `json:"pass,omitempty" hidden:"true"` // asked under a pass; the door's own word
	Room   interview.GroupID `json:"room,omitzero"`                // as the first was answered
}

// meterAnswer says where in the relay datagrams answer, for a measurement.
type meterAnswer struct {
	Address netip.AddrPort `json:"address"`
}

type probeAnswer struct {
	Answer string            `json:"answer"`
	Room   interview.GroupID `json:"room,omitzero"` // of a direct one: to be named by who receives
}

// paths answers for the ways to the media server.
type paths struct {
	conn    *bus.Conn
	secret  relay.Secret
	direct  []netip.AddrPort
	servers []PathServer

	passes chan struct{} // places of who measures under a pass

	mu      sync.Mutex
	measure map[string]*rate.Limiter // by device, or pass
}

// Measurements of one device: a self-test takes one for each leg by the relay, and
// two for each direct one.
const (
	measureEvery = 10 * time.Second
	measureBurst = 24
)

// Measurements under a pass, by whoever holds one and has no device certificate.
const (
	measurePath = "/measure" // at enrol.HOST
	maxPassing  = 4          // requests at one time
	maxOffer    = 16 << 10
)

func newPaths(in *installation, conn *bus.Conn) (*paths, error) {
	p := &paths{conn: conn, passes: make(chan struct{}, maxPassing), measure: map[string]*rate.Limiter{}}
	var err error
	if p.direct, err = in.mediaAddresses(in.Ports.Media); err != nil {
		return p, err
	}
	if p.servers, err = in.pathServers(); err != nil || len(p.servers) == 0 {
		return p, err
	}
	p.secret, err = relay.ParseSecret(in.relay)
	return p, err
}

// register puts the ways to the media server on the interface. Any device of
// the register may ask: the self-test comes before the hearing, and what it
// gets reaches nothing but the media port.
func (p *paths) register(api huma.API) {
	interview.Handle(api, huma.Operation{
		OperationID: "open-paths", Method: http.MethodPost, Path: "/api/paths",
		Summary: "Ways to the media server beside the direct one, with a credential for minutes",
	}, func(_ context.Context, c interview.Caller, _ *struct{}) (*pathsOutput, error) {
		credential := p.secret.Mint(c.Device.String(), time.Now())
		return &pathsOutput{Paths{Direct: p.direct, Servers: p.servers, Username: credential.Username, Credential: credential.Password, Expires: credential.Expires.Unix()}}, nil
	})
	interview.Handle(api, huma.Operation{
		OperationID: "probe-path", Method: http.MethodPost, Path: "/api/paths/probe",
		Summary: "Measure a path: a data channel that answers",
	}, func(ctx context.Context, c interview.Caller, in *probeInput) (*probeOutput, error) {
		if !p.mayMeasure(c.Device.String()) {
			return nil, problem.New(problem.CodeTooFast, "device %s measures too often", c.Device)
		}
		in.Body.Pass = false
		var out probeOutput
		err := p.conn.Call(ctx, bus.Main(bus.SFU), "leg.probe", in.Body, &out.Body)
		return &out, err
	})
}

// passQuestion is an offer to measure the media port itself.
type passQuestion struct {
	Offer string            `json:"offer"`
	Room  interview.GroupID `json:"room,omitzero"` // as the first was answered
}

// passed reports whether a request carries a pass of `kuule doctor pass`, in its
// header so that nothing is read of who has none, and names it.
func (p *paths) passed(r *http.Request) (name string, ok bool) {
	pass, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Pass ")
	i := strings.LastIndexByte(pass, ':')
	if !ok || i < 0 {
		return "", false
	}
	return pass[:i], p.secret.Check(pass[:i], pass[i+1:], console, time.Now())
}

// serveMeasure answers who tries the ways to the media server from a machine that
// is no device of the register: the pass, made at the server's console, admits to
// measurements of the media port and to nothing else.
func (p *paths) serveMeasure(w http.ResponseWriter, r *http.Request) {
	name, ok := p.passed(r)
	switch {
	case r.Method != http.MethodPost:
		problem.Write(w, problem.New(problem.CodeNoRoute, "no such path"))
		return
	case !ok:
		problem.Write(w, problem.New(problem.CodeForbidden, "this is no pass of this installation, or its ten minutes are over"))
		return
	case !p.mayMeasure(name):
		problem.Write(w, problem.New(problem.CodeTooFast, "too many measurements under one pass"))
		return
	}
	select {
	case p.passes <- struct{}{}:
		defer func() { <-p.passes }()
	default:
		problem.Write(w, problem.New(problem.CodeTooFast, "%d measurements are asked for", maxPassing))
		return
	}
	answerWithin(2*maxOffer, func(ctx context.Context, q passQuestion) (out probeAnswer, err error) {
		if len(q.Offer) > maxOffer {
			return out, problem.New(problem.CodeTooLarge, "offer of %d bytes, at most %d", len(q.Offer), maxOffer)
		}
		err = p.conn.Call(ctx, bus.Main(bus.SFU), "leg.probe", probeQuestion{Offer: q.Offer, Direct: true, Pass: true, Room: q.Room}, &out)
		return out, err
	})(w, r)
}

// mayMeasure counts the measurements of a device or pass.
func (p *paths) mayMeasure(who string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.measure[who]
	if l == nil {
		if len(p.measure) >= maxCached {
			clear(p.measure)
		}
		l = rate.NewLimiter(rate.Every(measureEvery), measureBurst)
		p.measure[who] = l
	}
	return l.Allow()
}

// pathServers lists the relay by its legs, or nothing where there is none.
func (in *installation) pathServers() ([]PathServer, error) {
	out := []PathServer{}
	if in.Ports.TURN == 0 {
		return out, nil
	}
	addresses, err := in.mediaAddresses(in.Ports.TURN)
	if err != nil {
		return nil, err
	}
	udp, tcp := PathServer{Leg: "udp"}, PathServer{Leg: "tcp"}
	for _, a := range addresses {
		udp.URLs = append(udp.URLs, "turn:"+a.String()+"?transport=udp")
		tcp.URLs = append(tcp.URLs, "turn:"+a.String()+"?transport=tcp")
	}
	name := net.JoinHostPort(in.turnName(), strconv.Itoa(in.Ports.HTTPS))
	return append(out, udp, tcp, PathServer{Leg: "tls", URLs: []string{"turns:" + name + "?transport=tcp"}}), nil
}
