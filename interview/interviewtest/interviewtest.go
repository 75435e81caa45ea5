package interviewtest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/ledger"
)

// Sealer seals with AES-256-GCM under one key per case, kept in memory.
type Sealer struct {
	mu   sync.Mutex
	keys map[interview.CaseID]cipher.AEAD
}

// Seal implements interview.Sealer.
func (s *Sealer) Seal(_ context.Context, c interview.CaseID, aad string, plain []byte) ([]byte, error) {
	key, err := s.key(c, true)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, key.NonceSize())
	rand.Read(nonce)
	return key.Seal(nonce, nonce, plain, []byte(aad)), nil
}

// Open implements interview.Sealer.
func (s *Sealer) Open(_ context.Context, c interview.CaseID, aad string, sealed []byte) ([]byte, error) {
	key, err := s.key(c, false)
	if err != nil {
		return nil, err
	}
	if len(sealed) < key.NonceSize() {
		return nil, errors.New("sealed content is cut short")
	}
	return key.Open(nil, sealed[:key.NonceSize()], sealed[key.NonceSize():], []byte(aad))
}

func (s *Sealer) key(c interview.CaseID, create bool) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[c]; ok {
		return key, nil
	}
	if !create || c.IsZero() {
		return nil, errors.New("case has no records key")
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	key, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if s.keys == nil {
		s.keys = map[interview.CaseID]cipher.AEAD{}
	}
	s.keys[c] = key
	return key, nil
}

// Outbox remembers events as JSON; it refuses those that the ledger would. Fail makes every Append fail.
type Outbox struct {
	mu     sync.Mutex
	events []string
	Fail   error
}

// Append implements interview.Outbox.
func (o *Outbox) Append(_ context.Context, _ bun.IDB, e interview.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.Fail != nil {
		return o.Fail
	}
	if err := ledger.Check(e); err != nil {
		return err
	}
	body, err := json.Marshal(e.Fields)
	if err != nil {
		return err
	}
	o.events = append(o.events, e.Type+" "+string(body))
	return nil
}

// Events returns what was appended, "type body" each.
func (o *Outbox) Events() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

// Clock is a machine's clocks as a test moves them.
type Clock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

// NewClock begins at a time.
func NewClock(wall time.Time) *Clock { return &Clock{wall: wall, mono: time.Hour} }

// Read implements interview.ClockSource.
func (c *Clock) Read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.mono
}

// Pass lets time pass on both clocks.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
}

// SetWall moves the wall clock alone, as an administrator would.
func (c *Clock) SetWall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// Restart begins the monotonic clock again, as a new process does.
func (c *Clock) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono = 0
}

// Register covers the devices that it was told, at any premises, until a time.
type Register struct {
	Devices map[interview.DeviceID]interview.Covered
}

// Covers implements interview.DeviceRegister.
func (r Register) Covers(_ context.Context, device interview.DeviceID, _ interview.PremisesID, _ time.Time) (interview.Covered, error) {
	c, ok := r.Devices[device]
	if !ok {
		return interview.Covered{}, problem.Refused(problem.CodeDeviceNotNamed, "test-register", "device %s", device)
	}
	return c, nil
}

// Places implements interview.DeviceRegister.
func (r Register) Places(context.Context, time.Time) ([]interview.Place, error) {
	var out []interview.Place
	for device, c := range r.Devices {
		out = append(out, interview.Place{Device: device, Place: c.Place})
	}
	return out, nil
}

// World is one hearing's people and what surrounds a store.
type World struct {
	DB       *bun.DB
	Sealer   *Sealer
	Outbox   *Outbox
	Clock    *Clock
	Store    *interview.Store
	Case     interview.Case
	Booking  interview.Booking
	Hearing  *interview.Hearing
	Terminal interview.DeviceID // of the applicant
	Desk     interview.DeviceID // of the interviewer
	Chambers interview.DeviceID // of counsel
}

// Words that a World keeps sealed; none may be found in a database file.
var Words = []string{"DIARY-4711-X", "Applicant Aisha Testperson", "Interviewer Ilona Testperson", "Counsel Kaisa Testperson", "lives 900 km away, justified remotely"}

// NewWorld books one remote hearing with interviewer, applicant and counsel
// whose door is open now.
func NewWorld(t testing.TB, db *bun.DB) *World {
	t.Helper()
	w := &World{
		DB: db, Sealer: &Sealer{}, Outbox: &Outbox{}, Clock: NewClock(time.Now()),
		Terminal: interview.NewDeviceID(), Desk: interview.NewDeviceID(), Chambers: interview.NewDeviceID(),
	}
	register := Register{map[interview.DeviceID]interview.Covered{}}
	for _, d := range []interview.DeviceID{w.Terminal, w.Desk, w.Chambers} {
		register.Devices[d] = interview.Covered{Agreement: interview.NewAgreementID(), Place: "Room", Until: time.Now().AddDate(1, 0, 0)}
	}
	w.Store = interview.NewStore(db, interview.Config{Sealer: w.Sealer, Register: register, Outbox: w.Outbox, Clock: w.Clock.Read})
	var err error
	if w.Case, err = w.Store.CreateCase(t.Context(), interview.Case{Diary: Words[0], Lodged: "2026-10-01", Language: "ar"}, "sub-interviewer"); err != nil {
		t.Fatal(err)
	}
	seat := func(role interview.Role, name, subject string, d interview.DeviceID) interview.BookingParticipant {
		return interview.BookingParticipant{Role: role, Name: name, Subject: subject, Device: d, Premises: interview.NewPremisesID()}
	}
	w.Booking = interview.Booking{
		Case: w.Case.ID, Language: "ar", Mode: interview.ModeRemote, Justification: Words[4],
		Opens: time.Now().Add(-time.Hour), Closes: time.Now().Add(7 * time.Hour),
		Participants: []interview.BookingParticipant{
			seat(interview.RoleInterviewer, Words[2], "sub-interviewer", w.Desk),
			seat(interview.RoleApplicant, Words[1], "", w.Terminal),
			seat(interview.RoleCounsel, Words[3], "sub-counsel", w.Chambers),
		},
	}
	if w.Hearing, err = w.Store.Book(t.Context(), w.Booking); err != nil {
		t.Fatal(err)
	}
	return w
}

// Caller is somebody who acts in the role at the world's hearing; for roles
// without a part there, somebody else who signed in.
func (w *World) Caller(role interview.Role) interview.Caller {
	c := interview.Caller{Device: w.Desk, Subject: "sub-" + string(role), Roles: []interview.Role{role}}
	for _, p := range w.Hearing.Participants {
		if p.Role != role {
			continue
		}
		for _, s := range w.Hearing.Seats {
			if s.Participant == p.ID {
				c.Device = s.Device
			}
		}
		if p.Subject == "" {
			return w.Ticket(p, interview.PurposeReview)
		}
	}
	return c
}

// Ticket is a caller who redeemed a ticket for the participant's seat.
func (w *World) Ticket(p interview.Participant, purpose interview.Purpose) interview.Caller {
	i := slices.IndexFunc(w.Hearing.Seats, func(s interview.Seat) bool { return s.Participant == p.ID })
	seat := w.Hearing.Seats[i]
	return interview.Caller{Device: seat.Device, Tickets: []interview.Ticket{{
		ID: interview.NewTicketID(), Hearing: w.Hearing.ID, Participant: p.ID, Seat: seat.ID, Role: p.Role,
		Purpose: purpose, Expires: time.Now().Add(time.Hour),
	}}}
}

// Roles are all roles there are.
var Roles = []interview.Role{
	interview.RoleInterviewer, interview.RoleApplicant, interview.RoleCounsel, interview.RoleInterpreter,
	interview.RoleRepresentative, interview.RoleSecurityOffice, interview.RoleAdministrator, interview.RoleOfficer,
}

// Do sends one request as a caller and returns status and body.
func Do(h http.Handler, c interview.Caller, method, path string, body any) (int, []byte) {
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			panic(err)
		}
	}
	req := httptest.NewRequest(method, path, bytes.NewReader(text))
	if text != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req.WithContext(interview.WithCaller(req.Context(), c)))
	return res.Code, res.Body.Bytes()
}

// Code reads the problem's code out of an answer; "" where it is none.
func Code(body []byte) problem.Code {
	var d problem.Document
	if json.Unmarshal(body, &d) != nil || d.Way == "" {
		return ""
	}
	return d.Code
}

var params = strings.NewReplacer(
	"{hearing}", interview.NewHearingID().String(), "{utterance}", interview.NewUtteranceID().String(),
	"{record}", interview.NewRecordID().String(), "{amendment}", interview.NewAmendmentID().String(),
	"{agreement}", interview.NewAgreementID().String(), "{ticket}", interview.NewTicketID().String(),
)

// CheckAccess calls every registered route as every role, as a device without
// anybody and without a device, and compares with the access table: who is not
// named gets an access refusal, who is named never does.
func CheckAccess(t *testing.T, h http.Handler, api huma.API) {
	t.Helper()
	table := interview.Access()
	for path, item := range api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch, "HEAD": item.Head, "OPTIONS": item.Options} {
			if op == nil {
				continue
			}
			who, ok := table[method+" "+path]
			if !ok {
				t.Errorf("%s %s is not in the access table", method, path)
				continue
			}
			at := params.Replace(path)
			device := interview.NewDeviceID()
			for _, role := range Roles {
				caller := interview.Caller{Device: device, Subject: "somebody", Roles: []interview.Role{role}}
				_, body := Do(h, caller, method, at, []byte("{"))
				if refused, named := byAccess(body), who.AnyDevice || slices.Contains(who.Roles, role); refused == named {
					t.Errorf("%s %s as %s: refused %v, named in the table %v: %s", method, path, role, refused, named, body)
				}
			}
			_, body := Do(h, interview.Caller{Device: device}, method, at, []byte("{"))
			if byAccess(body) == who.AnyDevice {
				t.Errorf("%s %s as a device alone: %s", method, path, body)
			}
			if _, body := Do(h, interview.Caller{Subject: "somebody", Roles: Roles}, method, at, []byte("{")); !byAccess(body) {
				t.Errorf("%s %s without a device: %s", method, path, body)
			}
		}
	}
}

func byAccess(body []byte) bool {
	var d problem.Document
	return json.Unmarshal(body, &d) == nil && d.Rule == "access"
}

// CheckNoPlainText reads all that a database keeps and fails where one of the
// words stands in it.
func CheckNoPlainText(t *testing.T, db *bun.DB, words ...string) {
	t.Helper()
	for _, file := range storetest.Files(t, db) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%q stands in plain in %s of the database", word, filepath.Base(file))
			}
		}
	}
}
