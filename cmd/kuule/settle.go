package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kuule/attestation/agent/bundle"
	"kuule/internal/app"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
)

type settleCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…), which has ended."`
	Out     string `help:"File for the release, for 'kuule-agent release' at a terminal that has no connection; it must not exist." type:"path"`
	Lost    string `help:"File with the security office's signed word on what is not to be had ('kuule recording lost')." type:"existingfile"`
}

// Run has authority verify the hearing's evidence once more. It writes the release of
// the devices of which nothing is missing; what is missing of the others is named, and
// where a back-up lies there it is wanted.
func (c settleCommand) Run(ctx context.Context, out io.Writer) error {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	loss := ""
	if c.Lost != "" {
		text, err := os.ReadFile(c.Lost)
		if err != nil {
			return err
		}
		loss = strings.TrimSpace(string(text))
	}
	s, err := app.Console(c.Data).SettleBackups(ctx, id, loss)
	if err != nil {
		return err
	}
	text, wanted := said(id, s)
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if s.Release != "" && c.Out != "" {
		if err := writeNew(c.Out, s.Release+"\n"); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "release written to %s\n", c.Out); err != nil {
			return err
		}
	}
	if wanted {
		return fmt.Errorf("back-ups of %s are wanted: bring %s.*.kb from the rooms' terminals and take them in with `kuule recording intake`; what is not to be had the security office says with `kuule recording lost`", id, id)
	}
	return nil
}

// said puts in words what authority found, and whether a back-up is wanted: one that
// lies at a device, or anybody's where nothing could be released.
func said(id interview.HearingID, s app.SettledBackups) (text string, wanted bool) {
	var b strings.Builder
	wanted = s.Release == ""
	for _, span := range s.Missing {
		fmt.Fprintf(&b, "missing: %d ms, from %.1f s on, because of %s\n", (span.To-span.From)/1000, float64(span.From)/1e6, span.Cause)
	}
	for _, m := range s.Silent {
		fmt.Fprintf(&b, "missing: recorder %s was in the room and left nothing\n", m)
	}
	for _, text := range s.Disputed {
		fmt.Fprintf(&b, "disputed: %s\n", text)
	}
	if s.Backup > 0 {
		fmt.Fprintf(&b, "taken in from a back-up: %d ms\n", s.Backup/1000)
	}
	for _, w := range s.Wanted {
		lacks := interview.Micros(0)
		for _, x := range w.Spans {
			lacks += x.To - x.From
		}
		state := "it has said of no back-up"
		if w.Held {
			state, wanted = "its back-up is WANTED", true
		}
		fmt.Fprintf(&b, "lacking: %d ms of %s (%s): %s\n", lacks/1000, w.Device, w.Label, state)
	}
	if s.Release != "" {
		fmt.Fprintf(&b, "nothing is missing of %s that these devices have: released; they delete it when they ask next\n", id)
		for _, d := range s.Released {
			fmt.Fprintf(&b, "released: %s\n", d)
		}
	}
	return b.String(), wanted
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	return err
}

type lostCommand struct {
	Hearing  string   `arg:"" help:"Id of the hearing (hrg_…)."`
	Device   []string `help:"Device whose back-up is broken, stolen, or never was (dev_…)." placeholder:"DEVICE"`
	Recorder []string `help:"Recorder that was in the room and left nothing (mem_…), whose disk is gone." placeholder:"MEMBER"`
	Reason   string   `help:"Why it is not to be had; kept with the hearing. No personal content." required:""`
	Key      string   `help:"Private key of the security office." required:"" type:"existingfile"`
}

// Help says who does what.
func (lostCommand) Help() string {
	return `At the office, not on the server. Prints the signed word; who runs the server brings it with
'kuule recording settle HEARING --lost FILE'. Nothing waits for what is named any more, and a terminal
that is named deletes its back-up if it has one after all.`
}

// Run prints the office's signed word.
func (c lostCommand) Run(out io.Writer) error {
	l := backup.Loss{V: 1, Devices: []interview.DeviceID{}, Recorders: []interview.MemberID{}, Reason: c.Reason, At: time.Now().Unix()}
	var err error
	if l.Hearing, err = interview.ParseHearingID(c.Hearing); err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	for _, text := range c.Device {
		id, err := interview.ParseDeviceID(text)
		if err != nil {
			return fmt.Errorf("device %q: %w", text, err)
		}
		l.Devices = append(l.Devices, id)
	}
	for _, text := range c.Recorder {
		id, err := interview.ParseMemberID(text)
		if err != nil {
			return fmt.Errorf("recorder %q: %w", text, err)
		}
		l.Recorders = append(l.Recorders, id)
	}
	if err := l.Check(); err != nil {
		return err
	}
	key, err := bundle.LoadKey(c.Key)
	if err != nil {
		return err
	}
	signed, err := jws.Sign(l, backup.TypeLoss, key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, signed)
	return err
}
