package bandwidth

// usage is what the delay says of the link.
type usage int8

const (
	usageNormal usage = iota
	usageOver         // queues grow: more is sent than the link carries
	usageUnder        // queues drain
)

// Constants of the detector, as the draft and its well-known implementation
// have them (draft-ietf-rmcat-gcc-02, section 5).
const (
	burstTime     = 5.0   // ms: packets sent within it are one group
	maxBurst      = 100.0 // ms: but a group gets no longer than this
	trendWindow   = 20    // groups in the regression
	trendSmooth   = 0.9
	trendGain     = 4.0
	trendDeltas   = 60 // at most, that weigh the trend
	overuseTime   = 10.0
	thresholdMin  = 6.0
	thresholdMax  = 600.0
	thresholdUp   = 0.0087
	thresholdDown = 0.039
	thresholdSkip = 15.0 // above the threshold: a spike that it must not learn
	silence       = 2000.0
)

// group is packets that were sent together. Times are milliseconds.
type group struct {
	first, sent, arrived float64
	began                float64 // arrival of the first
}

// trend tells from groups of packets whether queues grow.
type trend struct {
	current, previous group
	groups            int // 0: none, 1: current is being filled, 2: previous too

	deltas      int
	accumulated float64
	smoothed    float64
	origin      float64 // arrival that x counts from
	x, y        [trendWindow]float64
	next, held  int

	threshold float64
	updated   float64
	over      float64 // for how long, negative: not at all
	overs     int
	last      float64
	usage     usage
}

func newTrend() trend { return trend{threshold: 12.5, over: -1} }

// add takes a packet that arrived, times in milliseconds of two clocks of their
// own.
func (t *trend) add(sent, arrived float64) {
	switch {
	case t.groups == 0:
		t.current, t.groups = group{first: sent, sent: sent, arrived: arrived, began: arrived}, 1
		return
	case sent < t.current.first:
		return // out of order, from a group that is closed
	case sent-t.current.sent > silence || arrived-t.current.arrived > silence || arrived < t.current.arrived-silence:
		// After a pause the queue says nothing of what was before it.
		threshold := t.threshold
		*t = newTrend()
		t.threshold = threshold
		t.add(sent, arrived)
		return
	case t.together(sent, arrived):
		t.current.sent = max(t.current.sent, sent)
		t.current.arrived = max(t.current.arrived, arrived)
		return
	}
	if t.groups == 2 {
		t.learn(t.current.sent-t.previous.sent, t.current.arrived-t.previous.arrived, t.current.arrived)
	}
	t.previous, t.groups = t.current, 2
	t.current = group{first: sent, sent: sent, arrived: arrived, began: arrived}
}

// together reports whether a packet belongs to the current group: it was sent
// with it, or the link held it back and let it go with it.
func (t *trend) together(sent, arrived float64) bool {
	if sent-t.current.first <= burstTime {
		return true
	}
	gap := arrived - t.current.arrived
	return gap-(sent-t.current.sent) < 0 && gap <= burstTime && arrived-t.current.began < maxBurst
}

// learn takes the difference between two groups.
func (t *trend) learn(sentDelta, arrivedDelta, arrived float64) {
	t.deltas = min(t.deltas+1, 1000)
	if t.deltas == 1 {
		t.origin = arrived
	}
	t.accumulated += arrivedDelta - sentDelta
	t.smoothed = trendSmooth*t.smoothed + (1-trendSmooth)*t.accumulated
	t.x[t.next], t.y[t.next] = arrived-t.origin, t.smoothed
	t.next = (t.next + 1) % trendWindow
	t.held = min(t.held+1, trendWindow)
	slope := t.last
	if t.held == trendWindow {
		slope = t.slope()
	}
	t.detect(slope, sentDelta, arrived)
}

// slope is the least squares fit through the window.
func (t *trend) slope() float64 {
	var sumX, sumY float64
	for i := range trendWindow {
		sumX += t.x[i]
		sumY += t.y[i]
	}
	meanX, meanY := sumX/trendWindow, sumY/trendWindow
	var top, bottom float64
	for i := range trendWindow {
		dx := t.x[i] - meanX
		top += dx * (t.y[i] - meanY)
		bottom += dx * dx
	}
	if bottom == 0 {
		return t.last
	}
	return top / bottom
}

func (t *trend) detect(slope, sentDelta, now float64) {
	if t.deltas < 2 {
		return
	}
	m := float64(min(t.deltas, trendDeltas)) * slope * trendGain
	switch {
	case m > t.threshold:
		if t.over < 0 {
			t.over = sentDelta / 2
		} else {
			t.over += sentDelta
		}
		t.overs++
		if t.over > overuseTime && t.overs > 1 && slope >= t.last {
			t.over, t.overs, t.usage = 0, 0, usageOver
		}
	case m < -t.threshold:
		t.over, t.overs, t.usage = -1, 0, usageUnder
	default:
		t.over, t.overs, t.usage = -1, 0, usageNormal
	}
	t.last = slope
	t.adapt(m, now)
}

// adapt lets the threshold follow the trend's size slowly, so that flows which
// fill queues do not starve this one.
func (t *trend) adapt(m, now float64) {
	if t.updated == 0 {
		t.updated = now
	}
	size := max(m, -m)
	if size <= t.threshold+thresholdSkip {
		k := thresholdUp
		if size < t.threshold {
			k = thresholdDown
		}
		t.threshold += k * (size - t.threshold) * min(now-t.updated, 100)
		t.threshold = min(max(t.threshold, thresholdMin), thresholdMax)
	}
	t.updated = now
}
