package backup

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

// TypeRelease and TypeLoss are what ends the keeping of a back-up.
const (
	TypeRelease = "kuule-backup-release+jws"
	TypeLoss    = "kuule-backup-loss+jws"
)

// Release says, under authority's sealing key, that the back-ups of a hearing at
// these devices are not needed any more. Other devices keep theirs.
type Release struct {
	V       int                  `json:"v"` // 2
	Hearing interview.HearingID  `json:"hearing"`
	Devices []interview.DeviceID `json:"devices"`
	Loss    string               `json:"loss"` // jws.Hash of the office's word that it stands on too, or ""
	At      int64                `json:"iat"`  // Unix seconds
}

// VerifyRelease reads a release under the sealing key.
func VerifyRelease(message string, key crypto.PublicKey) (Release, error) {
	var r Release
	if err := jws.Verify(message, TypeRelease, key, &r); err != nil {
		return Release{}, fmt.Errorf("release of a back-up: %w", err)
	}
	if r.V != 2 || r.Hearing.IsZero() {
		return Release{}, fmt.Errorf("release of a back-up: %w: version or hearing", ErrChunk)
	}
	return r, nil
}

// Names reports whether a device may delete by this release.
func (r *Release) Names(device interview.DeviceID) bool {
	return !device.IsZero() && slices.Contains(r.Devices, device)
}

// Loss is the security office's word, under its own key, that something of a hearing
// is not to be had: a terminal's back-up that is broken, stolen or never was, or what
// a recorder had on a disk that is gone. Nothing waits for it any more. The office
// signs it away from the server; who runs the server brings it.
type Loss struct {
	V         int                  `json:"v"` // 1
	Hearing   interview.HearingID  `json:"hearing"`
	Devices   []interview.DeviceID `json:"devices"`   // whose back-up nothing waits for
	Recorders []interview.MemberID `json:"recorders"` // that were in the room and left nothing
	Reason    string               `json:"reason"`    // for people, without personal content
	At        int64                `json:"iat"`       // Unix seconds
}

// Bounds of a loss.
const (
	MaxLost   = 64   // devices, and recorders
	MaxReason = 1000 // bytes
)

// VerifyLoss reads the office's word, as of now.
func VerifyLoss(message string, office crypto.PublicKey, now time.Time) (Loss, error) {
	var l Loss
	if err := jws.Verify(message, TypeLoss, office, &l); err != nil {
		return Loss{}, fmt.Errorf("loss of a back-up: %w", err)
	}
	if err := l.Check(); err != nil {
		return Loss{}, err
	}
	if time.Unix(l.At, 0).Sub(now) > sealing.Skew {
		return Loss{}, fmt.Errorf("loss of a back-up: %w: it is of a time to come", ErrChunk)
	}
	return l, nil
}

// Check reports what is wrong with a loss that is to be signed, or was.
func (l *Loss) Check() error {
	switch {
	case l.V != 1 || l.Hearing.IsZero():
		return fmt.Errorf("loss of a back-up: %w: version or hearing", ErrChunk)
	case len(l.Devices)+len(l.Recorders) == 0 || len(l.Devices) > MaxLost || len(l.Recorders) > MaxLost:
		return fmt.Errorf("loss of a back-up: %w: it names nothing, or more than %d", ErrChunk, MaxLost)
	case strings.TrimSpace(l.Reason) == "" || len(l.Reason) > MaxReason:
		return fmt.Errorf("loss of a back-up: %w: a reason of at most %d bytes is needed", ErrChunk, MaxReason)
	}
	return nil
}

// Without gives what of the spans lies outside the others, in order. Both may
// overlap and stand in any order.
func Without(spans, others []Span) []Span {
	left := slices.Clone(spans)
	for _, o := range others {
		var rest []Span
		for _, x := range left {
			if before := (Span{x.From, min(x.To, o.From)}); before.From < before.To {
				rest = append(rest, before)
			}
			if after := (Span{max(x.From, o.To), x.To}); after.From < after.To {
				rest = append(rest, after)
			}
		}
		left = rest
	}
	slices.SortFunc(left, func(a, b Span) int { return int(a.From - b.From) })
	return left
}
