package face

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAQuestionIsReadAsItWasAsked(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteRequest(&b, OpCompare, []byte("reference"), []byte("live")); err != nil {
		t.Fatal(err)
	}
	q, err := ReadRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	if q.Op != OpCompare || len(q.Pictures) != 2 || string(q.Pictures[0]) != "reference" || string(q.Pictures[1]) != "live" {
		t.Errorf("read %q of %q", q.Op, q.Pictures)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	large := make([]byte, MaxPicture+1)
	for name, c := range map[string]struct {
		op       Operation
		pictures [][]byte
	}{
		"a picture for hello":     {OpHello, [][]byte{{1}}},
		"nothing to look at":      {OpLook, nil},
		"two to look at":          {OpLook, [][]byte{{1}, {2}}},
		"a reference alone":       {OpCompare, [][]byte{{1}}},
		"too many pictures":       {OpCompare, slices.Repeat([][]byte{{1}}, MaxPictures+1)},
		"a picture that is empty": {OpLook, [][]byte{{}}},
		"a picture too large":     {OpLook, [][]byte{large}},
		"an unknown operation":    {"train", [][]byte{{1}}},
	} {
		if err := WriteRequest(&bytes.Buffer{}, c.op, c.pictures...); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	frame := func(text string, rest ...byte) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...), rest...)
	}
	for name, b := range map[string][]byte{
		"nothing":           {},
		"a header too long": binary.BigEndian.AppendUint32(nil, maxHeader+1),
		"a header cut":      frame(`{"v":1,"op":"hello","sizes":[]}`)[:20],
		"a picture cut":     frame(`{"v":1,"op":"look","sizes":[10]}`, 1, 2, 3),
		"a huge picture":    frame(`{"v":1,"op":"look","sizes":[4194305]}`),
		"a negative one":    frame(`{"v":1,"op":"look","sizes":[-1]}`),
		"an unknown field":  frame(`{"v":1,"op":"hello","sizes":[],"path":"x"}`),
		"another version":   frame(`{"v":2,"op":"hello","sizes":[]}`),
		"two values":        frame(`{"v":1,"op":"hello","sizes":[]}{}`),
	} {
		if _, err := ReadRequest(bytes.NewReader(b)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The child has read a stranger's picture: its answer is a stranger's too.
func TestAnswersThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	ok := Answer{V: 1, Engine: "e", Looks: []Look{{Faces: 1}, {Faces: 1}}, Scores: []int{900_000}}
	for name, change := range map[string]func(*Answer){
		"a likeness over one":     func(a *Answer) { a.Scores[0] = One + 1 },
		"a likeness below":        func(a *Answer) { a.Scores[0] = -One - 1 },
		"scores too few":          func(a *Answer) { a.Scores = nil },
		"looks too few":           func(a *Answer) { a.Looks = a.Looks[:1] },
		"a reason of its own":     func(a *Answer) { a.Looks[0].Reason = "forged" },
		"no face, but compared":   func(a *Answer) { a.Looks[0] = Look{Faces: 0} },
		"a template not asked":    func(a *Answer) { a.Template = make([]int8, Dimensions) },
		"another version":         func(a *Answer) { a.V = 2 },
		"an engine's life story":  func(a *Answer) { a.Engine = strings.Repeat("x", 101) },
		"several, but only one":   func(a *Answer) { a.Looks[1] = Look{Faces: 1, Reason: ReasonSeveralFaces} },
		"unreadable, but a face":  func(a *Answer) { a.Looks[1] = Look{Faces: 1, Reason: ReasonUnreadable} },
		"negative count of faces": func(a *Answer) { a.Looks[1] = Look{Faces: -1} },
	} {
		a := ok
		a.Looks, a.Scores = slices.Clone(ok.Looks), slices.Clone(ok.Scores)
		change(&a)
		var b bytes.Buffer
		if err := WriteAnswer(&b, a); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAnswer(&b, OpCompare, 2); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b bytes.Buffer
	if err := WriteAnswer(&b, ok); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAnswer(&b, OpCompare, 2); err != nil {
		t.Errorf("an answer that can be: %v", err)
	}
}

func FuzzReadRequest(f *testing.F) {
	var b bytes.Buffer
	_ = WriteRequest(&b, OpLook, []byte("picture"))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ReadRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		total := 0
		for _, p := range q.Pictures {
			total += len(p)
		}
		if total > len(b) || !q.Op.pictures(len(q.Pictures)) {
			t.Errorf("%d bytes of pictures in %d, %d pictures for %s", total, len(b), len(q.Pictures), q.Op)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	var b bytes.Buffer
	_ = WriteAnswer(&b, Answer{V: 1, Looks: []Look{{Faces: 1}, {Faces: 1}}, Scores: []int{1}})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ReadAnswer(bytes.NewReader(b), OpCompare, 2)
		if err != nil {
			return
		}
		if c := conclude(a); c.Score < -One || c.Score > One || c.Reason == "" {
			t.Errorf("concluded %+v", c)
		}
	})
}

func TestPersonalThingsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := Template{42, 43}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), s.LogValue().String()} {
		if strings.Contains(text, "42") || strings.Contains(text, "2a") {
			t.Errorf("a template prints as %s", text)
		}
	}
	s.Clear()
	if s[0] != 0 || s[1] != 0 {
		t.Error("a cleared template still holds numbers")
	}
}
