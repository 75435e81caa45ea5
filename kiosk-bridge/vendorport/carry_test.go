package vendorport

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"kuule/internal/canon"
)

var print1, print2 = bytes.Repeat([]byte{1, 2, 3, 250}, 40), bytes.Repeat([]byte("another"), 33)

// B19: what carries prints is written as the JSON package would write it, and
// what was handed in is as it was.
func TestWhatCarriesIsWrittenAsAnybodyWould(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]any{
		"fingers":         &CompareFingers{Probe: Template{FormatFinger, print1}, References: []Template{{FormatFinger, print2}, {"x", print1}}},
		"no references":   &CompareFingers{Probe: Template{FormatFinger, print1}},
		"faces":           &CompareFaces{Live: []Picture{{Format: "image/jpeg", Data: print1, At: 3}, {Format: "image/png", Data: print2}}, Reference: Picture{Format: "image/jp2", Data: print1}},
		"nothing in it":   &CompareFingers{References: []Template{{}}},
		"carries nothing": &Capture{Finger: 2},
	} {
		before, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := write(message)
		if err != nil || !bytes.Equal(got, before) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, before)
		}
		if after, err := json.Marshal(message); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s: what was handed in was changed to %s", name, after)
		}
	}
}

// What the JSON package sees of it is a mark: neither its buffers nor a string of
// its own hold a print.
func TestThePackageOfJSONSeesMarksAlone(t *testing.T) {
	t.Parallel()
	spy := &spied{CompareFingers: CompareFingers{Probe: Template{FormatFinger, print1}}}
	text, err := write(spy)
	if err != nil || !bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(print1))) {
		t.Fatalf("%s %v", text, err)
	}
	if spy.seen == nil || bytes.Contains(spy.seen, print1) {
		t.Errorf("it saw %x", spy.seen)
	}
	reader := &spied{}
	if err := read([]byte(`{"data":"`+base64.StdEncoding.EncodeToString(print1)+`"}`), reader); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(reader.Probe.Data, print1) || len(reader.seen) != len(mark{})+1 {
		t.Errorf("it read %x, the message has %x", reader.seen, reader.Probe.Data)
	}
}

// spied notes what the JSON package sees of its data.
type spied struct {
	CompareFingers

	seen []byte
}

func (s *spied) MarshalJSON() ([]byte, error) {
	s.seen = bytes.Clone(s.Probe.Data)
	return json.Marshal(map[string][]byte{"data": s.Probe.Data})
}

func (s *spied) UnmarshalJSON(text []byte) error {
	var in struct {
		Data []byte `json:"data"`
	}
	err := json.Unmarshal(text, &in)
	s.seen, s.Probe.Data = bytes.Clone(in.Data), in.Data
	return err
}

// Reading is as strict as without; whatever a maker's part says.
func TestReadingIsAsStrictAsWithout(t *testing.T) {
	t.Parallel()
	coded := base64.StdEncoding.EncodeToString(print1)
	whole := `{"taken":true,"reason":"","quality":80,"template":{"format":"iso-19794-2-2005","data":"` + coded + `"}}`
	var c Captured
	if err := read([]byte(whole), &c); err != nil || !reflect.DeepEqual(c.Template.Data, print1) || c.valid() != nil {
		t.Fatalf("%+v %v", c, err)
	}
	for name, text := range map[string]string{
		"a field that nobody knows":   strings.Replace(whole, `"taken"`, `"more":{"data":"`+coded+`"},"taken"`, 1),
		"the same twice":              strings.Replace(whole, `"data"`, `"data":"`+coded+`","data"`, 1),
		"base64 that is none":         strings.Replace(whole, coded, coded+"A", 1),
		"bytes after the end":         whole + whole,
		"a number where data belongs": strings.Replace(whole, `"`+coded+`"`, "7", 1),
		"cut short":                   whole[:len(whole)-9],
	} {
		var c Captured
		if err := read([]byte(text), &c); err == nil {
			t.Errorf("%s is taken: %+v", name, c.Taken)
		}
	}
	// Data in a name is a name.
	var p RegisteredPerson
	name := `\"data\":\"` + coded[:40] + `\"`
	if err := read([]byte(`{"found":true,"name":"`+name+`","born":"","number":"","pictures":[{"kind":"finger-2","format":"x","data" : "`+coded+`"},{"kind":"finger-7","format":"x","data":"`+coded[:8]+`"}]}`), &p); err != nil {
		t.Fatal(err)
	}
	if p.Name != `"data":"`+coded[:40]+`"` || !bytes.Equal(p.Pictures[0].Data, print1) || len(p.Pictures[1].Data) != 6 {
		t.Errorf("name %q, %d and %d bytes", p.Name, len(p.Pictures[0].Data), len(p.Pictures[1].Data))
	}
}

func TestWholeAnswersAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	for _, n := range []int{0, 1, 4095, 4096, 4097, limit - 1, limit} {
		for _, size := range []int64{-1, int64(n), 1 << 40} {
			text := bytes.Repeat([]byte{'x'}, n)
			got, err := readWhole(iotest.HalfReader(bytes.NewReader(text)), size, limit)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d bytes, announced as %d: %d, %v", n, size, len(got), err)
			}
		}
	}
	if _, err := readWhole(io.MultiReader(bytes.NewReader(make([]byte, limit)), strings.NewReader("x")), -1, limit); !errors.Is(err, ErrAnswer) {
		t.Errorf("beyond the bound: %v", err)
	}
	if _, err := readWhole(iotest.ErrReader(io.ErrUnexpectedEOF), -1, limit); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken off: %v", err)
	}
}

// FuzzRead: the same texts are taken, with the same in them, as by the strict
// reading alone.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"taken":true,"reason":"","quality":80,"template":{"format":"f","data":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`))
	f.Add([]byte(`{"template":{"data":"AAAA","format":"\"data\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var plain, carried Captured
		wantErr := canon.Strict(text, &plain)
		err := read(text, &carried)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(plain, carried) {
			t.Fatalf("%v and %v\n%+v\n%+v", err, wantErr, plain.Quality, carried.Quality)
		}
	})
}
