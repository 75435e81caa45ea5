package certificate_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/certificate"
)

var now = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

func claims() certificate.Claims {
	return certificate.Claims{V: 1, Visit: interview.NewVisitID(), Kiosk: interview.NewDeviceID(), Diary: "MIG-2026-10482", Name: "Samir (Sami) Håddad", Issued: now.Unix()}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// B16: a certificate has a code that verifies, and any change of it does not.
func TestCertificateVerifies(t *testing.T) {
	t.Parallel()
	key, c := newKey(t), claims()
	code, err := certificate.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	// As a scanner or a typist gives it.
	if got, err := certificate.Verify(" "+code[:90]+"\n"+code[90:]+"\r\n", key.Public(), now); err != nil || got != c {
		t.Errorf("%+v %v", got, err)
	}
	for i := range code {
		changed := []byte(code)
		changed[i] ^= 1
		if _, err := certificate.Verify(string(changed), key.Public(), now); !errors.Is(err, certificate.ErrInvalid) {
			t.Fatalf("changed at %d: %v", i, err)
		}
	}
	for name, verify := range map[string]func() (certificate.Claims, error){
		"another installation": func() (certificate.Claims, error) { return certificate.Verify(code, newKey(t).Public(), now) },
		"before it was made": func() (certificate.Claims, error) {
			return certificate.Verify(code, key.Public(), now.Add(-time.Hour))
		},
		"nothing": func() (certificate.Claims, error) { return certificate.Verify("", key.Public(), now) },
		"too long": func() (certificate.Claims, error) {
			return certificate.Verify(strings.Repeat("a", 9000), key.Public(), now)
		},
	} {
		if _, err := verify(); !errors.Is(err, certificate.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateOfNobodyIsNotSigned(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*certificate.Claims){
		"visit": func(c *certificate.Claims) { c.Visit = interview.VisitID{} }, "kiosk": func(c *certificate.Claims) { c.Kiosk = interview.DeviceID{} },
		"matter": func(c *certificate.Claims) { c.Diary = "" }, "name": func(c *certificate.Claims) { c.Name = "" }, "time": func(c *certificate.Claims) { c.Issued = 0 },
	} {
		c := claims()
		spoil(&c)
		if _, err := certificate.Sign(c, newKey(t)); err == nil {
			t.Errorf("without %s it is signed", name)
		}
	}
}

// What stands on the paper is what was signed, and a reader of PDFs finds it.
func TestPaperSaysWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, c := newKey(t), claims()
	code, err := certificate.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	pdf, err := certificate.PDF(c, code, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	again, err := certificate.PDF(c, code, time.UTC)
	if err != nil || !bytes.Equal(pdf, again) {
		t.Error("the same certificate gives two papers")
	}
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is missing: apt-get install poppler-utils")
	}
	cmd := exec.Command(tool, "-layout", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Todistus vireilläolosta", c.Name, c.Diary, "20.11.2026", "no identity document"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the paper does not say %q:\n%s", want, text)
		}
	}
	_, printed, _ := strings.Cut(string(text), "genuine.\n")
	if got, err := certificate.Verify(printed, key.Public(), now); err != nil || got != c {
		t.Errorf("the code in letters: %v", err)
	}
}

// B16: a name is printed in its own script, shaped and from its own side.
func TestNamesInEveryScript(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for script, name := range map[string]string{
		"Arabic": "سمير حداد", "Persian": "پروانه گل\u200cمحمدی", "Sorani": "ڕێبوار عەزیز ئەحمەد", "Pashto": "ګل\u200cورين ځواک", "Cyrillic": "Щеглова Анастасія Їжаківна",
		"Greek": "Ελένη Παπαδοπούλου", "Vietnamese": "Nguyễn Thị Hồng", "Azeri": "Əliyev Rəşad", "mixed": "Samir سمير (Haddad)", "an accent on its own": "Åsa Łukasz",
	} {
		c := claims()
		c.Name = name
		code, err := certificate.Sign(c, key)
		if err != nil {
			t.Fatal(err)
		}
		pdf, err := certificate.PDF(c, code, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		again, err := certificate.PDF(c, code, time.UTC)
		if err != nil || !bytes.Equal(pdf, again) {
			t.Errorf("%s: the same certificate gives two papers", script)
		}
		if out := os.Getenv("KUULE_PAPERS"); out != "" {
			if err := os.WriteFile(filepath.Join(out, script+".pdf"), pdf, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := ink(t, pdf), 300; got < want {
			t.Errorf("%s: where the name belongs there are %d dark points, at least %d are a name", script, got, want)
		}
	}
}

// ink counts the dark points of a rendered page where the name stands; -1 where
// nothing here renders.
func ink(t *testing.T, pdf []byte) int {
	t.Helper()
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		t.Skip("pdftoppm is missing: apt-get install poppler-utils")
	}
	cmd := exec.Command(tool, "-gray", "-r", "100", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	page, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var width, height, most int
	if _, err := fmt.Sscanf(string(page[:20]), "P5\n%d %d\n%d", &width, &height, &most); err != nil {
		t.Fatal(err)
	}
	pixels := page[len(page)-width*height:]
	dark := 0
	for y := 213; y < 245; y++ { // the line of the name
		for _, p := range pixels[y*width : (y+1)*width] {
			if p < 128 {
				dark++
			}
		}
	}
	return dark
}

// Letters are joined as the script joins them: the outline of a word is not that
// of its letters one after the other.
func TestLettersAreShaped(t *testing.T) {
	t.Parallel()
	joined, err := certificate.Width("سمير")
	if err != nil {
		t.Fatal(err)
	}
	apart := 0.0
	for _, letter := range []string{"س", "م", "ي", "ر"} {
		w, err := certificate.Width(letter)
		if err != nil {
			t.Fatal(err)
		}
		apart += w
	}
	if joined >= apart*0.9 {
		t.Errorf("the word is %.0f wide, its letters apart %.0f: nothing was joined", joined, apart)
	}
}

// A letter of no font is told, never left out; what would turn the reading of a
// name around is not printed.
func TestLettersThatNobodyHas(t *testing.T) {
	t.Parallel()
	c := claims()
	c.Name = "\U00012000 \U0001F600"
	if _, err := certificate.PDF(c, "x", time.UTC); !errors.Is(err, certificate.ErrLetters) {
		t.Errorf("%v", err)
	}
	plain, err := certificate.Width("سمير")
	if err != nil {
		t.Fatal(err)
	}
	if turned, err := certificate.Width("\u202eسمير\u202c"); err != nil || turned != plain {
		t.Errorf("a name with an override: %.2f, without %.2f, %v", turned, plain, err)
	}
}

// A waiting number's slip says the number and its queue, in whatever script.
func TestSlip(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"Palvelupiste", "نقطة الخدمة"} {
		pdf, err := certificate.Slip("A12", label, now)
		if err != nil || !bytes.Contains(pdf, []byte("(A12) Tj")) || !bytes.Contains(pdf, []byte("20.11.2026")) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"سمير", "Щеглова", "a\u0301", "\u202e", "(", "\x00", "ڕێ\u200cبوار", "a\u2066ب\u2069"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		c := claims()
		c.Name = name
		if pdf, err := certificate.PDF(c, "x", time.UTC); err == nil && len(pdf) > 4<<20 {
			t.Errorf("%d bytes", len(pdf))
		} else if err != nil && !errors.Is(err, certificate.ErrLetters) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	code, err := certificate.Sign(claims(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := certificate.Verify(text, key.Public(), now); err != nil && !errors.Is(err, certificate.ErrInvalid) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
