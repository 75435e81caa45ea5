package rehearsal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kuule/cmd/kuule-demo/stage"
	"kuule/interview"
)

// The browsers' script (web/test/rehearse.mjs) and the rehearsal speak in lines
// of JSON on the script's standard input and output.
//
// The first line to the script is a [scene]. Then the script asks, one line
// {"ask": …} at a time, and gets one line back each: {"ok":true, …} or
// {"ok":false,"error":…}.
//
//	{"ask":"link","device":"interviewer"}  a fresh start link    {"ok":true,"url":…}
//	{"ask":"resume","device":"counsel"}    a link into its session {"ok":true,"url":…}
//	{"ask":"kill-media"}, {"ask":"kill-door"}  SIGKILL           {"ok":true}
//	{"ask":"kill-recorder"}                SIGKILL               {"ok":true}
//	{"ask":"look-for", "pictures":[base64]} nothing of them on the disk  {"ok":true,"files":…}
//	{"ask":"given", "visit":…,"hearing":…,"signed":…,"purpose":…} who else may read it, and the log {"ok":true,"said":…}
//	{"ask":"lay-open", "device":"kiosk", "document":"passport"}  on a kiosk's optical reader; "lay-closed": on the chip's; "lay-finger"; "take-away"
//
// It tells of each step by {"step":{"name","ok","ms","detail"}} and ends with
// exit status 0 after the hearing has ended and version 2 is sealed.
type scene struct {
	Hearing interview.HearingID `json:"hearing"`
	Diary   string              `json:"diary"`
	Issuer  string              `json:"issuer"`
	Out     string              `json:"out"` // for screenshots
	Faults  bool                `json:"faults"`
	Devices []sceneDevice       `json:"devices"`

	// Reference is the code on the applicant's invitation.
	Reference interview.Reference `json:"reference"`
}

type sceneDevice struct {
	Device  string   `json:"device"`
	Origin  string   `json:"origin"`
	Subject string   `json:"subject"` // to sign in as
	Names   []string `json:"names"`   // who sits there
}

type asked struct {
	Ask      string  `json:"ask"`
	Device   string  `json:"device"`
	Document string  `json:"document"`
	Step     *Result `json:"step"`

	Pictures [][]byte            `json:"pictures"`
	Visit    interview.VisitID   `json:"visit"`
	Hearing  interview.HearingID `json:"hearing"`
	Signed   string              `json:"signed"`
	Purpose  string              `json:"purpose"`
}

const stepBrowsers = "three browsers"

// browserTime bounds the browsers' whole journey.
const browserTime = 4 * time.Minute

// browsers is one step per line that the script tells. Since its steps are not
// known before it runs, it is one step here, and fails with the first of them.
func (r *rehearsal) browsers() []step {
	return []step{{name: stepBrowsers, do: r.browse, long: browserTime}}
}

func (r *rehearsal) browse(ctx context.Context) (string, error) {
	return r.script(ctx, "browser: ", r.scene())
}

// script runs the browsers' script on a scene. What it tells of are steps of the
// report, with a word before their names.
func (r *rehearsal) script(ctx context.Context, before string, scene any) (string, error) {
	if _, err := os.Stat(r.o.Browser); err != nil {
		return "", fmt.Errorf("%w: %s is not there", ErrAbsent, filepath.Base(r.o.Browser))
	}
	cmd := exec.CommandContext(ctx, "node", r.o.Browser)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("browsers' script: %w", err)
	}
	count, err := r.converse(ctx, before, scene, in, out)
	err = errors.Join(err, in.Close())
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("browsers' script: %w", ended)
	}
	if err == nil && count == 0 {
		err = errors.New("browsers' script told of no step")
	}
	return fmt.Sprintf("%d steps in Chromium", count), err
}

func (r *rehearsal) converse(ctx context.Context, before string, scene any, in io.Writer, out io.Reader) (steps int, err error) {
	say := json.NewEncoder(in)
	if err := say.Encode(scene); err != nil {
		return 0, err
	}
	var failed error
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a asked
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // a tool's own chatter
		}
		if a.Step != nil {
			steps++
			a.Step.Name = before + a.Step.Name
			r.o.Tell(*a.Step)
			r.told = append(r.told, *a.Step)
			if !a.Step.OK && failed == nil {
				failed = fmt.Errorf("%s: %s", a.Step.Name, a.Step.Detail)
			}
			continue
		}
		if err := say.Encode(r.answer(ctx, a)); err != nil {
			return steps, err
		}
	}
	return steps, errors.Join(failed, lines.Err())
}

func (r *rehearsal) answer(ctx context.Context, a asked) map[string]any {
	out := map[string]any{"ok": true}
	var err error
	switch a.Ask {
	case "link":
		out["url"], err = r.stage.StartLink(ctx, a.Device)
	case "resume":
		out["url"], err = r.stage.ResumeLink(ctx, a.Device)
	case "kill-media":
		_, err = r.stage.KillMedia()
	case "kill-door":
		_, err = r.stage.KillDoor()
	case "kill-recorder":
		_, err = r.stage.KillRecorders()
	case "lay-open", "lay-closed", "lay-finger", "take-away":
		err = r.handle(ctx, a)
	case "look-for":
		out["files"], err = r.nothingLeft(a.Pictures)
	case "given":
		out["said"], err = r.givenToNobodyElse(ctx, a)
	default:
		err = fmt.Errorf("nobody knows how to %q", a.Ask)
	}
	if err != nil {
		return map[string]any{"ok": false, "error": err.Error()}
	}
	return out
}

func (r *rehearsal) scene() scene {
	s := scene{Faults: r.o.Faults, Hearing: r.hearing.ID, Diary: r.hearing.Diary, Issuer: r.stage.Provider.Issuer(), Out: r.o.Out, Reference: r.participant(interview.RoleApplicant).Reference}
	for _, d := range []struct {
		name, subject string
		names         []string
	}{
		{stage.DeviceInterviewer, stage.SubjectInterviewer, []string{stage.NameInterviewer}},
		{stage.DeviceApplicant, stage.SubjectInterpreter, []string{stage.NameApplicant, stage.NameInterpreter}},
		{stage.DeviceCounsel, stage.SubjectCounsel, []string{stage.NameCounsel}},
	} {
		s.Devices = append(s.Devices, sceneDevice{Device: d.name, Origin: r.stage.Device(d.name).Origin(), Subject: d.subject, Names: d.names})
	}
	return s
}
