package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/hpke"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"

	"kuule/internal/app"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
)

type intakeCommand struct {
	data
	Files   []string `arg:"" help:"Back-up files of room terminals (hrg_….kb), all of one hearing." type:"existingfile"`
	Key     string   `help:"The agency's private back-up key (PEM)." required:"" type:"existingfile"`
	Hearing string   `help:"Id of the hearing (hrg_…), where the files' names do not say it."`

	Evidence string `help:"Without a running installation: evidence bundle of the hearing. What no recorder has is then opened into --out, and becomes no evidence." type:"existingfile"`
	Trust    string `help:"Trust file that says whom to hand over to; the installation's own where none is given, needed with --evidence." type:"existingfile"`
	Out      string `help:"Folder for the sound, with --evidence: one Ogg file per member and track, opened; it must not exist." type:"path"`
}

// Run takes in what is missing: into the hearing's evidence, or out of it where no
// installation runs.
func (c intakeCommand) Run(ctx context.Context, out io.Writer) error {
	own, err := c.key()
	if err != nil {
		return err
	}
	private, err := backup.PrivateKey(own)
	if err != nil {
		return err
	}
	if c.Evidence == "" {
		return c.takeIn(ctx, out, private)
	}
	if c.Trust == "" || c.Out == "" || len(c.Files) != 1 {
		return errors.New("with --evidence, give --trust, --out and one file")
	}
	return c.extract(ctx, out, private)
}

// hearing is whose back-ups these are: their names begin with it.
func (c intakeCommand) hearing() (interview.HearingID, error) {
	if c.Hearing != "" {
		return interview.ParseHearingID(c.Hearing)
	}
	var id interview.HearingID
	for i, f := range c.Files {
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		h, err := interview.ParseHearingID(name)
		if err != nil || i > 0 && h != id {
			return id, fmt.Errorf("%s: the file's name does not begin with the id of the hearing: give --hearing", f)
		}
		id = h
	}
	return id, nil
}

// takeIn opens the back-ups here, where the key is, and seals them anew to the
// recorder that authority admitted to take in: neither server nor door gets the
// key, nor anything in clear.
func (c intakeCommand) takeIn(ctx context.Context, out io.Writer, own hpke.PrivateKey) error {
	id, err := c.hearing()
	if err != nil {
		return err
	}
	t, err := app.TrustOf(c.Data)
	if c.Trust != "" {
		t, err = trust.Read(c.Trust)
	}
	if err != nil {
		return err
	}
	console := app.Console(c.Data)
	begun, err := console.BeginIntake(ctx, id)
	if err != nil {
		return err
	}
	to, err := recipient(t, id, begun)
	if err != nil {
		return fmt.Errorf("nothing was handed over: %w", err)
	}
	for n, name := range c.Files {
		if err := bring(ctx, console, id, n, name, own, to); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	ended, err := console.EndIntake(ctx, id)
	if err != nil {
		return err
	}
	x := ended.Taken
	_, err = fmt.Fprintf(out, "taken in: %d of %d frames, into %d recordings of %s\nleft out: %d outside of what is missing, %d not proved to be their sender's\nsettle it with `kuule recording settle %s`\n", x.Kept, x.Frames, len(x.Recordings), id, x.Had, x.Unproved, id)
	return err
}

// recipient checks whom a back-up would be handed to: a recorder, admitted by
// authority under the grant that authority signed for this hearing.
func recipient(t *trust.File, id interview.HearingID, b app.BegunIntake) (hpke.PublicKey, error) {
	seal, err := t.Sealing()
	if err != nil {
		return nil, err
	}
	g, err := backup.VerifyGrant(b.Grant, seal)
	if err != nil {
		return nil, err
	}
	members, err := sealing.NewTrust(t)
	if err != nil {
		return nil, err
	}
	m, err := members.VerifyMember(b.Statement, b.Admission, time.Now())
	if err != nil {
		return nil, err
	}
	if !m.Recorder() || m.Admission.Rule != backup.RuleOf(b.Grant) || g.Hearing != id || m.Statement.Hearing != id {
		return nil, errors.New("who would take in was not admitted to, or it is for another hearing")
	}
	return backup.KeyOf(m.Statement)
}

func bring(ctx context.Context, console app.Console, id interview.HearingID, n int, name string, own hpke.PrivateKey, to hpke.PublicKey) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, w := io.Pipe()
	sealed := make(chan error, 1)
	go func() {
		err := backup.Readdress(w, bufio.NewReaderSize(f, 1<<20), id, own, to)
		_ = w.CloseWithError(err)
		sealed <- err
	}()
	err = console.BringBackup(ctx, id, n, r)
	_ = r.Close()
	if wrong := <-sealed; wrong != nil && !errors.Is(wrong, io.ErrClosedPipe) {
		return wrong
	}
	return err
}

// extract writes what is missing as sound. Where nothing is, nothing is written.
func (c intakeCommand) extract(ctx context.Context, out io.Writer, private hpke.PrivateKey) error {
	t, err := trust.Read(c.Trust)
	if err != nil {
		return err
	}
	f, err := os.Open(c.Evidence)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	e, err := intake.Open(f, st.Size(), t, evidence.Options{Log: app.VerifyLog})
	if err != nil {
		return err
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	// Whose frames they are is proved; the track's name is the sender's word.
	type voice struct {
		member interview.MemberID
		track  interview.TrackID
	}
	tracks := map[voice]*oggwriter.OggWriter{}
	report, err := e.Read(ctx, func() (io.ReadCloser, error) { return os.Open(c.Files[0]) }, private, t, func(x intake.Frame) error {
		if x.Source != interview.SourceAudio {
			return nil
		}
		of := voice{x.Member, x.Track}
		w := tracks[of]
		if w == nil {
			if w, err = oggwriter.New(filepath.Join(c.Out, fmt.Sprintf("%s-%s.ogg", x.Member, x.Track)), 48000, 1); err != nil {
				return err
			}
			tracks[of] = w
		}
		return w.WriteRTP(&rtp.Packet{Header: rtp.Header{Timestamp: uint32(x.Capture / 1000 * 48)}, Payload: x.Codec})
	})
	for _, w := range tracks {
		err = errors.Join(err, w.Close())
	}
	if err != nil || report.Taken == 0 {
		err = errors.Join(err, os.RemoveAll(c.Out))
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}

func (c intakeCommand) key() (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", c.Key)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	own, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no P-256 key", c.Key)
	}
	return own, nil
}
