package doctor

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPassSurvivesItsCopying(t *testing.T) {
	t.Parallel()
	p := Pass{Username: "1:console", Password: "secret", Realm: "kuule", Meter: netip.MustParseAddrPort("127.0.0.1:5")}
	text, err := p.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePass(text)
	if err != nil || !reflect.DeepEqual(*got, p) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, wrong := range map[string]string{"nothing": "", "cut": text[:len(text)-4], "no text": "%", "long": strings.Repeat("A", maxPass+1), "empty": "e30"} {
		if _, err := ParsePass(wrong); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzPass(f *testing.F) {
	f.Add("e30")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePass(text); err == nil && (p.Username == "" || !p.Meter.IsValid()) {
			t.Fatalf("%+v", p)
		}
	})
}

// What is said follows from the ways that work, and is never good news where
// nobody could be heard.
func TestAdviceNamesWhatIsCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		works string
		ok    bool
		says  string
	}{
		"all":           {"https udp tcp tls media-udp media-tcp", true, "straight to the media port"},
		"media UDP":     {"https media-udp", true, "straight to the media port"},
		"relay UDP":     {"https udp tcp tls media-tcp", true, "UDP to the media port is cut"},
		"no UDP":        {"https tcp tls media-tcp", true, "by TCP to the media port"},
		"relay TCP":     {"https tcp tls", true, "by TCP to the relay"},
		"media TCP":     {"https media-tcp", true, "by TCP to the media port"},
		"TLS alone":     {"https tls", true, "UDP and TCP are cut"},
		"door alone":    {"https", false, "neither heard nor seen"},
		"door is cut":   {"udp tcp tls media-udp media-tcp", false, "door is not reached"},
		"nothing works": {"", false, "door is not reached"},
	} {
		var r Report
		for _, leg := range []string{LegHTTPS, LegUDP, LegTCP, LegTLS, LegMediaUDP, LegMediaTCP} {
			r.Legs = append(r.Legs, Leg{Leg: leg, Works: strings.Contains(" "+c.works+" ", " "+leg+" ")})
		}
		says, next := r.advice()
		if r.OK() != c.ok || !strings.Contains(says, c.says) || next == "" {
			t.Errorf("%s: ok %v, %q, next %q", name, r.OK(), says, next)
		}
	}
}

// What was not tried is not called cut.
func TestUntriedIsNotCut(t *testing.T) {
	t.Parallel()
	r := Report{Legs: []Leg{{Leg: LegHTTPS, Works: true}, {Leg: LegMediaUDP, Untried: true}, {Leg: LegMediaTCP, Works: true}}}
	if says, next := r.advice(); !r.OK() || strings.Contains(says, "cut") || !strings.Contains(next, "pass") {
		t.Errorf("%q, next %q", says, next)
	}
	r.Legs = append(r.Legs, Leg{Leg: LegUDP, Works: true})
	if says, _ := r.advice(); strings.Contains(says, "cut") {
		t.Error(says)
	}
}

func TestEchoFigures(t *testing.T) {
	t.Parallel()
	var l Leg
	l.setEcho([]time.Duration{10e6, 20e6, -1, 12e6})
	if !l.Works || l.RTT != 12 || l.Jitter != 9 || l.Loss != 0.25 {
		t.Errorf("%+v", l)
	}
	l = Leg{}
	l.setEcho([]time.Duration{-1, -1})
	if l.Works || l.Loss != 1 {
		t.Errorf("%+v", l)
	}
}

// An installation that has addresses of both families is tried over both.
func TestBothFamiliesAreTried(t *testing.T) {
	t.Parallel()
	four, six, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.2")
	for _, c := range []struct {
		found []netip.Addr
		want  []string
	}{
		{[]netip.Addr{six, four, mapped}, []string{"192.0.2.1", "2001:db8::1"}},
		{[]netip.Addr{mapped}, []string{"192.0.2.2"}},
		{[]netip.Addr{six}, []string{"2001:db8::1"}},
	} {
		if got := oneOfEach(c.found); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v", c.found, got)
		}
	}
}
