package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview/sealing"
)

// causes lists every Cause.
var causes = []Cause{
	CauseRestarted, CauseDisconnected, CauseDiskFailed, CauseQueueFull, CauseUnauthentic, CauseNoKey, CauseNotReceived, CausePaused, CauseConsultation,
}

// exact reads a canonical JSON object that has the fields of v, none more and
// none less.
func exact(body []byte, v any) error {
	if err := canon.Unmarshal(body, v); err != nil {
		return err
	}
	again, err := canon.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, body) {
		return fmt.Errorf("%w: it has other fields than the format says", ErrMalformed)
	}
	return nil
}

// check reads an entry's body for its form alone: what the words in it mean is
// for who needs them. The message never quotes a body that was sealed.
func (e Entry) check() error {
	err := e.form()
	if err == nil {
		return nil
	}
	if sections[e.Type].sealed {
		return fmt.Errorf("%w: entry %s", ErrMalformed, e.Type)
	}
	return fmt.Errorf("%w: entry %s: %w", ErrMalformed, e.Type, err)
}

func (e Entry) form() error {
	switch e.Type {
	case EntryOpened:
		var o Opened
		if err := exact(e.Body, &o); err != nil {
			return err
		}
		return o.check()
	case EntryPhase:
		return exact(e.Body, &Phase{})
	case EntryAnchor:
		return exact(e.Body, &Anchor{})
	case EntryClosed:
		return exact(e.Body, &Closed{})
	case EntrySenderKey:
		_, err := e.SenderKey()
		return err
	case EntryGap:
		var g Gap
		if err := exact(e.Body, &g); err != nil {
			return err
		}
		if !slices.Contains(causes, g.Cause) || g.From > g.To {
			return fmt.Errorf("a gap of cause %q from %d to %d", g.Cause, g.From, g.To)
		}
		return nil
	case EntryOrigin:
		return nil // its text was made from what the record says
	default:
		return e.message()
	}
}

// message looks at an entry that is a JWS: its type, its spelling, and that its
// payload is canonical JSON.
func (e Entry) message() error {
	if !utf8.Valid(e.Body) {
		return fmt.Errorf("it is not UTF-8")
	}
	var payload json.RawMessage
	if err := jws.Peek(string(e.Body), "kuule-"+string(e.Type)+"+jws", &payload); err != nil {
		return err
	}
	if payload[0] != '{' {
		return fmt.Errorf("its payload is no object")
	}
	return nil
}

// check holds the opening against the statement that it brings.
func (o *Opened) check() error {
	if o.V != 1 {
		return fmt.Errorf("version %d is not known", o.V)
	}
	var s sealing.Statement
	if err := jws.Peek(o.Statement, sealing.TypeStatement, &s); err != nil {
		return fmt.Errorf("the recorder's statement: %w", err)
	}
	if s.Kind != sealing.KindRecorder || s.Member != o.Member || s.Hearing != o.Hearing {
		return fmt.Errorf("the statement is not that of this recorder in this hearing")
	}
	return nil
}
