package sfu

import (
	"log/slog"
	"testing"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/offer"
)

// E12: sources, mids and rids are names within one leg. Two rooms that use the
// very same ones get each their own and nothing of the other's, and a slot's
// numbers go on as if the other room were not there.
func TestRoomsShareNoNames(t *testing.T) {
	t.Parallel()
	one, _, ones := wired(offer.Video, 1)
	two, _, twos := wired(offer.Video, 1)
	for n := uint16(1); n <= 3; n++ {
		one.Packet(nil, arriving(t, testSource, testPayload, n, keyDescriptor, []byte{1, byte(n)}))
		two.Packet(nil, arriving(t, testSource, testPayload, 500+n, keyDescriptor, []byte{2, byte(n)}))
	}
	for i, s := range []*sink{ones[0], twos[0]} {
		if p := s.packet(t); s.packets != 3 || p.Payload[0] != byte(i+1) || p.Payload[1] != 3 {
			t.Errorf("room %d was sent %d packets, the last one %v", i+1, s.packets, p.Payload)
		}
	}
	// What one room asks for again is its own, whatever number the other gave away.
	asked := ones[0].packets
	ones[0].keep = true
	one.Control(nil, 1, nackOf(testSource, 1))
	if ones[0].packets != asked || twos[0].packets != 3 {
		t.Errorf("%d and %d packets after a question of who receives nothing", ones[0].packets, twos[0].packets)
	}
}

// A table is of one room: a track of the same name in another room is not meant.
func TestATableReachesItsRoomAlone(t *testing.T) {
	t.Parallel()
	one, here, sinks := wired(offer.Audio, 1)
	two, there, others := wired(offer.Audio, 1)
	track := one.tracks[0].id
	two.tracks[0].id = track
	room := &room{id: interview.NewGroupID(), legs: map[interview.LegID]*leg{}}
	one.id, here[0].leg.id, two.id, there[0].leg.id = interview.NewLegID(), interview.NewLegID(), interview.NewLegID(), interview.NewLegID()
	for _, l := range []*leg{one, here[0].leg} {
		room.legs[l.id] = l
	}
	for _, tr := range one.tracks {
		tr.setSubscribers(nil)
	}
	room.table = media.Table{Room: room.id, Generation: 1, Routes: []media.Route{
		{From: one.id, Track: track, To: here[0].leg.id, Mid: "s"},
		{From: one.id, Track: track, To: there[0].leg.id, Mid: "s"},
		{From: two.id, Track: track, To: here[0].leg.id, Mid: "s"},
	}}
	two.tracks[0].setSubscribers(nil)
	room.apply(slog.New(slog.DiscardHandler))
	one.Packet(nil, arriving(t, testSource, testPayload, 1, nil, []byte("one")))
	two.Packet(nil, arriving(t, testSource, testPayload, 1, nil, []byte("two")))
	if p := sinks[0].packet(t); sinks[0].packets != 1 || string(p.Payload) != "one" || others[0].packets != 0 {
		t.Errorf("%d packets here, the last one %q; %d in the other room", sinks[0].packets, p.Payload, others[0].packets)
	}
}
