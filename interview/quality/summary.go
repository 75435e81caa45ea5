package quality

import (
	"time"

	"kuule/interview"
	"kuule/interview/media"
)

// Cause says why time of a leg was lost.
type Cause string

// Causes of lost time.
const (
	CauseDisconnected Cause = "disconnected" // there was no connection
	CauseNarrow       Cause = "narrow"       // the link did not carry every voice
	CauseLoss         Cause = "loss"         // too many packets were lost
	CauseDelay        Cause = "delay"        // packets came too late or too unevenly
)

// Causes lists them all.
var Causes = []Cause{CauseDisconnected, CauseNarrow, CauseLoss, CauseDelay}

// Whose says whose leg it is.
type Whose struct {
	Hearing interview.HearingID
	Member  interview.MemberID
	Device  interview.DeviceID
}

// Leg is what is kept of one leg. Times are milliseconds, scores hundredths.
type Leg struct {
	Leg    interview.LegID    `json:"leg"`
	Member interview.MemberID `json:"member"`
	Device interview.DeviceID `json:"device"`
	Path   string             `json:"path"`  // udp, tcp or turn, as it was last
	Began  int64              `json:"began"` // Unix milliseconds
	Ended  int64              `json:"ended"` // of what is counted so far
	Lasted int64              `json:"lasted"`
	Lost   int64              `json:"lost"` // in which speech did not get through
	Poor   int64              `json:"poor"` // in which it did, badly
	Causes map[Cause]int64    `json:"causes"`

	MOSUp    int64 `json:"mos_up"` // what the others hear of this member, on average
	MOSDown  int64 `json:"mos_down"`
	WorstUp  int64 `json:"worst_up"` // of any interval
	WorstDn  int64 `json:"worst_down"`
	RTT      int64 `json:"rtt_us"`    // average
	LossUp   int64 `json:"loss_up"`   // before repair, average, parts per million
	LossDown int64 `json:"loss_down"` // likewise
	Freezes  int64 `json:"freezes"`
	FrozenMS int64 `json:"frozen_ms"`
}

// voiceRate is how many packets of a voice there are in a second. Where the
// link makes a sender use longer packets, a lost one weighs more than counted.
const voiceRate = 50

// maxInterval bounds what one report may count for.
const maxInterval = time.Minute

// tally sums one leg up.
type tally struct {
	Whose
	leg       Leg
	measured  int64 // milliseconds with a measure
	sumUp     float64
	sumDown   float64
	sumRTT    float64
	sumLossUp float64
	sumLossDn float64
	gone      time.Time // since when there is no connection; zero: there is one
	changed   bool
	counted   map[Cause]int64 // what the keeper's totals hold already
	heard     time.Time
}

func newTally(leg interview.LegID, whose Whose, now time.Time) *tally {
	return &tally{Whose: whose, heard: now, counted: map[Cause]int64{}, leg: Leg{Leg: leg, Member: whose.Member, Device: whose.Device, Began: now.UnixMilli(), Ended: now.UnixMilli(), Causes: map[Cause]int64{}}}
}

// add counts one report of the node. voices says which tracks are voices.
func (t *tally) add(q media.Quality, voices map[interview.TrackID]bool, now time.Time) {
	interval := time.Duration(min(max(0, q.IntervalMS), int(maxInterval/time.Millisecond))) * time.Millisecond
	if interval == 0 {
		return
	}
	ms := interval.Milliseconds()
	up, down, narrow := ways(q, voices, interval)
	t.heard, t.changed = now, true
	t.leg.Lasted += ms
	t.leg.Ended = now.UnixMilli()
	if q.Path != "" {
		t.leg.Path = q.Path
	}
	t.measured += ms
	weight := float64(ms)
	t.sumUp += up.MOS() * weight
	t.sumDown += down.MOS() * weight
	t.sumRTT += float64(q.RTT) * weight
	t.sumLossUp += float64(q.Up.Loss) * weight
	t.sumLossDn += float64(q.Down.Loss) * weight
	t.leg.MOSUp, t.leg.MOSDown = hundredths(t.sumUp/float64(t.measured)), hundredths(t.sumDown/float64(t.measured))
	t.leg.WorstUp, t.leg.WorstDn = worse(t.leg.WorstUp, up), worse(t.leg.WorstDn, down)
	t.leg.RTT = int64(t.sumRTT / float64(t.measured))
	t.leg.LossUp, t.leg.LossDown = int64(t.sumLossUp/float64(t.measured)), int64(t.sumLossDn/float64(t.measured))
	for _, s := range q.Slots {
		t.leg.Freezes += s.Freezes
		t.leg.FrozenMS += s.FrozenMS
	}
	worst := up
	if down.Rating() < up.Rating() {
		worst = down
	}
	switch r := worst.Rating(); {
	case narrow:
		t.lose(CauseNarrow, ms)
	case r < lostRating:
		t.lose(worst.cause(), ms)
	case r < poorRating:
		t.leg.Poor += ms
	}
}

// ways are the two ways of a leg as speech takes them, and whether a voice is
// kept back because the link is too narrow.
func ways(q media.Quality, voices map[interview.TrackID]bool, interval time.Duration) (up, down Audio, narrow bool) {
	expected := voiceRate * interval.Seconds()
	half := time.Duration(max(0, q.RTT)) * time.Microsecond / 2
	up = Audio{Delay: half, Jitter: time.Duration(q.Up.Jitter) * time.Microsecond}
	down = Audio{Delay: half, Jitter: time.Duration(q.Down.Jitter) * time.Microsecond}
	for _, track := range q.Tracks {
		if track.Source == interview.SourceAudio {
			up.Loss = max(up.Loss, min(1, float64(track.Lost)/expected))
		}
	}
	for _, slot := range q.Slots {
		if voices[slot.Track] {
			down.Loss = max(down.Loss, min(1, float64(slot.Lost)/expected))
			narrow = narrow || slot.Shed
		}
	}
	return up, down, narrow
}

// cause is what weighs most in a rating.
func (a Audio) cause() Cause {
	if a.delayImpairment() > a.lossImpairment() {
		return CauseDelay
	}
	return CauseLoss
}

func (t *tally) lose(c Cause, ms int64) {
	t.leg.Lost += ms
	t.leg.Causes[c] += ms
	t.changed = true
}

// connected counts a gap that is over.
func (t *tally) connected(now time.Time) {
	if t.gone.IsZero() {
		return
	}
	ms := max(0, now.Sub(t.gone).Milliseconds())
	t.gone = time.Time{}
	t.leg.Lasted += ms
	t.lose(CauseDisconnected, ms)
	t.leg.Ended = now.UnixMilli()
}

func (t *tally) disconnected(now time.Time) {
	if t.gone.IsZero() {
		t.gone = now
	}
}

func hundredths(mos float64) int64 { return int64(mos*100 + 0.5) }

func worse(before int64, a Audio) int64 {
	now := hundredths(a.MOS())
	if before == 0 {
		return now
	}
	return min(before, now)
}
