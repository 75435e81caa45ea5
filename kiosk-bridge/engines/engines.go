package engines

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/portrait"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
)

// Decode turns a portrait in JPEG 2000 into a PNG, in a sandboxed child (package
// portrait); others stay as they are.
func Decode(ctx context.Context, i kioskbridge.Image) (kioskbridge.Image, error) {
	plain, err := portrait.Plain(ctx, emrtd.Face{Format: i.Format, Image: i.Bytes})
	if err != nil {
		return kioskbridge.Image{}, fmt.Errorf("decode a portrait: %w", err)
	}
	return kioskbridge.Image{Kind: i.Kind, Format: plain.Format, Bytes: plain.Image}, nil
}

// Face compares faces by the reference engine.
type Face struct{ Engine *face.Engine }

var _ kioskbridge.Matcher = Face{}

// Match implements [kioskbridge.Matcher]: undetermined, whatever the score.
func (f Face) Match(ctx context.Context, q kioskbridge.MatchQuestion) (kioskbridge.Finding, error) {
	if q.Modality != kioskbridge.ModalityFace {
		return kioskbridge.Finding{}, fmt.Errorf("the face engine was asked to compare %s", q.Modality)
	}
	out := kioskbridge.Finding{Verdict: interview.Undetermined, Threshold: face.Reference.ID, Engine: f.Engine.Version(), Unmeasured: true}
	var live [][]byte
	for _, i := range q.Live {
		if len(live) < face.MaxPictures-1 {
			live = append(live, i.Bytes)
		}
	}
	c, err := f.Engine.Compare(ctx, live, q.Reference.Bytes)
	switch {
	case errors.Is(err, face.ErrTimeout) && ctx.Err() == nil:
		out.Reason = face.ReasonEngineTimedOut
		return out, nil
	case errors.Is(err, face.ErrFrame):
		out.Reason = face.ReasonTooLarge
		return out, nil
	case err != nil:
		return kioskbridge.Finding{}, err
	}
	out.Verdict, out.Score, out.Reason = c.Verdict(), int64(c.Score), c.Reason
	return out, nil
}

// Part is a maker's part that is asked what it is when it is first needed: one
// that is away when the bridge starts is used when it is back. Safe for
// concurrent use.
type Part struct {
	Client *vendorport.Client

	mu    sync.Mutex
	about *vendorport.Description
}

func (p *Part) describe(ctx context.Context) (vendorport.Description, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.about != nil {
		return *p.about, nil
	}
	d, err := p.Client.Describe(ctx)
	if err != nil {
		return vendorport.Description{}, err
	}
	p.about = &d
	return d, nil
}

// Maker compares by a maker's part, of one modality.
type Maker struct{ *Part }

var _ kioskbridge.Matcher = Maker{}

// Match implements [kioskbridge.Matcher].
func (m Maker) Match(ctx context.Context, q kioskbridge.MatchQuestion) (kioskbridge.Finding, error) {
	about, err := m.describe(ctx)
	if err != nil {
		return kioskbridge.Finding{}, err
	}
	var c *vendorport.Compared
	switch {
	case q.Modality == kioskbridge.ModalityFace && about.Port == vendorport.PortFace:
		c, err = m.Client.CompareFaces(ctx, "", vendorport.CompareFaces{Live: pictures(q.Live), Reference: picture(q.Reference)})
	case q.Modality == kioskbridge.ModalityFingers && about.Port == vendorport.PortFingerprint && len(q.Live) > 0 && q.Live[0].Format != tunnel.FormatFinger:
		// A kiosk may name its bytes anything; a matcher is shown records whose frame was checked.
		return kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "picture-unreadable"}, nil
	case q.Modality == kioskbridge.ModalityFingers && about.Port == vendorport.PortFingerprint && len(q.Live) > 0:
		c, err = m.Client.CompareFingers(ctx, "", vendorport.CompareFingers{Probe: template(q.Live[0]), References: []vendorport.Template{template(q.Reference)}})
	default:
		return kioskbridge.Finding{}, fmt.Errorf("a part for %s was asked to compare %s", about.Port, q.Modality)
	}
	if err != nil {
		return kioskbridge.Finding{}, err
	}
	reason := c.Verdict
	if c.Verdict == vendorport.Undecided {
		reason = c.Reason
	}
	return finding(c.Judgement(), reason, c.Score, c.Threshold, about), nil
}

// Liveness detects presentation attacks by a maker's part.
type Liveness struct{ *Part }

var _ kioskbridge.Liveness = Liveness{}

// Live implements [kioskbridge.Liveness].
func (l Liveness) Live(ctx context.Context, m kioskbridge.Modality, live []kioskbridge.Image, order []string) (kioskbridge.Finding, error) {
	modality := "face"
	if m == kioskbridge.ModalityFingers {
		modality = "finger"
	}
	if order == nil {
		order = []string{}
	}
	about, err := l.describe(ctx)
	if err != nil {
		return kioskbridge.Finding{}, err
	}
	a, err := l.Client.Assess(ctx, "", vendorport.Assess{Modality: modality, Frames: pictures(live), Order: order})
	if err != nil {
		return kioskbridge.Finding{}, err
	}
	return finding(a.Judgement(), a.Verdict, a.Score, a.Threshold, about), nil
}

// finding is what a maker says: asserted at most. A part that names no
// measurement is treated as the reference engine is.
func finding(v interview.Verdict, reason string, score int, line vendorport.Threshold, about vendorport.Description) kioskbridge.Finding {
	return kioskbridge.Finding{
		Verdict: v, Reason: reason, Score: int64(score), Threshold: fmt.Sprintf("%s:%d", line.ID, line.Score),
		Engine: about.Engine(), Unmeasured: about.Measured == "",
	}
}

func picture(i kioskbridge.Image) vendorport.Picture {
	return vendorport.Picture{Format: i.Format, Data: i.Bytes}
}

func pictures(all []kioskbridge.Image) []vendorport.Picture {
	out := []vendorport.Picture{}
	for _, i := range all {
		if len(out) < vendorport.MaxPictures-1 {
			out = append(out, picture(i))
		}
	}
	return out
}

func template(i kioskbridge.Image) vendorport.Template {
	format := vendorport.FormatFinger
	if i.Format != tunnel.FormatFinger {
		format = i.Format
	}
	return vendorport.Template{Format: format, Data: i.Bytes}
}

// Register is the authority's register behind the contract.
type Register struct{ *Part }

var _ kioskbridge.Registry = Register{}

// Person implements [kioskbridge.Registry].
func (r Register) Person(ctx context.Context, q kioskbridge.RegisterQuestion) (kioskbridge.Registered, error) {
	if _, err := r.describe(ctx); err != nil {
		return kioskbridge.Registered{}, err
	}
	in := vendorport.PersonQuestion{
		Purpose: vendorport.PurposeIdentification, Visit: q.Visit.String(), Hearing: q.Hearing.String(), Diary: q.Diary, Number: q.Number, Want: []string{},
	}
	if q.Face {
		in.Want = append(in.Want, vendorport.WantFace)
	}
	if q.Fingers {
		in.Want = append(in.Want, vendorport.WantFingers)
	}
	p, err := r.Client.Person(ctx, "", in)
	if err != nil {
		return kioskbridge.Registered{}, err
	}
	out := kioskbridge.Registered{Found: p.Found, Person: kioskbridge.Person{Name: p.Name, DateOfBirth: p.Born, ApplicantNumber: p.Number}}
	for _, f := range p.Pictures {
		i := kioskbridge.Image{Kind: f.Kind, Format: f.Format, Bytes: f.Data}
		if f.Format == vendorport.FormatFinger {
			if _, err := fingerprint.Check(f.Data); err != nil {
				p.Forget()
				return kioskbridge.Registered{}, fmt.Errorf("the register's %s: %w", f.Kind, err)
			}
			i.Format = tunnel.FormatFinger
		}
		out.Pictures = append(out.Pictures, i)
	}
	return out, nil
}

// Duplicates hands visits' pictures to the search for duplicates.
type Duplicates struct{ Service *duplicate.Service }

var _ kioskbridge.Duplicates = Duplicates{}

// Submit implements [kioskbridge.Duplicates]. Faces are searched for, and nothing
// else: fingerprints are compared with one person's and go nowhere (row K10).
func (d Duplicates) Submit(ctx context.Context, s kioskbridge.DuplicateSearch) error {
	in := duplicate.Submission{Visit: s.Visit, Case: s.Case, Participant: s.Participant}
	for _, p := range s.Probes {
		if p.Kind != string(kioskbridge.ModalityFace) {
			continue
		}
		in.Pictures = append(in.Pictures, duplicate.Picture{Kind: p.Kind, Format: p.Format, Bytes: p.Bytes})
	}
	return d.Service.Submit(ctx, in)
}

// Describe makes probes by the reference engine: of each picture on which one
// face is that can be compared. It is for [duplicate.Config].
func Describe(e *face.Engine) func(context.Context, []duplicate.Picture) ([]duplicate.Probe, error) {
	return func(ctx context.Context, pictures []duplicate.Picture) ([]duplicate.Probe, error) {
		var out []duplicate.Probe
		for _, p := range pictures {
			if p.Kind != "face" || len(out) == duplicate.MaxProbes {
				continue
			}
			t, _, err := e.Template(ctx, p.Bytes)
			if err != nil {
				return nil, err
			}
			if t == nil {
				continue
			}
			data := make([]byte, len(t))
			for i, v := range t {
				data[i] = byte(v)
			}
			t.Clear()
			out = append(out, duplicate.Probe{Modality: "face", Format: duplicate.FormatFace512, Data: data})
		}
		return out, nil
	}
}

// Pictures makes probes that are the pictures themselves, for a register that
// describes them by its own engine.
func Pictures(_ context.Context, all []duplicate.Picture) ([]duplicate.Probe, error) {
	var out []duplicate.Probe
	for _, p := range all {
		if len(out) < duplicate.MaxProbes {
			out = append(out, duplicate.Probe{Modality: p.Kind, Format: p.Format, Data: append([]byte{}, p.Bytes...)})
		}
	}
	return out, nil
}

// Searcher searches a register behind the contract.
type Searcher struct{ Client *vendorport.Client }

var _ duplicate.Searcher = Searcher{}

// Search implements [duplicate.Searcher].
func (s Searcher) Search(ctx context.Context, key string, probes []duplicate.Probe) (duplicate.Standing, error) {
	in := vendorport.Search{Purpose: "duplicates", Probes: []vendorport.Probe{}, MaxCandidates: duplicate.MaxCandidates}
	for _, p := range probes {
		in.Probes = append(in.Probes, vendorport.Probe{Modality: p.Modality, Template: vendorport.Template{Format: p.Format, Data: p.Data}})
	}
	return standing(s.Client.Search(ctx, key, in))
}

// Standing implements [duplicate.Searcher].
func (s Searcher) Standing(ctx context.Context, key string) (duplicate.Standing, error) {
	return standing(s.Client.Searched(ctx, key))
}

func standing(s *vendorport.Searching, err error) (duplicate.Standing, error) {
	switch {
	case errors.Is(err, vendorport.ErrUnknown):
		return duplicate.Standing{}, duplicate.ErrUnknown
	case errors.Is(err, vendorport.ErrConflict):
		return duplicate.Standing{}, duplicate.ErrConflict
	case err != nil:
		return duplicate.Standing{}, err
	}
	return duplicate.Standing{Done: s.State == "done", Result: s.Result}, nil
}
