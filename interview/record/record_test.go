package record_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/record"
)

type chain struct {
	pub      ed25519.PublicKey
	key      ed25519.PrivateKey
	signed   []string
	texts    [][]byte
	contents []*record.Content
}

func content() *record.Content {
	who := interview.NewParticipantID()
	line := func(at interview.Micros, kind record.Kind, text string) record.Utterance {
		return record.Utterance{ID: interview.NewUtteranceID(), Version: 1, Kind: kind, At: at, Speaker: who, Language: "fi", Text: text}
	}
	return &record.Content{
		Record: interview.NewRecordID(), Hearing: interview.NewHearingID(), Case: interview.NewCaseID(), Version: 1,
		Diary: "D", Language: "ar", Mode: interview.ModeRemote, Justification: "far away", EndedAt: 100,
		Participants: []record.Participant{{ID: who, Role: interview.RoleApplicant, Name: "A", Place: "R"}},
		Utterances:   []record.Utterance{line(1, record.Question, "q"), line(2, record.Answer, "a")},
		Notice:       record.Notice{Rule: "r", Days: 7, Language: "ar"}, Deliveries: []record.Delivery{}, Amendments: []record.Amendment{},
	}
}

func (c *chain) add(t testing.TB, content *record.Content, sealedAt int64) {
	t.Helper()
	previous := ""
	if len(c.signed) > 0 {
		previous = jws.Hash(c.signed[len(c.signed)-1])
	}
	text, r, err := record.Seal(content, previous, sealedAt)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jws.Sign(r, record.Type, c.key)
	if err != nil {
		t.Fatal(err)
	}
	c.signed, c.texts, c.contents = append(c.signed, signed), append(c.texts, text), append(c.contents, content)
}

func second(first *record.Content) *record.Content {
	c := *first
	c.Record, c.Version = interview.NewRecordID(), 2
	c.Amendments = []record.Amendment{{
		ID: interview.NewAmendmentID(), Number: 1, Kind: "correction", Utterance: c.Utterances[1].ID, Text: "b", Language: "fi",
		By: c.Participants[0].ID, Channel: "terminal", Reply: &record.Reply{Decision: "accepted", Text: "ok"},
	}}
	c.Ending = &record.Ending{Outcome: record.ConfirmedWithAmendments, By: c.Participants[0].ID}
	return &c
}

func newChain(t testing.TB) *chain {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{pub: pub, key: key}
	first := content()
	c.add(t, first, 10)
	c.add(t, second(first), 20)
	return c
}

func (c *chain) verify() error {
	records, err := record.VerifyChain(c.signed, c.pub)
	if err != nil {
		return err
	}
	_, err = record.VerifyContents(records, c.texts)
	return err
}

// J9: the chain verifies offline, and each single change is found.
func TestEachSingleChangeOfAChainIsFound(t *testing.T) {
	t.Parallel()
	if err := newChain(t).verify(); err != nil {
		t.Fatal(err)
	}
	_, forger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	resign := func(c *chain, i int, key ed25519.PrivateKey, change func(*record.Record)) {
		var r record.Record
		if err := jws.Peek(c.signed[i], record.Type, &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		if c.signed[i], err = jws.Sign(r, record.Type, key); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(*chain){
		"signed by somebody else":     func(c *chain) { resign(c, 1, forger, func(*record.Record) {}) },
		"version 1 replaced":          func(c *chain) { resign(c, 0, c.key, func(r *record.Record) { r.SealedAt-- }) },
		"versions turned round":       func(c *chain) { slices.Reverse(c.signed) },
		"version 1 left out":          func(c *chain) { c.signed, c.texts = c.signed[1:], c.texts[1:] },
		"version 2 twice":             func(c *chain) { c.signed, c.texts = append(c.signed, c.signed[1]), append(c.texts, c.texts[1]) },
		"no version":                  func(c *chain) { c.signed, c.texts = nil, nil },
		"quotes nothing":              func(c *chain) { resign(c, 1, c.key, func(r *record.Record) { r.Previous = "" }) },
		"of another hearing":          func(c *chain) { resign(c, 1, c.key, func(r *record.Record) { r.Hearing = interview.NewHearingID() }) },
		"outcome left out":            func(c *chain) { resign(c, 1, c.key, func(r *record.Record) { r.Outcome = "" }) },
		"another outcome":             func(c *chain) { resign(c, 1, c.key, func(r *record.Record) { r.Outcome = record.Refused }) },
		"fewer amendments":            func(c *chain) { resign(c, 1, c.key, func(r *record.Record) { r.Amendments = 0 }) },
		"content swapped":             func(c *chain) { slices.Reverse(c.texts) },
		"content missing":             func(c *chain) { c.texts = c.texts[:1] },
		"one word of the content":     func(c *chain) { c.texts[0] = bytes.Replace(c.texts[0], []byte(`"a"`), []byte(`"x"`), 1) },
		"content in another spelling": func(c *chain) { c.texts[0] = append(c.texts[0], '\n') },
	} {
		c := newChain(t)
		spoil(c)
		if err := c.verify(); !errors.Is(err, record.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneFlippedByteAnywhereIsFound(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	records, err := record.VerifyChain(c.signed, c.pub)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range c.texts {
		for n := range text {
			text[n] ^= 1
			if _, err := record.Open(records[i], text); err == nil {
				t.Fatalf("content %d, byte %d", i+1, n)
			}
			text[n] ^= 1
		}
		for n := range c.signed[i] {
			b := []byte(c.signed[i])
			b[n] ^= 1
			if _, err := record.Verify(string(b), c.pub); err == nil {
				t.Fatalf("record %d, byte %d", i+1, n)
			}
		}
	}
}

// J4: even the authority's own key cannot make version 2 tell another version 1.
func TestASecondVersionThatEditsTheFirstIsFound(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*record.Content){
		"a line's text":     func(c *record.Content) { c.Utterances[1].Text = "x" },
		"a line's time":     func(c *record.Content) { c.Utterances[1].At++ },
		"the justification": func(c *record.Content) { c.Justification = "x" },
		"a name":            func(c *record.Content) { c.Participants[0].Name = "x" },
	} {
		pub, key, _ := ed25519.GenerateKey(nil)
		c := &chain{pub: pub, key: key}
		first := content()
		c.add(t, first, 10)
		next := second(first)
		next.Utterances, next.Participants = slices.Clone(next.Utterances), slices.Clone(next.Participants)
		edit(next)
		c.add(t, next, 20)
		if err := c.verify(); !errors.Is(err, record.ErrRecord) || !strings.Contains(err.Error(), "differs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAContentThatMakesNoSenseIsNotSealed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*record.Content){
		"line after the end":       func(c *record.Content) { c.Utterances[1].At = 101 },
		"lines out of order":       func(c *record.Content) { slices.Reverse(c.Utterances) },
		"line twice":               func(c *record.Content) { c.Utterances[1].ID = c.Utterances[0].ID },
		"line by nobody":           func(c *record.Content) { c.Utterances[1].Speaker = interview.NewParticipantID() },
		"renders nothing":          func(c *record.Content) { c.Utterances[1].Renders = interview.NewUtteranceID() },
		"amendment out of number":  func(c *record.Content) { c.Amendments[0].Number = 2 },
		"amendment by nobody":      func(c *record.Content) { c.Amendments[0].By = interview.NewParticipantID() },
		"amendment of no line":     func(c *record.Content) { c.Amendments[0].Utterance = interview.NewUtteranceID() },
		"refused without reasons":  func(c *record.Content) { c.Ending.Outcome = record.Refused },
		"confirmed but amended":    func(c *record.Content) { c.Ending.Outcome = record.Confirmed },
		"with amendments, but non": func(c *record.Content) { c.Amendments = nil },
	} {
		first := content()
		next := second(first)
		next.Utterances = slices.Clone(next.Utterances)
		spoil(next)
		if _, _, err := record.Seal(next, "previous", 1); !errors.Is(err, record.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSameContentTwiceHasAnotherHash(t *testing.T) {
	t.Parallel()
	c := content()
	_, a, err := record.Seal(c, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, b, _ := record.Seal(c, "", 1); a.Content == b.Content {
		t.Error("the hash can be guessed from the text")
	}
}

func FuzzOpen(f *testing.F) {
	text, r, err := record.Seal(content(), "", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		// The hash is made to fit, so that reading itself is tried.
		guess := r
		guess.Content = record.HashContent(text)
		c, err := record.Open(&guess, text)
		if err != nil {
			return
		}
		if again, err := canon.Marshal(c); err != nil || !bytes.Equal(again, text) {
			t.Error("read something that is not written like this")
		}
	})
}
