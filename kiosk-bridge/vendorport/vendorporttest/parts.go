package vendorporttest

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/jpeg"
	_ "image/png" // what pictures are
	"maps"
	"slices"
	"time"

	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/vendorport"
)

const algorithm = "simulator-1"

var line = vendorport.Threshold{ID: "simulator/1", Score: 500_000}

func (p *Part) line() vendorport.Threshold {
	if p.has(Nameless) {
		return vendorport.Threshold{Score: line.Score}
	}
	return line
}

func isPicture(p vendorport.Picture) bool {
	_, _, err := image.DecodeConfig(bytes.NewReader(p.Data))
	return err == nil
}

var noPicture = &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "not a picture"}

// New plays the part for a port; key signs what a register finds.
func New(port vendorport.Port, key crypto.Signer, faults ...Fault) *Part {
	var p *Part
	switch port {
	case vendorport.PortPAD:
		p = PAD()
	case vendorport.PortFingerprint:
		p = Fingers(func(int, int) vendorport.Captured { return Finger(7, 2, 80) })
	case vendorport.PortOptics:
		p = Optics(func() *vendorport.Inspected { return Specimen("") })
	case vendorport.PortQuality:
		p = Quality()
	case vendorport.PortFace:
		p = Faces()
	case vendorport.PortDuplicates:
		p = Duplicates(key, nil)
	case vendorport.PortRegister:
		p = Register(Somebody)
	case vendorport.PortCasework:
		p = Casework().Part
	}
	p.Faults = faults
	return p
}

// PAD plays presentation-attack detection: pictures that are all the same are a
// photograph held up; different ones are a person; one alone says nothing.
func PAD() *Part {
	p := &Part{Description: describe(vendorport.PortPAD, vendorport.OpAssess)}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.Assess
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if len(in.Frames) == 0 || slices.ContainsFunc(in.Frames, func(f vendorport.Picture) bool { return !isPicture(f) }) {
			return nil, noPicture
		}
		out := &vendorport.Assessment{Verdict: vendorport.Undecided, Score: line.Score, Threshold: p.line(), Algorithm: algorithm}
		if len(in.Frames) > 1 {
			out.Verdict, out.Score = vendorport.Suspected, 10_000
			for _, f := range in.Frames[1:] {
				if !bytes.Equal(f.Data, in.Frames[0].Data) {
					out.Verdict, out.Score = vendorport.BonaFide, 950_000
				}
			}
		}
		return out, nil
	}
	return p
}

// Finger is one impression of a person's finger: the record has the person's
// number in it.
func Finger(person uint16, position, quality int) vendorport.Captured {
	b := []byte("FMR\x00 20\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range []uint16{256, 360, 197, 197} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = append(b, 1, 0, byte(position), 0, byte(quality), 1)
	b = append(binary.BigEndian.AppendUint16(b, 0x4000|10), 0, 20, 5, 60)
	b = append(b, 0, 2, byte(person>>8), byte(person))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
	return vendorport.Captured{Taken: true, Quality: quality, Template: vendorport.Template{Format: vendorport.FormatFinger, Data: b}}
}

// NoFinger is a scanner on which nobody lays one.
func NoFinger() vendorport.Captured { return vendorport.Captured{Reason: vendorport.ReasonTimedOut} }

// Fingers plays scanner and matcher. Scan says what each try gives; two records
// match if they are of one person.
func Fingers(scan func(finger, attempt int) vendorport.Captured) *Part {
	p := &Part{Description: describe(vendorport.PortFingerprint, vendorport.OpCapture, vendorport.OpCompare)}
	p.Answer = func(o vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		if o == vendorport.OpCapture {
			var in vendorport.Capture
			if r := p.read(body, &in); r != nil {
				return nil, r
			}
			if in.Finger < 1 || in.Finger > 10 || in.Attempt < 1 || in.Wait < 1 {
				return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "fingers are 1 to 10"}
			}
			if p.has(Waiting) {
				time.Sleep(time.Duration(in.Wait)*time.Millisecond + 7*time.Second)
			}
			out := scan(in.Finger, in.Attempt)
			if p.has(Contrary) {
				out.Quality = 101
			}
			return &out, nil
		}
		var in vendorport.CompareFingers
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if len(in.Probe.Data) < 2 || len(in.References) == 0 {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "a probe and references are needed"}
		}
		same := slices.ContainsFunc(in.References, func(r vendorport.Template) bool {
			return len(r.Data) > 2 && bytes.Equal(r.Data[len(r.Data)-2:], in.Probe.Data[len(in.Probe.Data)-2:])
		})
		return p.compared(same), nil
	}
	return p
}

func (p *Part) compared(same bool) *vendorport.Compared {
	out := &vendorport.Compared{Verdict: vendorport.NoMatch, Score: 20_000, Threshold: p.line(), Algorithm: algorithm}
	if same {
		out.Verdict, out.Score = vendorport.Match, 980_000
	}
	if p.has(Contrary) {
		out.Verdict, out.Score = vendorport.Match, 20_000
	}
	return out
}

// Faces plays a face matcher: two pictures match if they have the same number of
// pixels.
func Faces() *Part {
	p := &Part{Description: describe(vendorport.PortFace, vendorport.OpCompare)}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.CompareFaces
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if len(in.Live) == 0 || !isPicture(in.Reference) || slices.ContainsFunc(in.Live, func(f vendorport.Picture) bool { return !isPicture(f) }) {
			return nil, noPicture
		}
		size := func(f vendorport.Picture) image.Point {
			c, _, _ := image.DecodeConfig(bytes.NewReader(f.Data))
			return image.Pt(c.Width, c.Height)
		}
		return p.compared(slices.ContainsFunc(in.Live, func(f vendorport.Picture) bool { return size(f) == size(in.Reference) })), nil
	}
	return p
}

// Specimen is what a reader says of a document with a zone; of none for "".
func Specimen(zone string) *vendorport.Inspected {
	if zone == "" {
		return &vendorport.Inspected{Verdict: vendorport.Undecided, Features: []vendorport.Feature{}, Images: []vendorport.Scan{}, Algorithm: algorithm}
	}
	picture := []byte("a page under white light")
	sum := sha256.Sum256(picture)
	return &vendorport.Inspected{
		Present: true, Zone: zone, Verdict: vendorport.Genuine, Algorithm: algorithm,
		Features: []vendorport.Feature{{Name: "uv-brightness", Verdict: vendorport.Genuine}, {Name: "ir-visibility", Verdict: vendorport.Genuine}},
		Images:   []vendorport.Scan{{Light: "white", Format: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Data: picture}},
	}
}

// Optics plays a document reader. Lies says what lies on it now.
func Optics(lies func() *vendorport.Inspected) *Part {
	p := &Part{Description: describe(vendorport.PortOptics, vendorport.OpInspect)}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.Inspect
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if in.Wait < 1 {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "how long?"}
		}
		if p.has(Waiting) {
			time.Sleep(time.Duration(in.Wait)*time.Millisecond + 7*time.Second)
		}
		out := lies()
		if p.has(Lying) {
			out.Present = true
			out.Images = []vendorport.Scan{{Light: "white", Format: "image/jpeg", SHA256: hex.EncodeToString(make([]byte, 32)), Data: []byte("x")}}
		}
		return out, nil
	}
	return p
}

// Quality plays the grading of pictures: a large one is good.
func Quality() *Part {
	p := &Part{Description: describe(vendorport.PortQuality, vendorport.OpAssess)}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.Grade
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		c, _, err := image.DecodeConfig(bytes.NewReader(in.Picture.Data))
		if err != nil {
			return nil, noPicture
		}
		out := &vendorport.Graded{Overall: min(100, c.Width/5), Measures: []vendorport.Measure{{Name: "size", Value: min(100, c.Width/5)}}, Hints: []string{}, Algorithm: algorithm}
		if out.Overall < 50 {
			out.Hints = []string{"face-too-small"}
		}
		if p.has(Contrary) {
			out.Overall = 101
		}
		return out, nil
	}
	return p
}

// Registered is somebody in a register that is played.
type Registered struct {
	Diary  string // of the case; "" is in any
	Number string // of the document of an applicant
	Name   string
	Born   string
	Face   []byte            // JPEG; nil: none
	Finger map[string][]byte // by finger-1 ... finger-10, as records
}

// Somebody is in the register that [New] plays.
var Somebody = Registered{
	Diary: "KUULE/1/2026", Number: "A294711", Name: "Specimen Person", Born: "1988-03-14", Face: drawn(), Finger: map[string][]byte{"finger-2": Finger(7, 2, 80).Template.Data},
}

// drawn is a small picture of nobody.
func drawn() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 80)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Register plays the register of the agency: it knows people by the diary number
// of their case, and a number is held against theirs.
func Register(people ...Registered) *Part {
	p := &Part{Description: describe(vendorport.PortRegister, vendorport.OpPerson)}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.PersonQuestion
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if in.Purpose != vendorport.PurposeIdentification && !p.has(Purposeless) {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "the purpose is identification"}
		}
		if in.Diary == "" && in.Number == "" && !p.has(Guessing) || in.Visit == "" || len(in.Want) == 0 {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "one person is to be named, and what is wanted"}
		}
		i := slices.IndexFunc(people, func(r Registered) bool {
			return (in.Diary == "" || r.Diary == "" || in.Diary == r.Diary) && (in.Number == "" || in.Number == r.Number || p.has(Credulous))
		})
		if i < 0 {
			return &vendorport.RegisteredPerson{Pictures: []vendorport.RegisteredPicture{}}, nil
		}
		return p.registered(people[i], in.Want), nil
	}
	return p
}

func (p *Part) registered(r Registered, want []string) *vendorport.RegisteredPerson {
	out := &vendorport.RegisteredPerson{Found: true, Name: r.Name, Born: r.Born, Number: r.Number, Pictures: []vendorport.RegisteredPicture{}}
	if p.has(Contrary) {
		out.Born = "yesterday"
	}
	wants := func(kind string) bool { return slices.Contains(want, kind) || p.has(Generous) }
	if wants(vendorport.WantFace) && r.Face != nil {
		out.Pictures = append(out.Pictures, vendorport.RegisteredPicture{Kind: vendorport.WantFace, Format: "image/jpeg", Data: r.Face})
	}
	if !wants(vendorport.WantFingers) {
		return out
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Finger)) {
		out.Pictures = append(out.Pictures, vendorport.RegisteredPicture{Kind: kind, Format: vendorport.FormatFinger, Data: r.Finger[kind]})
	}
	return out
}

// Duplicates plays a register: a probe is found if its bytes are in it, under the
// reference that they have there. A search is done when it is asked for the first
// time.
func Duplicates(key crypto.Signer, register map[string]string) *Part {
	p := &Part{Description: describe(vendorport.PortDuplicates, vendorport.OpSearch)}
	results := map[string]string{}
	p.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.Search
		if r := p.read(body, &in); r != nil {
			return nil, r
		}
		if len(in.Probes) == 0 {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "a probe is needed"}
		}
		name := p.key
		probes := make([]duplicate.Probe, len(in.Probes))
		found := []duplicate.Candidate{}
		for i, q := range in.Probes {
			probes[i] = duplicate.Probe{Modality: q.Modality, Format: q.Template.Format, Data: q.Template.Data}
			if reference, ok := register[string(q.Template.Data)]; ok && len(found) == 0 {
				found = append(found, duplicate.Candidate{Modality: q.Modality, Reference: reference, Score: 900_000})
			}
		}
		sum := duplicate.Sum(probes)
		if p.has(Forging) {
			sum = "others"
		}
		signed, err := duplicate.SignResult(duplicate.Result{
			V: 1, Search: name, ProbesSHA256: sum, Gallery: "simulator", Size: len(register), AsOf: 1_800_000_000,
			Algorithm: algorithm, Threshold: line.ID, ThresholdScore: line.Score, Candidates: found,
		}, key)
		if err != nil {
			return nil, &vendorport.Refusal{Code: vendorport.CodeDevice, Detail: err.Error()}
		}
		results[name] = signed
		return &vendorport.Searching{Search: name, State: "running"}, nil
	}
	p.Searched = func(name string) (any, *vendorport.Refusal) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if results[name] == "" {
			return nil, &vendorport.Refusal{Code: vendorport.CodeUnknown, Detail: "there is no such search"}
		}
		return &vendorport.Searching{Search: name, State: "done", Result: results[name]}, nil
	}
	return p
}
