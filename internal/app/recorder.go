package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/member"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder"
)

// journalChunk is how much of a journal file travels in one answer.
const journalChunk = 512 << 10

type (
	journalList struct {
		Files []recorder.File `json:"files"` // in order
	}
	journalQuestion struct {
		Hearing   interview.HearingID   `json:"hearing"`
		Recording interview.RecordingID `json:"recording"`
		Name      string                `json:"name"`
		Offset    int64                 `json:"offset"`
	}
	journalAnswer struct {
		Data []byte `json:"data"`
	}
	recorderStatus struct {
		Recordings []recorder.Status `json:"recordings"`
	}
)

// recorderNames are the recorders of the installation, as the bus knows them.
func (in *installation) recorderNames() []bus.Name {
	var out []bus.Name
	for _, instance := range in.RecorderInstances() {
		out = append(out, bus.Name{Role: bus.Recorder, Instance: instance})
	}
	return out
}

// runRecorder is the process that is a member of every room it records.
func runRecorder(ctx context.Context, in *installation, conn *bus.Conn, ready func() error) error {
	dialer, err := newRoomDialer(conn)
	if err != nil {
		return err
	}
	members, err := sealing.NewTrust(in.trust)
	if err != nil {
		return err
	}
	certificate := &recorderCertificate{conn: conn}
	folder, err := in.RecorderFolder(conn.Name().Instance)
	if err != nil {
		return err
	}
	store, err := openBlobs(ctx, in)
	if err != nil {
		return err
	}
	archive := lockedArchive{store}
	key, err := in.sealingKey()
	if err != nil {
		return err
	}
	rec, err := recorder.New(recorder.Config{
		Folder: folder, Archive: archive,
		Joiner: recorder.Members{
			Connect: func(context.Context, recorder.Hearing) (member.Conn, error) { return dialer.dial(), nil },
			Prove:   certificate.prove, Trust: members, Log: slog.Default(),
		},
		Keys: recordingKeys{keyringremote.New(conn)},
		Log:  slog.Default(),
		Checkpoint: func(c recorder.Checkpoint) {
			if err := conn.Publish("head", c); err != nil {
				slog.Warn("a journal's head was not told", "hearing", c.Hearing, "err", err)
			}
		},
	})
	if err != nil {
		return err
	}
	defer rec.Close()
	taking, err := newTakingIn(rec, in, conn.Name().Instance, folder, recordingKeys{keyringremote.New(conn)}, certificate)
	if err != nil {
		return err
	}
	defer taking.close()
	if err := errors.Join(
		taking.serve(conn),
		bus.Handle(conn, "room.open", func(_ context.Context, _ bus.Name, q invitation) (none, error) {
			return none{}, rec.Open(recorder.Hearing{Case: q.Case, Hearing: q.Hearing})
		}),
		bus.Handle(conn, "recorder.end", func(ctx context.Context, _ bus.Name, q hearingQuestion) (none, error) {
			return none{}, rec.End(ctx, q.Hearing)
		}),
		bus.Handle(conn, "recorder.status", func(context.Context, bus.Name, none) (recorderStatus, error) {
			return recorderStatus{rec.Status()}, nil
		}),
		bus.Handle(conn, "recorder.files", func(_ context.Context, _ bus.Name, q hearingQuestion) (journalList, error) {
			return listJournals(rec, q.Hearing)
		}),
		bus.Handle(conn, "recorder.read", func(_ context.Context, _ bus.Name, q journalQuestion) (journalAnswer, error) {
			return readJournal(rec, q)
		}),
		bus.Handle(conn, "recorder.keep", func(ctx context.Context, _ bus.Name, q keepQuestion) (none, error) {
			return none{}, rec.KeepCase(ctx, q.Case, time.Unix(q.Until, 0), q.Held)
		}),
		bus.Handle(conn, "recorder.erase", func(ctx context.Context, _ bus.Name, q erasedQuestion) (recorder.Remains, error) {
			return eraseFiles(ctx, rec, key, q)
		}),
	); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// recorderCertificate is the certificate of this run of the process. It is
// asked for when it is first needed and again well before it ends.
type recorderCertificate struct {
	conn *bus.Conn

	mu    sync.Mutex
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

func (c *recorderCertificate) prove(ctx context.Context, st sealing.Statement) (string, wire.Proof, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.current(ctx); err != nil {
		return "", wire.Proof{}, err
	}
	text, err := sealing.SignWith(c.key, c.chain...)(st)
	return text, wire.Proof{}, err
}

// current has a certificate that lives for as long as a statement may. c.mu is held.
func (c *recorderCertificate) current(ctx context.Context) error {
	if c.key != nil && time.Until(c.chain[0].NotAfter) >= sealing.MaxStatementHours*time.Hour {
		return nil
	}
	if err := c.renew(ctx); err != nil {
		return fmt.Errorf("recorder's certificate: %w", err)
	}
	return nil
}

func (c *recorderCertificate) renew(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	var out certifyAnswer
	if err := c.conn.Call(ctx, bus.Main(bus.Authority), "certify", certifyQuestion{Key: spki}, &out); err != nil {
		return err
	}
	chain := make([]*x509.Certificate, len(out.Chain))
	for i, der := range out.Chain {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	if len(chain) == 0 {
		return errors.New("authority gave no certificate")
	}
	c.key, c.chain = key, chain
	return nil
}

// recordingKeys wraps data keys under the case's recording key. It can do
// nothing else: unwrapping is not among a recorder's rights.
type recordingKeys struct{ ring keyring.Keyring }

// Wrap implements journal.KeyWrapper.
func (k recordingKeys) Wrap(ctx context.Context, c interview.CaseID, bound string, dek []byte) ([]byte, error) {
	key := keyring.Key{Case: c.String(), Kind: keyring.Recording}
	if err := k.ring.Create(ctx, key); err != nil && !errors.Is(err, keyring.ErrExists) {
		return nil, err
	}
	wrapped, err := k.ring.Wrap(ctx, key, bound, dek)
	return []byte(wrapped), err
}

// listJournals lists the journal files of a hearing that has ended.
func listJournals(rec *recorder.Recorder, h interview.HearingID) (journalList, error) {
	files, err := rec.Files(h)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return journalList{}, problem.New(problem.CodeNotFound, "nothing was recorded of %s", h)
	case errors.Is(err, recorder.ErrStillRecording):
		return journalList{}, problem.New(problem.CodeRecordingState, "%w", err)
	}
	return journalList{Files: files}, err
}

// readJournal reads a piece of one file that listJournals named.
func readJournal(rec *recorder.Recorder, q journalQuestion) (journalAnswer, error) {
	b := make([]byte, journalChunk)
	n, err := rec.ReadFile(q.Hearing, q.Recording, q.Name, q.Offset, b)
	if err != nil && !errors.Is(err, io.EOF) {
		return journalAnswer{}, err
	}
	return journalAnswer{Data: b[:n]}, nil
}
