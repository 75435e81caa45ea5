package quality

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// M4. The curve of G.107, annex B, at its known points, and the delay
// impairment of equation 7-27 worked out by hand.
func TestEModelFollowsTheRecommendation(t *testing.T) {
	t.Parallel()
	for r, want := range map[float64]float64{0: 1, 50: 2.575, 60: 3.1, 70: 3.597, 80: 4.024, 90: 4.339, 93.2: 4.409, 100: 4.5} {
		if got := mos(r); math.Abs(got-want) > 0.001 {
			t.Errorf("MOS of R = %v is %.3f, want %.3f", r, got, want)
		}
	}
	for ms, want := range map[float64]float64{50: 0, 100: 0, 200: 3.044, 400: 24.07} {
		a := Audio{Delay: time.Duration(ms*1e6) - fixedDelay}
		if ms < 67 {
			a.Delay = 0
		}
		if got := a.delayImpairment(); math.Abs(got-want) > 0.02 {
			t.Errorf("Idd of %v ms is %.3f, want %.3f", ms, got, want)
		}
	}
	if got := (Audio{Loss: opusRobustness / 100}).lossImpairment(); math.Abs(got-(95+opusImpairment)/2) > 1e-9 {
		t.Errorf("at a loss of Bpl half of what is left is gone; got %v", got)
	}
}

func TestWorseIsNeverBetter(t *testing.T) {
	t.Parallel()
	last := 5.0
	for loss := 0.0; loss <= 1; loss += 0.01 {
		now := Audio{Loss: loss}.MOS()
		if now > last || now < 1 {
			t.Fatalf("loss %.2f: %.2f after %.2f", loss, now, last)
		}
		last = now
	}
	last = 5.0
	for ms := range 2000 {
		now := Audio{Delay: time.Duration(ms) * time.Millisecond}.MOS()
		if now > last+1e-9 || now < 1 {
			t.Fatalf("delay %d ms: %.2f after %.2f", ms, now, last)
		}
		last = now
	}
	if got := (Audio{Delay: -time.Hour, Jitter: -1, Loss: math.Inf(1)}).MOS(); math.IsNaN(got) || got < 1 {
		t.Errorf("nonsense is scored %v", got)
	}
}

// keeping is a keeper whose clock and legs the test holds.
type keeping struct {
	*Keeper
	at      time.Time
	room    interview.GroupID
	hearing interview.HearingID
	whose   map[interview.LegID]Whose
}

func keep(t *testing.T) *keeping {
	t.Helper()
	s := &keeping{at: time.Unix(1_700_000_000, 0), room: interview.NewGroupID(), hearing: interview.NewHearingID(), whose: map[interview.LegID]Whose{}}
	lookup := func(room interview.GroupID, leg interview.LegID) (Whose, bool) {
		w, ok := s.whose[leg]
		return w, ok && room == s.room
	}
	s.Keeper = newKeeper(storetest.Open(t), lookup, slog.New(slog.DiscardHandler), func() time.Time { return s.at })
	t.Cleanup(s.Close)
	return s
}

func (s *keeping) leg(device interview.DeviceID) interview.LegID {
	id := interview.NewLegID()
	s.whose[id] = Whose{Hearing: s.hearing, Member: interview.NewMemberID(), Device: device}
	return id
}

func (s *keeping) report(leg interview.LegID, change func(*media.Quality)) {
	s.at = s.at.Add(media.QualityEvery * time.Millisecond)
	q := media.Quality{Room: s.room, Leg: leg, IntervalMS: media.QualityEvery, RTT: 30_000, Path: "udp"}
	if change != nil {
		change(&q)
	}
	s.Take(q)
}

func (s *keeping) event(leg interview.LegID, state media.LegState) {
	s.Event(media.Event{Room: s.room, Leg: leg, State: state})
}

func (s *keeping) legs(t *testing.T) []Leg {
	t.Helper()
	list, err := s.Of(t.Context(), s.hearing)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// M4: minutes lost, each with its cause.
func TestLostTimeHasItsCause(t *testing.T) {
	t.Parallel()
	voice := interview.NewTrackID()
	for name, c := range map[string]struct {
		change func(*media.Quality)
		cause  Cause
		poor   bool
	}{
		"all is well":    {nil, "", false},
		"lost":           {func(q *media.Quality) { q.Tracks = []media.TrackQuality{{Source: interview.SourceAudio, Lost: 40}} }, CauseLoss, false},
		"lost a little":  {func(q *media.Quality) { q.Tracks = []media.TrackQuality{{Source: interview.SourceAudio, Lost: 6}} }, "", true},
		"picture lost":   {func(q *media.Quality) { q.Tracks = []media.TrackQuality{{Source: interview.SourceVideo, Lost: 40}} }, "", false},
		"late":           {func(q *media.Quality) { q.RTT = 2_000_000 }, CauseDelay, false},
		"uneven":         {func(q *media.Quality) { q.Down.Jitter = 400_000 }, CauseDelay, false},
		"voice shed":     {func(q *media.Quality) { q.Slots = []media.SlotQuality{{Track: voice, Shed: true}} }, CauseNarrow, false},
		"picture shed":   {func(q *media.Quality) { q.Slots = []media.SlotQuality{{Track: interview.NewTrackID(), Shed: true}} }, "", false},
		"voice not come": {func(q *media.Quality) { q.Slots = []media.SlotQuality{{Track: voice, Lost: 60}} }, CauseLoss, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := keep(t)
			speaker, leg := s.leg(interview.NewDeviceID()), s.leg(interview.NewDeviceID())
			s.report(speaker, func(q *media.Quality) {
				q.Tracks = []media.TrackQuality{{Track: voice, Source: interview.SourceAudio}}
			})
			for range 30 {
				s.report(leg, c.change)
			}
			got := s.legs(t)[1]
			if got.Lasted != 60_000 || got.Path != "udp" || got.MOSUp < 100 || got.MOSUp > 441 || got.MOSDown < 100 {
				t.Fatalf("%+v", got)
			}
			switch {
			case c.cause != "" && (got.Lost != 60_000 || got.Causes[c.cause] != 60_000 || len(got.Causes) != 1):
				t.Errorf("lost %d ms by %v", got.Lost, got.Causes)
			case c.cause == "" && (got.Lost != 0 || (got.Poor > 0) != c.poor):
				t.Errorf("lost %d ms by %v, poor %d", got.Lost, got.Causes, got.Poor)
			}
			if total := s.Lost()[c.cause]; c.cause != "" && total != time.Minute {
				t.Errorf("%s in all", total)
			}
		})
	}
}

func TestGapsAreLostTime(t *testing.T) {
	t.Parallel()
	s := keep(t)
	device := interview.NewDeviceID()
	first := s.leg(device)
	s.event(first, media.LegConnected)
	s.report(first, nil)
	s.event(first, media.LegDisconnected)
	s.at = s.at.Add(5 * time.Second)
	s.event(first, media.LegConnected)
	s.report(first, nil)
	if got := s.legs(t)[0]; got.Causes[CauseDisconnected] != 5000 || got.Lost != 5000 || got.Lasted != 9000 {
		t.Fatalf("after a gap: %+v", got)
	}
	// The leg is gone for good; the same device comes back with another.
	s.event(first, media.LegDisconnected)
	s.at = s.at.Add(2 * time.Second)
	s.event(first, media.LegClosed)
	s.at = s.at.Add(3 * time.Second)
	second := s.leg(device)
	s.event(second, media.LegConnected)
	s.report(second, nil)
	list := s.legs(t)
	if len(list) != 2 || list[1].Causes[CauseDisconnected] != 5000 {
		t.Fatalf("after a new leg: %+v", list)
	}
	if s.Lost()[CauseDisconnected] != 10*time.Second {
		t.Errorf("%v", s.Lost())
	}
	// The media server begins anew.
	s.event(interview.LegID{}, "node-started")
	s.at = s.at.Add(time.Second)
	third := s.leg(device)
	s.report(third, nil)
	if got := s.legs(t)[2].Causes[CauseDisconnected]; got != 3000 { // and a report's two seconds
		t.Fatalf("after a restart of the node: %d", got)
	}
	// Another device did not lose anything by it.
	other := s.leg(interview.NewDeviceID())
	s.report(other, nil)
	if got := s.legs(t)[3]; got.Lost != 0 {
		t.Errorf("%+v", got)
	}
}

func TestOnlyKnownLegsOfTheHearingAreKept(t *testing.T) {
	t.Parallel()
	s := keep(t)
	s.report(interview.NewLegID(), nil)
	stray := s.leg(interview.NewDeviceID())
	s.Take(media.Quality{Room: interview.NewGroupID(), Leg: stray, IntervalMS: 2000})
	s.report(stray, func(q *media.Quality) { q.IntervalMS = -5 })
	s.report(stray, func(q *media.Quality) { q.IntervalMS = math.MaxInt })
	if list := s.legs(t); len(list) != 1 || list[0].Lasted != maxInterval.Milliseconds() {
		t.Errorf("%+v", list)
	}
	if list, err := s.Of(t.Context(), interview.NewHearingID()); err != nil || len(list) != 0 {
		t.Errorf("another hearing: %+v, %v", list, err)
	}
}

// What was counted before the door ended is there afterwards.
func TestClosingWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := keep(t)
	leg := s.leg(interview.NewDeviceID())
	s.report(leg, nil)
	s.Close()
	var rows []row
	if err := s.db.NewSelect().Model(&rows).Scan(t.Context()); err != nil || len(rows) != 1 || rows[0].Leg != leg {
		t.Errorf("%+v, %v", rows, err)
	}
}
