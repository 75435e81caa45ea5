package offer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"kuule/interview/media"
)

// Answer is what a node answers with.
type Answer struct {
	Session            uint64 // stays the same for a leg
	Version            uint64 // grows with each answer
	Fragment, Password string
	Fingerprint        string
	Candidates         []netip.AddrPort // UDP, and TCP on the same number
	// Sources are the streams of the lines on which the offerer receives, by mid.
	Sources map[string]Source
}

// Priorities of candidates. RFC 8445 (section 5.1.2) leaves them to the agent and
// asks only that they differ. Here what counts first is the answer, the newest
// highest: a peer that was told of a new generation moves to its first path that
// works, and does not wait for the death of one that it would have liked better.
// Within an answer UDP comes before TCP. All are below those of a peer's own
// direct candidates, so that these decide only between equals, and above those of
// its relayed ones. Between two answers there is room for restarts that a peer
// makes by itself (port.GenerationMark).
const (
	lowest     = 32 << 24
	perAnswer  = 1 << 14
	perKind    = 1 << 8
	maxAnswers = 1 << 15
)

// priority is that of the i-th address.
func (a *Answer) priority(i int, datagrams bool) int {
	p := lowest + int(min(a.Version, maxAnswers))*perAnswer + max(perKind-1-i, 0)
	if datagrams {
		p += perKind
	}
	return p
}

// Write writes the answer to an offer.
func Write(o Offer, a Answer) (string, error) {
	mids := make([]string, len(o.Lines))
	for i, l := range o.Lines {
		mids[i] = l.Mid
	}
	d := sdp.SessionDescription{
		Origin:           sdp.Origin{Username: "-", SessionID: a.Session, SessionVersion: a.Version, NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0"},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	d.WithValueAttribute("group", "BUNDLE "+strings.Join(mids, " "))
	d.WithPropertyAttribute("ice-lite")
	if o.Extensions.Mixed {
		d.WithPropertyAttribute("extmap-allow-mixed")
	}
	d.WithValueAttribute("msid-semantic", "WMS *")
	for i := range o.Lines {
		m := a.line(&o.Lines[i])
		if i == 0 {
			a.candidates(m)
		}
		d.MediaDescriptions = append(d.MediaDescriptions, m)
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	return string(text), nil
}

func (a *Answer) line(l *Line) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: string(l.Kind), Port: sdp.RangedPort{Value: 9}, Protos: []string{"UDP", "TLS", "RTP", "SAVPF"}},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
	m.WithValueAttribute("setup", "passive")
	m.WithValueAttribute("mid", l.Mid)
	m.WithValueAttribute("ice-ufrag", a.Fragment)
	m.WithValueAttribute("ice-pwd", a.Password)
	m.WithValueAttribute("fingerprint", "sha-256 "+a.Fingerprint)
	m.WithPropertyAttribute("rtcp-mux")
	m.WithPropertyAttribute("rtcp-rsize")
	for _, c := range l.Order {
		l.format(m, c)
	}
	for _, uri := range []string{MidURI, RidURI, RepairedRidURI, media.DependencyDescriptorURI, TransportURI} {
		if id := *l.Uses.of(uri); id != 0 {
			m.WithValueAttribute("extmap", fmt.Sprintf("%d %s", id, uri))
		}
	}
	if l.Sends {
		m.WithPropertyAttribute("recvonly")
		for _, rid := range l.Rids {
			m.WithValueAttribute("rid", rid+" recv")
		}
		if len(l.Rids) > 0 {
			m.WithValueAttribute("simulcast", "recv "+strings.Join(l.Rids, ";"))
		}
		return m
	}
	m.WithPropertyAttribute("sendonly")
	name := "kuule slot-" + l.Mid
	m.WithValueAttribute("msid", name)
	s := a.Sources[l.Mid]
	if s.Repair != 0 {
		m.WithValueAttribute("ssrc-group", fmt.Sprintf("FID %d %d", s.Media, s.Repair))
	}
	for _, id := range []uint32{s.Media, s.Repair} {
		if id != 0 {
			m.WithValueAttribute("ssrc", fmt.Sprintf("%d cname:kuule", id))
			m.WithValueAttribute("ssrc", fmt.Sprintf("%d msid:%s", id, name))
		}
	}
	return m
}

func (l *Line) format(m *sdp.MediaDescription, c Codec) {
	payload := strconv.Itoa(int(l.Types[c]))
	m.MediaName.Formats = append(m.MediaName.Formats, payload)
	names := map[Codec]string{Opus: "opus/48000/2", RED: "red/48000/2", VP8: "VP8/90000", RTX: "rtx/90000"}
	m.WithValueAttribute("rtpmap", payload+" "+names[c])
	switch c {
	case Opus:
		m.WithValueAttribute("fmtp", payload+" minptime=10;useinbandfec=1;cbr=1")
	case RED:
		m.WithValueAttribute("fmtp", fmt.Sprintf("%s %d/%d", payload, l.Types[Opus], l.Types[Opus]))
	case RTX:
		m.WithValueAttribute("fmtp", fmt.Sprintf("%s apt=%d", payload, l.Types[VP8]))
		return
	}
	if l.TransportCC && l.Uses.Transport != 0 {
		m.WithValueAttribute("rtcp-fb", payload+" transport-cc")
	}
	if l.Nack && c != RED {
		m.WithValueAttribute("rtcp-fb", payload+" nack")
	}
	if l.Pli && c == VP8 {
		m.WithValueAttribute("rtcp-fb", payload+" nack pli")
	}
}

func (a *Answer) candidates(m *sdp.MediaDescription) {
	for i, at := range a.Candidates {
		m.WithValueAttribute("candidate", fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, a.priority(i, true), at.Addr(), at.Port()))
		m.WithValueAttribute("candidate", fmt.Sprintf("%d 1 tcp %d %s %d typ host tcptype passive", i+1+len(a.Candidates), a.priority(i, false), at.Addr(), at.Port()))
	}
	m.WithPropertyAttribute("end-of-candidates")
}
