package certificate

import (
	"bytes"
	_ "embed" // the fonts
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

// Fonts that are always there: Latin, Greek and Cyrillic, and all that is written
// in Arabic letters (Arabic, Persian, Dari, Pashto, Sorani, Urdu). Both are under
// the SIL Open Font License (fonts/OFL.txt).
var (
	//go:embed fonts/NotoSans-Bold.ttf
	latin []byte
	//go:embed fonts/NotoSansArabic-Bold.ttf
	arabic []byte
)

// FontFolder is where Debian's fonts-noto-core puts the fonts of further scripts.
const FontFolder = "/usr/share/fonts/truetype/noto"

// further are the scripts of those who come here that the fonts above lack, as
// their files are named; the rest is found by looking through the folder.
var further = []string{"Ethiopic", "Bengali", "Devanagari", "Tamil", "Georgian", "Armenian", "Hebrew", "Thai", "Gurmukhi", "Myanmar", "Sinhala", "Khmer", "Lao", "Thaana", "Tifinagh"}

// writer draws words in any script for which there is a font, shaped as readers of
// that script write it. It is safe for concurrent use.
type writer struct {
	folder string

	mu    sync.Mutex
	faces []*font.Face // as they were needed
	tried bool         // the folder
	hb    shaping.HarfbuzzShaper
	seg   shaping.Segmenter
}

var words = &writer{folder: FontFolder}

func parseFace(ttf []byte) (*font.Face, error) { return font.ParseTTF(bytes.NewReader(ttf)) }

// ready opens the fonts that are needed for a text. A rune that none has is
// ErrLetters.
func (w *writer) ready(text []rune) error {
	if w.faces == nil {
		for _, ttf := range [][]byte{latin, arabic} {
			f, err := parseFace(ttf)
			if err != nil {
				return fmt.Errorf("open a font: %w", err)
			}
			w.faces = append(w.faces, f)
		}
	}
	if w.lacks(text) && !w.tried {
		w.tried = true
		for _, script := range further {
			ttf, err := os.ReadFile(filepath.Join(w.folder, "NotoSans"+script+"-Bold.ttf"))
			if err != nil {
				continue // that script cannot be written on this machine
			}
			if f, err := parseFace(ttf); err == nil {
				w.faces = append(w.faces, f)
			}
		}
	}
	if w.lacks(text) {
		return ErrLetters
	}
	return nil
}

func (w *writer) lacks(text []rune) bool {
	return slices.ContainsFunc(text, func(r rune) bool { return !joiner(r) && w.face(r) == nil })
}

// joiner tells of characters that shape their neighbours and are not drawn.
func joiner(r rune) bool { return r == 0x200c || r == 0x200d || r >= 0x2066 && r <= 0x2069 }

func (w *writer) face(r rune) *font.Face {
	for _, f := range w.faces {
		if _, has := f.NominalGlyph(r); has {
			return f
		}
	}
	return nil
}

// ResolveFace implements shaping.Fontmap.
func (w *writer) ResolveFace(r rune) *font.Face {
	if f := w.face(r); f != nil {
		return f
	}
	return w.faces[0]
}

// clean drops what must not reach a shaper: controls, and characters that turn
// the direction of what follows, by which a name could be made to read as another.
func clean(r rune) rune {
	switch {
	case r == '\n' || r == '\r' || r == '\t':
		return ' '
	case r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x200e && r <= 0x200f || r == 0xfeff:
		return -1
	}
	return r
}

// draw writes a text as outlines, its left end at x and its line at y, into a
// page's content (ISO 32000-1, 8.5), and says how wide it is. The text itself
// stands beside the outlines for readers (14.9.4).
func (w *writer) draw(out *bytes.Buffer, text string, size, x, y float64) (width float64, err error) {
	runes := []rune(strings.Map(clean, text))
	if len(runes) == 0 {
		return 0, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(runes); err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "/Span << /ActualText <FEFF%x> >> BDC\n", utf16bytes(string(runes)))
	at := x
	for _, o := range w.shape(runes) {
		upem := float64(o.Face.Upem())
		k := size / upem
		unit := float64(o.Size) / 64 / upem // the shaper's numbers per unit of the font
		for _, g := range o.Glyphs {
			gx, gy := at+float64(g.XOffset)/64/unit*k, y+float64(g.YOffset)/64/unit*k
			outline(out, o.Face, g.GlyphID, k, gx, gy)
			at += float64(g.Advance) / 64 / unit * k
		}
	}
	out.WriteString("EMC\n")
	return at - x, nil
}

// shape gives the runs of a line from left to right.
func (w *writer) shape(runes []rune) []shaping.Output {
	direction := di.DirectionLTR
	for _, r := range runes {
		if s := language.LookupScript(r); s == language.Arabic || s == language.Hebrew || s == language.Thaana || s == language.Syriac {
			direction = di.DirectionRTL
			break
		} else if s != language.Common && s != language.Inherited && s != language.Unknown {
			break
		}
	}
	var runs []shaping.Output
	for _, in := range w.seg.Split(shaping.Input{Text: runes, RunEnd: len(runes), Direction: direction, Size: fixed.I(1000)}, w) {
		runs = append(runs, w.hb.Shape(in))
	}
	var wrap shaping.LineWrapper
	lines, _ := wrap.WrapParagraphF(shaping.WrapConfig{Direction: direction, BreakPolicy: shaping.Never}, fixed.I(1<<24), runes, shaping.NewSliceIterator(runs))
	if len(lines) == 0 {
		return nil
	}
	line := slices.Clone(lines[0]) // the wrapper uses its own again
	slices.SortFunc(line, func(a, b shaping.Output) int { return int(a.VisualIndex) - int(b.VisualIndex) })
	return line
}

func utf16bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}

// outline draws one glyph.
func outline(out *bytes.Buffer, face *font.Face, id font.GID, k, x, y float64) {
	drawn, is := face.GlyphData(id).(font.GlyphOutline)
	if !is || len(drawn.Segments) == 0 {
		return
	}
	point := func(p opentype.SegmentPoint) (float64, float64) { return x + float64(p.X)*k, y + float64(p.Y)*k }
	var cx, cy float64
	begun := false
	for _, s := range drawn.Segments {
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			if begun {
				out.WriteString("h\n")
			}
			begun = true
			cx, cy = point(s.Args[0])
			fmt.Fprintf(out, "%.2f %.2f m\n", cx, cy)
		case opentype.SegmentOpLineTo:
			cx, cy = point(s.Args[0])
			fmt.Fprintf(out, "%.2f %.2f l\n", cx, cy)
		case opentype.SegmentOpQuadTo: // PDF has cubic curves alone
			qx, qy := point(s.Args[0])
			ex, ey := point(s.Args[1])
			fmt.Fprintf(out, "%.2f %.2f %.2f %.2f %.2f %.2f c\n", cx+(qx-cx)*2/3, cy+(qy-cy)*2/3, ex+(qx-ex)*2/3, ey+(qy-ey)*2/3, ex, ey)
			cx, cy = ex, ey
		case opentype.SegmentOpCubeTo:
			ax, ay := point(s.Args[0])
			bx, by := point(s.Args[1])
			cx, cy = point(s.Args[2])
			fmt.Fprintf(out, "%.2f %.2f %.2f %.2f %.2f %.2f c\n", ax, ay, bx, by, cx, cy)
		}
	}
	out.WriteString("h f\n")
}
