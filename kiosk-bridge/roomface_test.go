package kioskbridge_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/tunnel"
)

// seen is a picture of the room terminal's camera: bytes to look for.
var seen = []byte("\xff\xd8\xff picture at the room terminal, fedcba9876543210")

// room is a world in which somebody came from the kiosk to the room terminal.
type room struct {
	*world
	engine   *engine
	watch    *watch
	mux      *http.ServeMux
	terminal interview.Caller
	officer  interview.Caller // the interviewer of the hearing
	ticket   interview.TicketID
	mine     error
	atKiosk  []byte
}

func newRoom(t *testing.T, adjust ...func(*kioskbridge.Config)) *room {
	t.Helper()
	return newRoomOf(t, nil, adjust...)
}

// newRoomOf is the same after a picture at the kiosk; nil: any.
func newRoomOf(t *testing.T, atKiosk []byte, adjust ...func(*kioskbridge.Config)) *room {
	t.Helper()
	r := &room{atKiosk: atKiosk, engine: &engine{finding: claims, living: isThere}, watch: newWatch(), mux: http.NewServeMux()}
	r.world = newWorld(t, append([]func(*kioskbridge.Config){r.engine.into, func(c *kioskbridge.Config) { c.Now = r.watch.now }}, adjust...)...)
	by := interview.NewParticipantID()
	faces := kioskbridge.NewRoomFaces(r.bridge, r.store, places("Room 2"))
	kioskbridge.RegisterFaces(interview.NewAPI(r.mux), faces, func(context.Context, interview.Caller, interview.HearingID) (interview.ParticipantID, error) {
		return by, r.mine
	})
	r.officer = interview.Caller{Device: interview.NewDeviceID(), Subject: "i", Roles: []interview.Role{interview.RoleInterviewer}}
	r.enter()
	return r
}

// enter is a visit at the kiosk and its ticket redeemed at the terminal.
func (r *room) enter() {
	r.t.Helper()
	h := with(r.passport(emrtdtest.Genuine))
	if r.atKiosk != nil {
		h.take[ticket.StepFace] = func(tunnel.Ask) (tunnel.Capture, error) {
			return done(tunnel.Piece{Kind: "face", Format: "image/jpeg", Bytes: bytes.Clone(r.atKiosk)}), nil
		}
	}
	out, err := r.visit(h, tunnel.ServiceInterview)
	if err != nil || out.Result != tunnel.ResultJoin {
		r.t.Fatalf("%+v %v", out, err)
	}
	r.claims(r.t.(*testing.T), out.Ticket)
	held, err := r.store.Held(r.t.Context(), r.booking.Terminal)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ticket = out.Ticket
	r.terminal = interview.Caller{Device: r.booking.Terminal, Tickets: held}
}

func (r *room) path(what string) string {
	return "/api/hearings/" + r.booking.Hearing.String() + "/" + what
}

func (r *room) faces() string { return r.path("faces/" + r.booking.Participant.String()) }

// do calls a route; the answer's code is "" where it went well.
func (r *room) do(c interview.Caller, method, path string, body, into any) problem.Code {
	r.t.Helper()
	status, answer := interviewtest.Do(r.mux, c, method, path, body)
	if status/100 != 2 {
		if code := interviewtest.Code(answer); code != "" {
			return code
		}
		return problem.Code(http.StatusText(status))
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			r.t.Fatal(err)
		}
	}
	return ""
}

func (r *room) told() kioskbridge.Told {
	r.t.Helper()
	var out kioskbridge.Told
	if code := r.do(r.officer, http.MethodGet, r.faces(), nil, &out); code != "" {
		r.t.Fatal(code)
	}
	return out
}

type sent struct {
	Occasion string `json:"occasion"`
	Format   string `json:"format,omitempty"`
	Image    []byte `json:"image,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Last     bool   `json:"last"`
}

func picture(occasion string) sent {
	return sent{Occasion: occasion, Format: "image/jpeg", Image: bytes.Clone(seen)}
}

// send sends a picture from the terminal, long after the one before.
func (r *room) send(s sent) (needs string, code problem.Code) {
	r.t.Helper()
	r.watch.pass(time.Minute)
	var out struct{ Needs string }
	code = r.do(r.terminal, http.MethodPost, r.faces(), s, &out)
	return out.Needs, code
}

// B21: on entering and after absences the face before the room terminal is
// compared with the picture of the kiosk. What the engine says is a word of advice
// with engine and line, and that nobody measured it; the terminal learns nothing.
func TestTheFaceIsComparedAgainAtTheRoomTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		finding kioskbridge.Finding
		err     error
		word    kioskbridge.Likeness
		reason  string
	}{
		"a maker's match":                  {claims, nil, kioskbridge.LikeSame, "match"},
		"a maker's doubt":                  {differs, nil, kioskbridge.LikeOther, "no-match"},
		"a maker who cannot say":           {kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "beard", Engine: "vendor 1"}, nil, kioskbridge.LikeNotSure, "beard"},
		"the reference engine finds alike": {nearly, nil, kioskbridge.LikeSame, "reference-near"},
		"the reference engine does not":    {far, nil, kioskbridge.LikeOther, "reference-far"},
		"the engine took too long":         {kioskbridge.Finding{Reason: "engine-timed-out", Engine: "reference", Unmeasured: true}, nil, kioskbridge.LikeNotCompared, "engine-timed-out"},
		"the engine is gone":               {matches, errors.New("gone"), kioskbridge.LikeNotCompared, "engine-absent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			r.engine.finding, r.engine.err, r.engine.handed = c.finding, c.err, nil
			var want kioskbridge.Wanted
			if code := r.do(r.terminal, http.MethodGet, r.faces()+"/wanted", nil, &want); code != "" || want != (kioskbridge.Wanted{Possible: true, First: true}) {
				t.Fatalf("before the first picture: %q %+v", code, want)
			}
			for i, occasion := range []string{"entered", "returned", "break", "asked"} {
				needs, code := r.send(picture(occasion))
				if needs != "" || code != "" {
					t.Fatalf("%s: the terminal was told %q %q", occasion, needs, code)
				}
				told := r.told()
				if told.Missing != "" || len(told.Compared) != i+1 {
					t.Fatalf("%+v", told)
				}
				got := told.Compared[0]
				if got.Word != c.word || got.Reason != c.reason || string(got.Occasion) != occasion || got.Said != "" ||
					c.err == nil && (got.Engine != c.finding.Engine || got.Threshold != c.finding.Threshold || got.Unmeasured != c.finding.Unmeasured) {
					t.Errorf("%+v, want %s (%s)", got, c.word, c.reason)
				}
			}
			if !bytes.Equal(r.engine.reference, live) {
				t.Errorf("compared with %q, not with the kiosk's picture", r.engine.reference)
			}
			// B19: no picture is left, in memory of the call or in the store; nor is the word open there.
			for _, b := range r.engine.handed {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Errorf("%q outlived its comparison", b)
				}
			}
			r.nothingHolds(map[string][]byte{
				"the terminal's picture": seen, "the same in base64": []byte(base64.StdEncoding.EncodeToString(seen)[:40]), "the kiosk's picture": live, "the word": []byte(`"word":"` + string(c.word)),
			})
			events := strings.Join(r.outbox.Events(), "\n")
			if strings.Count(events, kioskbridge.EventFaceCompared) != 4 {
				t.Errorf("the log: %s", events)
			}
		})
	}
}

// B21: who looks is told what a better picture needs, and nobody else; what does
// not come about has a name for the interviewer and, of a broken part, for staff.
func TestWhatKeepsAFaceFromBeingComparedHasAName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		finding string // of the engine
		sent    sent
		notice  string
	}{
		"two persons before the camera": {"several-faces", picture("entered"), ""},
		"nobody there":                  {"no-face", picture("returned"), ""},
		"darkness":                      {"too-dark", picture("returned"), ""},
		"no picture at all":             {"picture-unreadable", picture("returned"), ""},
		"the camera is gone":            {"camera-gone", sent{Occasion: "entered", Reason: "camera-gone"}, "camera camera-gone"},
		"the person does not want to":   {"declined", sent{Occasion: "entered", Reason: "declined"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			r.engine.finding = kioskbridge.Finding{Verdict: interview.Undetermined, Reason: c.finding, Engine: "reference", Unmeasured: true}
			if c.sent.Reason == "" {
				needs, code := r.send(c.sent)
				if needs != c.finding || code != "" {
					t.Fatalf("the person was told %q %q", needs, code)
				}
				if told := r.told(); len(told.Compared) != 0 {
					t.Errorf("another picture is to come, and the interviewer was told %+v", told)
				}
				c.sent.Image, c.sent.Last = bytes.Clone(seen), true
			}
			told := ""
			if c.sent.Last {
				told = c.finding
			}
			if needs, code := r.send(c.sent); needs != told || code != "" {
				t.Fatalf("the last picture: %q %q", needs, code)
			}
			kept := r.told()
			if len(kept.Compared) != 1 || kept.Compared[0].Word != kioskbridge.LikeNotCompared || kept.Compared[0].Reason != c.finding {
				t.Errorf("%+v", kept)
			}
			notices := ""
			for _, n := range r.world.told() {
				notices += n
			}
			if !strings.Contains(notices, c.notice) || c.notice == "" && notices != "" {
				t.Errorf("staff were told %q, want %q", notices, c.notice)
			}
			r.nothingHolds(map[string][]byte{"the terminal's picture": seen})
		})
	}
}

// B21: the interviewer asks for another comparison and says who it is; both are
// in the log.
func TestTheInterviewerAsksAndSaysWhoItIs(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	say := func(said string) problem.Code {
		return r.do(r.officer, http.MethodPost, r.faces()+"/said", map[string]string{"said": said}, nil)
	}
	if code := r.do(r.officer, http.MethodPost, r.faces()+"/asked", nil, nil); code != "" {
		t.Fatal(code)
	}
	var want kioskbridge.Wanted
	if code := r.do(r.terminal, http.MethodGet, r.faces()+"/wanted", nil, &want); code != "" || !want.Asked || !r.told().Asked {
		t.Fatalf("%q %+v", code, want)
	}
	if _, code := r.send(picture("asked")); code != "" || r.told().Asked {
		t.Fatalf("it is still asked for: %q", code)
	}
	if code := say("doubted"); code != "" || r.told().Compared[0].Said != kioskbridge.SaidDoubted {
		t.Errorf("%q %+v", code, r.told())
	}
	if code := say("perhaps"); code == "" {
		t.Error("something else was said")
	}
	if _, code := r.send(picture("returned")); code != "" {
		t.Fatal(code)
	}
	if code := say("confirmed"); code != "" {
		t.Fatal(code)
	}
	told := r.told().Compared
	if len(told) != 2 || told[0].Said != kioskbridge.SaidConfirmed || told[1].Said != kioskbridge.SaidDoubted {
		t.Errorf("%+v", told)
	}
	if events := strings.Join(r.outbox.Events(), "\n"); strings.Count(events, kioskbridge.EventFaceSaid) != 2 {
		t.Errorf("the log: %s", events)
	}
}

// B21: each condition of a picture and of its reader, missing one by one.
func TestEachMissingConditionRefusesARoomPicture(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	another := interview.Caller{Device: interview.NewDeviceID()}
	review := r.terminal
	review.Tickets = append([]interview.Ticket{}, r.terminal.Tickets...)
	review.Tickets[0].Purpose = interview.PurposeReview
	both := picture("entered")
	both.Reason = "camera-gone"
	png := picture("entered")
	png.Format = "image/png"
	large := picture("entered")
	large.Image = make([]byte, 1<<20)
	for name, c := range map[string]struct {
		caller interview.Caller
		sent   sent
		want   problem.Code
	}{
		"another device":       {another, picture("entered"), problem.CodeNotFound},
		"a ticket for reading": {review, picture("entered"), problem.CodeNotFound},
		"nothing is sent":      {r.terminal, sent{Occasion: "entered"}, problem.CodeMalformed},
		"picture and reason":   {r.terminal, both, problem.CodeMalformed},
		"another format":       {r.terminal, png, problem.CodeMalformed},
		"another occasion":     {r.terminal, picture("birthday"), problem.CodeMalformed},
		"too large":            {r.terminal, large, problem.CodeTooLarge},
	} {
		if code := r.do(c.caller, http.MethodPost, r.faces(), c.sent, nil); code != c.want {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
	}
	for range 8 {
		r.do(r.terminal, http.MethodPost, r.faces(), picture("entered"), nil)
	}
	if code := r.do(r.terminal, http.MethodPost, r.faces(), picture("entered"), nil); code != problem.CodeTooFast {
		t.Errorf("a flood of pictures: %q", code)
	}
	compared := len(r.told().Compared)
	// Who may see and say: the interviewer of this hearing.
	calls := map[string]string{r.faces(): http.MethodGet, r.faces() + "/asked": http.MethodPost, r.faces() + "/said": http.MethodPost, r.path("portraits/" + r.booking.Participant.String()): http.MethodGet}
	for path, method := range calls {
		body := any(nil)
		if strings.HasSuffix(path, "/said") {
			body = map[string]string{"said": "confirmed"}
		}
		applicant := r.terminal
		counsel := interview.Caller{Device: interview.NewDeviceID(), Subject: "c", Roles: []interview.Role{interview.RoleCounsel}}
		for name, who := range map[string]interview.Caller{"the applicant": applicant, "counsel": counsel, "nobody signed in": another} {
			if code := r.do(who, method, path, body, nil); code != problem.CodeForbidden && code != problem.CodeSignIn {
				t.Errorf("%s calls %s: %q", name, path, code)
			}
		}
		r.mine = problem.New(problem.CodeNotFound, "another's hearing")
		if code := r.do(r.officer, method, path, body, nil); code != problem.CodeNotFound {
			t.Errorf("another interviewer calls %s: %q", path, code)
		}
		r.mine = nil
	}
	r.bridge.ForgetPortraits(r.booking.Hearing)
	if _, code := r.send(picture("entered")); code != problem.CodeNotFound {
		t.Errorf("after the kiosk's picture was destroyed: %q", code)
	}
	if told := r.told(); told.Missing != "no-reference" || len(told.Compared) != compared {
		t.Errorf("%+v", told)
	}
	r.bridge.Faces = nil
	if _, code := r.send(picture("entered")); code != problem.CodeNotFound {
		t.Errorf("without an engine: %q", code)
	}
}

// A person is asked for no picture that nothing would be compared with.
func TestNoPictureIsWantedInVain(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	wanted := func() kioskbridge.Wanted {
		t.Helper()
		var want kioskbridge.Wanted
		if code := r.do(r.terminal, http.MethodGet, r.faces()+"/wanted", nil, &want); code != "" {
			t.Fatal(code)
		}
		return want
	}
	if !wanted().Possible {
		t.Fatal("with engine and picture it is")
	}
	r.bridge.Faces = nil
	if wanted().Possible || r.told().Missing != "no-engine" {
		t.Errorf("without an engine: %+v", r.told())
	}
	r.bridge.Faces = r.engine
	r.bridge.ForgetPortraits(r.booking.Hearing)
	if wanted().Possible || r.told().Missing != "no-reference" {
		t.Errorf("without the kiosk's picture: %+v", r.told())
	}
	if code := r.do(r.officer, http.MethodPost, r.faces()+"/asked", nil, nil); code != problem.CodeNotFound {
		t.Errorf("asking in vain: %q", code)
	}
}

// B3, B19, B21: the interviewer holds the kiosk's picture beside the live one. It
// lies in memory alone, only for the hearing's interviewer, for each absence anew,
// until the hearing ends or the ticket keeps no seat any more.
func TestKiosksPictureIsForTheInterviewerUntilTheHearingEnds(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	shown := func() bool {
		t.Helper()
		var out struct{ Image []byte }
		if code := r.do(r.officer, http.MethodGet, r.path("portraits/"+r.booking.Participant.String()), nil, &out); code != "" {
			t.Fatal(code)
		}
		return bytes.Equal(out.Image, live)
	}
	r.nothingHolds(map[string][]byte{"live picture": live})
	if !shown() {
		t.Error("it is not shown")
	}
	if code := r.do(r.officer, http.MethodPost, r.faces()+"/said", map[string]string{"said": "confirmed"}, nil); code != "" || !shown() {
		t.Errorf("once confirmed it is gone, and of no use after an absence: %q", code)
	}
	other := r.booking.Hearing
	r.bridge.ForgetPortraits(interview.NewHearingID())
	if !shown() {
		t.Error("another hearing's end destroyed it")
	}
	r.bridge.ForgetPortraits(other)
	if shown() {
		t.Error("it outlived its hearing")
	}
	r.booking.Hearing, r.booking.Participant = interview.NewHearingID(), interview.NewParticipantID()
	r.bridge.Policy.IdentityDays = 0
	r.enter()
	if !shown() {
		t.Error("the next one is not shown")
	}
	r.watch.pass(ticket.MaxHold)
	if shown() {
		t.Error("it outlived its ticket")
	}
}

// B3, B19, B21, with the real engine in its own process: the same person, nobody,
// two persons, darkness; afterwards neither picture nor template lies anywhere.
func TestTheReferenceEngineComparesInTheRoom(t *testing.T) {
	e := facetest.Engine(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	person, beside := facetest.New(2), facetest.New(5)
	atKiosk := person.JPEG(facetest.View{Width: 480, Height: 480, Quality: 80})
	r := newRoomOf(t, atKiosk, func(c *kioskbridge.Config) {
		c.Faces, c.Patience = engines.Face{Engine: e}, time.Minute
	})
	now := person.JPEG(facetest.View{Width: 640, Height: 480, Yaw: 0.1, From: -0.4, Quality: 70, Noise: 3})
	pictures := map[string][]byte{
		"":              now,
		"no-face":       facetest.Encode(facetest.Draw(facetest.View{Width: 640, Height: 480}), 80),
		"several-faces": facetest.Encode(facetest.Draw(facetest.View{Width: 900, Height: 480}, person, beside), 85),
		"too-dark":      person.JPEG(facetest.View{Width: 480, Height: 480, Light: 0.1}),
	}
	for needs, p := range pictures {
		got, code := r.send(sent{Occasion: "entered", Format: "image/jpeg", Image: p, Last: true})
		if code != "" || got != needs {
			t.Errorf("the person is told %q %q, want %q", got, code, needs)
		}
		told := r.told().Compared[0]
		want := kioskbridge.LikeNotCompared
		if needs == "" {
			want = kioskbridge.LikeSame
		}
		if told.Word != want || !told.Unmeasured || !strings.HasPrefix(told.Engine, "reference faceplugin") || needs == "" && told.Threshold != "reference-unmeasured-1" {
			t.Errorf("%q: the interviewer is told %+v", needs, told)
		}
	}
	var database string
	for _, f := range storetest.Files(t, r.db) {
		database = filepath.Dir(f)
	}
	if n := traces(t, map[string][]byte{"the terminal's picture": now, "the kiosk's picture": atKiosk}, database, temporary, "/dev/shm"); n < 1 {
		t.Errorf("only %d files were looked at", n)
	}
}
