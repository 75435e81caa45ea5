package rehearsal

import (
	"context"
	"fmt"
	"slices"

	"kuule/cmd/kuule-demo/stage"
	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// way is a person's way from the kiosk or the desk to a room terminal of its own.
type way struct {
	name     string // as the browsers' script knows it
	kiosk    int    // from 1; 0: none
	person   int    // ways of the same person are of one case
	who      emrtdtest.Person
	whole    string // the name as booked
	born     string
	document string
	variant  emrtdtest.Variant // "": the document of an earlier way
	language string

	// Whose face is on the chip and before the kiosk's camera, and whose before the
	// room terminal's; 0: nobody's that an engine would find.
	face, room uint64
	at         string // language of the room terminal's page
}

var (
	mina  = emrtdtest.Person{Surname: "KORHONEN", GivenNames: "MINA", DocumentNumber: "KD4720001", DateOfBirth: "910605", Sex: "F"}
	omar  = emrtdtest.Person{Surname: "AZIZ", GivenNames: "OMAR", DocumentNumber: "KD4720002", DateOfBirth: "790211", Sex: "M"}
	grace = emrtdtest.Person{Surname: "OKAFOR", GivenNames: "GRACE", DocumentNumber: "KD4720003", DateOfBirth: "860923", Sex: "F"}
	noor  = emrtdtest.Person{Surname: "RAHIMI", GivenNames: "NOOR", DocumentNumber: "KD4720004", DateOfBirth: "970130", Sex: "F"}
)

// ways are those of the kiosk's rehearsal: rows B6, B7, B12, B13, B15, B16, B18,
// B21, N3.
var ways = []way{
	{name: "document", kiosk: 1, person: 1, who: mina, whole: "Mina Korhonen", born: "1991-06-05", document: "passport", variant: emrtdtest.WithAll, language: "fi", face: 2, room: 2, at: "fi"},
	{name: "again", kiosk: 1, person: 1, whole: "Mina Korhonen", born: "1991-06-05", document: "passport", language: "fi"},
	{name: "dead-chip", kiosk: 2, person: 2, who: omar, whole: "Omar Aziz", born: "1979-02-11", document: "dead passport", variant: emrtdtest.DeadChip, language: "ar"},
	{name: "by-ear", kiosk: 2, person: 3, who: grace, whole: "Grace Okafor", born: "1986-09-23", document: "old passport", variant: emrtdtest.Genuine, language: "en", face: 1, room: 12, at: "ar"},
	{name: "card", kiosk: 2, person: 6, who: noor, whole: "Noor Rahimi", born: "1997-01-30", document: "new passport", variant: emrtdtest.WithAll, language: "fi", face: 4},
	{name: "register", kiosk: 1, person: 5, whole: "Reza Karimi", born: "1983-07-19", language: "fa"},
	{name: "officers", person: 4, whole: "Yusuf Demir", born: "1994-12-01", language: "tr"},
}

// Of who goes the way by the register: the number of the document of an applicant,
// and which of the simulator's people the fingers are of.
const (
	applicantNumber = "A294711"
	applicantFinger = 7
)

// diary is the number of a person's case.
func diary(person int) string { return fmt.Sprintf("DEMO-KIOSK-%d", person) }

// register knows whoever goes the way by it.
func register() []vendorporttest.Registered {
	i := slices.IndexFunc(ways, func(w way) bool { return w.name == "register" })
	return []vendorporttest.Registered{{
		Diary: diary(ways[i].person), Number: applicantNumber, Name: ways[i].whole, Born: ways[i].born,
		Finger: map[string][]byte{"finger-2": vendorporttest.Finger(applicantFinger, 2, 80).Template.Data},
	}}
}

// bookedWay is a way with its hearing, for the browsers' script.
type bookedWay struct {
	Name      string              `json:"name"`
	Kiosk     string              `json:"kiosk"` // device; "" none
	Room      string              `json:"room"`  // device
	Place     string              `json:"place"` // the room, as people call it
	Holder    string              `json:"holder"`
	Document  string              `json:"document"`
	Language  string              `json:"language"`
	Reference interview.Reference `json:"reference"`
	Hearing   interview.HearingID `json:"hearing"`
	Diary     string              `json:"diary"`

	// What the cameras see, as JPEG; empty: the script's own drawing.
	Face     []byte `json:"face"`
	RoomFace []byte `json:"roomFace"`
	At       string `json:"at"`
}

// seen is a person before a camera, as a kiosk's or a room terminal's sees them;
// nil for nobody.
func seen(number uint64, v facetest.View) []byte {
	if number == 0 {
		return nil
	}
	v.Width, v.Height, v.Quality, v.Noise = 640, 480, 92, 3
	return facetest.New(number).JPEG(v)
}

const stepWays = "ways of the kiosk"

// kioskSteps are the kiosk's rehearsal: real server, agents and kiosks with their
// software TPMs, test chips behind the machine's PC/SC service, and the pages in
// Chromium.
func (r *rehearsal) kioskSteps() []step {
	return []step{
		{name: "installation", do: func(ctx context.Context) (string, error) { return "", r.stage.Install(ctx) }},
		{name: "server", do: func(ctx context.Context) (string, error) { return "", r.stage.Serve(ctx) }},
		{name: "agreements", do: r.agree},
		{name: "devices enrolled", do: func(ctx context.Context) (string, error) { return "", r.stage.EnrolAll(ctx) }},
		{name: "agents attested", do: r.agents},
		{name: "signed in", do: r.signInForBooking},
		{name: "booked", do: r.bookWays},
		{name: stepWays, do: func(ctx context.Context) (string, error) { return r.script(ctx, "", r.kioskScene()) }, long: browserTime},
	}
}

// bookWays books a hearing for each way and makes the documents.
func (r *rehearsal) bookWays(ctx context.Context) (string, error) {
	page := r.interviewer.Page()
	r.documents = map[string]*emrtdtest.Passport{}
	cases := map[int]interview.CaseID{}
	for i, w := range ways {
		if _, made := cases[w.person]; !made {
			c, err := stage.NewCase(ctx, page, diary(w.person))
			if err != nil {
				return "", err
			}
			cases[w.person] = c.ID
		}
		room := r.stage.Device(stage.Room(i + 1))
		b := r.stage.Booking(cases[w.person], stage.Justification)
		b.Language, b.Participants = w.language, b.Participants[:2] // interviewer and applicant
		applicant := &b.Participants[1]
		applicant.Name, applicant.Born, applicant.Device, applicant.Premises = w.whole, w.born, room.ID, room.Premises
		if applicant.Card = ""; w.name == "register" {
			applicant.Card = applicantNumber
		}
		h, err := r.stage.Book(ctx, page, b)
		if err != nil {
			return "", fmt.Errorf("%s: %w", w.name, err)
		}
		inRoom := facetest.View{Yaw: -0.08, From: 0.4, Light: 0.9}
		if w.room != w.face { // drawn people are all somewhat alike to the engine, which was made for real ones
			inRoom = facetest.View{Yaw: -0.3, From: 0.9, Light: 0.8}
		}
		booked := bookedWay{
			Name: w.name, Room: room.Name, Place: room.Room.Label, Holder: w.whole, Document: w.document, Language: w.language, Hearing: h.ID, Diary: h.Diary, At: w.at,
			Face: seen(w.face, facetest.View{Yaw: 0.1, From: -0.5, Light: 0.95}), RoomFace: seen(w.room, inRoom),
		}
		if w.kiosk > 0 {
			booked.Kiosk = stage.Kiosk(w.kiosk)
		}
		for _, p := range h.Participants {
			if p.Role == interview.RoleApplicant {
				booked.Reference = p.Reference
			}
		}
		r.booked = append(r.booked, booked)
		if w.variant == "" {
			continue
		}
		if w.face != 0 {
			w.who.Portrait = string(facetest.New(w.face).JPEG(facetest.View{Quality: 75}))
		}
		if r.documents[w.document], err = r.stage.Issue(w.who, w.variant); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d hearings of %d people, each at a room terminal of its own; %d documents made", len(ways), len(cases), len(r.documents)), nil
}

// handle lays a document on a kiosk's readers, or takes it away, as a person does.
func (r *rehearsal) handle(ctx context.Context, a asked) error {
	switch a.Ask {
	case "take-away":
		r.stage.TakeAway(a.Device)
		return nil
	case "lay-finger":
		r.stage.LayFinger(a.Device, applicantFinger)
		return nil
	}
	document := r.documents[a.Document]
	if document == nil {
		return fmt.Errorf("nobody has a document %q", a.Document)
	}
	if a.Ask == "lay-open" {
		r.stage.LayOpen(a.Device, document)
		return nil
	}
	return r.stage.LayClosed(ctx, a.Device, document)
}

// kioskScene is the first line to the kiosk's script.
func (r *rehearsal) kioskScene() any {
	return struct {
		Out       string      `json:"out"`
		Officers  []string    `json:"officers"`
		Ways      []bookedWay `json:"ways"`
		Applicant string      `json:"applicant"` // number of the document of an applicant
		Subject   string      `json:"subject"`   // the interviewer's
	}{r.o.Out, []string{stage.SubjectOfficer, stage.SubjectColleague}, r.booked, applicantNumber, stage.SubjectInterviewer}
}
