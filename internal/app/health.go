package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/bus"
	"kuule/internal/doctor"
	"kuule/internal/trust"
	"kuule/sfu/relay"
)

// Finding is one thing that was looked at.
type Finding struct {
	What  string `json:"what"`
	State State  `json:"state"`
	Says  string `json:"says"`
	Next  string `json:"next,omitempty"` // what to do, where it is not well
}

// State is how well something is.
type State string

// States of a finding.
const (
	Well    State = "ok"
	Warning State = "warning"
	Ill     State = "ill"
)

// Bounds from which on an administrator should act.
const (
	renewWithin  = 30 * 24 * time.Hour
	littleDisk   = 20 << 30 // bytes; an hour of one recorded hearing takes about one gigabyte
	noDisk       = 2 << 30
	healthWithin = 20 * time.Second
)

// healthAnswer is what the running door knows of the processes: what is wrong
// with each, or nothing.
type healthAnswer struct {
	Processes map[string]string `json:"processes"`
}

// health asks every process something that it has to answer.
func (d *door) health(ctx context.Context, _ struct{}) (healthAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := healthAnswer{Processes: map[string]string{"door": ""}}
	say := func(name string, err error) {
		out.Processes[name] = ""
		if err != nil {
			out.Processes[name] = err.Error()
		}
	}
	say("database", d.db.PingContext(ctx))
	_, err := d.log.Checkpoint(ctx)
	say("authority", err)
	if d.in.Ports.TURN != 0 {
		say("sfu", d.conn.Call(ctx, bus.Main(bus.SFU), "leg.meter", none{}, nil))
	}
	failed := d.askRecorders(ctx, "recorder.status", none{})
	for _, name := range d.in.recorderNames() {
		say(name.String(), failed[name])
	}
	return out, nil
}

// pass makes a pass for a measurement from elsewhere.
func (d *door) pass(ctx context.Context, _ struct{}) (doctor.Pass, error) {
	var meter meterAnswer
	if err := d.conn.Call(ctx, bus.Main(bus.SFU), "leg.meter", none{}, &meter); err != nil {
		return doctor.Pass{}, err
	}
	c := d.paths.secret.Mint(console, time.Now())
	return doctor.Pass{Username: c.Username, Password: c.Password, Realm: relay.Realm, Meter: meter.Address}, nil
}

// Pass makes a pass that opens the relay for measurements, for minutes.
func (c Console) Pass(ctx context.Context) (out doctor.Pass, err error) {
	err = c.post(ctx, "/doctor/pass", struct{}{}, &out)
	return out, err
}

// Target is how an installation on this machine is reached.
func Target(data string) (doctor.Target, error) {
	in, err := openInstallation(data)
	if err != nil {
		return doctor.Target{}, err
	}
	roots, err := trust.Pool(in.trust.ServerRoots)
	return doctor.Target{Host: in.Host, Address: in.Listen, HTTPS: in.Ports.HTTPS, Media: in.Ports.Media, TURN: in.Ports.TURN, Roots: roots}, err
}

// Health looks at an installation on this machine, running or not.
func Health(ctx context.Context, data string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	var out []Finding
	in, err := openInstallation(data)
	if err != nil {
		return []Finding{{"configuration", Ill, err.Error(), "make an installation with `kuule init`, or correct kuule.json"}}
	}
	out = append(out, Finding{What: "configuration", State: Well, Says: fmt.Sprintf("%s in %s", in.Name, in.Data)})
	if in.trust.Demonstration {
		out = append(out, Finding{"keys", Warning, "made for a demonstration", "never hold a real interview with them"})
	}
	out = append(out, in.keysClosed(), clock())
	out = append(out, in.expires("certificate of the door", filepath.Join(in.layout.Door(), "tls.pem"), in.Host, "enrol."+in.Host))
	out = append(out, in.expires("certificate of the relay", filepath.Join(in.layout.SFU(), turnCertificate), in.turnName()))
	out = append(out, disk("disk of records", in.Data))
	for i := range in.recorderNames() {
		if folder := in.Recorders[i]; folder != "" {
			out = append(out, disk(fmt.Sprintf("disk of recorder %d", i+1), folder))
		}
	}
	out = append(out, in.keyringThere())
	return append(out, in.running(ctx)...)
}

// running looks at what only a running installation shows.
func (in *installation) running(ctx context.Context) []Finding {
	var answer healthAnswer
	if err := Console(in.Data).post(ctx, "/doctor/health", struct{}{}, &answer); err != nil {
		return []Finding{{"processes", Ill, err.Error(), "start it with `kuule serve`; its log says why it ended"}}
	}
	var out []Finding
	for _, name := range sortedKeys(answer.Processes) {
		f := Finding{What: "process " + name, State: Well, Says: "answers"}
		if wrong := answer.Processes[name]; wrong != "" {
			f.State, f.Says, f.Next = Ill, wrong, "look into the log of `kuule serve` for "+name
		}
		out = append(out, f)
	}
	target, err := Target(in.Data)
	if err != nil {
		return append(out, Finding{"ports", Ill, err.Error(), ""})
	}
	for _, leg := range doctor.Network(ctx, target).Legs {
		f := Finding{What: "port " + leg.Leg + " " + leg.Address, State: Well, Says: fmt.Sprintf("answers in %.1f ms", leg.RTT)}
		if !leg.Works {
			f.State, f.Says, f.Next = Ill, leg.Why, "see whether another program holds the port, and the firewall of this machine"
		}
		out = append(out, f)
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// keysClosed looks for private keys that others can read.
func (in *installation) keysClosed() Finding {
	var open []string
	err := filepath.WalkDir(in.Data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".key") {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, path)
		}
		return err
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Finding{"keys", Warning, "not all folders can be looked into", "run `kuule doctor` as root"}
	case err != nil:
		return Finding{"keys", Ill, err.Error(), ""}
	case len(open) > 0:
		return Finding{"keys", Ill, "others than their owner can read " + strings.Join(open, ", "), "chmod 600, and think about replacing them"}
	default:
		return Finding{What: "keys", State: Well, Says: "readable by their owners alone"}
	}
}

// expires looks at a certificate's time and names.
func (in *installation) expires(what, path string, names ...string) Finding {
	list, err := certificates(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Finding{what, Warning, err.Error(), "run `kuule doctor` as root"}
	case err != nil:
		return Finding{what, Ill, err.Error(), "put the certificate there"}
	case len(list) == 0:
		return Finding{what, Ill, path + " holds none", "put the certificate there"}
	}
	return judge(what, list[0], time.Now(), names...)
}

func judge(what string, c *x509.Certificate, now time.Time, names ...string) Finding {
	until := c.NotAfter.Format(time.DateOnly)
	for _, name := range names {
		if err := c.VerifyHostname(name); err != nil && net.ParseIP(name) == nil {
			return Finding{what, Ill, err.Error(), "have it issued for " + strings.Join(names, ", ")}
		}
	}
	switch {
	case now.After(c.NotAfter):
		return Finding{what, Ill, "expired on " + until, "renew it"}
	case now.Before(c.NotBefore):
		return Finding{what, Ill, "is valid only from " + c.NotBefore.Format(time.DateOnly), "look at this machine's clock"}
	case now.Add(renewWithin).After(c.NotAfter):
		return Finding{what, Warning, "expires on " + until, "renew it in time"}
	default:
		return Finding{What: what, State: Well, Says: "valid until " + until}
	}
}

// clock asks the kernel whether something keeps its clock right: everything
// that is signed carries its time.
func clock() Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return Finding{"clock", Warning, err.Error(), "see that NTP runs"}
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return Finding{"clock", Warning, "nothing keeps it right", "start an NTP service of the agency's network"}
	default:
		return Finding{What: "clock", State: Well, Says: "kept right"}
	}
}

func disk(what, path string) Finding {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Finding{what, Ill, fmt.Sprintf("%s: %v", path, err), "mount it"}
	}
	free := st.Bavail * uint64(st.Bsize)
	f := Finding{What: what, State: Well, Says: fmt.Sprintf("%s: %d GB free", path, free>>30)}
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		f.State, f.Says, f.Next = Ill, path+" is mounted read-only", "look into the kernel's log: the disk may be failing"
	case free < noDisk:
		f.State, f.Next = Ill, "make room now: recording stops the questioning where it cannot write"
	case free < littleDisk:
		f.State, f.Next = Warning, "make room"
	}
	return f
}

func (in *installation) keyringThere() Finding {
	_, err := os.Stat(in.layout.Keyring())
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Finding{"keyring", Warning, err.Error(), "run `kuule doctor` as root"}
	case errors.Is(err, fs.ErrNotExist):
		return Finding{"keyring", Ill, "there is none in " + in.layout.Keyring(), "bring it back from a copy: without it no recording can be opened"}
	case err != nil:
		return Finding{"keyring", Ill, err.Error(), ""}
	default:
		return Finding{What: "keyring", State: Well, Says: "is there; that it opens, process authority shows"}
	}
}
