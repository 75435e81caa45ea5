package backup

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
)

func filled[T any](n int, with T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = with
	}
	return out
}

// H5: each bound of a chunk holds at its limit and refuses one more, whatever else
// the chunk says.
func TestAChunkHoldsItsBounds(t *testing.T) {
	t.Parallel()
	key := Key{Source: interview.SourceAudio}
	for name, set := range map[string]struct {
		limit int
		of    func(c *Chunk, n int)
	}{
		"frames":            {MaxFrames, func(c *Chunk, n int) { c.Frames = filled(n, Frame{}) }},
		"keys":              {MaxKeys, func(c *Chunk, n int) { c.Keys = filled(n, key) }},
		"origin lists":      {MaxLists, func(c *Chunk, n int) { c.Origins = filled(n, "x") }},
		"a statement":       {MaxText, func(c *Chunk, n int) { c.Statement = strings.Repeat("x", n) }},
		"a roster":          {MaxText, func(c *Chunk, n int) { c.Roster = strings.Repeat("x", n) }},
		"an admission":      {MaxText, func(c *Chunk, n int) { c.Recorder = strings.Repeat("x", n) }},
		"a sealed key":      {MaxSealed, func(c *Chunk, n int) { c.Keys = []Key{{Source: key.Source, Sealed: strings.Repeat("x", n)}} }},
		"an origin list":    {sealing.MaxOriginBytes, func(c *Chunk, n int) { c.Origins = []string{strings.Repeat("x", n)} }},
		"the epoch":         {sealing.MaxEpoch, func(c *Chunk, n int) { c.Epoch = int64(n) }},
		"the epoch's begin": {0, func(c *Chunk, n int) { c.Epoch = int64(-n) }},
	} {
		c := &Chunk{V: 1, Hearing: interview.NewHearingID(), Group: interview.NewGroupID(), Member: interview.NewMemberID()}
		set.of(c, set.limit)
		if err := c.bounds(); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		set.of(c, set.limit+1)
		if err := c.bounds(); !errors.Is(err, ErrChunk) {
			t.Errorf("%s beyond the limit: %v", name, err)
		}
		if err, bound := c.Check(&trust.File{}), c.bounds(); bound != nil && (err == nil || err.Error() != bound.Error()) {
			t.Errorf("%s: the chunk is refused for another reason: %v", name, err)
		}
	}
	if err := (&Chunk{Keys: []Key{{Source: "smell"}}}).bounds(); !errors.Is(err, ErrChunk) {
		t.Errorf("a key for no source: %v", err)
	}
}

// H5: the same of a grant, and it names hashes alone.
func TestAGrantHoldsItsBounds(t *testing.T) {
	t.Parallel()
	name := jws.Hash("x")
	for what, set := range map[string]struct {
		limit int
		of    func(g *Grant, n int)
	}{
		"spans": {MaxSpans, func(g *Grant, n int) {
			g.Spans = make([]Span, n)
			for i := range g.Spans {
				g.Spans[i] = Span{interview.Micros(2 * i), interview.Micros(2*i + 1)}
			}
		}},
		"rosters":    {MaxKnown, func(g *Grant, n int) { g.Rosters = filled(n, name) }},
		"statements": {MaxKnown, func(g *Grant, n int) { g.Statements = filled(n, name) }},
	} {
		g := &Grant{V: 1, Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Bundle: name}
		set.of(g, set.limit)
		if err := g.check(); err != nil {
			t.Errorf("%s at the limit: %v", what, err)
		}
		set.of(g, set.limit+1)
		if err := g.check(); !errors.Is(err, ErrChunk) {
			t.Errorf("%s beyond the limit: %v", what, err)
		}
	}
	for what, text := range map[string]string{"short": name[1:], "long": name + "A", "no base64url": "=" + name[1:], "empty": ""} {
		g := &Grant{V: 1, Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Bundle: name, Rosters: []string{text}}
		if err := g.check(); !errors.Is(err, ErrChunk) {
			t.Errorf("a roster's name that is %s: %v", what, err)
		}
	}
}

// endless is a file that never ends, made as it is read.
type endless struct {
	chunk *Chunk
	to    hpke.PublicKey
	n     int64
	rest  []byte
	given int64
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.n == 0 {
			e.rest = Magic()
		}
		sealed, err := e.chunk.Seal(e.to, e.n)
		if err != nil {
			return 0, err
		}
		e.rest = append(e.rest, sealed...)
		e.n++
	}
	n := copy(b, e.rest)
	e.rest, e.given = e.rest[n:], e.given+int64(n)
	return n, nil
}

// H5: a file is read up to its bounds and no further: so many chunks, so many bytes,
// none larger than a chunk is.
func TestAFileHoldsItsBounds(t *testing.T) {
	t.Parallel()
	own, err := hpke.DHKEM(ecdh.P256()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *endless {
		return &endless{chunk: &Chunk{V: 1, Hearing: interview.NewHearingID(), Statement: strings.Repeat("s", 1000)}, to: own.PublicKey()}
	}
	one, err := fresh().chunk.Seal(own.PublicKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	const chunks = 8
	file := int64(len(fileMagic) + chunks*len(one))
	for name, bound := range map[string]struct{ chunks, bytes int64 }{"chunks": {chunks, MaxFile}, "bytes": {MaxChunks, file}, "a byte less": {MaxChunks, file - 1}} {
		src, read := fresh(), int64(0)
		err := readEndless(src, own, bound.chunks, bound.bytes, &read)
		want := int64(chunks)
		if name == "a byte less" {
			want--
		}
		if !errors.Is(err, ErrChunk) || read != want || src.given > file+int64(len(one)) {
			t.Errorf("%s: %d chunks, %d bytes, %v", name, read, src.given, err)
		}
		// What is exactly as long as it may be is read whole.
		src, read = fresh(), 0
		if name == "a byte less" {
			continue
		}
		whole, err := io.ReadAll(io.LimitReader(src, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := readAll(whole, src.chunk.Hearing, own, bound.chunks, bound.bytes, &read); err != nil || read != chunks {
			t.Errorf("%s at the limit: %d chunks, %v", name, read, err)
		}
	}
	for _, length := range []uint32{MaxChunk + sealedOverhead + 1, 1 << 31, 1<<32 - 1} {
		lying := append(Magic(), binary.BigEndian.AppendUint32(nil, length)...)
		if err := Read(io.MultiReader(bytes.NewReader(lying), fresh()), interview.NewHearingID(), own, func(*Chunk) error { return nil }); !errors.Is(err, ErrChunk) {
			t.Errorf("a chunk of %d bytes: %v", length, err)
		}
	}
}

func readEndless(src *endless, own hpke.PrivateKey, chunks, size int64, n *int64) error {
	return read(src, src.chunk.Hearing, own, chunks, size, func(*Chunk) error { *n++; return nil })
}

func readAll(file []byte, h interview.HearingID, own hpke.PrivateKey, chunks, size int64, n *int64) error {
	return read(bytes.NewReader(file), h, own, chunks, size, func(*Chunk) error { *n++; return nil })
}
