package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kuule/internal/app"
	"kuule/internal/audit"
	"kuule/internal/config"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
)

type evidenceCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…)."`
	Out     string `help:"File to write, or with --open a folder; it must not exist." required:"" type:"path"`
	Open    string `help:"Also what opens it, sealed for whom an interviewer named: id of the viewing that the interviewer holds open and released on the page (view-…)." placeholder:"VIEWING"`
}

// Run writes the bundle. What could not be finished is removed.
func (c evidenceCommand) Run(ctx context.Context, out io.Writer) (err error) {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	if c.Open != "" {
		return c.opened(ctx, id, out)
	}
	return c.bundle(ctx, id, out)
}

// opened writes the bundle and, sealed beside it, its tracks and keys.
func (c evidenceCommand) opened(ctx context.Context, id interview.HearingID, out io.Writer) (err error) {
	console := app.Console(c.Data)
	released, err := releasedOf(ctx, console, c.Open, id)
	if err != nil {
		return err
	}
	if released.Form != "open" {
		return fmt.Errorf("a copy without keys was released (%s): write it with `kuule recording export`", released.Form)
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	folder := c.Out
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder)) // it was made here
		}
	}()
	if err := writeMedium(ctx, console, released, folder, evidence.OpenedHelp, out); err != nil {
		return err
	}
	c.Out = filepath.Join(folder, "evidence.zip")
	return c.bundle(ctx, id, out)
}

func (c evidenceCommand) bundle(ctx context.Context, id interview.HearingID, out io.Writer) (err error) {
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(c.Out))
		}
	}()
	n, err := app.Console(c.Data).Evidence(ctx, id, f)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes\n", c.Out, n)
	return err
}

type verifyCommand struct {
	Trust string `help:"Trust file of the installation, got from the security office and not with the bundle." required:"" type:"existingfile"`
	File  string `arg:"" help:"Evidence bundle." type:"existingfile"`
	Keys  string `help:"Key file of the recordings, as a named recipient got it: every frame is opened and held against its sender's list." type:"existingfile"`
	JSON  bool   `help:"Print the whole report as JSON."`

	Stamps string `help:"PEM file with the roots of a time-stamping authority: its stamps in the bundle are checked." placeholder:"ROOTS" type:"existingfile"`
}

// Run verifies the bundle and says what was found in words.
func (c verifyCommand) Run(out io.Writer) error {
	keys, err := trust.Read(c.Trust)
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	o := evidence.Options{Log: app.VerifyLog}
	if c.Stamps != "" {
		roots, err := pool(c.Stamps)
		if err != nil {
			return err
		}
		o.Log = app.VerifyStampedLog(roots)
	}
	var recipient string
	var keyed interview.HearingID
	if c.Keys != "" {
		text, err := os.ReadFile(c.Keys)
		if err != nil {
			return err
		}
		if recipient, keyed, o.Keys, err = evidence.ParseKeyFile(text); err != nil {
			return fmt.Errorf("%s: %w", c.Keys, err)
		}
	}
	r, err := evidence.Verify(f, st.Size(), keys, o)
	if err == nil && c.Keys != "" && keyed != r.Manifest.Hearing {
		err = fmt.Errorf("%w: %s is of another hearing", evidence.ErrKeyFile, c.Keys)
	}
	if err != nil {
		return fmt.Errorf("%s DOES NOT VERIFY: %w", c.File, err)
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s verifies.\n\nhearing     %s\nmembers     %d, rosters %d\ntranscript  %d sealed versions\n", c.File, r.Manifest.Hearing, r.Members, r.Rosters, r.Records)
	for _, rec := range r.Recordings {
		fmt.Fprintf(&b, "recording   %s: %d blocks, %d frames, %d origin lists, %d gaps\n", rec.Recording.Recording, rec.Recording.Blocks, rec.Frames, rec.Origins, len(rec.Gaps))
		if k := rec.Backup; k != nil {
			fmt.Fprintf(&b, "  from      the back-up of a room terminal (%s), taken in at %s under grant %s\n", roles(k.Roles), time.Unix(k.TakenIn, 0).UTC().Format(time.RFC3339), k.Grant)
		}
		if rec.Open {
			fmt.Fprintf(&b, "  opened    %d frames are what their senders signed for, %d stand on no list, %d have no sender's key\n", rec.Attested, rec.Unattested, rec.Keyless)
		}
	}
	if recipient != "" {
		fmt.Fprintf(&b, "keys        given to %s\n", recipient)
	}
	cover := r.Coverage
	fmt.Fprintf(&b, "coverage    %s on record and kept, %s off the record, %s from a back-up, %s missing, of %s; %d losses of single tracks\n",
		span(cover.Recorded), span(cover.OffRecord), span(cover.Backup), span(cover.Missing), span(cover.To-cover.From), len(cover.Losses))
	for _, s := range cover.Spans {
		if s.State == coverage.Backup {
			fmt.Fprintf(&b, "back-up     %s to %s of the hearing: no recorder has it: %s\n", span(s.From), span(s.To), s.Cause)
		}
		if s.State == coverage.Missing {
			fmt.Fprintf(&b, "missing     %s to %s of the hearing: %s\n", span(s.From), span(s.To), s.Cause)
		}
	}
	fmt.Fprintf(&b, "audit log   %d entries proved\n", r.Log.Entries)
	if r.AgencyOnly {
		b.WriteString("vouched by  only the agency vouches: nobody outside has cosigned the log\n")
	} else {
		fmt.Fprintf(&b, "vouched by  the agency and %s\n", strings.Join(r.Log.Cosigned, ", "))
	}
	b.WriteString(stampsSaid(r.Log, c.Stamps != ""))
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note        %s\n", note)
	}
	if keys.Demonstration {
		b.WriteString("note        these are keys of a demonstration\n")
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// stampsSaid says by when the hearing's entries were in the log.
func stampsSaid(r evidence.LogReport, asked bool) string {
	if len(r.Stamps) == 0 {
		if asked {
			return "time stamps none covers this hearing's log\n"
		}
		return ""
	}
	var b strings.Builder
	for _, s := range r.Stamps {
		if s.Checked {
			fmt.Fprintf(&b, "time stamp  %d of %d entries were there at %s, says %s\n", s.Entries, r.Entries, s.At.UTC().Format(time.RFC3339), s.Authority)
		}
	}
	if !asked {
		fmt.Fprintf(&b, "time stamps %d are here and were not checked: give the authority's roots with --stamps\n", len(r.Stamps))
	}
	return b.String()
}

func roles(all []interview.Role) string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = string(r)
	}
	return strings.Join(out, ", ")
}

// span prints a time of the hearing.
func span(m interview.Micros) string { return (time.Duration(m) * time.Microsecond).String() }

type auditCommand struct {
	Check checkCommand `cmd:"" help:"Compute the whole log anew and compare."`
	Stamp stampCommand `cmd:"" help:"Have a time-stamping authority (RFC 3161) say that the log was there."`
}

type checkCommand struct {
	data
	Stamps string `help:"Folder of kept time stamps: the log is compared with each." type:"existingdir"`
	Roots  string `help:"PEM file with the roots of the time-stamping authority." type:"existingfile"`
}

// Run checks the log's files on this machine.
func (c checkCommand) Run(ctx context.Context, out io.Writer) error {
	layout := config.NewLayout(c.Data)
	keys, err := trust.Read(layout.Trust())
	if err != nil {
		return err
	}
	kept, err := stamped(c.Stamps, c.Roots)
	if err != nil {
		return err
	}
	texts := make([]string, len(kept))
	for i, k := range kept {
		texts[i] = k.Text
	}
	n, err := audit.Check(ctx, layout.AuditLog(), keys.LogKey, texts...)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if _, err := fmt.Fprintf(out, "%s: there at %s, says %s\n", k.Name, k.Stamp.At.UTC().Format(time.RFC3339), k.Stamp.Authority); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%d entries, as signed\n", n)
	return err
}
