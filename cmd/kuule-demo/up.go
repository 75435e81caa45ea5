package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"kuule/cmd/kuule-demo/launcher"
	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/stage"
	"kuule/interview"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// at says where a demonstration lies.
type at struct {
	Data string `help:"Folder of the demonstration; by default kuule-demo in the user's cache." type:"path"`
}

func (a at) dir() (string, error) {
	if a.Data != "" {
		return filepath.Abs(a.Data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("name a folder with --data: %w", err)
	}
	return filepath.Join(cache, "kuule-demo"), nil
}

const controlSocket = "demo.sock"

type upCommand struct {
	at
	built
	PortBase   int  `help:"First of twelve ports; 0 finds free ones." default:"8400"`
	BrowserUID int  `help:"User whose browser may connect; -1 is the own user." default:"-1" name:"browser-uid"`
	Keep       bool `help:"Go on with the folder of the last run, instead of making all anew."`
	Install    bool `help:"As root, install missing Debian packages." default:"true" negatable:""`
}

// Run brings everything up and serves until Ctrl-C.
func (c upCommand) Run(ctx context.Context) error {
	if err := stage.Install(ctx, os.Stdout, c.Install); err != nil {
		return err
	}
	dir, err := c.dir()
	if err != nil {
		return err
	}
	bin, web, err := c.find()
	if err != nil {
		return err
	}
	s, err := stage.New(stage.Options{Dir: dir, Keep: c.Keep, Bin: bin, Web: web, PortBase: c.PortBase, BrowserUID: c.BrowserUID, Register: register(), Finger: fingerApplicant})
	if err != nil {
		return err
	}
	d := &demonstration{Stage: s, ctx: ctx}
	err = d.serve(ctx, dir)
	if ctx.Err() != nil {
		fmt.Println("\nending: people, agents, server, software TPMs")
		err = nil // it was asked to end
	}
	d.unseat()
	return errors.Join(err, s.Close())
}

// fingerApplicant is the applicant among the people of the register's simulator.
const fingerApplicant = 7

// register knows the applicant: at the kiosk a finger is compared, and the way
// without a passport is open.
func register() []vendorporttest.Registered {
	return []vendorporttest.Registered{{
		Number: stage.CardApplicant, Name: stage.NameApplicant, Born: stage.BornApplicant,
		Finger: map[string][]byte{"finger-2": vendorporttest.Finger(fingerApplicant, 2, 80).Template.Data},
	}}
}

// demonstration is a stage with its launcher and its simulated people.
type demonstration struct {
	*stage.Stage
	ctx context.Context // of the whole run

	mu     sync.Mutex
	seated *exec.Cmd
	over   chan struct{}
	news   string // what the simulated people said last
}

func (d *demonstration) serve(ctx context.Context, dir string) error {
	began := time.Now()
	if err := d.Up(ctx, func(what string) { fmt.Printf("%5.1f s  %s\n", time.Since(began).Seconds(), what) }); err != nil {
		return err
	}
	page, err := launcher.Listen(d.LauncherPort(), cards(d.Stage), d)
	if err != nil {
		return err
	}
	control, err := d.control(filepath.Join(dir, controlSocket))
	if err != nil {
		return err
	}
	defer control.Close() // on the way out
	d.explain(ctx, page.URL(), dir)
	return page.Serve(ctx)
}

// cards are the personas with what each can do first.
func cards(s *stage.Stage) []launcher.Persona {
	return []launcher.Persona{
		{Device: stage.DeviceInterviewer, Name: stage.NameInterviewer, RoleFI: "puhuttelija, viraston työasema", RoleEN: "interviewer, the agency's workstation",
			WayFI: "Kirjaudu, avaa kuuleminen ja päästä muut sisään.", WayEN: "Sign in, open the hearing and admit the others.", Origin: s.Device(stage.DeviceInterviewer).Origin()},
		{Device: stage.DeviceApplicant, Name: stage.NameApplicant + ", " + stage.NameInterpreter, RoleFI: "hakija ja tulkki, vastaanottokeskuksen pääte", RoleEN: "applicant and interpreter, the reception centre's terminal",
			WayFI: "Käy ensin kioskilla, lunasta lippu; tulkki kirjautuu.", WayEN: "Visit the kiosk first, redeem the ticket; the interpreter signs in.", Origin: s.Device(stage.DeviceApplicant).Origin()},
		{Device: stage.DeviceCounsel, Name: stage.NameCounsel, RoleFI: "avustaja, toimiston työasema", RoleEN: "counsel, the law firm's workstation",
			WayFI: "Kirjaudu ja odota sisäänpääsyä.", WayEN: "Sign in and wait to be admitted.", Origin: s.Device(stage.DeviceCounsel).Origin()},
		{Device: stage.DeviceDesk, Name: stage.NameOfficer + ", " + stage.NameColleague, RoleFI: "tunnistavat virkailijat, palvelupiste", RoleEN: "officers, the reception centre's desk", Visits: true,
			WayFI: "Kirjaudu; vastaa kioskin avunpyyntöön tai tunnista henkilö.", WayEN: "Sign in; answer a kiosk's call or identify a person.", Origin: s.Device(stage.DeviceDesk).Origin()},
		{Device: stage.DeviceKiosk, Name: "Kioski · Kiosk", RoleFI: "vastaanottokeskuksen aula; hakijan passi on lukijalla", RoleEN: "the reception centre's hall; the applicant's passport lies on the reader", Visits: true,
			WayFI: "Kutsun koodi: " + invitation(s) + ". Ilman passia: kuule-demo passport away, sitten " + stage.CardApplicant, WayEN: "Code of the invitation: " + invitation(s) + ". Without a passport: kuule-demo passport away, then " + stage.CardApplicant, Origin: s.Device(stage.DeviceKiosk).Origin()},
	}
}

// invitation is the code on the applicant's invitation.
func invitation(s *stage.Stage) string {
	for _, p := range s.Hearing().Participants {
		if p.Role == interview.RoleApplicant {
			return string(p.Reference)
		}
	}
	return ""
}

func (d *demonstration) explain(ctx context.Context, url, dir string) {
	fmt.Printf("\nEverything runs. Open the launcher in Chromium:\n\n    %s\n\n", url)
	fmt.Println("Each persona is a device of its own; these links count once and for a minute, the launcher makes fresh ones:")
	for _, c := range cards(d.Stage) {
		link, err := d.StartLink(ctx, c.Device)
		if err != nil {
			link = err.Error()
		}
		fmt.Printf("\n    %s (%s)\n    %s\n", c.Name, c.RoleEN, link)
	}
	fmt.Printf("\nHearing %s (%s) is booked. To hold it alone: open the interviewer, enter the hearing, then\n\n    %s fill\n\n", d.Hearing().Diary, d.Hearing().ID, os.Args[0])
	fmt.Printf("Browsers of user %d are answered (--browser-uid names another). Logs: %s\nData: %s\nCtrl-C ends everything.\n\n", d.BrowserUID(), d.Logs(), dir)
}

// Link implements launcher.Stage.
func (d *demonstration) Link(ctx context.Context, device string) (string, error) {
	return d.StartLink(ctx, device)
}

// Parts implements launcher.Stage.
func (d *demonstration) Parts() []launcher.Part {
	var out []launcher.Part
	for _, p := range d.Stage.Parts() {
		out = append(out, launcher.Part{Name: p.Name, Runs: p.Runs, State: p.State})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.news != "" {
		out = append(out, launcher.Part{Name: "fill", State: d.news, Runs: true})
	}
	return out
}

func (d *demonstration) participants() map[interview.Role]interview.ParticipantID {
	out := map[interview.Role]interview.ParticipantID{}
	for _, p := range d.Hearing().Participants {
		out[p.Role] = p.ID
	}
	return out
}

// Kiosk implements launcher.Stage: the applicant's passport at the kiosk.
func (d *demonstration) Kiosk(ctx context.Context) (string, error) {
	out, err := d.Visit(ctx, d.participants()[interview.RoleApplicant])
	if err != nil {
		return "", err
	}
	if out.Result != tunnel.ResultJoin {
		return fmt.Sprintf("Kioski: %s (%s)", out.Result, out.Way), nil
	}
	return "Lippu odottaa huoneen päätteellä klo " + time.Unix(out.Expires, 0).Format("15.04") + " asti. · A ticket waits at the room terminal.", nil
}

// Fill implements launcher.Stage: everybody but the human's device is played by
// a process of the browser's user, since agents answer to no other.
func (d *demonstration) Fill(ctx context.Context, human string) error {
	d.unseat()
	p := people.Party{Issuer: d.Provider.Issuer(), Hearing: d.Hearing().ID, Participants: d.participants()}
	for _, seat := range []struct {
		device string
		people.PartySeat
	}{
		{stage.DeviceInterviewer, people.PartySeat{Name: stage.NameInterviewer, Subject: stage.SubjectInterviewer, Voices: []people.Voice{people.Interviewer}}},
		{stage.DeviceApplicant, people.PartySeat{Name: stage.NameApplicant + ", " + stage.NameInterpreter, Subject: stage.SubjectInterpreter, Voices: []people.Voice{people.Applicant, people.Interpreter}}},
		{stage.DeviceCounsel, people.PartySeat{Name: stage.NameCounsel, Subject: stage.SubjectCounsel, Voices: []people.Voice{people.Counsel}}},
	} {
		if seat.device == human {
			continue
		}
		if seat.device == stage.DeviceApplicant {
			if _, err := d.Kiosk(ctx); err != nil {
				return err
			}
		}
		link, err := d.StartLink(ctx, seat.device)
		if err != nil {
			return err
		}
		seat.Link = link
		p.Seats = append(p.Seats, seat.PartySeat)
	}
	return d.seat(p)
}

// seat starts the process of the simulated people.
func (d *demonstration) seat(p people.Party) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "sit")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Credential: stage.Credential(d.BrowserUID())}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan struct{})
	d.mu.Lock()
	d.seated, d.over = cmd, over
	d.mu.Unlock()
	go func() {
		defer close(over)
		d.converse(p, in, out)
		err := cmd.Wait()
		d.mu.Lock()
		mine := d.seated == cmd // not sent home
		d.mu.Unlock()
		if err != nil && mine {
			d.tell("simulated people ended: " + err.Error())
		}
	}()
	return nil
}

// converse tells the process whom to play (links never stand on a command
// line), passes on what it says, and has the applicant visit the kiosk again
// when it asks.
func (d *demonstration) converse(p people.Party, in io.WriteCloser, out io.Reader) {
	defer in.Close() // it has ended
	if err := json.NewEncoder(in).Encode(p); err != nil {
		d.tell(err.Error())
		return
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != askReview {
			d.tell(lines.Text())
			continue
		}
		answer := "ok"
		if said, err := d.Kiosk(d.ctx); err != nil {
			answer = err.Error()
		} else {
			d.tell(said)
		}
		if _, err := fmt.Fprintln(in, strings.ReplaceAll(answer, "\n", " ")); err != nil {
			d.tell(err.Error())
		}
	}
}

func (d *demonstration) tell(text string) {
	fmt.Println("fill:", text)
	d.mu.Lock()
	d.news = text
	d.mu.Unlock()
}

// unseat sends the simulated people home.
func (d *demonstration) unseat() {
	d.mu.Lock()
	cmd, over := d.seated, d.over
	d.seated = nil
	d.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-over
	}
}

// control lets `kuule-demo fill` ask the one that runs.
func (d *demonstration) control(path string) (io.Closer, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fill/{human}", func(w http.ResponseWriter, r *http.Request) {
		if err := d.Fill(r.Context(), r.PathValue("human")); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /passport/{where}", func(_ http.ResponseWriter, r *http.Request) {
		if r.PathValue("where") == "away" {
			d.TakeAway(stage.DeviceKiosk)
		} else {
			d.LayPassport()
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return server, nil
}

type fillCommand struct {
	at
	As string `help:"Whose device is yours; everybody else is played." enum:"interviewer,applicant,counsel,nobody" default:"interviewer"`
}

// Run asks the running demonstration to seat simulated people.
func (c fillCommand) Run(ctx context.Context) error {
	if err := c.ask(ctx, "/fill/"+c.As); err != nil {
		return err
	}
	fmt.Println("simulated people are on their way to the door; admit them by name. What they do is told where `kuule-demo up` runs.")
	return nil
}

// ask asks the demonstration that runs.
func (a at) ask(ctx context.Context, path string) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://demo"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no demonstration runs in %s (start it with kuule-demo up): %w", dir, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return errors.Join(errors.New(strings.TrimSpace(string(text))), err)
	}
	return nil
}

type passportCommand struct {
	at
	Where string `arg:"" enum:"away,here" help:"away or here."`
}

// Run asks the running demonstration to lay the passport down or to take it away.
func (c passportCommand) Run(ctx context.Context) error {
	if err := c.ask(ctx, "/passport/"+c.Where); err != nil {
		return err
	}
	if c.Where == "away" {
		fmt.Printf("no passport lies there: touch \"I have no passport\" and type %s. `kuule-demo passport here` lays it back.\n", stage.CardApplicant)
	}
	return nil
}

// askReview is the line by which simulated people ask for another visit.
const askReview = "\x01review"

type sitCommand struct{}

// Run plays the people that standard input names.
func (sitCommand) Run(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("sit is started by kuule-demo fill: %w", err)
	}
	var p people.Party
	if err := json.Unmarshal(line, &p); err != nil {
		return fmt.Errorf("sit is started by kuule-demo fill: %w", err)
	}
	err = people.Sit(ctx, p, func(text string) { fmt.Println(text) }, func(context.Context) error {
		fmt.Println(askReview)
		answer, err := in.ReadString('\n')
		if err == nil && strings.TrimSpace(answer) != "ok" {
			err = errors.New(strings.TrimSpace(answer))
		}
		return err
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // sent home
	}
	return err
}

type bookCommand struct{}

// Run books the hearing that standard input describes, and prints it.
func (bookCommand) Run(ctx context.Context) error {
	var e stage.Errand
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return fmt.Errorf("book is started by kuule-demo up: %w", err)
	}
	h, err := e.Do(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(h)
}
