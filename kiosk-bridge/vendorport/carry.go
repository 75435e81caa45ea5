package vendorport

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"kuule/internal/canon"
)

// carrier is a message that carries prints, templates or pictures. They are put
// into its text, and taken out of it, beside the JSON package, whose own buffers
// and strings nobody can overwrite (row B19): that one sees a mark in their place.
type carrier interface {
	// carried gives the places of the data, in the order of the message's text.
	carried() []*[]byte
}

func (c *CompareFingers) carried() []*[]byte {
	out := []*[]byte{&c.Probe.Data}
	for i := range c.References {
		out = append(out, &c.References[i].Data)
	}
	return out
}

func (c *CompareFaces) carried() []*[]byte {
	var out []*[]byte
	for i := range c.Live {
		out = append(out, &c.Live[i].Data)
	}
	return append(out, &c.Reference.Data)
}

func (c *Captured) carried() []*[]byte { return []*[]byte{&c.Template.Data} }

func (p *RegisteredPerson) carried() []*[]byte {
	var out []*[]byte
	for i := range p.Pictures {
		out = append(out, &p.Pictures[i].Data)
	}
	return out
}

// mark stands for data in a text: random, so that nobody's data is one.
type mark [16]byte

func newMark() (m mark) {
	_, _ = rand.Read(m[:]) // never fails (crypto/rand)
	return m
}

func (m mark) of(i int) []byte { return append(bytes.Clone(m[:]), byte(i)) }

// index says which data a mark stands for.
func (m mark) index(b []byte) (int, bool) {
	if len(b) != len(m)+1 || !bytes.Equal(b[:len(m)], m[:]) {
		return 0, false
	}
	return int(b[len(m)]), true
}

// write makes a message's text, which is the caller's to overwrite.
func write(message any) ([]byte, error) {
	c, carries := message.(carrier)
	if !carries {
		return json.Marshal(message)
	}
	m := newMark()
	var places []*[]byte
	var data [][]byte
	for _, p := range c.carried() {
		if len(*p) > 0 && len(places) < 256 {
			places, data = append(places, p), append(data, *p)
			*p = m.of(len(data) - 1)
		}
	}
	lean, err := json.Marshal(message)
	for i, p := range places {
		*p = data[i]
	}
	if err != nil {
		return nil, err
	}
	size := len(lean)
	for _, d := range data {
		size += base64.StdEncoding.EncodedLen(len(d))
	}
	out := make([]byte, 0, size)
	for i, d := range data {
		before, after, found := bytes.Cut(lean, []byte(base64.StdEncoding.EncodeToString(m.of(i))))
		if !found {
			clear(out)
			return nil, errors.New("a message's data does not stand in its order")
		}
		out = base64.StdEncoding.AppendEncode(append(out, before...), d)
		lean = after
	}
	return append(out, lean...), nil
}

// carriedData is data in a text; inside a string of JSON its quotes would be
// escaped.
var carriedData = regexp.MustCompile(`"data"\s*:\s*"([A-Za-z0-9+/]{32,}={0,2})"`)

// read reads a text strictly. The text is the caller's to overwrite, and so is
// what comes out of it.
func read(text []byte, out any) error {
	c, carries := out.(carrier)
	if !carries {
		return canon.Strict(text, out)
	}
	m := newMark()
	var lean []byte
	var data [][]byte
	rest := 0
	for _, at := range carriedData.FindAllSubmatchIndex(text, 255) {
		coded := text[at[2]:at[3]]
		d := make([]byte, base64.StdEncoding.DecodedLen(len(coded)))
		n, err := base64.StdEncoding.Decode(d, coded)
		if err != nil {
			clear(d)
			continue // refused below, as it stands
		}
		lean = append(append(lean, text[rest:at[2]]...), base64.StdEncoding.EncodeToString(m.of(len(data)))...)
		data, rest = append(data, d[:n]), at[3]
	}
	err := canon.Strict(append(lean, text[rest:]...), out)
	placed := 0
	if err == nil {
		for _, p := range c.carried() {
			if i, marked := m.index(*p); marked && i < len(data) {
				*p, placed = data[i], placed+1
			}
		}
	}
	if err == nil && placed == len(data) {
		return nil
	}
	for _, d := range data {
		clear(d)
	}
	if err == nil {
		err = errors.New("data where the message has no place for it")
	}
	return err
}

// readWhole reads at most limit bytes, and leaves none behind in buffers that it
// has outgrown. Size is how many are announced, -1 where nobody says.
func readWhole(r io.Reader, size int64, limit int) ([]byte, error) {
	b := make([]byte, 0, min(max(int(min(size, int64(limit)))+1, 4096), limit+1))
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			clear(b)
			return nil, err
		case len(b) > limit:
			clear(b)
			return nil, fmt.Errorf("%w: over %d bytes", ErrAnswer, limit)
		case len(b) == cap(b):
			grown := make([]byte, len(b), min(2*cap(b), limit+1))
			copy(grown, b)
			clear(b)
			b = grown
		}
	}
}
