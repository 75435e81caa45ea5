package kioskbridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// Occasion is why a face is compared at the room terminal.
type Occasion string

// Occasions.
const (
	OccasionEntered  Occasion = "entered"  // the ticket was redeemed
	OccasionReturned Occasion = "returned" // the terminal's page, or its line, was gone
	OccasionBreak    Occasion = "break"    // the hearing went on after one
	OccasionAsked    Occasion = "asked"    // the interviewer wants it
)

// Likeness is what a comparison is worth, in the interviewer's words.
type Likeness string

// Likenesses. Each is advice: the interviewer looks and says who it is.
const (
	LikeSame        Likeness = "same"
	LikeOther       Likeness = "other"
	LikeNotSure     Likeness = "not-sure"
	LikeNotCompared Likeness = "not-compared" // the reason says why
)

// Said is what the interviewer says of the person.
type Said string

// What an interviewer can say.
const (
	SaidConfirmed Said = "confirmed" // it is the person of the kiosk's picture
	SaidDoubted   Said = "doubted"   // it may be another one
)

// Reasons for which no picture came. Beside them stand those of the engines.
const (
	ReasonCameraGone = "camera-gone"
	ReasonDeclined   = "declined" // the person did not want to
)

// again are the reasons after which another picture may help. The person at the
// terminal is told them; never what a comparison said.
var again = []string{"no-face", "several-faces", "face-too-small", "too-dark", "too-bright", "blurred", "turned-away", "picture-unreadable"}

// likeness puts an engine's finding into the interviewer's words.
func likeness(f Finding) Likeness {
	switch {
	case slices.Contains([]string{"match", "reference-near"}, f.Reason):
		return LikeSame
	case slices.Contains([]string{reasonNoMatch, "reference-far"}, f.Reason):
		return LikeOther
	case slices.Contains(again, f.Reason), slices.Contains([]string{
		"picture-too-large", "engine-timed-out", "reference-picture-unusable", "reference-picture-unreadable", reasonEngineAbsent, ReasonCameraGone, ReasonDeclined,
	}, f.Reason):
		return LikeNotCompared
	default: // a maker's engine that is undecided, for reasons of its own
		return LikeNotSure
	}
}

// Compared is one comparison as the interviewer is told of it.
type Compared struct {
	N          int64     `json:"n"`
	Occasion   Occasion  `json:"occasion"`
	At         time.Time `json:"at"`
	Word       Likeness  `json:"word"`
	Reason     string    `json:"reason"`
	Engine     string    `json:"engine"`
	Threshold  string    `json:"threshold"`
	Unmeasured bool      `json:"unmeasured"` // nobody knows how often it errs
	Said       Said      `json:"said"`       // "" until the interviewer has said it
}

// faceRow is a comparison as it is kept: words and numbers, no picture.
type faceRow struct {
	bun.BaseModel `bun:"table:kiosk_face,alias:f"`

	Ticket      interview.TicketID      `bun:"ticket_id,pk"`
	N           int64                   `bun:"n,pk"`
	Case        interview.CaseID        `bun:"case_id"`
	Hearing     interview.HearingID     `bun:"hearing_id"`
	Participant interview.ParticipantID `bun:"participant_id"`
	Occasion    Occasion                `bun:"occasion"`
	At          int64                   `bun:"compared_at"`
	Sealed      []byte                  `bun:"sealed"`
	Said        Said                    `bun:"said"`
	SaidAt      int64                   `bun:"said_at"`
	Version     int64                   `bun:"version"`
}

func (r faceRow) aad() string { return fmt.Sprintf("kiosk_face.sealed:%s|%d", r.Ticket, r.N) }

// keptFace is what is sealed of a comparison.
type keptFace struct {
	Word       Likeness `json:"word"`
	Reason     string   `json:"reason"`
	Score      int64    `json:"score"`
	Threshold  string   `json:"threshold"`
	Engine     string   `json:"engine"`
	Unmeasured bool     `json:"unmeasured"`
}

// Types of the audit events of faces in the room.
const (
	EventFaceCompared = "kiosk.face-compared"
	EventFaceSaid     = "kiosk.face-said"
)

const (
	maxFaces = 100 // comparisons of one ticket: a day of absences, and no more
	toldOf   = 20  // of them, the newest
)

// RoomFaces compares the face before a room terminal's camera with the picture
// that the kiosk took (row B21), as advice to the interviewer. The terminal sends
// one picture over its attested connection; it is compared in memory and
// destroyed (row B19). Safe for concurrent use.
type RoomFaces struct {
	bridge  *Bridge
	tickets *SQL
	places  Places
}

// NewRoomFaces compares with the pictures that a bridge keeps.
func NewRoomFaces(b *Bridge, tickets *SQL, places Places) *RoomFaces {
	return &RoomFaces{b, tickets, places}
}

// Wanted is what the room terminal is told: whether a picture is of use, and why
// now. A person is asked for nothing that is not compared.
type Wanted struct {
	Possible bool `json:"possible"`
	First    bool `json:"first"` // nothing was compared since the ticket was redeemed
	Asked    bool `json:"asked"` // the interviewer waits for it
}

// Wanted tells the terminal that holds a ticket.
func (f *RoomFaces) Wanted(ctx context.Context, t interview.Ticket) (Wanted, error) {
	asked, there := f.bridge.portraits.asked(t.ID)
	if f.bridge.Faces == nil || !there {
		return Wanted{}, nil
	}
	n, err := f.count(ctx, f.tickets.db, t.ID)
	return Wanted{Possible: n < maxFaces, First: n == 0, Asked: asked}, err
}

func (f *RoomFaces) count(ctx context.Context, db bun.IDB, t interview.TicketID) (int64, error) {
	n, err := db.NewSelect().Model((*faceRow)(nil)).Where("f.ticket_id = ?", t).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count the comparisons of ticket %s: %w", t, err)
	}
	return n, nil
}

// RoomPicture is one picture from a room terminal, or why there is none.
type RoomPicture struct {
	Occasion Occasion
	Image    Image  // destroyed when it was compared
	Reason   string // why there is no image: [ReasonCameraGone], [ReasonDeclined]
	Last     bool   // no better one will come
}

// Compare compares a picture with the kiosk's. What it says is for the
// interviewer; the person is told only what a better picture needs, and unless
// it was the last one nothing is kept then. Problems: CodeNotFound where there is nothing to compare
// with, CodeTooFast, CodeMalformed.
func (f *RoomFaces) Compare(ctx context.Context, t interview.Ticket, device interview.DeviceID, p RoomPicture) (needs string, err error) {
	defer clear(p.Image.Bytes)
	none := len(p.Image.Bytes) == 0
	switch {
	case !slices.Contains([]Occasion{OccasionEntered, OccasionReturned, OccasionBreak, OccasionAsked}, p.Occasion):
		return "", problem.New(problem.CodeMalformed, "a face is compared on another occasion")
	case none != slices.Contains([]string{ReasonCameraGone, ReasonDeclined}, p.Reason), !none && p.Image.Format != "image/jpeg":
		return "", problem.New(problem.CodeMalformed, "a picture in JPEG, or the reason why there is none")
	case f.bridge.Faces == nil:
		return "", problem.New(problem.CodeNotFound, "faces are not compared here")
	}
	reference, done, err := f.bridge.portraits.compare(t.ID, f.bridge.Now())
	if err != nil {
		return "", err
	}
	defer done()
	defer clear(reference.Bytes)
	found := Finding{Verdict: interview.NotDone, Reason: p.Reason}
	if none && p.Reason == ReasonCameraGone {
		f.tell(ctx, device, PartCamera, ReasonCameraGone)
	}
	if !none {
		q := MatchQuestion{Modality: ModalityFace, Live: []Image{p.Image}, Reference: reference}
		if found, err = f.bridge.Faces.Match(ctx, q); err != nil {
			if ctx.Err() != nil {
				return "", problem.New(problem.CodeStalled, "the room terminal is gone: %w", ctx.Err())
			}
			found = Finding{Verdict: interview.Undetermined, Reason: reasonEngineAbsent}
			f.tell(ctx, device, PartEngine, reasonEngineAbsent)
		}
	}
	if slices.Contains(again, found.Reason) {
		needs = found.Reason
	}
	if needs != "" && !p.Last {
		return needs, nil
	}
	if err := f.keep(ctx, t, p.Occasion, found); err != nil {
		return "", err
	}
	f.bridge.portraits.answered(t.ID)
	return needs, nil
}

// tell tells staff of a part at a room terminal.
func (f *RoomFaces) tell(ctx context.Context, device interview.DeviceID, part Part, code string) {
	place, err := f.places.PlaceOf(ctx, device)
	if err == nil {
		err = f.bridge.Store.Notice(ctx, Kiosk{Device: device, Place: place}, part, code, f.bridge.Now())
	}
	if err != nil {
		f.bridge.Log.Warn("staff were not told of a room terminal's part", "device", device, "part", part, "code", code)
	}
}

func (f *RoomFaces) keep(ctx context.Context, t interview.Ticket, o Occasion, found Finding) error {
	return f.tickets.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		kept, err := load(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		row := faceRow{Ticket: t.ID, Hearing: kept.Hearing, Participant: kept.Participant, Occasion: o, At: f.bridge.Now().UnixMilli(), Version: 1}
		if err := tx.NewSelect().Model((*Record)(nil)).Column("case_id").Where("v.id = ?", kept.Visit).Scan(ctx, &row.Case); err != nil {
			return fmt.Errorf("find the case of ticket %s: %w", t.ID, err)
		}
		n, err := f.count(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		if n >= maxFaces {
			return problem.New(problem.CodeTooFast, "ticket %s had %d comparisons", t.ID, maxFaces)
		}
		row.N = n + 1
		k := keptFace{Word: likeness(found), Reason: found.Reason, Score: found.Score, Threshold: found.Threshold, Engine: found.Engine, Unmeasured: found.Unmeasured}
		if row.Sealed, err = interview.SealJSON(ctx, f.bridge.Sealer, row.Case, row.aad(), k); err != nil {
			return fmt.Errorf("comparison of ticket %s: %w", t.ID, err)
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return fmt.Errorf("save a comparison of ticket %s: %w", t.ID, err)
		}
		return f.tickets.outbox.Append(ctx, tx, interview.Event{Hearing: row.Hearing, Type: EventFaceCompared, Fields: map[string]any{
			"ticket": row.Ticket, "participant": row.Participant, "n": row.N, "occasion": o, "word": k.Word, "reason": k.Reason, "engine": k.Engine, "threshold": k.Threshold,
		}})
	})
}

// Told is what the interviewer is told of one person's face.
type Told struct {
	Missing  string     `json:"missing"` // why no machine compares: no-engine, no-reference; "" where one does
	Asked    bool       `json:"asked"`   // the terminal was asked for a picture and has sent none yet
	Compared []Compared `json:"compared"`
}

// Told lists the newest comparisons, newest first.
func (f *RoomFaces) Told(ctx context.Context, h interview.HearingID, p interview.ParticipantID) (Told, error) {
	out := Told{Compared: []Compared{}}
	t, err := f.tickets.Entered(ctx, h, p)
	if problem.Of(err).Code == problem.CodeNotFound {
		out.Missing = reasonNoReference
		return out, nil
	}
	if err != nil {
		return Told{}, err
	}
	var there bool
	if out.Asked, there = f.bridge.portraits.asked(t); !there {
		out.Missing = reasonNoReference
	} else if f.bridge.Faces == nil {
		out.Missing = reasonNoEngine
	}
	var rows []faceRow
	err = f.tickets.db.NewSelect().Model(&rows).Where("f.hearing_id = ?", h).Where("f.participant_id = ?", p).Order("f.compared_at DESC", "f.n DESC").Limit(toldOf).Scan(ctx)
	if err != nil {
		return Told{}, fmt.Errorf("read the comparisons of %s: %w", p, err)
	}
	for _, r := range rows {
		var k keptFace
		if err := interview.OpenJSON(ctx, f.bridge.Sealer, r.Case, r.aad(), r.Sealed, &k); err != nil {
			return Told{}, fmt.Errorf("comparison of ticket %s: %w", r.Ticket, err)
		}
		out.Compared = append(out.Compared, Compared{
			N: r.N, Occasion: r.Occasion, At: time.UnixMilli(r.At).UTC(), Word: k.Word, Reason: k.Reason, Engine: k.Engine, Threshold: k.Threshold, Unmeasured: k.Unmeasured, Said: r.Said,
		})
	}
	return out, nil
}

// Ask has the room terminal take a picture.
func (f *RoomFaces) Ask(ctx context.Context, h interview.HearingID, p interview.ParticipantID) error {
	t, err := f.tickets.Entered(ctx, h, p)
	if err != nil {
		return err
	}
	if f.bridge.Faces == nil || !f.bridge.portraits.ask(t) {
		return problem.New(problem.CodeNotFound, "there is nothing to compare the face of %s with", p)
	}
	return nil
}

// Say keeps what the interviewer says of the person: of the newest comparison
// where there is one, and in the log in any case. The kiosk's picture stays for
// the next absence, until the hearing ends.
func (f *RoomFaces) Say(ctx context.Context, h interview.HearingID, p interview.ParticipantID, said Said, by string) error {
	if said != SaidConfirmed && said != SaidDoubted {
		return problem.New(problem.CodeMalformed, "an interviewer confirms or doubts")
	}
	t, err := f.tickets.Entered(ctx, h, p)
	if err != nil {
		return err
	}
	return f.tickets.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var newest []faceRow
		if err := tx.NewSelect().Model(&newest).Where("f.ticket_id = ?", t).Order("f.n DESC").Limit(1).Scan(ctx); err != nil {
			return fmt.Errorf("read the comparisons of ticket %s: %w", t, err)
		}
		n := int64(0)
		if len(newest) > 0 {
			n = newest[0].N
			update := tx.NewUpdate().Model((*faceRow)(nil)).Set("said = ?", said).Set("said_at = ?", f.bridge.Now().UnixMilli()).Where("ticket_id = ?", t).Where("n = ?", n)
			if err := store.CompareAndSet(ctx, update, newest[0].Version); err != nil {
				return fmt.Errorf("keep what was said of ticket %s: %w", t, err)
			}
		}
		return f.tickets.outbox.Append(ctx, tx, interview.Event{Hearing: h, Type: EventFaceSaid, Fields: map[string]any{"ticket": t, "participant": p, "n": n, "said": said, "by": by}})
	})
}
