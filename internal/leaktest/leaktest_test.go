package leaktest_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"kuule/internal/leaktest"
)

const word = "Havaintosana"

func packed(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A search that finds nothing is worth what it would find.
func TestWordsAreFoundWhereverTheyHide(t *testing.T) {
	t.Parallel()
	plain := []byte(`{"note":"` + word + ` ääni"}`)
	jws := []byte(`{"signed":"eyJhbGciOiJFUzI1NiJ9.` + base64.RawURLEncoding.EncodeToString(plain) + `.AAAA"}`)
	quoted, err := json.Marshal(map[string]string{"content": string(jws)})
	if err != nil {
		t.Fatal(err)
	}
	var zipped, deflated bytes.Buffer
	g := gzip.NewWriter(&zipped)
	_, _ = g.Write(quoted)
	_ = g.Close()
	deflated.WriteString("%PDF-1.7\n\x00<</Filter/FlateDecode>>stream\n")
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(plain)
	_ = z.Close()
	deflated.WriteString("\nendstream")
	for what, content := range map[string][]byte{
		"plain": plain, "in a message": jws, "in escaped JSON": quoted, "in gzip": zipped.Bytes(),
		"in base64": []byte(base64.StdEncoding.EncodeToString(plain)), "in hexadecimal": []byte(hex.EncodeToString(plain)),
		"in an archive": packed(t, "a", quoted), "in an archive's names": packed(t, word, nil), "in an archive in an archive": packed(t, "b", packed(t, "a", jws)),
		"in a page": deflated.Bytes(),
	} {
		if got := leaktest.Find(content, "somebodyelse", word); !slices.Equal(got, []string{word}) {
			t.Errorf("%s: found %v", what, got)
		}
	}
	if got := leaktest.Find([]byte("nothing of it, Havainto sana"), word); got != nil {
		t.Errorf("found %v", got)
	}
}
