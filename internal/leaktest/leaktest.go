package leaktest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"regexp"
	"slices"
)

// Bounds of a search: layers in each other, and bytes of what is unpacked.
const (
	depth    = 6
	unpacked = 256 << 20
)

// Find gives those of the words that stand in the content: as they are, escaped
// as in JSON, in base64 or hexadecimal, in ZIP, gzip and deflate, and in all of
// that in each other. Words of fewer than eight bytes are found by chance.
func Find(content []byte, words ...string) []string {
	found := map[string]bool{}
	search(content, words, depth, found)
	var out []string
	for _, w := range words {
		if found[w] && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

var (
	coded     = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`)
	hexadec   = regexp.MustCompile(`(?:[0-9a-fA-F]{2}){8,}`)
	deflated  = []byte("stream\n") // of a PDF
	unescapes = regexp.MustCompile(`"(?:[^"\\]|\\.)*\\(?:[^"\\]|\\.)*"`)
)

func search(content []byte, words []string, layers int, found map[string]bool) {
	for _, w := range words {
		if bytes.Contains(content, []byte(w)) {
			found[w] = true
		}
	}
	if layers == 0 || len(found) == len(words) {
		return
	}
	inside := func(b []byte) {
		if len(b) >= 8 {
			search(b, words, layers-1, found)
		}
	}
	if archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
		for _, f := range archive.File {
			inside([]byte(f.Name + "\n" + f.Comment))
			if r, err := f.Open(); err == nil {
				inside(read(r))
			}
		}
		return
	}
	if r, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
		inside(read(r))
		return
	}
	if !text(content) {
		for rest := content; ; {
			_, after, more := bytes.Cut(rest, deflated)
			if !more {
				return
			}
			if r, err := zlib.NewReader(bytes.NewReader(after)); err == nil {
				inside(read(r))
			} else {
				inside(read(flate.NewReader(bytes.NewReader(after))))
			}
			rest = after
		}
	}
	for _, s := range unescapes.FindAll(content, -1) {
		var plain string
		if json.Unmarshal(s, &plain) == nil {
			inside([]byte(plain))
		}
	}
	for _, s := range coded.FindAll(content, -1) {
		for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
			if b, err := e.DecodeString(string(s)); err == nil {
				inside(b)
				break
			}
		}
	}
	for _, s := range hexadec.FindAll(content, -1) {
		if b, err := hex.DecodeString(string(s)); err == nil {
			inside(b)
		}
	}
}

// read gives what can be read, also of what is cut short.
func read(r io.Reader) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, unpacked))
	return b
}

// text says whether content may be text: base64 and escapes are sought there
// alone.
func text(content []byte) bool { return bytes.IndexByte(content[:min(len(content), 4096)], 0) < 0 }
