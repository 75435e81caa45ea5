package vendorport_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

func asked(want ...string) vendorport.PersonQuestion {
	return vendorport.PersonQuestion{Purpose: vendorport.PurposeIdentification, Visit: "vis_1", Hearing: "hrg_1", Diary: vendorporttest.Somebody.Diary, Want: want}
}

// B12: a register gives one person, and the pictures that were asked for.
func TestARegisterGivesOnePerson(t *testing.T) {
	t.Parallel()
	c := vendorporttest.Client(t, vendorporttest.Register(vendorporttest.Somebody))
	for name, x := range map[string]struct {
		change func(*vendorport.PersonQuestion)
		kinds  []string
		want   error
	}{
		"face and fingers":   {func(*vendorport.PersonQuestion) {}, []string{"face", "finger-2"}, nil},
		"the face alone":     {func(q *vendorport.PersonQuestion) { q.Want = []string{vendorport.WantFace} }, []string{"face"}, nil},
		"the fingers alone":  {func(q *vendorport.PersonQuestion) { q.Want = []string{vendorport.WantFingers} }, []string{"finger-2"}, nil},
		"by the number":      {func(q *vendorport.PersonQuestion) { q.Diary, q.Number = "", vendorporttest.Somebody.Number }, []string{"face", "finger-2"}, nil},
		"by both":            {func(q *vendorport.PersonQuestion) { q.Number = vendorporttest.Somebody.Number }, []string{"face", "finger-2"}, nil},
		"another number":     {func(q *vendorport.PersonQuestion) { q.Number = "B1" }, nil, nil},
		"another case":       {func(q *vendorport.PersonQuestion) { q.Diary = "KUULE/2/2026" }, nil, nil},
		"for another reason": {func(q *vendorport.PersonQuestion) { q.Purpose = "curiosity" }, nil, vendorport.ErrRefused},
		"nobody named":       {func(q *vendorport.PersonQuestion) { q.Diary = "" }, nil, vendorport.ErrRefused},
		"nothing wanted":     {func(q *vendorport.PersonQuestion) { q.Want = []string{} }, nil, vendorport.ErrRefused},
	} {
		q := asked(vendorport.WantFace, vendorport.WantFingers)
		x.change(&q)
		p, err := c.Person(t.Context(), "", q)
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		var kinds []string
		for _, r := range p.Pictures {
			kinds = append(kinds, r.Kind)
		}
		if fmt.Sprint(kinds) != fmt.Sprint(x.kinds) || p.Found != (x.kinds != nil) {
			t.Errorf("%s: found %v, %v", name, p.Found, kinds)
		}
	}
}

// What a register answers beyond the contract is no answer.
func TestARegistersAnswersBeyondTheContractAreNone(t *testing.T) {
	t.Parallel()
	picture := func(kind, format, data string) string {
		return fmt.Sprintf(`{"kind":%q,"format":%q,"data":%q}`, kind, format, data)
	}
	face, finger := picture("face", "image/jpeg", "AAAA"), picture("finger-2", "iso-19794-2-2005", "AAAA")
	person := func(pictures ...string) string {
		return `{"found":true,"name":"A B","born":"1988","number":"A1","pictures":[` + strings.Join(pictures, ",") + `]}`
	}
	for name, x := range map[string]struct {
		body string
		want error
	}{
		"a person":                {person(face, finger), nil},
		"a person without any":    {person(), nil},
		"nobody":                  {`{"found":false,"name":"","born":"","number":"","pictures":[]}`, nil},
		"nobody, with a name":     {`{"found":false,"name":"A","born":"","number":"","pictures":[]}`, vendorport.ErrAnswer},
		"nobody, with a picture":  {`{"found":false,"name":"","born":"","number":"","pictures":[` + face + `]}`, vendorport.ErrAnswer},
		"a field of its own":      {`{"found":true,"name":"A","born":"","number":"","pictures":[],"nationality":"X"}`, vendorport.ErrAnswer},
		"a date of its own":       {`{"found":true,"name":"A","born":"14.3.1988","number":"","pictures":[]}`, vendorport.ErrAnswer},
		"a number of its own":     {`{"found":true,"name":"A","born":"","number":"a-1","pictures":[]}`, vendorport.ErrAnswer},
		"a long name":             {`{"found":true,"name":"` + strings.Repeat("A", 201) + `","born":"","number":"","pictures":[]}`, vendorport.ErrAnswer},
		"an iris":                 {person(picture("iris", "image/jpeg", "AAAA")), vendorport.ErrAnswer},
		"an eleventh finger":      {person(picture("finger-11", "iso-19794-2-2005", "AAAA")), vendorport.ErrAnswer},
		"two faces":               {person(face, face), vendorport.ErrAnswer},
		"an empty picture":        {person(picture("face", "image/jpeg", "")), vendorport.ErrAnswer},
		"a face that is none":     {person(picture("face", "iso-19794-2-2005", "AAAA")), vendorport.ErrAnswer},
		"a picture of a finger":   {person(picture("finger-2", "image/png", "AAAA")), vendorport.ErrAnswer},
		"a format that is none":   {person(picture("finger-2", "A Format", "AAAA")), vendorport.ErrAnswer},
		"more than was asked for": {person(face, picture("finger-2", "iso-19794-2-2005", "AAAA"), picture("finger-3", "x", "AAAA")), nil},
	} {
		url := vendorporttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(x.body)) }))
		c, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortRegister, URL: url, Wait: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Person(t.Context(), "", asked(vendorport.WantFace, vendorport.WantFingers)); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(x.body, `"face"`) && x.want == nil {
			if _, err := c.Person(t.Context(), "", asked(vendorport.WantFingers)); !errors.Is(err, vendorport.ErrAnswer) {
				t.Errorf("%s, and a face that nobody asked for: %v", name, err)
			}
		}
		c.Close()
	}
}

// K10: a question to the register has no place for anything that was taken of a
// person; and people in answers do not print.
func TestAQuestionToTheRegisterCarriesNoPicture(t *testing.T) {
	t.Parallel()
	var sent []byte
	p := vendorporttest.Register(vendorporttest.Somebody)
	answer := p.Answer
	p.Answer = func(o vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		sent = bytes.Clone(body)
		return answer(o, body)
	}
	found, err := vendorporttest.Client(t, p).Person(t.Context(), "", asked(vendorport.WantFingers))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"purpose":"identification","visit":"vis_1","hearing":"hrg_1","diary":"KUULE/1/2026","number":"","want":["fingers"]}`; string(sent) != want {
		t.Errorf("the register is sent %s", sent)
	}
	if text := fmt.Sprintf("%v %+v %#v %v", *found, *found, *found, found.Pictures); strings.Contains(text, "Specimen") || strings.Contains(text, "70 77 82") {
		t.Errorf("printed as %s", text)
	}
	found.Forget()
	if data := found.Pictures[0].Data; !bytes.Equal(data, make([]byte, len(data))) {
		t.Error("a picture that was forgotten is still there")
	}
}
