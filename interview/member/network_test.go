package member

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"kuule/interview"
)

// answer has another connection of the library answer an offer.
func answer(t *testing.T, p *Peer, offer string) {
	t.Helper()
	api, err := clientAPI()
	if err != nil {
		t.Fatal(err)
	}
	far, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	if err := far.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		t.Fatal(err)
	}
	a, err := far.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := far.SetLocalDescription(a); err != nil {
		t.Fatal(err)
	}
	if err := p.Answer(a.SDP); err != nil {
		t.Fatal(err)
	}
}

// D6: who looks for another path finds an address that came after the connection
// was made.
func TestARestartFindsANewAddress(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and ip, to give this machine an address")
	}
	p, err := NewPeer([]Publish{{Track: interview.NewTrackID(), Source: interview.SourceAudio}}, func(Frame) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	first, err := p.Offer()
	if err != nil {
		t.Fatal(err)
	}
	name, address := fmt.Sprintf("kum%d", os.Getpid()), fmt.Sprintf("10.216.%d.1", os.Getpid()%200+20)
	if out, err := exec.Command("ip", "link", "add", name, "type", "veth", "peer", "name", name+"x").CombinedOutput(); err != nil {
		t.Skipf("no links can be made here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	for _, args := range [][]string{{"link", "set", name + "x", "up"}, {"link", "set", name, "up"}, {"addr", "add", address + "/24", "dev", name}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v %s", args, err, out)
		}
	}
	answer(t, p, first.SDP)
	again, err := p.Offer()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.SDP, address) || !strings.Contains(again.SDP, " "+address+" ") {
		t.Errorf("%s is not among the candidates of the restart:\n%s", address, again.SDP)
	}
}
