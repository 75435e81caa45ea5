package kioskbridge

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// latin are the letters that zones print for those beyond A to Z, by the
// recommendations of ICAO Doc 9303, part 3, section 6, tables A and B. Letters
// that a mark alone makes (É, Ş, Ů) lose the mark. Where states differ, the one
// here is the longest, and folding (see fold) meets the others.
var letters = map[rune]string{
	'Ä': "AE", 'Å': "AA", 'Æ': "AE", 'Ö': "OE", 'Ø': "OE", 'Œ': "OE", 'Ü': "UE", 'ß': "SS", 'ẞ': "SS", 'Þ': "TH", 'Ð': "D", 'Đ': "D",
	'Ł': "L", 'Ħ': "H", 'Ŧ': "T", 'Ŋ': "N", 'Ĳ': "IJ", 'ĸ': "Q", 'ı': "I", 'Ə': "E",
	'А': "A", 'Б': "B", 'В': "V", 'Г': "G", 'Ґ': "G", 'Д': "D", 'Ђ': "D", 'Ѓ': "G", 'Е': "E", 'Ё': "E", 'Є': "IE", 'Ж': "ZH", 'З': "Z", 'Ѕ': "DZ",
	'И': "I", 'І': "I", 'Ї': "I", 'Й': "I", 'Ј': "J", 'К': "K", 'Л': "L", 'Љ': "LJ", 'М': "M", 'Н': "N", 'Њ': "NJ", 'О': "O", 'П': "P", 'Р': "R",
	'С': "S", 'Т': "T", 'Ћ': "C", 'Ќ': "K", 'У': "U", 'Ў': "U", 'Ф': "F", 'Х': "KH", 'Ц': "TS", 'Ч': "CH", 'Џ': "DZ", 'Ш': "SH", 'Щ': "SHCH",
	'Ъ': "IE", 'Ы': "Y", 'Ь': "", 'Э': "E", 'Ю': "IU", 'Я': "IA",
	'Α': "A", 'Β': "V", 'Γ': "G", 'Δ': "D", 'Ε': "E", 'Ζ': "Z", 'Η': "I", 'Θ': "TH", 'Ι': "I", 'Κ': "K", 'Λ': "L", 'Μ': "M", 'Ν': "N", 'Ξ': "X",
	'Ο': "O", 'Π': "P", 'Ρ': "R", 'Σ': "S", 'Τ': "T", 'Υ': "Y", 'Φ': "F", 'Χ': "CH", 'Ψ': "PS", 'Ω': "O",
}

// zoneWords writes a name as zones print it, word by word. Known is false where a
// word has letters of a script for which the documents' own spelling is anybody's
// guess (Arabic, Ethiopic, ...): then nothing can be said of it.
func zoneWords(name string) (words []string, known bool) {
	known = true
	for _, word := range strings.FieldsFunc(strings.ToUpper(norm.NFC.String(name)), func(r rune) bool {
		return unicode.IsSpace(r) || r == '-' || r == '<' || r == ',' || r == '.'
	}) {
		var out strings.Builder
		for _, r := range word {
			switch text, listed := letters[r]; {
			case r >= 'A' && r <= 'Z':
				out.WriteRune(r)
			case listed:
				out.WriteString(text)
			case r == '\'' || r == '’' || r == 'ʼ' || r == '`' || unicode.Is(unicode.Mn, r):
			default:
				base := baseLetter(r)
				if base == 0 {
					known = false
					continue
				}
				out.WriteRune(base)
			}
		}
		if out.Len() > 0 {
			words = append(words, out.String())
		}
	}
	return words, known
}

// baseLetter is a letter without its marks, or 0.
func baseLetter(r rune) rune {
	base, _ := utf8.DecodeRuneInString(norm.NFD.String(string(r)))
	if base >= 'A' && base <= 'Z' {
		return base
	}
	if text := letters[base]; len(text) == 1 {
		return rune(text[0])
	}
	return 0
}

// folds brings together what states spell differently: the same name through
// French, English, German or Russian hands.
var folds = strings.NewReplacer(
	"SHCH", "S", "TSCH", "C", "SCH", "S", "DZH", "J", "DJ", "J", "SH", "S", "CH", "C", "ZH", "Z", "KH", "H", "GH", "G", "PH", "F", "TH", "T", "DH", "D",
	"OU", "U", "OO", "U", "EE", "I", "AE", "A", "OE", "O", "UE", "U", "AA", "A", "CK", "K", "KS", "X", "QU", "K", "TS", "C", "TZ", "C",
	"IA", "A", "YA", "A", "JA", "A", "IU", "U", "YU", "U", "JU", "U", "IE", "E", "YE", "E", "JE", "E",
)

var foldLetters = strings.NewReplacer("Y", "I", "J", "I", "W", "V", "Q", "K", "É", "E")

// fold is the key under which different spellings of one name meet.
func fold(word string) string {
	word = foldLetters.Replace(folds.Replace(word))
	var out []byte
	for i := range len(word) {
		if i == 0 || word[i] != word[i-1] {
			out = append(out, word[i])
		}
	}
	return string(out)
}

// agreement says how far two names agree.
type agreement int

const (
	agreeNot    agreement = iota // nothing in common, or too little
	agreeNearly                  // all words of the shorter one, but for vowels or a letter: perhaps another's
	agreeSome                    // the shorter one's words are all in the longer
	agreeSpelt                   // all words, spelt differently
	agreeOrder                   // all words, in another order
	agreeWholly                  // all words, in their order
)

// maxWords bounds what is compared of a name.
const maxWords = 16

// agree compares two names, given as zones print them. Cut says that the second
// one filled its zone, so that its last word may be cut short.
func agree(a, b []string, cut bool) agreement {
	if len(a) == 0 || len(b) == 0 || len(a) > maxWords || len(b) > maxWords {
		return agreeNot
	}
	if slices.Equal(a, b) || strings.Join(a, "") == strings.Join(b, "") {
		return agreeWholly
	}
	exact := shared(a, b, func(x, y string) bool { return x == y })
	folded := shared(a, b, func(x, y string) bool { return fold(x) == fold(y) })
	nearly := shared(a, b, near)
	if last := b[len(b)-1]; cut && slices.ContainsFunc(a, func(w string) bool { return w != last && strings.HasPrefix(w, last) }) {
		folded, nearly = min(folded+1, len(a)), min(nearly+1, len(a))
	}
	fewer, more := min(len(a), len(b)), max(len(a), len(b))
	switch {
	case len(a) == len(b) && exact == len(a):
		return agreeOrder
	case folded >= more || fold(strings.Join(a, "")) == fold(strings.Join(b, "")):
		return agreeSpelt
	case folded >= fewer:
		return agreeSome
	case nearly >= fewer:
		return agreeNearly
	}
	return agreeNot
}

// shared counts the words of a that have a partner of their own in b.
func shared(a, b []string, same func(x, y string) bool) int {
	used, n := make([]bool, len(b)), 0
	for _, x := range a {
		for i, y := range b {
			if !used[i] && same(x, y) {
				used[i], n = true, n+1
				break
			}
		}
	}
	return n
}

// near is one word in two spellings, or two words that look alike (Hassan and
// Hussein): vowels are what transliterations differ in most, and of a longer word
// one other letter is forgiven.
func near(x, y string) bool {
	fx, fy := fold(x), fold(y)
	return fx == fy || (min(len(fx), len(fy)) >= 5 && distance(fx, fy) <= 1) || (min(len(fx), len(fy)) >= 3 && vowels(fx) == vowels(fy))
}

// vowels makes all vowels one.
func vowels(s string) string {
	var out []byte
	for i := range len(s) {
		c := s[i]
		if strings.IndexByte("AEIOU", c) >= 0 {
			c = '*'
		}
		if c != '*' || len(out) == 0 || out[len(out)-1] != '*' {
			out = append(out, c)
		}
	}
	return string(out)
}

// distance counts the letters to change, add or leave out (Levenshtein), of words
// of a zone.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
