package offer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"kuule/interview/media"
)

// Bounds of an offer.
const (
	MaxBytes   = 128 << 10
	MaxRids    = 3
	maxSources = 2 * MaxRids // of one line
	maxText    = 32          // of a mid or rid
)

// Kind of a media line.
type Kind string

// Kinds of media lines.
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

// Codec is what a payload type stands for.
type Codec uint8

// Codecs that a node forwards.
const (
	None Codec = iota
	Opus
	RED // RFC 2198, of Opus
	VP8
	RTX // RFC 4588, of VP8
	codecs
)

// Types are a line's payload types by codec; 0 for those not offered.
type Types [codecs]uint8

// Codec says what a payload type stands for.
func (t *Types) Codec(payload uint8) Codec {
	for c := Opus; c < codecs; c++ {
		if t[c] == payload && payload != 0 {
			return c
		}
	}
	return None
}

// Extensions are the header extensions that a node uses, by their identifiers in one offer; 0 for
// those not offered.
type Extensions struct {
	Mid, Rid, RepairedRid, Descriptor, Transport uint8
	Mixed                                        bool // one- and two-byte headers may both be used (RFC 8285)
}

// URIs of header extensions.
const (
	MidURI         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	RidURI         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	RepairedRidURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	TransportURI   = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

func (e *Extensions) of(uri string) *uint8 {
	switch uri {
	case MidURI:
		return &e.Mid
	case RidURI:
		return &e.Rid
	case RepairedRidURI:
		return &e.RepairedRid
	case media.DependencyDescriptorURI:
		return &e.Descriptor
	case TransportURI:
		return &e.Transport
	}
	return nil
}

// Source is one announced stream and the one that repairs it, 0 for none.
type Source struct{ Media, Repair uint32 }

// Line is one media line.
type Line struct {
	Mid     string
	Kind    Kind
	Sends   bool // the offerer sends; otherwise it receives
	Types   Types
	Order   []Codec // as preferred by the offerer
	Rids    []string
	Sources []Source
	Uses    Extensions // those of this line

	Nack, Pli, TransportCC bool
}

// Offer is what a node takes from an offer.
type Offer struct {
	Session     uint64 // one connection keeps it over all its offers (RFC 9429, section 5.2.2)
	Fragment    string // of the offerer's ICE user name: another one is a restart
	Fingerprint string // SHA-256
	Extensions  Extensions
	Lines       []Line
}

// Read reads an offer.
func Read(text string) (Offer, error) {
	var o Offer
	if len(text) > MaxBytes {
		return o, fmt.Errorf("it is %d bytes long, at most %d", len(text), MaxBytes)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return o, err
	}
	o.Session = d.Origin.SessionID
	if len(d.MediaDescriptions) == 0 {
		return o, errors.New("it has no media line")
	}
	var bundle []string
	if group, is := d.Attribute("group"); is {
		bundle = strings.Fields(group)
	}
	seen := map[string]bool{}
	for _, m := range d.MediaDescriptions {
		l, err := o.line(&d, m)
		switch {
		case err != nil:
			return o, err
		case seen[l.Mid]:
			return o, fmt.Errorf("two lines have mid %s", l.Mid)
		case len(bundle) < 2 || bundle[0] != "BUNDLE" || !slices.Contains(bundle[1:], l.Mid):
			return o, fmt.Errorf("mid %s is not in the bundle: all lines share one transport", l.Mid)
		}
		seen[l.Mid] = true
		o.Lines = append(o.Lines, l)
	}
	return o, nil
}

// Same reports whether another offer comes from the same connection and changes
// nothing but the way to it.
func (o Offer) Same(other Offer) bool {
	return o.Session == other.Session && o.Fingerprint == other.Fingerprint && o.Extensions == other.Extensions &&
		slices.EqualFunc(o.Lines, other.Lines, func(a, b Line) bool {
			return a.Mid == b.Mid && a.Kind == b.Kind && a.Sends == b.Sends && a.Types == b.Types && a.Uses == b.Uses &&
				a.Nack == b.Nack && a.Pli == b.Pli && a.TransportCC == b.TransportCC && slices.Equal(a.Rids, b.Rids)
		})
}

// either gives a line's attribute, or the session's.
func either(d *sdp.SessionDescription, m *sdp.MediaDescription, name string) string {
	if v, is := m.Attribute(name); is {
		return v
	}
	v, _ := d.Attribute(name)
	return v
}

func (o *Offer) line(d *sdp.SessionDescription, m *sdp.MediaDescription) (Line, error) {
	var l Line
	l.Mid, _ = m.Attribute("mid")
	if !token(l.Mid) {
		return l, errors.New("a media line has no mid of its own")
	}
	fail := func(format string, args ...any) (Line, error) {
		return l, fmt.Errorf("mid %s: "+format, append([]any{l.Mid}, args...)...)
	}
	l.Kind = Kind(m.MediaName.Media)
	if l.Kind != Audio && l.Kind != Video {
		return fail("media %q is not forwarded", m.MediaName.Media)
	}
	_, mux := m.Attribute("rtcp-mux")
	switch setup := either(d, m, "setup"); {
	case setup != "actpass" && setup != "active":
		return fail("setup is %q: the node is the server of DTLS", setup)
	case !mux:
		return fail("rtcp-mux is missing")
	}
	hash, print, _ := strings.Cut(either(d, m, "fingerprint"), " ")
	if !strings.EqualFold(hash, "sha-256") {
		return fail("its fingerprint is not SHA-256")
	}
	print = strings.ToUpper(print)
	if o.Fingerprint != "" && o.Fingerprint != print {
		return fail("it has another fingerprint than the line before")
	}
	o.Fingerprint = print
	if fragment := either(d, m, "ice-ufrag"); o.Fragment == "" {
		o.Fragment = fragment
	}
	_, l.Sends = m.Attribute("sendonly")
	if _, receives := m.Attribute("recvonly"); receives == l.Sends {
		return fail("it must be sendonly or recvonly")
	}
	if err := l.formats(m); err != nil {
		return fail("%w", err)
	}
	if err := o.extensions(&l, d, m); err != nil {
		return fail("%w", err)
	}
	if l.Sends {
		l.layers(m)
		if err := l.sources(m); err != nil {
			return fail("%w", err)
		}
	}
	return l, nil
}

// token reports whether a mid or rid is short and of plain characters.
func token(s string) bool {
	if s == "" || len(s) > maxText {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// formats reads codecs and their feedback.
func (l *Line) formats(m *sdp.MediaDescription) error {
	names, parameters := map[string]string{}, map[string]string{}
	feedback := map[string][]string{}
	for _, a := range m.Attributes {
		format, value, _ := strings.Cut(a.Value, " ")
		switch a.Key {
		case "rtpmap":
			names[format] = strings.ToLower(value)
		case "fmtp":
			parameters[format] = value
		case "rtcp-fb":
			feedback[format] = append(feedback[format], value)
		}
	}
	var repairs []string
	for _, format := range m.MediaName.Formats {
		c := None
		switch {
		case l.Kind == Audio && names[format] == "opus/48000/2":
			c = Opus
		case l.Kind == Audio && names[format] == "red/48000/2":
			c = RED
		case l.Kind == Video && names[format] == "vp8/90000":
			c = VP8
		case l.Kind == Video && names[format] == "rtx/90000":
			repairs = append(repairs, format)
			continue
		}
		if c == None || l.Types[c] != 0 {
			continue
		}
		payload, err := strconv.ParseUint(format, 10, 7)
		if err != nil || payload == 0 || 64 <= payload && payload < 96 { // RFC 5761: those would look like RTCP
			return fmt.Errorf("payload type %q", format)
		}
		l.Types[c] = uint8(payload)
		l.Order = append(l.Order, c)
		for _, f := range slices.Concat(feedback[format], feedback["*"]) {
			l.Nack = l.Nack || f == "nack"
			l.Pli = l.Pli || f == "nack pli"
			l.TransportCC = l.TransportCC || f == "transport-cc"
		}
	}
	primary := Opus
	if l.Kind == Video {
		primary = VP8
	}
	if l.Types[primary] == 0 {
		return errors.New("it offers neither Opus nor VP8")
	}
	if l.Types[RED] != 0 && !redOf(parameters[strconv.Itoa(int(l.Types[RED]))], l.Types[Opus]) {
		l.drop(RED)
	}
	for _, format := range repairs {
		if payload, err := strconv.ParseUint(format, 10, 7); err == nil && strings.TrimSpace(parameters[format]) == fmt.Sprintf("apt=%d", l.Types[VP8]) {
			l.Types[RTX] = uint8(payload)
			l.Order = append(l.Order, RTX)
			break
		}
	}
	return nil
}

// redOf reports whether all that a redundant packet holds is Opus.
func redOf(parameters string, opus uint8) bool {
	parts := strings.Split(strings.TrimSpace(parameters), "/")
	return !slices.ContainsFunc(parts, func(p string) bool { return p != strconv.Itoa(int(opus)) })
}

func (l *Line) drop(c Codec) {
	l.Types[c] = 0
	l.Order = slices.DeleteFunc(l.Order, func(o Codec) bool { return o == c })
}

// extensions reads the identifiers, which one bundle shares (RFC 8843).
func (o *Offer) extensions(l *Line, d *sdp.SessionDescription, m *sdp.MediaDescription) error {
	_, line := m.Attribute("extmap-allow-mixed")
	_, session := d.Attribute("extmap-allow-mixed")
	l.Uses.Mixed = line || session
	o.Extensions.Mixed = o.Extensions.Mixed || l.Uses.Mixed
	for _, a := range m.Attributes {
		if a.Key != "extmap" {
			continue
		}
		fields := strings.Fields(a.Value)
		if len(fields) < 2 {
			return errors.New("an extmap has no URI")
		}
		used, shared := l.Uses.of(fields[1]), o.Extensions.of(fields[1])
		if used == nil || *used != 0 {
			continue
		}
		number, _, _ := strings.Cut(fields[0], "/")
		id, err := strconv.ParseUint(number, 10, 8)
		if err != nil || id == 0 || id == 15 || id > 14 && !l.Uses.Mixed {
			return fmt.Errorf("header extension %q", fields[0])
		}
		if *shared != 0 && *shared != uint8(id) {
			return fmt.Errorf("header extension %s has two numbers", fields[1])
		}
		*used, *shared = uint8(id), uint8(id)
	}
	return nil
}

// layers reads the rids of a simulcast (RFC 8853), best first as offered; those
// beyond what is forwarded are left out of the answer.
func (l *Line) layers(m *sdp.MediaDescription) {
	if l.Kind != Video {
		return
	}
	simulcast, _ := m.Attribute("simulcast")
	fields := strings.Fields(simulcast)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != "send" {
			continue
		}
		for rid := range strings.SplitSeq(fields[i+1], ";") {
			rid, _, _ = strings.Cut(rid, ",") // alternatives: the first
			rid = strings.TrimPrefix(rid, "~")
			if token(rid) && len(l.Rids) < MaxRids && !slices.Contains(l.Rids, rid) {
				l.Rids = append(l.Rids, rid)
			}
		}
	}
}

// sources reads the announced streams (RFC 5576).
func (l *Line) sources(m *sdp.MediaDescription) error {
	var all []uint32
	repairs := map[uint32]uint32{}
	isRepair := map[uint32]bool{}
	for _, a := range m.Attributes {
		switch a.Key {
		case "ssrc":
			number, _, _ := strings.Cut(a.Value, " ")
			id, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("ssrc %q", number)
			}
			if !slices.Contains(all, uint32(id)) {
				all = append(all, uint32(id))
			}
		case "ssrc-group":
			fields := strings.Fields(a.Value)
			if len(fields) != 3 || fields[0] != "FID" {
				continue
			}
			first, err1 := strconv.ParseUint(fields[1], 10, 32)
			second, err2 := strconv.ParseUint(fields[2], 10, 32)
			if err1 != nil || err2 != nil || first == second {
				return fmt.Errorf("ssrc-group %q", a.Value)
			}
			repairs[uint32(first)], isRepair[uint32(second)] = uint32(second), true
		}
		if len(all) > maxSources || len(repairs) > maxSources {
			return errors.New("it announces too many sources")
		}
	}
	for _, id := range all {
		if !isRepair[id] {
			l.Sources = append(l.Sources, Source{Media: id, Repair: repairs[id]})
		}
	}
	return nil
}
