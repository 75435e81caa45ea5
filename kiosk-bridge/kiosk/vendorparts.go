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
type OpticsPart struct {
	Client *vendorport.Client

	about about
}

var (
	_ Optics      = (*OpticsPart)(nil)
	_ PrintReader = (*OpticsPart)(nil)
)

// Zone implements [Optics].
func (o *OpticsPart) Zone(ctx context.Context) (string, error) {
	zone, _, err := o.Read(ctx)
	return zone, err
}

// Read implements [PrintReader]. What the part says of the print is its own word.
// The pictures that it took stay with it; their hashes travel.
func (o *OpticsPart) Read(ctx context.Context) (string, tunnel.Print, error) {
	for {
		i, err := o.Client.Inspect(ctx, "", vendorport.Inspect{Wait: glass})
		switch {
		case ctx.Err() != nil:
			return "", tunnel.Print{}, ctx.Err()
		case err != nil:
			return "", tunnel.Print{}, fmt.Errorf("ask the document reader: %w", err)
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
			return "", tunnel.Print{}, errors.New("the document reader's answer is no machine-readable zone")
		}
		engine, err := o.about.engine(ctx, o.Client)
		if err != nil {
			return "", tunnel.Print{}, fmt.Errorf("ask the document reader: %w", err)
		}
		said := tunnel.Print{V: 1, Verdict: i.Verdict, Engine: engine, Features: []tunnel.PrintFeature{}, Images: []tunnel.PrintImage{}}
		for _, f := range i.Features {
			said.Features = append(said.Features, tunnel.PrintFeature{Name: f.Name, Verdict: f.Verdict})
		}
		for _, s := range i.Images {
			said.Images = append(said.Images, tunnel.PrintImage{Light: s.Light, SHA256: s.SHA256})
		}
		return zone, said, nil
	}
}

// FingerPart is a fingerprint scanner behind the contract of package vendorport.
type FingerPart struct {
	Client *vendorport.Client

	about about
}

var _ fingerprint.Scanner = (*FingerPart)(nil)

// Scan implements [fingerprint.Scanner].
func (f *FingerPart) Scan(ctx context.Context, finger, attempt int) (fingerprint.Impression, error) {
	engine, err := f.about.engine(ctx, f.Client)
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

// about is what a part is, asked once it answers.
type about struct {
	mu   sync.Mutex
	said *vendorport.Description
}

func (a *about) engine(ctx context.Context, c *vendorport.Client) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.said == nil {
		d, err := c.Describe(ctx)
		if err != nil {
			return "", err
		}
		a.said = &d
	}
	return clipped(a.said.Engine()+" "+a.said.Serial, tunnel.MaxEngine), nil
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
