package journal

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"kuule/internal/jws"
	"kuule/interview"
)

// headHeader is the header of every head, in base64url.
var headHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"` + TypeJournal + `"}`))

// readHead reads a head without checking its signature. What is spelled as the
// writer spells it is read at once; everything else as any message is.
func readHead(message string) (Head, error) {
	if h, ok := plainHead(message); ok {
		return h, nil
	}
	var h Head
	err := jws.Peek(message, TypeJournal, &h)
	return h, err
}

// plainHead reads a head in the one form that the writer gives it.
func plainHead(message string) (Head, bool) {
	rest, ok := strings.CutPrefix(message, headHeader+".")
	at := strings.IndexByte(rest, '.')
	if !ok || at < 0 {
		return Head{}, false
	}
	var room, again [1024]byte
	if at > base64.RawURLEncoding.EncodedLen(len(room)) {
		return Head{}, false
	}
	payload, err := base64.RawURLEncoding.AppendDecode(room[:0], []byte(rest[:at]))
	if err != nil {
		return Head{}, false
	}
	f := fields{text: payload}
	var h Head
	h.Clear = f.word(`{"clear":"`)
	h.File = f.number(`","file":`)
	h.Frames = f.number(`,"frames":`)
	h.From = interview.Micros(f.number(`,"from":`))
	hearing := f.word(`,"hearing":"`)
	h.Prev = f.word(`","prev":"`)
	recording := f.word(`","recording":"`)
	h.Sealed = f.word(`","sealed":"`)
	h.Seq = f.number(`","seq":`)
	h.To = interview.Micros(f.number(`,"to":`))
	h.V = int(f.number(`,"v":`))
	if f.bad || string(f.text) != "}" {
		return Head{}, false
	}
	if h.Hearing, err = interview.ParseHearingID(hearing); err != nil {
		return Head{}, false
	}
	if h.Recording, err = interview.ParseRecordingID(recording); err != nil {
		return Head{}, false
	}
	// Whatever else would read as the same is not the one form.
	return h, bytes.Equal(h.appendJSON(again[:0]), payload)
}

// appendJSON adds the canonical JSON of a head.
func (h *Head) appendJSON(b []byte) []byte {
	number := func(name string, v int64) {
		b = append(b, name...)
		b = strconv.AppendInt(b, v, 10)
	}
	word := func(name, v string) { b = append(append(b, name...), v...) }
	word(`{"clear":"`, h.Clear)
	number(`","file":`, h.File)
	number(`,"frames":`, h.Frames)
	number(`,"from":`, int64(h.From))
	word(`,"hearing":"`, h.Hearing.String())
	word(`","prev":"`, h.Prev)
	word(`","recording":"`, h.Recording.String())
	word(`","sealed":"`, h.Sealed)
	number(`","seq":`, h.Seq)
	number(`,"to":`, int64(h.To))
	number(`,"v":`, int64(h.V))
	return append(b, '}')
}

// fields reads a text piece by piece; the first fault stays.
type fields struct {
	text []byte
	bad  bool
}

func (f *fields) skip(name string) {
	if f.bad = f.bad || !bytes.HasPrefix(f.text, []byte(name)); !f.bad {
		f.text = f.text[len(name):]
	}
}

// word reads what stands up to the next quotation mark: base64url or an id, so
// nothing that JSON would escape.
func (f *fields) word(name string) string {
	f.skip(name)
	n := bytes.IndexByte(f.text, '"')
	if f.bad = f.bad || n < 0; f.bad {
		return ""
	}
	out := f.text[:n]
	f.text = f.text[n:]
	for _, c := range out {
		if c <= ' ' || c > '~' || c == '\\' {
			f.bad = true
		}
	}
	return string(out)
}

func (f *fields) number(name string) int64 {
	f.skip(name)
	n := 0
	for n < len(f.text) && (f.text[n] == '-' || '0' <= f.text[n] && f.text[n] <= '9') {
		n++
	}
	const digits = 15 // well below 2^53
	if f.bad = f.bad || n == 0 || n > digits; f.bad {
		return 0
	}
	v, err := strconv.ParseInt(string(f.text[:n]), 10, 64)
	f.bad, f.text = err != nil, f.text[n:]
	return v
}
