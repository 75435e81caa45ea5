package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Code names a problem in every channel: lower case, words joined by hyphens.
type Code string

// Way names what a person can still do. Every refusal carries one (row C9).
type Way string

// Ways that are still open.
const (
	WayRetry         Way = "retry"         // the same again, after a moment
	WaySignIn        Way = "sign-in"       // sign in again at this device
	WayAskStaff      Way = "ask-staff"     // ask the staff at this place
	WayAskOffice     Way = "ask-office"    // contact the security office
	WayAgency        Way = "agency"        // take part at the agency's premises
	WayCentre        Way = "centre"        // take part at the reception centre, beside the client
	WayInterviewer   Way = "interviewer"   // the interviewer decides; wait or ask
	WayKiosk         Way = "kiosk"         // identify again at the kiosk or the desk
	WayReload        Way = "reload"        // open the page again
	WayAdministrator Way = "administrator" // an administrator has to act
	WayCorrect       Way = "correct-input" // mend what was sent
	WayOtherBrowser  Way = "other-browser" // use a supported browser
	WayNewTicket     Way = "new-ticket"    // have a new join ticket made
)

// Entry is what the registry knows of a code.
type Entry struct {
	Status int    // HTTP status
	Title  string // English, for the log and for problem documents
	Way    Way
}

// Error is a problem that happened to something.
type Error struct {
	Code   Code
	Detail string // to what, and what was found; no personal content
	Rule   string // id of the rule that decided, for refusals
	err    error
}

// New makes a problem. The detail is formatted; %w keeps a cause for errors.Is.
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: err.Error(), err: errors.Unwrap(err)}
}

// Refused makes a problem decided by a named rule.
func Refused(code Code, rule, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.Rule = rule
	return e
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap gives the cause, if any.
func (e *Error) Unwrap() error { return e.err }

// Is reports a match by code, so that errors.Is(err, problem.New(code, "")) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Entry returns the registry's entry for the problem's code.
func (e *Error) Entry() Entry { return Lookup(e.Code) }

// Document is the problem as it travels: RFC 9457 members and ours.
type Document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   Code   `json:"code"`
	Way    Way    `json:"way"`
	Rule   string `json:"rule,omitempty"`
}

// Of turns any error into a document. An error that is no problem becomes
// CodeInternal without its text: what is inside stays in the log.
func Of(err error) Document {
	var p *Error
	if !errors.As(err, &p) {
		p = &Error{Code: CodeInternal}
	}
	e := p.Entry()
	return Document{Type: "urn:kuule:problem:" + string(p.Code), Title: e.Title, Status: e.Status, Detail: p.Detail, Code: p.Code, Way: e.Way, Rule: p.Rule}
}

// Err turns a received document back into an error.
func (d Document) Err() *Error { return &Error{Code: d.Code, Detail: d.Detail, Rule: d.Rule} }

// Write answers an HTTP request with the problem.
func Write(w http.ResponseWriter, err error) {
	d := Of(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(d.Status)
	_ = json.NewEncoder(w).Encode(d)
}

// Lookup returns the entry of a code; an unknown code is an internal error.
func Lookup(c Code) Entry {
	if e, ok := registry[c]; ok {
		return e
	}
	return registry[CodeInternal]
}

// Codes lists every registered code, sorted.
func Codes() []Code {
	out := make([]Code, 0, len(registry))
	for c := range registry {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}
