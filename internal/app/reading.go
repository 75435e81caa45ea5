package app

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/bus"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
	kioskbridge "kuule/kiosk-bridge"
)

// readQuestion is a reader's word with all that proves it, and what is to be
// unwrapped.
type readQuestion struct {
	Case    interview.CaseID    `json:"case"`
	Hearing interview.HearingID `json:"hearing"`
	Visit   interview.VisitID   `json:"visit"`
	Pieces  []int64             `json:"pieces"`
	Purpose string              `json:"purpose"` // in words
	Reader  person              `json:"reader"`  // Consent is the kuule-reading+jws
}

// Bounds of a reading.
const (
	maxReadings   = 64
	maxReadPieces = 64
	readWithin    = time.Minute
)

// pieceContext binds a piece's data key to its place. Guarded: authority unwraps
// it for an approved reading alone.
func pieceContext(h interview.HearingID, v interview.VisitID, n int64) string {
	return fmt.Sprintf("%skiosk-piece|%s|%s|%d", keyringremote.Guard, h, v, n)
}

// readings are the pieces that authority lets be unwrapped now, each once. Safe
// for concurrent use.
type readings struct {
	mu    sync.Mutex
	open  map[string]time.Time // key and context, until when
	heard map[string]time.Time // words that were used, until when they could come again
}

func (r *readings) allow(word string, key keyring.Key, bounds []string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open, r.heard = map[string]time.Time{}, map[string]time.Time{}
	}
	for _, m := range []map[string]time.Time{r.open, r.heard} {
		for k, until := range m {
			if !now.Before(until) {
				delete(m, k)
			}
		}
	}
	switch _, again := r.heard[word]; {
	case again:
		return problem.Refused(problem.CodeConflict, "reading-once", "this word was used already")
	case len(r.heard) >= maxReadings:
		return problem.New(problem.CodeTooFast, "%d readings within minutes", maxReadings)
	}
	r.heard[word] = now.Add(2 * ticket.FreshReading)
	for _, b := range bounds {
		r.open[key.String()+" "+b] = now.Add(readWithin)
	}
	return nil
}

// use lets a text be unwrapped, if a reading of it was approved and it was not
// unwrapped since.
func (r *readings) use(key keyring.Key, bound string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := key.String() + " " + bound
	until, approved := r.open[name]
	delete(r.open, name)
	if !approved || !now.Before(until) {
		return problem.Refused(problem.CodeForbidden, "reading-approved", "no reading of this was approved")
	}
	return nil
}

// approveReading lets the pieces of one visit be unwrapped once: for an officer
// whom the device's agreement names, or an interviewer who was admitted to that
// hearing, signed in at a device that proves its state now and signs for exactly
// this visit and purpose.
func (a *authority) approveReading(ctx context.Context, q readQuestion) error {
	if err := kioskbridge.CheckPurpose(q.Purpose); err != nil {
		return err
	}
	if len(q.Pieces) == 0 || len(q.Pieces) > maxReadPieces {
		return problem.New(problem.CodeTooLarge, "%d pieces of one visit, at most %d", len(q.Pieces), maxReadPieces)
	}
	now := time.Now()
	device, err := a.devices.Device(ctx, q.Reader.Certificate)
	if err != nil {
		return err
	}
	if _, err := a.devices.Fresh(device.DeviceID, now, postureAge); err != nil {
		return err
	}
	who, err := a.people.Verify(ctx, q.Reader.Proof, device.DeviceID.String())
	if err != nil {
		return err
	}
	reader := viewing.Person(who.Issuer, who.Subject)
	switch interview.Role(who.Role) {
	case interview.RoleOfficer:
		doc, err := a.shelf.covering(device.DeviceID)
		if err != nil {
			return problem.New(problem.CodeNoAgreement, "device %s: %w", device.DeviceID, err)
		}
		if !doc.Names(who.Subject, interview.RoleOfficer) {
			return problem.Refused(problem.CodeForbidden, "reading-by-officer", "agreement %s names no such officer", doc.ID)
		}
	case interview.RoleInterviewer:
		met, err := a.visits.met(q.Hearing, reader)
		if err != nil {
			return err
		}
		if !met {
			return problem.Refused(problem.CodeForbidden, "reading-by-interviewer", "this interviewer was not at hearing %s", q.Hearing)
		}
	default:
		return problem.Refused(problem.CodeForbidden, "reading-role", "role %s reads nothing back", who.Role)
	}
	want := ticket.Reading{Visit: q.Visit, Hearing: q.Hearing, Reader: reader, Device: device.DeviceID}
	if _, err := ticket.VerifyReading(q.Reader.Consent, want, q.Purpose, a.deviceRoot, deviceOf, now); err != nil {
		return problem.Refused(problem.CodeStatementInvalid, "reading-signed", "%w", err)
	}
	bounds := make([]string, len(q.Pieces))
	for i, n := range q.Pieces {
		bounds[i] = pieceContext(q.Hearing, q.Visit, n)
	}
	if err := a.readings.allow(ticket.Hash([]byte(q.Reader.Consent)), keyring.Key{Case: q.Case.String(), Kind: keyring.Records}, bounds, now); err != nil {
		return err
	}
	// The door writes the audit event; this line is not the door's to leave out.
	slog.Info("a reading of what was given at a kiosk is approved", "visit", q.Visit, "pieces", len(q.Pieces), "role", who.Role, "device", device.DeviceID)
	return nil
}

// pieceSealer implements kioskbridge.PieceSealer: a data key for each piece, made
// and wrapped by authority's keyring under the case's records key.
type pieceSealer struct{ ring keyring.Keyring }

var _ kioskbridge.PieceSealer = pieceSealer{}

// SealPiece implements kioskbridge.PieceSealer.
func (s pieceSealer) SealPiece(ctx context.Context, name kioskbridge.PieceName, plain []byte) (string, []byte, error) {
	key, bound := keyring.Key{Case: name.Case.String(), Kind: keyring.Records}, pieceContext(name.Hearing, name.Visit, name.N)
	secret, wrapped, err := s.ring.DataKey(ctx, key, bound)
	if errors.Is(err, keyring.ErrNoKey) {
		if err = s.ring.Create(ctx, key); err == nil || errors.Is(err, keyring.ErrExists) {
			secret, wrapped, err = s.ring.DataKey(ctx, key, bound)
		}
	}
	if err != nil {
		return "", nil, ended(name.Case, err)
	}
	defer secret.Wipe()
	a, err := pieceCipher(secret)
	if err != nil {
		return "", nil, err
	}
	return wrapped, a.Seal(nil, nil, plain, []byte(bound)), nil
}

// OpenPiece implements kioskbridge.PieceSealer. Authority refuses where no reading
// was approved.
func (s pieceSealer) OpenPiece(ctx context.Context, name kioskbridge.PieceName, wrapped string, sealed []byte) ([]byte, error) {
	bound := pieceContext(name.Hearing, name.Visit, name.N)
	secret, err := s.ring.Unwrap(ctx, keyring.Key{Case: name.Case.String(), Kind: keyring.Records}, bound, wrapped)
	if err != nil {
		return nil, ended(name.Case, err)
	}
	defer secret.Wipe()
	a, err := pieceCipher(secret)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, nil, sealed, []byte(bound))
	if err != nil {
		return nil, errors.New("it does not open: it was changed or moved")
	}
	return plain, nil
}

func pieceCipher(secret keyring.Secret) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret.Bytes())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// registerReading adds what was given at kiosks: its list, and the reading of one
// visit. The second is no operation of the typed interface, since authority needs
// the connection's certificate and the identity token.
func (d *door) registerReading(h huma.API, mux *http.ServeMux, desk *kioskbridge.Desk) {
	interview.Handle(h, huma.Operation{
		OperationID: "get-given", Method: http.MethodGet, Path: "/api/desk/given", Summary: "What was given at kiosks, by its outside",
	}, func(ctx context.Context, c interview.Caller, _ *struct{}) (*givenOutput, error) {
		if _, err := d.officer(c); err != nil {
			return nil, err
		}
		return d.given(ctx, desk, interview.HearingID{})
	})
	interview.Handle(h, huma.Operation{
		OperationID: "get-given-of-hearing", Method: http.MethodGet, Path: "/api/hearings/{hearing}/given", Summary: "What was given at kiosks for a hearing, by its outside",
	}, func(ctx context.Context, c interview.Caller, in *givenInput) (*givenOutput, error) {
		if _, err := d.hearings.Own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		return d.given(ctx, desk, in.Hearing)
	})
	mux.HandleFunc("POST /api/visits/{visit}/pieces", guarded(func(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
		return d.readBack(w, r, c, desk)
	}))
}

type (
	givenInput struct {
		Hearing interview.HearingID `path:"hearing"`
	}
	givenOutput struct {
		Body struct {
			Given []kioskbridge.Given `json:"given"`
		}
	}
)

func (d *door) given(ctx context.Context, desk *kioskbridge.Desk, h interview.HearingID) (*givenOutput, error) {
	out := &givenOutput{}
	var err error
	out.Body.Given, err = desk.Given(ctx, h, d.diary)
	return out, err
}

func (d *door) readBack(w http.ResponseWriter, r *http.Request, c interview.Caller, desk *kioskbridge.Desk) error {
	by, err := d.officer(c) // or an interviewer: named alike
	if err != nil {
		return err
	}
	id, err := interview.ParseVisitID(r.PathValue("visit"))
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	var in struct {
		Purpose string `json:"purpose"`
		Signed  string `json:"signed"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	pieces, err := desk.ReadBack(r.Context(), kioskbridge.Reader(by), id, in.Purpose, func(ctx context.Context, names []kioskbridge.PieceName) error {
		q := readQuestion{Purpose: in.Purpose, Reader: personOf(r, in.Signed)}
		for _, n := range names {
			q.Case, q.Hearing, q.Visit = n.Case, n.Hearing, n.Visit
			q.Pieces = append(q.Pieces, n.N)
		}
		return d.conn.Call(ctx, bus.Main(bus.Authority), "read", q, nil)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"pieces": pieces})
}
