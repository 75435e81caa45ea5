package sfu

import (
	"testing"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/offer"
)

// Who comes into a room, or back into it, sends from the first packet as the room
// needs it: redundantly where sounds are lost, in long packets where somebody's
// link is narrow. What not everybody takes is asked of nobody.
func TestALegStartsAsItsRoomSends(t *testing.T) {
	t.Parallel()
	const at = 1e9
	for name, tc := range map[string]struct {
		loses, narrow bool
		plain         bool // one of those here, or the newcomer, knows no redundancy
		newcomer      bool // which of them
		want          media.Advice
	}{
		"a quiet room":                       {want: media.Advice{}},
		"sounds are lost":                    {loses: true, want: media.Advice{Red: true}},
		"and one here takes only plain ones": {loses: true, plain: true, want: media.Advice{}},
		"and the newcomer sends only plain":  {loses: true, plain: true, newcomer: true, want: media.Advice{}},
		"others send long packets":           {narrow: true, want: media.Advice{PacketMS: 60, Bitrate: 16_000}},
		"both: no more over a narrow link":   {loses: true, narrow: true, want: media.Advice{PacketMS: 60, Bitrate: 16_000}},
	} {
		told := 0
		n := &Node{onHint: func(media.Hint) { told++ }}
		line := func(sends, plain bool) *offer.Line {
			l := testLine(offer.Audio, "a", sends)
			if !plain {
				l.Types[offer.RED] = 63
			}
			return l
		}
		here := &leg{node: n, id: interview.NewLegID(), conn: &sink{}, streams: map[uint32]*stream{}}
		here.slots = []*slot{newSlot(here, line(false, tc.plain && !tc.newcomer))}
		if tc.narrow {
			asked := newTrack(here, media.Publish{Track: interview.NewTrackID(), Mid: "b"}, line(true, false))
			asked.advice.told.PacketMS = 60
			here.tracks = append(here.tracks, asked)
		}
		r := &room{legs: map[interview.LegID]*leg{here.id: here}}
		n.rooms = map[interview.GroupID]*room{r.id: r}
		if tc.loses {
			here.soundLoss.Store(50_000)
			r.redundancy.Report(50_000, at)
		}
		l := &leg{node: n, id: interview.NewLegID(), conn: &sink{}, streams: map[uint32]*stream{}}
		voice := newTrack(l, media.Publish{Track: interview.NewTrackID(), Mid: "a"}, line(true, tc.plain && tc.newcomer))
		face := newTrack(l, media.Publish{Track: interview.NewTrackID(), Mid: "v"}, testLine(offer.Video, "v", true))
		l.tracks = []*track{voice, face}
		got := l.begin(r.start(at), at)
		if len(got) != 2 || !equal(got[0].Advice, tc.want) || got[0].Track != voice.id || !equal(got[1].Advice, media.Advice{}) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
		// It holds until those who receive it say more, and is not said again.
		r.legs[l.id] = l
		n.protect(nil, at+1e9)
		voice.consider(at + 1e9)
		voice.setSubscribers(here.slots)
		here.slots[0].source = voice
		n.protect(nil, at+2e9)
		voice.consider(at + 2e9)
		if told != 0 || !equal(voice.advice.told, tc.want) {
			t.Errorf("%s: told %d times more, then %+v", name, told, voice.advice.told)
		}
		// Nobody needs it any more.
		here.soundLoss.Store(0)
		voice.consider(at + 2*adviceHeld)
		n.protect(nil, at+60e9)
		if (told > 0) == equal(tc.want, media.Advice{}) || !equal(voice.advice.told, media.Advice{}) {
			t.Errorf("%s: told %d times in the end, then %+v", name, told, voice.advice.told)
		}
	}
}

func equal(a, b media.Advice) bool {
	return a.PacketMS == b.PacketMS && a.Bitrate == b.Bitrate && a.Red == b.Red && len(a.Unneeded) == len(b.Unneeded)
}
