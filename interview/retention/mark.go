package retention

import (
	"fmt"
	"slices"
	"strings"

	"kuule/internal/problem"
)

// Mark says that something is secret, and on what ground (621/1999 25 §).
type Mark struct {
	Grounds    []string `json:"grounds"`               // items of 621/1999 24.1 §: "24", "31c"
	Class      string   `json:"class,omitempty"`       // security class, TL I to TL IV; ordinary records have none
	ClassItems []string `json:"class_items,omitempty"` // its own grounds (906/2019 18 §)
}

// Ordinary is the mark of every record of an interview (S4).
func Ordinary() Mark { return Mark{Grounds: []string{"24", "31c"}} }

var (
	// classItems are the items of 621/1999 24.1 § for which alone a security
	// class may be marked (906/2019 18 §).
	classItems = []string{"2", "5", "7", "8", "9", "10", "11"}
	classes    = []string{"TL I", "TL II", "TL III", "TL IV"}
)

// Check refuses a mark without a ground, and a security class without a ground
// that allows one (L6).
func (m Mark) Check() error {
	if len(m.Grounds) == 0 || len(m.Grounds) > 16 || len(m.ClassItems) > 16 {
		return problem.Refused(problem.CodeMalformed, "secrecy-ground", "a mark of secrecy needs its ground")
	}
	for _, item := range append(slices.Clone(m.Grounds), m.ClassItems...) {
		if !isItem(item) {
			return problem.Refused(problem.CodeMalformed, "secrecy-ground", "%q is no item of 24.1 §", item)
		}
	}
	switch {
	case m.Class == "" && len(m.ClassItems) > 0:
		return problem.Refused(problem.CodeMalformed, "secrecy-class", "grounds of a security class without the class")
	case m.Class == "":
		return nil
	case !slices.Contains(classes, m.Class):
		return problem.Refused(problem.CodeMalformed, "secrecy-class", "%q is no security class", m.Class)
	case len(m.ClassItems) == 0 || slices.ContainsFunc(m.ClassItems, func(item string) bool { return !slices.Contains(classItems, item) }):
		return problem.Refused(problem.CodeForbidden, "secrecy-class", "a security class is marked for items %s of 24.1 § alone (906/2019 18 §)", strings.Join(classItems, ", "))
	}
	return nil
}

// isItem reports whether a text is an item of the paragraph: a number of at
// most two digits and perhaps a letter.
func isItem(text string) bool {
	digits := strings.TrimRight(text, "abcdefgh")
	return len(text)-len(digits) <= 1 && len(digits) >= 1 && len(digits) <= 2 && strings.Trim(digits, "0123456789") == "" && digits[0] != '0'
}

// String is the mark as it stands on a document, in Finnish.
func (m Mark) String() string {
	text := "SALASSA PIDETTÄVÄ, JulkL 24.1 § " + strings.Join(m.Grounds, ", ") + " k"
	if m.Class == "" {
		return text
	}
	return fmt.Sprintf("%s · %s, JulkL 24.1 § %s k", text, m.Class, strings.Join(m.ClassItems, ", "))
}
