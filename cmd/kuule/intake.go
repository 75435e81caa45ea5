package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"

	"kuule/internal/app"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
)

type intakeCommand struct {
	File     string `arg:"" help:"Back-up file of a room terminal (hrg_….kb)." type:"existingfile"`
	Evidence string `help:"Evidence bundle of the hearing: what no recorder has is taken in, and nothing else." required:"" type:"existingfile"`
	Trust    string `help:"Trust file of the installation." required:"" type:"existingfile"`
	Key      string `help:"The agency's private back-up key (PEM)." required:"" type:"existingfile"`
	Out      string `help:"Folder for the sound, one Ogg file per member and track, opened; it must not exist." required:"" type:"path"`
}

// Run takes in what is missing. Where nothing is, nothing is written.
func (c intakeCommand) Run(out io.Writer) error {
	t, err := trust.Read(c.Trust)
	if err != nil {
		return err
	}
	own, err := c.key()
	if err != nil {
		return err
	}
	private, err := backup.PrivateKey(own)
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
	report, err := e.Read(func() (io.ReadCloser, error) { return os.Open(c.File) }, private, t, func(x intake.Frame) error {
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
