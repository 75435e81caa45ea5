package app

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/internal/doctor"
	"kuule/internal/trust"
	"kuule/sfu/relay"
)

// finding is what Health says of one thing.
func finding(t *testing.T, list []Finding, what string) Finding {
	t.Helper()
	for _, f := range list {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("nothing is said of %s: %+v", what, list)
	return Finding{}
}

// Each thing alone that is not well is found, and so is what to do about it.
func TestDoctorFindsWhatIsIll(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	dir := o.Config.Data
	whole := Health(t.Context(), dir)
	for _, what := range []string{"configuration", "keys", "certificate of the door", "certificate of the relay", "keyring"} {
		if f := finding(t, whole, what); f.State != Well {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, whole, "processes"); f.State != Ill || !strings.Contains(f.Next, "kuule serve") {
		t.Errorf("an installation that does not run: %+v", f)
	}
	layout := o.Config.Layout()
	if err := os.Chmod(filepath.Join(layout.Door(), "bridge.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(layout.SFU(), turnCertificate)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(layout.Keyring()); err != nil {
		t.Fatal(err)
	}
	spoilt := Health(t.Context(), dir)
	for _, what := range []string{"keys", "certificate of the relay", "keyring"} {
		if f := finding(t, spoilt, what); f.State != Ill || f.Next == "" {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, Health(t.Context(), t.TempDir()), "configuration"); f.State != Ill {
		t.Errorf("an empty folder: %+v", f)
	}
}

func TestCertificatesAreJudgedInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &x509.Certificate{DNSNames: []string{"kuule.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	for name, tc := range map[string]struct {
		now   time.Time
		names []string
		want  State
	}{
		"good":          {now, []string{"kuule.example"}, Well},
		"soon over":     {c.NotAfter.Add(-renewWithin + time.Hour), nil, Warning},
		"over":          {c.NotAfter.Add(time.Second), nil, Ill},
		"not yet":       {now.AddDate(-1, 0, 0), nil, Ill},
		"a name amiss":  {now, []string{"kuule.example", "enrol.kuule.example"}, Ill},
		"by an address": {now, []string{"192.0.2.1"}, Well},
	} {
		if f := judge("it", c, tc.now, tc.names...); f.State != tc.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDiskIsLookedAt(t *testing.T) {
	t.Parallel()
	if f := disk("disk", t.TempDir()); f.State == "" || !strings.Contains(f.Says, "GB free") {
		t.Errorf("%+v", f)
	}
	if f := disk("disk", "/nowhere/at/all"); f.State != Ill {
		t.Errorf("%+v", f)
	}
}

// targetVariable hands the test below, inside a namespace, what to look at.
const targetVariable = "KUULE_TEST_DOCTOR"

type doctorScene struct {
	Target doctor.Target
	Root   string
	Pass   *doctor.Pass
}

func TestDoctorInside(t *testing.T) {
	text := os.Getenv(targetVariable)
	if text == "" {
		t.Skip("runs inside a namespace, started by doctorBehind")
	}
	var scene doctorScene
	if err := json.Unmarshal([]byte(text), &scene); err != nil {
		t.Fatal(err)
	}
	list, err := certificates(scene.Root)
	if err != nil {
		t.Fatal(err)
	}
	if scene.Target.Roots, err = trust.Pool([]string{trust.EncodeCertificate(list[0])}); err != nil {
		t.Fatal(err)
	}
	scene.Target.Pass = scene.Pass
	out, err := json.Marshal(doctor.Network(t.Context(), scene.Target))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv(targetVariable+"_OUT"), out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// `kuule doctor network` behind a firewall names the legs that work, with their
// figures, and those that are cut.
func TestDoctorNamesTheCutLeg(t *testing.T) { doctorBehind(t, "no UDP") }

func TestSoakDoctorNamesEveryCutLeg(t *testing.T) {
	onlySoak(t)
	doctorBehind(t, "")
}

// doctorBehind tries one firewall, or all of them.
func doctorBehind(t *testing.T, only string) {
	t.Helper()
	b := &behind{}
	b.network(t)
	b.serve(t, t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		allow []string
		works string
		says  string
	}{
		{"open", []string{"accept"}, "https udp tcp tls media", "best"},
		{"no UDP", []string{"meta l4proto tcp accept"}, "https tcp tls media", "UDP is cut"},
		{"HTTPS alone", []string{b.allowHTTPS()}, "https tls", "UDP and TCP are cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if only != "" && c.name != only {
				t.Skip("in the soak")
			}
			b.firewall(t, c.allow...)
			minted := b.secret.Mint("console", time.Now())
			scene, err := json.Marshal(doctorScene{
				Target: doctor.Target{Host: behindHost, Address: b.near.String(), HTTPS: b.https, Media: b.media, TURN: b.turn}, Root: b.root,
				Pass: &doctor.Pass{Username: minted.Username, Password: minted.Password, Realm: relay.Realm, Meter: b.meter},
			})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "report.json")
			cmd := exec.Command("ip", "netns", "exec", b.space, self, "-test.run", "^TestDoctorInside$")
			cmd.Env = append(os.Environ(), targetVariable+"="+string(scene), targetVariable+"_OUT="+file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r doctor.Report
			if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
				t.Fatal(err)
			}
			var works []string
			for _, l := range r.Legs {
				t.Logf("%+v", l)
				if !l.Works {
					if !strings.Contains(l.Why, "cut") {
						t.Errorf("%s: %q", l.Leg, l.Why)
					}
					continue
				}
				works = append(works, l.Leg)
				relayed := l.Leg == doctor.LegUDP || l.Leg == doctor.LegTCP || l.Leg == doctor.LegTLS
				if l.RTT <= 0 || relayed && (l.Up < 100_000 || l.Down < 100_000) {
					t.Errorf("%s was not measured: %+v", l.Leg, l)
				}
			}
			if got := strings.Join(works, " "); got != c.works {
				t.Errorf("works: %q, want %q", got, c.works)
			}
			if !strings.Contains(r.Says, c.says) || r.Next == "" {
				t.Errorf("%q, next %q", r.Says, r.Next)
			}
		})
	}
}
