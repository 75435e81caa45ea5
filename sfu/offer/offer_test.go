package offer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
)

const head = "v=0\r\no=- 77 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3\r\na=extmap-allow-mixed\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\n"

const sound = "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\na=rtcp-fb:111 transport-cc\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:3 " + TransportURI + "\r\na=extmap:4 " + MidURI + "\r\na=ssrc:11 cname:x\r\n"

const picture = "m=video 0 UDP/TLS/RTP/SAVPF 96 97 98\r\na=mid:1\r\na=bundle-only\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\n" +
	"a=extmap:4 " + MidURI + "\r\na=extmap:10 " + RidURI + "\r\na=extmap:11 " + RepairedRidURI + "\r\na=rid:f send\r\na=rid:h send\r\na=rid:q send\r\na=simulcast:send f;h;q\r\n"

var (
	soundSlot   = strings.NewReplacer("mid:0", "mid:2", "sendonly", "recvonly").Replace(sound)
	pictureSlot = strings.NewReplacer("mid:1", "mid:3", "sendonly", "recvonly", "a=rid:f send\r\na=rid:h send\r\na=rid:q send\r\na=simulcast:send f;h;q\r\n", "").Replace(picture)
	whole       = head + sound + picture + soundSlot + pictureSlot
)

// The answer names what was offered and is forwarded, and nothing else; an audio
// level in clear is not.
func TestTheAnswerToAnOffer(t *testing.T) {
	t.Parallel()
	o, err := Read(whole)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Write(o, Answer{
		Session: 5, Version: 1, Fragment: "frag", Password: "password", Fingerprint: "CC:DD",
		Candidates: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7000"), netip.MustParseAddrPort("[2001:db8::1]:7000")},
		Sources:    map[string]Source{"2": {Media: 21}, "3": {Media: 31, Repair: 32}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		t.Fatalf("the answer is no SDP: %v\n%s", err, text)
	}
	for _, want := range []string{
		"a=ice-lite\r\n", "a=group:BUNDLE 0 1 2 3\r\n", "a=setup:passive\r\n", "a=fingerprint:sha-256 CC:DD\r\n",
		"m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n", "a=fmtp:63 111/111\r\n", "a=rtcp-fb:111 nack\r\n", "a=fmtp:97 apt=96\r\n",
		"a=simulcast:recv f;h;q\r\n", "a=rid:f recv\r\n", "a=extmap:10 " + RidURI + "\r\n", "a=ssrc-group:FID 31 32\r\n", "a=ssrc:21 cname:kuule\r\n",
		" udp 536887807 192.0.2.1 7000 typ host\r\n", " 192.0.2.1 7000 typ host tcptype passive\r\n", " udp 536887806 2001:db8::1 7000 typ host\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer lacks %q:\n%s", want, text)
		}
	}
	for _, never := range []string{"audio-level", "PCMU", "VP9", "remb", "sendrecv"} {
		if strings.Contains(text, never) {
			t.Errorf("the answer has %q", never)
		}
	}
}

// Each thing that is missing or wrong is refused by itself.
func TestOffersThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"not bundled":          {"BUNDLE 0 1 2 3", "BUNDLE 0 1 2"},
		"two certificates":     {"a=mid:1\r\n", "a=mid:1\r\na=fingerprint:sha-256 EE:FF\r\n"},
		"a weaker fingerprint": {"sha-256", "sha-1"},
		"passive itself":       {"setup:actpass", "setup:passive"},
		"both ways":            {"a=sendonly", "a=sendrecv"},
		"no codec":             {"VP8/90000", "AV1/90000"},
		"no multiplexing":      {"a=rtcp-mux\r\n", ""},
		"one mid twice":        {"a=mid:1\r\n", "a=mid:0\r\n"},
		"a mid with signs":     {"a=mid:1\r\n", "a=mid:1;\r\n"},
		"another medium":       {"m=video", "m=application"},
		"one extension twice":  {"a=extmap:4 " + MidURI + "\r\na=extmap:10", "a=extmap:5 " + MidURI + "\r\na=extmap:10"},
		"a reserved number":    {"extmap:10", "extmap:15"},
		"an RTCP payload type": {" 96 97", " 72 97"},
	} {
		text := strings.Replace(whole, change[0], change[1], 1)
		if name == "an RTCP payload type" {
			text = strings.ReplaceAll(text, ":96", ":72")
		}
		if _, err := Read(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Read(strings.Repeat("x", MaxBytes+1)); err == nil {
		t.Error("too long: taken")
	}
}

// D6: an ICE restart is told from another connection.
func TestWhatARestartMayChange(t *testing.T) {
	t.Parallel()
	first, err := Read(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		from, to string
		same     bool
	}{
		"a version":           {"o=- 77 2", "o=- 77 3", true},
		"credentials":         {"ufrag:abcd", "ufrag:efgh", true},
		"sources":             {"a=ssrc:11 ", "a=ssrc:12 ", true},
		"another session":     {"o=- 77", "o=- 78", false},
		"another certificate": {"AA:BB", "AA:BC", false},
		"fewer layers":        {"send f;h;q", "send f;h", false},
		"another payload":     {"a=rtpmap:63 red", "a=rtpmap:63 telephone-event", false},
	} {
		o, err := Read(strings.ReplaceAll(whole, tc.from, tc.to))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := first.Same(o); got != tc.same {
			t.Errorf("%s: same is %v", name, got)
		}
	}
	if l := first.Lines[1]; !slices.Equal(l.Rids, []string{"f", "h", "q"}) || l.Types.Codec(97) != RTX || l.Types.Codec(98) != None || !l.Pli {
		t.Errorf("read %+v", l)
	}
}

// Whatever an offer says, it is refused or can be answered within bounds.
func FuzzRead(f *testing.F) {
	f.Add(whole)
	f.Add(head + sound)
	f.Add(strings.ReplaceAll(whole, "FID", "SIM"))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Read(text)
		if err != nil {
			return
		}
		for _, l := range o.Lines {
			if len(l.Rids) > MaxRids || len(l.Sources) > maxSources || len(l.Order) >= int(codecs) || !token(l.Mid) {
				t.Fatalf("taken: %+v", l)
			}
		}
		answer, err := Write(o, Answer{Fragment: "f", Password: "p", Fingerprint: "AA"})
		if err != nil {
			t.Fatal(err)
		}
		var d sdp.SessionDescription
		if err := d.UnmarshalString(answer); err != nil || len(d.MediaDescriptions) != len(o.Lines) {
			t.Fatalf("answered %v: %s", err, answer)
		}
	})
}
