package member

import (
	"slices"

	"kuule/interview"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// voice is an own sound track as those who receive it need it now.
type voice struct {
	red    bool   // they lose too much: each frame brings the one before again
	before []byte // the frame before, and its RTP time
	at     uint32
}

// takeHint follows what a member can follow without its owner, who has the
// encoder.
func (m *Member) takeHint(b wire.SendHint) error {
	m.mu.Lock()
	if v := m.voices[b.Track]; v != nil {
		v.red = b.Red
	}
	m.mu.Unlock()
	tell(m.cfg.On.Hint, b)
	return nil
}

// packed gives a frame as it goes into its seal.
func (m *Member) packed(t Publish, h *sealing.FrameHeader, payload []byte, rtpTime uint32) []byte {
	if t.Source != interview.SourceAudio {
		return payload
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.voices[t.Track]
	blocks := []opusred.Block{{Ago: rtpTime - v.at, Opus: v.before}, {Opus: payload}}
	if v.before == nil {
		blocks = blocks[1:]
	}
	v.before, v.at = slices.Clone(payload), rtpTime
	if !v.red {
		return payload
	}
	h.Redundant = true
	return opusred.Append(nil, blocks...)
}
