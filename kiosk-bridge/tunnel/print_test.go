package tunnel

import (
	"errors"
	"strings"
	"testing"

	"kuule/internal/canon"
)

func anyPrint() Print {
	return Print{
		V: 1, Verdict: PrintGenuine, Engine: "Maker reader 3", Features: []PrintFeature{{"uv-brightness", PrintGenuine}, {"hologram", PrintUndecided}},
		Images: []PrintImage{{"white", strings.Repeat("0a", 32)}},
	}
}

// B2: what a reader says of the print is read strictly, or not at all.
func TestWhatAReaderSaysOfThePrintIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Print){
		"another version":                  func(p *Print) { p.V = 2 },
		"another verdict":                  func(p *Print) { p.Verdict = "perfect" },
		"genuine with a suspect feature":   func(p *Print) { p.Features[0].Verdict = PrintSuspect },
		"a feature of another verdict":     func(p *Print) { p.Features[0].Verdict = "" },
		"a feature without a name":         func(p *Print) { p.Features[0].Name = "" },
		"a feature of control characters":  func(p *Print) { p.Features[0].Name = "a\nb" },
		"too many features":                func(p *Print) { p.Features = make([]PrintFeature, 51) },
		"too many images":                  func(p *Print) { p.Images = make([]PrintImage, 7) },
		"an image under another light":     func(p *Print) { p.Images[0].Light = "candle" },
		"an image by another hash":         func(p *Print) { p.Images[0].SHA256 = "0a" },
		"no reader":                        func(p *Print) { p.Engine = "" },
		"a reader with a name too long":    func(p *Print) { p.Engine = strings.Repeat("x", MaxEngine+1) },
		"an image whose hash is no number": func(p *Print) { p.Images[0].SHA256 = strings.Repeat("zz", 32) },
	} {
		p := anyPrint()
		change(&p)
		text, err := canon.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPrint(text); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := canon.Marshal(anyPrint())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ReadPrint(text); err != nil || p.Verdict != PrintGenuine || len(p.Features) != 2 {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := ReadPrint(append(text, ' ')); !errors.Is(err, ErrMessage) {
		t.Errorf("more than the text: %v", err)
	}
}

func FuzzReadPrint(f *testing.F) {
	text, err := canon.Marshal(anyPrint())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadPrint(text)
		if err == nil && (p.V != 1 || len(p.Features) > maxFeatures || len(p.Images) > maxImages) {
			t.Errorf("%+v", p)
		}
	})
}
