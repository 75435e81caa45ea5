package sealing_test

import (
	"encoding/base64"
	"testing"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestAnOriginListProvesWhoSealedWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	mine, other := chair.say(t, "one"), chair.say(t, "two")
	lists, err := chair.Origins()
	if err != nil || len(lists) != 1 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	o, err := rec.AcceptOrigin(lists[0])
	if err != nil {
		t.Fatal(err)
	}
	if !o.Covers(mine) || !o.Covers(other) {
		t.Error("a frame that was sealed is not covered")
	}
	if o.Covers(chair.say(t, "three")) || o.Covers(applicant.say(t, "one")) || o.Covers(nil) {
		t.Error("a frame that is not on the list is covered")
	}
	mine[len(mine)-1] ^= 1
	if o.Covers(mine) {
		t.Error("a changed frame is covered")
	}
	_, err = rec.AcceptOrigin(lists[0])
	wants(t, "the list again", err, sealing.ErrReplay)
	if again, err := chair.Origins(); err != nil || len(again) != 1 {
		t.Errorf("the third frame: %d lists, %v", len(again), err)
	} else if _, err := rec.AcceptOrigin(again[0]); err != nil {
		t.Errorf("the next list: %v", err)
	}
	if none, err := chair.Origins(); err != nil || len(none) != 0 {
		t.Errorf("nothing sealed: %d lists, %v", len(none), err)
	}
}

func TestEveryGateOfAnOriginList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*sealing.Origin, *person)
		signer func(chair, applicant *person) *person
		want   error
	}{
		"as it is":                  {func(*sealing.Origin, *person) {}, nil, nil},
		"signed by somebody else":   {func(*sealing.Origin, *person) {}, func(_, a *person) *person { return a }, sealing.ErrOrigin},
		"for somebody else's track": {func(o *sealing.Origin, a *person) { o.Member = a.ID() }, nil, sealing.ErrOrigin},
		"somebody else's key id":    {func(o *sealing.Origin, _ *person) { o.KID = sealing.KID(1, 1, 0) }, nil, sealing.ErrOrigin},
		"another track's key id":    {func(o *sealing.Origin, _ *person) { o.KID++ }, nil, sealing.ErrOrigin},
		"epoch never seen":          {func(o *sealing.Origin, _ *person) { o.KID = sealing.KID(9, 0, 0) }, nil, sealing.ErrOrigin},
		"negative key id":           {func(o *sealing.Origin, _ *person) { o.KID = -1 }, nil, sealing.ErrOrigin},
		"hash cut short":            {func(o *sealing.Origin, _ *person) { o.Hashes = o.Hashes[:len(o.Hashes)-4] }, nil, sealing.ErrOrigin},
		"no hashes":                 {func(o *sealing.Origin, _ *person) { o.Hashes = "" }, nil, sealing.ErrOrigin},
		"too many": {func(o *sealing.Origin, _ *person) {
			o.Hashes = b64(make([]byte, (sealing.MaxOriginFrames+1)*sealing.OriginHashBytes))
		}, nil, sealing.ErrOrigin},
		"another group":   {func(o *sealing.Origin, _ *person) { o.Group = interview.NewGroupID() }, nil, sealing.ErrOrigin},
		"another hearing": {func(o *sealing.Origin, _ *person) { o.Hearing = interview.NewHearingID() }, nil, sealing.ErrOrigin},
		"broken chain":    {func(o *sealing.Origin, _ *person) { o.Prev = jws.Hash("x") }, nil, sealing.ErrOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			chair, applicant, rec := w.trio()
			chair.say(t, "one")
			first, err := chair.Origins()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rec.AcceptOrigin(first[0]); err != nil {
				t.Fatal(err)
			}
			chair.say(t, "two")
			lists, err := chair.Origins()
			if err != nil {
				t.Fatal(err)
			}
			var o sealing.Origin
			if err := jws.Peek(lists[0], sealing.TypeOrigin, &o); err != nil {
				t.Fatal(err)
			}
			c.change(&o, applicant)
			signer := chair
			if c.signer != nil {
				signer = c.signer(chair, applicant)
			}
			_, err = rec.AcceptOrigin(sign(t, o, sealing.TypeOrigin, pageKey(signer)))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wants(t, name, err, c.want)
		})
	}
}

// A key change closes a list, a long silence of the collector stops sealing.
func TestOriginListsNeitherMixKeysNorGrowWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	var frames [][]byte
	frames = append(frames, chair.say(t, "old key"))
	w.roster(chair, []*person{chair, applicant}, "pause", applicant, rec)
	w.wrap(chair, applicant)
	frames = append(frames, chair.say(t, "new key"))
	lists, err := chair.Origins()
	if err != nil || len(lists) != 2 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	for i, text := range lists {
		o, err := applicant.AcceptOrigin(text)
		if err != nil || !o.Covers(frames[i]) || o.Covers(frames[1-i]) {
			t.Errorf("list %d: %v", i, err)
		}
	}
	for n := 0; ; n++ {
		_, err := chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceAudio}, nil)
		if err != nil {
			wants(t, "uncollected", err, sealing.ErrOrigin)
			break
		}
		if n > sealing.MaxPendingOrigins*sealing.MaxOriginFrames+1 {
			t.Fatal("lists grow without end")
		}
	}
	if lists, err = chair.Origins(); err != nil {
		t.Fatal(err)
	}
	for _, text := range lists {
		if _, err := applicant.AcceptOrigin(text); err != nil {
			t.Fatal(err)
		}
	}
	chair.say(t, "goes on")
}

func TestEveryGateOfAHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, rec := w.trio()
	base := sealing.Heartbeat{
		V: 1, Hearing: w.Hearing, Group: w.group, Member: rec.ID(), Recording: interview.NewRecordingID(),
		State: interview.RecorderRecording, Seq: 1, Durable: 5, Now: 6, Tracks: []sealing.TrackDurable{}, Head: "h",
	}
	beat := func(seq int64) string {
		h := base
		h.Seq = seq
		text, err := rec.Identity.SignHeartbeat(h)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := beat(1)
	if h, err := applicant.AcceptHeartbeat(first); err != nil || h.Durable != 5 {
		t.Fatalf("%+v %v", h, err)
	}
	_, err := applicant.AcceptHeartbeat(first)
	wants(t, "again", err, sealing.ErrReplay)
	w.roster(chair, []*person{chair, applicant}, "pause", applicant, rec)
	if _, err := applicant.AcceptHeartbeat(beat(2)); err != nil {
		t.Errorf("in a pause: %v", err)
	}
	for name, change := range map[string]func(*sealing.Heartbeat){
		"another group":   func(h *sealing.Heartbeat) { h.Group = interview.NewGroupID() },
		"another hearing": func(h *sealing.Heartbeat) { h.Hearing = interview.NewHearingID() },
		"unknown state":   func(h *sealing.Heartbeat) { h.State = "fine" },
		"no recording":    func(h *sealing.Heartbeat) { h.Recording = interview.RecordingID{} },
		"before zero":     func(h *sealing.Heartbeat) { h.Durable = -1 },
		"unknown version": func(h *sealing.Heartbeat) { h.V = 2 },
	} {
		h := base
		h.Seq = 9
		change(&h)
		_, err := applicant.AcceptHeartbeat(sign(t, h, sealing.TypeHeartbeat, pageKey(rec)))
		wants(t, name, err, sealing.ErrHeartbeat)
	}
	h := base
	h.Seq = 9
	_, err = applicant.AcceptHeartbeat(sign(t, h, sealing.TypeHeartbeat, pageKey(chair)))
	wants(t, "signed by a page", err, sealing.ErrHeartbeat)
	h.Member = chair.ID()
	_, err = applicant.AcceptHeartbeat(sign(t, h, sealing.TypeHeartbeat, pageKey(chair)))
	wants(t, "a page says it records", err, sealing.ErrHeartbeat)
	h.Member = interview.NewMemberID()
	_, err = applicant.AcceptHeartbeat(sign(t, h, sealing.TypeHeartbeat, pageKey(rec)))
	wants(t, "nobody known", err, sealing.ErrUnknownMember)
}
