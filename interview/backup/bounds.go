package backup

import (
	"encoding/base64"
	"fmt"

	"kuule/interview"
	"kuule/interview/sealing"
)

// Bounds of what a terminal brings, beside those of a chunk. They hold where it is
// kept, where it is handed over and where it is taken in.
const (
	MaxFile   = 4 << 30  // bytes of a file
	MaxChunks = 1 << 18  // of a file: three days of one each second
	MaxText   = 64 << 10 // bytes of a statement, a roster or an admission
	MaxSealed = 256      // bytes of a sealed sender key, as text

)

// bounds holds a chunk against them.
func (c *Chunk) bounds() error {
	for name, text := range map[string]string{"statement": c.Statement, "roster": c.Roster, "recorder's admission": c.Recorder} {
		if len(text) > MaxText {
			return fmt.Errorf("%w: a %s of %d bytes, at most %d", ErrChunk, name, len(text), MaxText)
		}
	}
	for what, n := range map[string][2]int{"frames": {len(c.Frames), MaxFrames}, "keys": {len(c.Keys), MaxKeys}, "origin lists": {len(c.Origins), MaxLists}} {
		if n[0] > n[1] {
			return fmt.Errorf("%w: %d %s at once, at most %d", ErrChunk, n[0], what, n[1])
		}
	}
	if c.Epoch < 0 || c.Epoch > sealing.MaxEpoch {
		return fmt.Errorf("%w: epoch %d", ErrChunk, c.Epoch)
	}
	for _, k := range c.Keys {
		if len(k.Sealed) > MaxSealed {
			return fmt.Errorf("%w: a sealed key of %d bytes, at most %d", ErrChunk, len(k.Sealed), MaxSealed)
		}
		switch k.Source {
		case interview.SourceAudio, interview.SourceVideo, interview.SourceScreen:
		default:
			return fmt.Errorf("%w: a key for source %q", ErrChunk, k.Source)
		}
	}
	for _, text := range c.Origins {
		if len(text) > sealing.MaxOriginBytes {
			return fmt.Errorf("%w: an origin list of %d bytes, at most %d", ErrChunk, len(text), sealing.MaxOriginBytes)
		}
	}
	return nil
}

// bounds holds a grant against them.
func (g *Grant) bounds() error {
	for what, n := range map[string][2]int{"spans": {len(g.Spans), MaxSpans}, "rosters": {len(g.Rosters), MaxKnown}, "statements": {len(g.Statements), MaxKnown}} {
		if n[0] > n[1] {
			return fmt.Errorf("%w: a grant of %d %s, at most %d", ErrChunk, n[0], what, n[1])
		}
	}
	for _, h := range append(append([]string{g.Bundle}, g.Rosters...), g.Statements...) {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(h); err != nil || len(b) != 32 {
			return fmt.Errorf("%w: a grant names what is no hash", ErrChunk)
		}
	}
	return nil
}
