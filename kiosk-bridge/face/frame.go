package face

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of what the engine is asked.
const (
	MaxPicture  = 4 << 20  // bytes of one picture, still encoded
	MaxPictures = 9        // of one question
	MaxPixels   = 12 << 20 // of one picture
	MinSide     = 64       // pixels: less holds no face that could be compared

	maxHeader = 4 << 10
	maxAnswer = 64 << 10
)

// Operation is what the engine is asked.
type Operation string

// Operations of the engine.
const (
	OpHello    Operation = "hello"    // who are you; no picture
	OpLook     Operation = "look"     // is one usable face there; one picture
	OpCompare  Operation = "compare"  // the first picture with each of the others
	OpTemplate Operation = "template" // the face of one picture as numbers
)

// Request is one question to the engine: the only one that its process gets.
type Request struct {
	V        int       `json:"v"`
	Op       Operation `json:"op"`
	Sizes    []int     `json:"sizes"` // of the pictures, which follow
	Pictures [][]byte  `json:"-"`
}

// Answer is what the engine says.
type Answer struct {
	V        int    `json:"v"`
	Engine   string `json:"engine"`   // name and version
	Looks    []Look `json:"looks"`    // one for each picture, in order
	Scores   []int  `json:"scores"`   // compare: likeness of the first picture to each other one, in millionths; 0 where one is unusable
	Template []int8 `json:"template"` // template: of the only picture, where it is usable
}

// ErrFrame says that a message between server and engine has not its shape.
var ErrFrame = errors.New("message of the face engine cannot be read")

// Pictures says how many pictures an operation may have.
func (o Operation) pictures(n int) bool {
	switch o {
	case OpHello:
		return n == 0
	case OpLook, OpTemplate:
		return n == 1
	case OpCompare:
		return n >= 2 && n <= MaxPictures
	default:
		return false
	}
}

// WriteRequest writes one question: a length of four bytes, a header of JSON,
// the pictures one after the other.
func WriteRequest(w io.Writer, op Operation, pictures ...[]byte) error {
	r := Request{V: 1, Op: op, Sizes: []int{}}
	for _, p := range pictures {
		r.Sizes = append(r.Sizes, len(p))
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := writeJSON(w, r); err != nil {
		return err
	}
	for _, p := range pictures {
		if _, err := w.Write(p); err != nil {
			return fmt.Errorf("ask the face engine: %w", err)
		}
	}
	return nil
}

// ReadRequest reads one question and allocates no more than it announces and
// may hold.
func ReadRequest(r io.Reader) (Request, error) {
	var q Request
	if err := readJSON(r, maxHeader, &q); err != nil {
		return Request{}, err
	}
	if err := q.check(); err != nil {
		return Request{}, err
	}
	for _, size := range q.Sizes {
		p, err := readExactly(r, size)
		if err != nil {
			return Request{}, err
		}
		q.Pictures = append(q.Pictures, p)
	}
	return q, nil
}

func (q Request) check() error {
	if q.V != 1 || !q.Op.pictures(len(q.Sizes)) {
		return fmt.Errorf("%w: version %d, %d pictures for %q", ErrFrame, q.V, len(q.Sizes), q.Op)
	}
	for _, size := range q.Sizes {
		if size < 1 || size > MaxPicture {
			return fmt.Errorf("%w: picture of %d bytes, at most %d", ErrFrame, size, MaxPicture)
		}
	}
	return nil
}

// WriteAnswer writes the engine's only answer.
func WriteAnswer(w io.Writer, a Answer) error { return writeJSON(w, a) }

// ReadAnswer reads the answer to a question with so many pictures and believes
// no number that cannot be.
func ReadAnswer(r io.Reader, op Operation, pictures int) (Answer, error) {
	var a Answer
	if err := readJSON(r, maxAnswer, &a); err != nil {
		return Answer{}, err
	}
	scores := 0
	if op == OpCompare {
		scores = pictures - 1
	}
	switch {
	case a.V != 1 || len(a.Engine) > 100 || len(a.Looks) != pictures || len(a.Scores) != scores:
		return Answer{}, fmt.Errorf("%w: it does not answer the question", ErrFrame)
	case len(a.Template) != 0 && (op != OpTemplate || len(a.Template) != Dimensions):
		return Answer{}, fmt.Errorf("%w: a template of %d numbers", ErrFrame, len(a.Template))
	}
	for _, s := range a.Scores {
		if s < -One || s > One {
			return Answer{}, fmt.Errorf("%w: a likeness of %d millionths", ErrFrame, s)
		}
	}
	for _, l := range a.Looks {
		if !l.valid() {
			return Answer{}, fmt.Errorf("%w: a look that cannot be", ErrFrame)
		}
	}
	return a, nil
}

func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

func readJSON(r io.Reader, most uint32, v any) error {
	head, err := readExactly(r, 4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n > most {
		return fmt.Errorf("%w: header of %d bytes, at most %d", ErrFrame, n, most)
	}
	text, err := readExactly(r, int(n))
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if d.More() {
		return fmt.Errorf("%w: more than one value", ErrFrame)
	}
	return nil
}

// readExactly grows with what comes, not with what is announced.
func readExactly(r io.Reader, n int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, fmt.Errorf("%w: it ends early: %w", ErrFrame, err)
	}
	return b.Bytes(), nil
}
