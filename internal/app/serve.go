package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/internal/supervise"
	"kuule/internal/tracing"
	"kuule/sfu/relay"
)

// busLifetime is how long the bus certificates of one run of the supervisor
// live. A longer run has to be restarted; the log says so in time.
const busLifetime = 90 * 24 * time.Hour

// handover is what the supervisor gives a process through its inherited pipe.
type handover struct {
	Data       string          `json:"data"`
	Bus        []byte          `json:"bus"`                  // credentials, encoded
	Passphrase []byte          `json:"passphrase,omitempty"` // authority alone
	Relay      []byte          `json:"relay,omitempty"`      // door and sfu: mints and checks credentials of the relay
	Viewing    json.RawMessage `json:"viewing,omitempty"`    // playback alone
}

// Serve runs an installation until ctx ends: it starts the processes, keeps
// them running and stops them again.
func Serve(ctx context.Context, data string, passphrase keyring.Secret) error {
	in, err := openInstallation(data)
	if err != nil {
		return err
	}
	if in.Ports.Bus == 0 {
		return errors.New("ports.bus must be set in kuule.json: the processes find each other there")
	}
	ca, err := bus.NewCA()
	if err != nil {
		return err
	}
	own, err := ca.Issue(bus.Main(bus.Supervisor), busLifetime)
	if err != nil {
		return err
	}
	server, err := bus.Serve(own, in.Ports.Bus)
	if err != nil {
		return err
	}
	defer server.Close()
	s, err := supervise.New(supervise.Options{OnChange: func(name string, state supervise.State, pid int) {
		slog.Info("process", "name", name, "state", state, "pid", pid)
	}})
	if err != nil {
		return err
	}
	if err := in.giveFolders(); err != nil {
		return err
	}
	relaySecret, err := relay.NewSecret()
	if err != nil {
		return err
	}
	users := in.Users
	var processes []supervise.Process
	type owned struct {
		name bus.Name
		user string
	}
	all := []owned{{bus.Main(bus.Door), users.Door}, {bus.Main(bus.Authority), users.Authority}, {bus.Main(bus.SFU), users.SFU}}
	for _, name := range in.recorderNames() {
		all = append(all, owned{name, users.Recorder})
	}
	for _, p := range all {
		h := handover{Data: in.Data}
		if p.name.Role == bus.Authority {
			h.Passphrase = passphrase.Bytes()
		}
		if p.name.Role == bus.Door || p.name.Role == bus.SFU {
			h.Relay = relaySecret.Bytes()
		}
		process, err := in.process(ca, p.name, p.user, h)
		if err != nil {
			return err
		}
		processes = append(processes, process)
	}
	viewings := &viewings{in: in, ca: ca, own: own, supervisor: s, ctx: ctx, running: map[string]*supervise.Task{}}
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := viewings.serve(serving); err != nil && serving.Err() == nil {
			slog.Error("viewings cannot be started", "err", err)
		}
	})
	err = s.Run(ctx, processes...)
	cancel()
	wait.Wait()
	return err
}

func (in *installation) process(ca *bus.CA, name bus.Name, user string, h handover) (supervise.Process, error) {
	credentials, err := ca.Issue(name, busLifetime)
	if err != nil {
		return supervise.Process{}, err
	}
	if h.Bus, err = credentials.Encode(); err != nil {
		return supervise.Process{}, err
	}
	secret, err := json.Marshal(h)
	if err != nil {
		return supervise.Process{}, err
	}
	return supervise.Process{Name: name.String(), Arguments: []string{"process", string(name.Role)}, User: user, Secret: secret}, nil
}

func (in *installation) busAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(in.Ports.Bus))
}

// maxRunningViewings bounds playback processes at one time.
const maxRunningViewings = 8

// viewings starts and stops playback processes for the door.
type viewings struct {
	in         *installation
	ca         *bus.CA
	own        *bus.Credentials
	supervisor *supervise.Supervisor
	ctx        context.Context

	mu      sync.Mutex
	running map[string]*supervise.Task
}

func (v *viewings) serve(ctx context.Context) error {
	conn, err := bus.Connect(ctx, v.own, v.in.busAddress())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := errors.Join(
		bus.Handle(conn, "playback.start", func(_ context.Context, _ bus.Name, spec viewingSpec) (none, error) { return none{}, v.start(spec) }),
		bus.Handle(conn, "playback.stop", func(_ context.Context, _ bus.Name, spec viewingSpec) (none, error) {
			v.stop(spec.Viewing)
			return none{}, nil
		}),
	); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (v *viewings) start(spec viewingSpec) error {
	name, err := bus.ParseName(string(bus.Playback) + "." + spec.Viewing)
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.running) >= maxRunningViewings || v.running[spec.Viewing] != nil {
		return problem.New(problem.CodeUnavailable, "%d viewings are under way", len(v.running))
	}
	text, err := canon.Marshal(spec)
	if err != nil {
		return err
	}
	process, err := v.in.process(v.ca, name, v.in.Users.Playback, handover{Data: v.in.Data, Viewing: text})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(v.ctx, viewingLife)
	task, err := v.supervisor.Spawn(ctx, process)
	if err != nil {
		cancel()
		return err
	}
	v.running[spec.Viewing] = task
	go func() {
		<-task.Done()
		cancel()
		v.mu.Lock()
		delete(v.running, spec.Viewing)
		v.mu.Unlock()
	}()
	return nil
}

func (v *viewings) stop(viewing string) {
	v.mu.Lock()
	task := v.running[viewing]
	v.mu.Unlock()
	if task != nil {
		task.Stop()
	}
}

// Process is one child of the supervisor: `kuule process ROLE`.
func Process(ctx context.Context, role string) error {
	secret, ready, err := supervise.Inherit()
	if err != nil {
		return err
	}
	var h handover
	if err := canon.Strict(secret, &h); err != nil {
		return fmt.Errorf("what the supervisor hands over: %w", err)
	}
	in, err := openInstallation(h.Data)
	if err != nil {
		return err
	}
	in.relay = h.Relay
	credentials, err := bus.ParseCredentials(h.Bus)
	if err != nil {
		return err
	}
	if role != string(credentials.Name().Role) {
		return fmt.Errorf("started as %s with the credentials of %s", role, credentials.Name())
	}
	conn, err := bus.Connect(ctx, credentials, in.busAddress())
	if err != nil {
		return err
	}
	defer conn.Close()
	untrace, err := tracing.Start(credentials.Name().String(), in.Traces)
	if err != nil {
		return err
	}
	defer untrace()
	if role := credentials.Name().Role; role == bus.Authority || role == bus.Recorder {
		if err := serveMetrics(ctx, in, credentials.Name()); err != nil {
			return err
		}
	}
	switch credentials.Name().Role {
	case bus.Door:
		return runDoor(ctx, in, conn, ready)
	case bus.Authority:
		return runAuthority(ctx, in, conn, keyring.NewSecret(h.Passphrase), ready)
	case bus.SFU:
		return runSFU(ctx, in, conn, ready)
	case bus.Recorder:
		return runRecorder(ctx, in, conn, ready)
	case bus.Playback:
		var spec viewingSpec
		if err := canon.Strict(h.Viewing, &spec); err != nil {
			return fmt.Errorf("viewing: %w", err)
		}
		return runPlayback(ctx, in, conn, spec, ready)
	default:
		return fmt.Errorf("no process is called %q", role)
	}
}
