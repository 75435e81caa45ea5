package kiosk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
)

// glass is how long a part waits for something to be laid on it, in
// milliseconds; then it is asked again.
const glass = 8000

// OpticsPart is a document reader behind the contract of package vendorport.
type OpticsPart struct{ Client *vendorport.Client }

var _ Optics = OpticsPart{}

// Zone implements [Optics]. What the part says of the print is its own word and
// goes no further than the kiosk yet.
func (o OpticsPart) Zone(ctx context.Context) (string, error) {
	for {
		i, err := o.Client.Inspect(ctx, "", vendorport.Inspect{Wait: glass})
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			return "", fmt.Errorf("ask the document reader: %w", err)
		case !i.Present || i.Zone == "":
			// A part may answer at once, where something without a zone lies there.
			select {
			case <-ctx.Done():
			case <-time.After(cardPoll):
			}
			continue
		}
		zone := strings.TrimSpace(i.Zone)
		if len(zone) > tunnel.MaxZone {
			return "", errors.New("the document reader's answer is no machine-readable zone")
		}
		return zone, nil
	}
}

// FingerPart is a fingerprint scanner behind the contract of package vendorport.
type FingerPart struct {
	Client *vendorport.Client

	mu    sync.Mutex
	about *vendorport.Description
}

var _ fingerprint.Scanner = (*FingerPart)(nil)

// Scan implements [fingerprint.Scanner].
func (f *FingerPart) Scan(ctx context.Context, finger, attempt int) (fingerprint.Impression, error) {
	engine, err := f.engine(ctx)
	if err != nil {
		return fingerprint.Impression{}, fmt.Errorf("%w: %w", fingerprint.ErrBroken, err)
	}
	c, err := f.Client.Capture(ctx, "", vendorport.Capture{Finger: finger, Attempt: attempt, Wait: glass})
	switch {
	case err != nil:
		return fingerprint.Impression{}, fmt.Errorf("%w: %w", fingerprint.ErrBroken, err)
	case c.Taken:
		return fingerprint.Impression{Record: c.Template.Data, Quality: c.Quality, Engine: engine}, nil
	case c.Reason == vendorport.ReasonPartBroken:
		return fingerprint.Impression{}, fingerprint.ErrBroken
	default:
		return fingerprint.Impression{}, fingerprint.ErrNotLaid
	}
}

// engine asks the part what it is, once it answers.
func (f *FingerPart) engine(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.about == nil {
		d, err := f.Client.Describe(ctx)
		if err != nil {
			return "", err
		}
		f.about = &d
	}
	return clipped(f.about.Engine()+" "+f.about.Serial, tunnel.MaxEngine), nil
}

// clipped is a text of at most n bytes, cut between letters.
func clipped(text string, n int) string {
	text = strings.TrimSpace(text)
	for len(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
