package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

// Legs that are tried.
const (
	LegUDP      = "udp"       // TURN over UDP
	LegTCP      = "tcp"       // TURN over TCP
	LegTLS      = "tls"       // TURN over TLS, at the door's port
	LegHTTPS    = "https"     // the door itself
	LegMediaUDP = "media-udp" // the media port itself
	LegMediaTCP = "media-tcp" // and over TCP (RFC 6544)
)

// Target is the installation as it is reached.
type Target struct {
	Host    string // the door's name
	Address string // IP address or name to connect to; empty: Host
	HTTPS   int
	Media   int
	TURN    int
	Roots   *x509.CertPool // of the installation's server certificates; nil: the machine's own
	Pass    *Pass          // to measure bit rates, or nil
}

// Pass opens the relay for minutes, and says where in it measurements are
// answered. The server's administrator makes one (`kuule doctor pass`).
type Pass struct {
	Username string         `json:"u"`
	Password string         `json:"p"`
	Realm    string         `json:"r"`
	Meter    netip.AddrPort `json:"m"`
}

// maxPass bounds a pass's text in bytes.
const maxPass = 2048

// Text is the pass as one word, to be copied. It is a secret for minutes.
func (p Pass) Text() (string, error) {
	b, err := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// ParsePass reads what Text gave.
func ParsePass(text string) (*Pass, error) {
	if len(text) > maxPass {
		return nil, fmt.Errorf("a pass has at most %d characters", maxPass)
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("this is no pass, or not the whole of it: %w", err)
	}
	var p Pass
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("this is no pass, or not the whole of it: %w", err)
	}
	if p.Username == "" || p.Password == "" || !p.Meter.IsValid() {
		return nil, errors.New("this is no pass: something is missing")
	}
	return &p, nil
}

// Leg is what was found of one way. Times are milliseconds, rates bit/s, loss a
// share from 0 to 1; what was not measured is zero.
type Leg struct {
	Leg     string  `json:"leg"`
	Address string  `json:"address"`
	Works   bool    `json:"works"`
	Untried bool    `json:"untried,omitempty"`
	Why     string  `json:"why,omitempty"` // it does not
	RTT     float64 `json:"rtt_ms"`
	Jitter  float64 `json:"jitter_ms"`
	Loss    float64 `json:"loss"`
	Up      float64 `json:"up"`
	Down    float64 `json:"down"`
}

// Report is what was found of all ways.
type Report struct {
	Legs []Leg  `json:"legs"`
	Says string `json:"says"` // what it means
	Next string `json:"next"` // what to do
}

// OK reports whether a hearing can be held over this network.
func (r Report) OK() bool {
	return r.works(LegHTTPS) && slices.ContainsFunc([]string{LegMediaUDP, LegMediaTCP, LegUDP, LegTCP, LegTLS}, r.works)
}

// cut reports whether a way was tried and none of its addresses answers.
func (r Report) cut(leg string) bool {
	return !r.works(leg) && slices.ContainsFunc(r.Legs, func(l Leg) bool { return l.Leg == leg && !l.Untried })
}

func (r Report) works(leg string) bool {
	return slices.ContainsFunc(r.Legs, func(l Leg) bool { return l.Leg == leg && l.Works })
}

// Bounds of a measurement.
const (
	dialWithin  = 5 * time.Second
	echoes      = 50
	echoEvery   = 20 * time.Millisecond
	echoWait    = time.Second
	echoBytes   = 120
	measureRate = 3_000_000
	measureFor  = 1500 * time.Millisecond
	fillBytes   = 1100
)

// Network tries every way to an installation, one after the other; where its name
// leads to addresses of both families, every way over each.
func Network(ctx context.Context, t Target) Report {
	r := Report{}
	for _, address := range t.addresses(ctx) {
		t.try(ctx, address, &r)
	}
	r.Says, r.Next = r.advice()
	return r
}

// addresses are where the installation is reached: one of each family.
func (t Target) addresses(ctx context.Context) []string {
	if t.Address != "" {
		return []string{t.Address}
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		return []string{t.Host} // whoever dials it says what is wrong with it
	}
	return oneOfEach(found)
}

// oneOfEach gives the first address of each family.
func oneOfEach(found []netip.Addr) []string {
	var out []string
	for _, six := range []bool{false, true} {
		if i := slices.IndexFunc(found, func(a netip.Addr) bool { return a.Unmap().Is6() == six }); i >= 0 {
			out = append(out, found[i].Unmap().String())
		}
	}
	return out
}

// try tries every way over one address.
func (t Target) try(ctx context.Context, address string, r *Report) {
	at := func(port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }
	r.Legs = append(r.Legs, reach(ctx, LegHTTPS, at(t.HTTPS), func(ctx context.Context) (net.Conn, error) {
		return dialTLS(ctx, at(t.HTTPS), "enrol."+t.Host, t.Roots)
	}))
	if t.TURN != 0 {
		for _, l := range []struct {
			leg  string
			port int
			dial func(ctx context.Context) (net.PacketConn, error)
		}{
			{LegUDP, t.TURN, func(context.Context) (net.PacketConn, error) { return net.ListenPacket("udp", ":0") }},
			{LegTCP, t.TURN, func(ctx context.Context) (net.PacketConn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", at(t.TURN))
				return stream(c, err)
			}},
			{LegTLS, t.HTTPS, func(ctx context.Context) (net.PacketConn, error) {
				c, err := dialTLS(ctx, at(t.HTTPS), "turn."+t.Host, t.Roots)
				return stream(c, err)
			}},
		} {
			r.Legs = append(r.Legs, relayed(ctx, l.leg, at(l.port), t.Pass, l.dial))
		}
	}
	if t.Media == 0 {
		return
	}
	six := isSix(address)
	r.Legs = append(r.Legs, t.measured(ctx, network{LegMediaUDP, "udp", six}, at(t.Media), at(t.HTTPS)))
	over := reach(ctx, LegMediaTCP, at(t.Media), func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at(t.Media))
	})
	if over.Works && t.Pass != nil {
		over = t.measured(ctx, network{LegMediaTCP, "tcp", six}, at(t.Media), at(t.HTTPS))
	}
	r.Legs = append(r.Legs, over)
}

// advice is what the findings mean, for whoever runs the network.
func (r Report) advice() (says, next string) {
	switch {
	case !r.works(LegHTTPS):
		return "the installation's door is not reached: no interview can be joined from here", "open TCP to the door's port, and check that its name leads there"
	case r.works(LegMediaUDP):
		return "media goes by UDP straight to the media port, which is the best way", "nothing; where a leg is cut, another is used"
	case r.works(LegUDP) && r.cut(LegMediaUDP):
		return "UDP to the media port is cut; media goes by UDP through the relay, nearly as well", "open UDP to the media port"
	case r.works(LegUDP):
		return "media goes by UDP, which is the best way", "nothing; where a leg is cut, another is used"
	case r.works(LegMediaTCP) && !r.cut(LegUDP) && !r.cut(LegMediaUDP):
		return "UDP was not tried; media goes by TCP to the media port at least", "try again with a pass of `kuule doctor pass`"
	case r.works(LegMediaTCP):
		return "UDP is cut; media goes by TCP to the media port, later and less evenly", "open UDP to the relay's and the media port"
	case r.works(LegTCP):
		return "UDP is cut; media goes by TCP to the relay, later and less evenly", "open UDP to the relay's and the media port"
	case r.works(LegTLS):
		return "UDP and TCP are cut; media goes by TLS through the door's port, later and less evenly", "open UDP to the relay's and the media port"
	default:
		return "every way for media is cut: people here would be neither heard nor seen", "open UDP to the relay's and the media port, or at least let TLS to the name turn.HOST through unbroken"
	}
}

func dialTLS(ctx context.Context, address, name string, roots *x509.CertPool) (net.Conn, error) {
	return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots}}).DialContext(ctx, "tcp", address)
}

func stream(c net.Conn, err error) (net.PacketConn, error) {
	if err != nil {
		return nil, err
	}
	return turn.NewSTUNConn(c), nil
}

// why says in words how a way is closed.
func why(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown):
		return "reached, but its certificate is not of this installation: something on the way may open TLS, or the trust file is another's"
	case errors.As(err, &name), errors.As(err, &invalid):
		return "reached, but its certificate does not hold: " + err.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "cut: no answer"
	default:
		return "cut: " + err.Error()
	}
}

// reach tries one connection; connecting is one round trip, or a few.
func reach(ctx context.Context, leg, address string, dial func(context.Context) (net.Conn, error)) Leg {
	l := Leg{Leg: leg, Address: address}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	began := time.Now()
	c, err := dial(ctx)
	if err != nil {
		l.Why = why(err)
		return l
	}
	l.Works, l.RTT = true, milliseconds(time.Since(began))
	_ = c.Close()
	return l
}

// relayed measures one leg of the relay: by its answers to binding requests,
// and with a pass by what it relays.
func relayed(ctx context.Context, leg, address string, pass *Pass, dial func(context.Context) (net.PacketConn, error)) Leg {
	l := Leg{Leg: leg, Address: address}
	server, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		l.Why = why(err)
		return l
	}
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	c, err := dial(dialing)
	if err != nil {
		l.Why = why(err)
		return l
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	l.setEcho(bindings(c, server))
	if !l.Works {
		l.Why = "cut: no answer"
		return l
	}
	if pass != nil {
		if err := l.measure(c, server, pass); err != nil {
			l.Why = "bit rates were not measured: " + err.Error()
		}
	}
	return l
}

// bindings asks the STUN server again and again (RFC 8489) and returns what
// each answer took; negative is one that did not come.
func bindings(c net.PacketConn, server net.Addr) []time.Duration {
	sent := make([]time.Time, echoes)
	ids := map[[stun.TransactionIDSize]byte]int{}
	requests := make([][]byte, echoes)
	for i := range requests {
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest)
		if err != nil {
			return nil
		}
		requests[i], ids[m.TransactionID] = m.Raw, i
	}
	return echo(c, server, sent, func(i int) []byte { return requests[i] }, func(p []byte) int {
		m := &stun.Message{Raw: slices.Clone(p)}
		if m.Decode() != nil || m.Type != stun.BindingSuccess {
			return -1
		}
		i, ok := ids[m.TransactionID]
		if !ok {
			return -1
		}
		return i
	})
}

// echoer is what echoes go over: a net.PacketConn is one.
type echoer interface {
	ReadFrom(p []byte) (int, net.Addr, error)
	WriteTo(p []byte, to net.Addr) (int, error)
	SetReadDeadline(t time.Time) error
}

// echo sends requests evenly and hears their answers meanwhile.
func echo(c echoer, to net.Addr, sent []time.Time, request func(int) []byte, which func([]byte) int) []time.Duration {
	took := make([]time.Duration, len(sent))
	for i := range took {
		took[i] = -1
	}
	buf := make([]byte, 2048)
	hear := func(until time.Time) bool {
		for {
			_ = c.SetReadDeadline(until)
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				var timeout net.Error
				return errors.As(err, &timeout) && timeout.Timeout()
			}
			if i := which(buf[:n]); i >= 0 && took[i] < 0 && !sent[i].IsZero() {
				took[i] = time.Since(sent[i])
			}
		}
	}
	for i := range sent {
		sent[i] = time.Now()
		if _, err := c.WriteTo(request(i), to); err != nil {
			break
		}
		if !hear(sent[i].Add(echoEvery)) {
			return took
		}
	}
	for end := time.Now().Add(echoWait); time.Now().Before(end) && slices.Contains(took, -1); {
		if !hear(time.Now().Add(echoEvery)) {
			break
		}
	}
	return took
}

// setEcho reads round trip, jitter and loss from what each answer took.
func (l *Leg) setEcho(took []time.Duration) {
	var came []time.Duration
	var uneven time.Duration
	for _, t := range took {
		if t < 0 {
			continue
		}
		if len(came) > 0 {
			uneven += (t - came[len(came)-1]).Abs()
		}
		came = append(came, t)
	}
	l.Works = len(came) > 0
	l.Loss = 1
	if !l.Works {
		return
	}
	l.Loss = 1 - float64(len(came))/float64(len(took))
	if len(came) > 1 {
		l.Jitter = milliseconds(uneven) / float64(len(came)-1)
	}
	slices.Sort(came)
	l.RTT = milliseconds(came[len(came)/2])
}

func milliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e4) / 100 }

// measure sends through the relay to its meter and has it send back.
func (l *Leg) measure(c net.PacketConn, server net.Addr, pass *Pass) error {
	_ = c.SetReadDeadline(time.Time{})
	family := turn.RequestedAddressFamilyIPv4
	if pass.Meter.Addr().Unmap().Is6() {
		family = turn.RequestedAddressFamilyIPv6
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		RequestedAddressFamily: family,
		STUNServerAddr:         server.String(), TURNServerAddr: server.String(), Conn: c, Username: pass.Username, Password: pass.Password, Realm: pass.Realm,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return err
	}
	relay, err := client.Allocate()
	if err != nil {
		return fmt.Errorf("the pass was not taken (it holds for ten minutes): %w", err)
	}
	defer relay.Close()
	meter := net.UDPAddrFromAddrPort(pass.Meter)
	packet := make([]byte, echoBytes)
	took := echo(relay, meter, make([]time.Time, echoes), func(i int) []byte {
		packet[0] = 'e'
		binary.BigEndian.PutUint32(packet[1:], uint32(i))
		return packet
	}, func(p []byte) int {
		if len(p) < 5 || p[0] != 'e' {
			return -1
		}
		return min(int(binary.BigEndian.Uint32(p[1:])), echoes-1)
	})
	l.setEcho(took)
	if !l.Works {
		return errors.New("nothing came back through the relay")
	}
	l.Up = up(relay, meter)
	l.Down = down(relay, meter)
	return nil
}

// up sends at the measuring rate and asks how much came.
func up(c net.PacketConn, meter net.Addr) float64 {
	fill := make([]byte, fillBytes)
	fill[0] = 'f'
	began := time.Now()
	for sent := 0; time.Since(began) < measureFor; time.Sleep(2 * time.Millisecond) {
		for due := int(time.Since(began).Seconds() * measureRate / 8); sent < due; sent += fillBytes {
			if _, err := c.WriteTo(fill, meter); err != nil {
				return 0
			}
		}
	}
	var bytes, micros float64
	buf := make([]byte, 2048)
	for range 5 {
		if _, err := c.WriteTo([]byte{'c'}, meter); err != nil {
			break
		}
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, _, err := c.ReadFrom(buf); err == nil && n == 13 && buf[0] == 'c' {
			bytes += float64(binary.BigEndian.Uint32(buf[5:]))
			micros += float64(binary.BigEndian.Uint32(buf[9:]))
		}
	}
	if micros == 0 {
		return 0
	}
	return math.Round(bytes * 8 / micros * 1e6)
}

// down has the meter send at the measuring rate.
func down(c net.PacketConn, meter net.Addr) float64 {
	ask := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32([]byte{'d'}, measureRate), uint16(measureFor.Milliseconds()))
	var first, last time.Time
	bytes := 0
	buf := make([]byte, 2048)
	for end := time.Now().Add(2 * measureFor); time.Now().Before(end); {
		if first.IsZero() {
			if _, err := c.WriteTo(ask, meter); err != nil {
				return 0
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := c.ReadFrom(buf)
		if err != nil && !first.IsZero() || n > 0 && buf[0] == 'D' {
			break
		}
		if err != nil || buf[0] != 'f' {
			continue
		}
		last = time.Now()
		if first.IsZero() {
			first = last
			continue
		}
		bytes += n
	}
	if !last.After(first) {
		return 0
	}
	return math.Round(float64(bytes) * 8 / last.Sub(first).Seconds())
}
