package canon

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
)

// whole is the rule without the short cut.
func whole(text []byte) bool {
	if check(text) != nil {
		return false
	}
	again, err := jcs.Transform(text)
	return err == nil && bytes.Equal(again, text)
}

func TestTheShortCutTakesOnlyWhatTheWholeRuleTakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"a":[1,"x",null,true,false,{}],"b":-7,"c":[]}`: true,
		`0`:                      true,
		`{"a":{"b":{"c":"~ "}}}`: true,
		`{"a":1,"ab":2,"b":3}`:   true,
		// Canonical, but for the whole rule to say.
		`{"a":"ä"}`: false, `{"a":"\n"}`: false, `9007199254740991`: false,
		// Not canonical.
		`{"b":1,"a":2}`: false, `{"a":1,"a":1}`: false, `{"ab":1,"a":2}`: false, `{"a": 1}`: false, ` 1`: false, `1 `: false,
		`01`: false, `-0`: false, `-`: false, `1.0`: false, `1e3`: false, `{"a":1,}`: false, `[1,]`: false, `[,1]`: false, `{,}`: false,
		`{"a"}`: false, `{"a":}`: false, `{`: false, `[`: false, `"`: false, `"a`: false, `tru`: false, `nulll`: false, ``: false,
		`{"a":1}{}`: false, `{"a":"` + "\x7f" + `"}`: false, "{\"a\":\"\x00\"}": false, `"\/"`: false,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth):     true,
		strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2): false,
	} {
		if got := plain([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if plain([]byte(text)) && !whole([]byte(text)) {
			t.Errorf("%q: the whole rule refuses it", text)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,true],"b":-12}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if plain(text) && !whole(text) {
			t.Fatalf("%q passes the short cut alone", text)
		}
	})
}
