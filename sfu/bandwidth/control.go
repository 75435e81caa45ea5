package bandwidth

import "math"

// Constants of the rate control (draft-ietf-rmcat-gcc-02, sections 5.5 and 6).
const (
	decreaseTo    = 0.85 // of what arrives
	growPerSecond = 0.08 // while the capacity is not known
	growCap       = 1.5  // times what arrives: what is not sent proves nothing
	growSlack     = 10_000
	leastGrowth   = 4000 // bit/s per second near the capacity
	lossHigh      = 0.10
	lossLow       = 0.02
)

// capacity is a running guess of the link, from what arrived when it was full.
type capacity struct{ mean, spread float64 } // kbit/s, and variance by mean; mean 0: not known

func (c *capacity) learn(rate float64) {
	k := rate / 1000
	if c.mean == 0 {
		c.mean, c.spread = k, 0.4
		return
	}
	diff := k - c.mean
	c.mean += 0.05 * diff
	c.spread = min(max(0.95*c.spread+0.05*diff*diff/max(c.mean, 1), 0.4), 2.5)
}

func (c *capacity) within(rate float64) (above, below bool) {
	k, spread := rate/1000, 3*math.Sqrt(c.spread*c.mean)
	return k > c.mean+spread, k < c.mean-spread
}

// control turns what the detector says into a rate.
type control struct {
	rate     float64 // bit/s
	capacity capacity
	limited  bool // the link has shown that there is a limit
	hold     bool
	changed  float64 // ms
	cutAt    float64
	loss     float64 // bit/s; 0: losses set no bound
	lossAt   float64
	cutLoss  float64
}

// update takes one feedback packet's verdict. Times are milliseconds, rates
// bit/s; acked is what arrived lately, 0 while not known.
func (c *control) update(u usage, acked, packet, rtt, now float64) {
	elapsed := min(max(now-c.changed, 0), 1000) / 1000
	c.changed = now
	switch {
	case u == usageOver:
		c.cut(acked, rtt, now)
	case u == usageUnder:
		c.hold = true
	case c.hold:
		c.hold = false
	default:
		c.grow(acked, packet, rtt, elapsed)
	}
}

func (c *control) grow(acked, packet, rtt, elapsed float64) {
	if c.capacity.mean > 0 && acked > 0 {
		if above, _ := c.capacity.within(acked); above {
			c.capacity = capacity{}
		}
	}
	next := c.rate
	if c.capacity.mean > 0 {
		next += max(leastGrowth, packet*8/((rtt+100)/1000)) * elapsed
	} else {
		next += max(next*growPerSecond, 1000) * elapsed
	}
	if acked > 0 {
		next = min(next, growCap*acked+growSlack)
	}
	c.rate = max(c.rate, next, acked) // what arrives in time is proved
}

// ease takes a little away, but nothing of what arrives.
func (c *control) ease(acked, rtt, now float64) {
	c.limited, c.changed = true, now
	if c.cutAt > 0 && now-c.cutAt < min(max(rtt, 10), 200) {
		return
	}
	c.rate = max(decreaseTo*c.rate, min(acked, c.rate))
	c.cutAt, c.hold = now, true
}

func (c *control) cut(acked, rtt, now float64) {
	if acked <= 0 || c.cutAt > 0 && now-c.cutAt < min(max(rtt, 10), 200) {
		return
	}
	c.limited = true
	next := decreaseTo * acked
	if next > c.rate && c.capacity.mean > 0 {
		next = decreaseTo * c.capacity.mean * 1000
	}
	c.rate = min(c.rate, next)
	if c.capacity.mean > 0 {
		if _, below := c.capacity.within(acked); below {
			c.capacity = capacity{}
		}
	}
	c.capacity.learn(acked)
	c.cutAt, c.hold = now, true
}

// lost takes the share of packets that were lost lately.
func (c *control) lost(share, rtt, now float64) {
	elapsed := min(max(now-c.lossAt, 0), 1000) / 1000
	c.lossAt = now
	switch {
	case share > lossHigh:
		if now-c.cutLoss < 300+rtt {
			return
		}
		c.limited = true
		c.loss = c.bound() * (1 - share/2)
		c.cutLoss = now
	case share < lossLow && c.loss > 0:
		c.loss += max(c.loss*growPerSecond, 1000) * elapsed
		if c.loss > 2*c.rate {
			c.loss = 0
		}
	}
}

// bound is the estimate: what both delay and loss allow.
func (c *control) bound() float64 {
	if c.loss > 0 {
		return min(c.rate, c.loss)
	}
	return c.rate
}

// proved takes the rate at which a probe went through.
func (c *control) proved(rate float64) {
	if c.loss > 0 && rate > c.loss {
		c.loss = rate
	}
	if rate > c.rate {
		c.rate = rate
		if above, _ := c.capacity.within(rate); c.capacity.mean > 0 && above {
			c.capacity = capacity{}
		}
	}
}
