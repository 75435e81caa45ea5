package record

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
)

// Type is the JWS type of a sealed record.
const Type = "kuule-record+jws"

// ErrRecord says that a record, its content or their chain does not hold; the
// text names the first wrong place.
var ErrRecord = errors.New("sealed record does not hold")

// Record is what the authority seals.
type Record struct {
	V          int                 `json:"v"` // 1
	ID         interview.RecordID  `json:"record"`
	Hearing    interview.HearingID `json:"hearing"`
	Case       interview.CaseID    `json:"case"`
	Version    int64               `json:"version"`  // 1: handed over; 2: with amendments and outcome
	Previous   string              `json:"previous"` // jws.Hash of the version before; "" for 1
	Content    string              `json:"content"`  // base64url SHA-256 of the content's text
	Utterances int64               `json:"utterances"`
	Amendments int64               `json:"amendments"`
	Outcome    Outcome             `json:"outcome"`   // "" until there is one
	Rule       string              `json:"rule"`      // of the time limit for corrections
	SealedAt   int64               `json:"sealed_at"` // Unix seconds
}

// Outcome is how the applicant left the record (J7).
type Outcome string

// Outcomes: exactly one per hearing.
const (
	Confirmed               Outcome = "confirmed"
	ConfirmedWithAmendments Outcome = "confirmed-with-amendments"
	Refused                 Outcome = "refused"  // with reasons, or the words that none were given
	NoReply                 Outcome = "no-reply" // the time limit passed in silence
)

// Kind is what an utterance is.
type Kind string

// Kinds of utterance.
const (
	Question  Kind = "question"
	Answer    Kind = "answer"
	Rendering Kind = "rendering" // by the interpreter
	Note      Kind = "note"
)

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool { return k == Question || k == Answer || k == Rendering || k == Note }

// Content is everything that a version says.
type Content struct {
	V             int                 `json:"v"`    // 1
	Salt          string              `json:"salt"` // base64url, 32 random bytes
	Record        interview.RecordID  `json:"record"`
	Hearing       interview.HearingID `json:"hearing"`
	Case          interview.CaseID    `json:"case"`
	Version       int64               `json:"version"`
	Diary         string              `json:"diary"`
	Language      string              `json:"language"`
	Mode          interview.Mode      `json:"mode"`
	Justification string              `json:"justification"` // of the remote mode (A5)
	OpenedAt      int64               `json:"opened_at"`     // Unix microseconds at zero of the hearing clock
	EndedAt       interview.Micros    `json:"ended_at"`
	Participants  []Participant       `json:"participants"`
	Utterances    []Utterance         `json:"utterances"`
	Notice        Notice              `json:"notice"`
	Deliveries    []Delivery          `json:"deliveries"`
	Amendments    []Amendment         `json:"amendments"`
	Ending        *Ending             `json:"ending"` // null in version 1
}

// Participant is who took part, in which role and where.
type Participant struct {
	ID    interview.ParticipantID `json:"participant"`
	Role  interview.Role          `json:"role"`
	Name  string                  `json:"name"`
	Place string                  `json:"place"`
}

// Utterance is one line, against the hearing clock (I1).
type Utterance struct {
	ID       interview.UtteranceID   `json:"utterance"`
	Version  int64                   `json:"version"` // of the draft that was sealed
	Kind     Kind                    `json:"kind"`
	At       interview.Micros        `json:"at"`
	Speaker  interview.ParticipantID `json:"speaker"`
	Language string                  `json:"language"`
	Text     string                  `json:"text"`
	Renders  interview.UtteranceID   `json:"renders"` // what a rendering renders; "" otherwise
}

// Notice tells of the right to correct and its time limit (J1, J6).
type Notice struct {
	Rule     string `json:"rule"` // id of the dated rule
	Days     int64  `json:"days"`
	Source   string `json:"source"`
	Language string `json:"language"`
}

// Delivery is the hand-over to one participant, and the receipt (J1).
type Delivery struct {
	Participant interview.ParticipantID `json:"participant"`
	Language    string                  `json:"language"`
	At          int64                   `json:"at"`       // Unix seconds
	Deadline    int64                   `json:"deadline"` // Unix seconds, exclusive
	Received    int64                   `json:"received"` // Unix seconds; 0: no receipt
}

// Amendment is one correction or comment; the original stands untouched.
type Amendment struct {
	ID        interview.AmendmentID   `json:"amendment"`
	Number    int64                   `json:"number"`    // from 1
	Kind      string                  `json:"kind"`      // one of AmendmentKinds
	Utterance interview.UtteranceID   `json:"utterance"` // target; "" where it adds
	Text      string                  `json:"text"`
	Language  string                  `json:"language"`
	By        interview.ParticipantID `json:"by"`
	OnBehalf  interview.ParticipantID `json:"on_behalf"` // "" for oneself
	Channel   string                  `json:"channel"`   // one of Channels
	At        int64                   `json:"at"`        // Unix seconds
	Late      bool                    `json:"late"`      // after the time limit
	Reply     *Reply                  `json:"reply"`     // null until the interviewer answers
}

// AmendmentKinds are the kinds of amendment: correction and translation need a
// target.
var AmendmentKinds = []string{"correction", "translation", "addition", "comment"}

// Channels by which an amendment came.
var Channels = []string{"terminal", "oral", "telephone", "written"}

// Decisions of an interviewer about an amendment.
var Decisions = []string{"accepted", "noted", "disputed"}

// Reply is the interviewer's answer to an amendment.
type Reply struct {
	Decision string `json:"decision"` // one of Decisions
	Text     string `json:"text"`
	At       int64  `json:"at"`
}

// Ending is the outcome with its reasons.
type Ending struct {
	Outcome         Outcome                 `json:"outcome"`
	Reasons         string                  `json:"reasons"`
	DeclinedReasons bool                    `json:"declined_reasons"` // refused without giving any
	By              interview.ParticipantID `json:"by"`
	At              int64                   `json:"at"`
}

// Seal gives a content its salt and returns its text and the record of it,
// ready to be signed.
func Seal(c *Content, previous string, sealedAt int64) (text []byte, r Record, err error) {
	salt := make([]byte, 32)
	rand.Read(salt)
	c.V, c.Salt = 1, base64.RawURLEncoding.EncodeToString(salt)
	if text, err = canon.Marshal(c); err != nil {
		return nil, Record{}, err
	}
	r = Record{
		V: 1, ID: c.Record, Hearing: c.Hearing, Case: c.Case, Version: c.Version, Previous: previous, Content: HashContent(text),
		Utterances: int64(len(c.Utterances)), Amendments: int64(len(c.Amendments)), Rule: c.Notice.Rule, SealedAt: sealedAt,
	}
	if c.Ending != nil {
		r.Outcome = c.Ending.Outcome
	}
	_, err = Open(&r, text)
	return text, r, err
}

// HashContent is the hash by which a record names its content.
func HashContent(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify reads one signed record under the authority's pinned sealing key.
func Verify(signed string, sealing crypto.PublicKey) (*Record, error) {
	var r Record
	if err := jws.Verify(signed, Type, sealing, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &r, r.check()
}

func (r *Record) check() error {
	switch {
	case r.V != 1 || r.ID.IsZero() || r.Hearing.IsZero() || r.Case.IsZero():
		return fmt.Errorf("%w: version %d names no record, hearing or case", ErrRecord, r.Version)
	case r.Version == 1 && (r.Previous != "" || r.Amendments != 0 || r.Outcome != ""):
		return fmt.Errorf("%w: version 1 has something before or after it", ErrRecord)
	case r.Version == 2 && (r.Previous == "" || !r.Outcome.valid()):
		return fmt.Errorf("%w: version 2 lacks what it follows or its outcome", ErrRecord)
	case r.Version != 1 && r.Version != 2:
		return fmt.Errorf("%w: version %d is not known", ErrRecord, r.Version)
	}
	return nil
}

func (o Outcome) valid() bool {
	return o == Confirmed || o == ConfirmedWithAmendments || o == Refused || o == NoReply
}

// VerifyChain reads the signed versions of one hearing, in order, and checks
// that each quotes the one before it.
func VerifyChain(signed []string, sealing crypto.PublicKey) ([]*Record, error) {
	if len(signed) == 0 {
		return nil, fmt.Errorf("%w: there is no version", ErrRecord)
	}
	out := make([]*Record, len(signed))
	for i, text := range signed {
		r, err := Verify(text, sealing)
		if err != nil {
			return nil, fmt.Errorf("version %d: %w", i+1, err)
		}
		out[i] = r
		if r.Version != int64(i+1) {
			return nil, fmt.Errorf("version %d: %w: it says that it is version %d", i+1, ErrRecord, r.Version)
		}
		if i == 0 {
			continue
		}
		first := out[i-1]
		if r.Previous != jws.Hash(signed[i-1]) {
			return nil, fmt.Errorf("version %d: %w: it does not quote the version before it", i+1, ErrRecord)
		}
		if r.Hearing != first.Hearing || r.Case != first.Case || r.Utterances != first.Utterances || r.SealedAt < first.SealedAt {
			return nil, fmt.Errorf("version %d: %w: it is of another hearing, case, time or length", i+1, ErrRecord)
		}
	}
	return out, nil
}

// Open reads a content and checks that the record is of it, and that it is
// whole in itself.
func Open(r *Record, text []byte) (*Content, error) {
	if subtle.ConstantTimeCompare([]byte(HashContent(text)), []byte(r.Content)) != 1 {
		return nil, fmt.Errorf("%w: content of version %d was changed", ErrRecord, r.Version)
	}
	var c Content
	if err := canon.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: content of version %d: %w", ErrRecord, r.Version, err)
	}
	if c.V != 1 || c.Record != r.ID || c.Hearing != r.Hearing || c.Case != r.Case || c.Version != r.Version || c.Notice.Rule != r.Rule ||
		int64(len(c.Utterances)) != r.Utterances || int64(len(c.Amendments)) != r.Amendments {
		return nil, fmt.Errorf("%w: content of version %d is of another record", ErrRecord, r.Version)
	}
	if (c.Ending == nil) != (r.Outcome == "") || (c.Ending != nil && c.Ending.Outcome != r.Outcome) {
		return nil, fmt.Errorf("%w: content of version %d has another outcome", ErrRecord, r.Version)
	}
	return &c, c.check()
}

// check reads the content as a person would: every line in time and by somebody
// who was there, every amendment numbered, attributed and about a line.
func (c *Content) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: version %d: %s", ErrRecord, c.Version, fmt.Sprintf(format, args...))
	}
	people := map[interview.ParticipantID]bool{}
	for _, p := range c.Participants {
		people[p.ID] = true
	}
	lines := map[interview.UtteranceID]bool{}
	var last interview.Micros
	for i, u := range c.Utterances {
		if lines[u.ID] || u.ID.IsZero() || !u.Kind.Valid() || !people[u.Speaker] || u.At < last || u.At > c.EndedAt {
			return wrong("utterance %d is out of order, out of time, twice or by nobody", i+1)
		}
		lines[u.ID], last = true, u.At
	}
	for i, u := range c.Utterances {
		if !u.Renders.IsZero() && !lines[u.Renders] {
			return wrong("utterance %d renders a line that is not there", i+1)
		}
	}
	for i, a := range c.Amendments {
		if a.Number != int64(i+1) || !people[a.By] || (!a.OnBehalf.IsZero() && !people[a.OnBehalf]) {
			return wrong("amendment %d is out of order or by nobody", i+1)
		}
		if !a.Utterance.IsZero() && !lines[a.Utterance] {
			return wrong("amendment %d is about a line that is not there", i+1)
		}
	}
	if e := c.Ending; e != nil {
		if e.Outcome == Refused && (e.Reasons == "") == !e.DeclinedReasons {
			return wrong("refused, but not exactly one of reasons and declined to give them")
		}
		if e.Outcome == Confirmed && len(c.Amendments) > 0 || e.Outcome == ConfirmedWithAmendments && len(c.Amendments) == 0 {
			return wrong("outcome %s does not fit %d amendments", e.Outcome, len(c.Amendments))
		}
	}
	return nil
}

// VerifyContents opens the contents of a verified chain and checks that what
// was sealed first stands unchanged in the later version (J4).
func VerifyContents(records []*Record, texts [][]byte) ([]*Content, error) {
	if len(records) != len(texts) {
		return nil, fmt.Errorf("%w: %d contents for %d versions", ErrRecord, len(texts), len(records))
	}
	out := make([]*Content, len(texts))
	for i, text := range texts {
		c, err := Open(records[i], text)
		if err != nil {
			return nil, err
		}
		out[i] = c
		if i == 0 {
			continue
		}
		first := out[i-1]
		for n := range c.Utterances {
			if c.Utterances[n] != first.Utterances[n] {
				return nil, fmt.Errorf("%w: utterance %d differs between version %d and version %d", ErrRecord, n+1, i, i+1)
			}
		}
		if c.Diary != first.Diary || c.OpenedAt != first.OpenedAt || c.EndedAt != first.EndedAt || c.Justification != first.Justification ||
			!reflect.DeepEqual(c.Participants, first.Participants) {
			return nil, fmt.Errorf("%w: the hearing differs between version %d and version %d", ErrRecord, i, i+1)
		}
	}
	return out, nil
}
