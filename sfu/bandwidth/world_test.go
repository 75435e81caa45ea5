package bandwidth_test

import (
	"math/rand/v2"
	"time"

	"kuule/sfu/bandwidth"
	"kuule/sfu/sfutest"
)

const tick = 5 * time.Millisecond

// world is one leg over a link in time that only the test moves: voices and a
// picture whose layers follow the estimate, as a node would send them.
type world struct {
	now      time.Duration
	down, up *sfutest.Link
	sender   estimator
	recorder bandwidth.Recorder
	way      []event // packets and feedback on their way, in order of arrival
	chance   *rand.Rand

	voices     int
	voiceSize  int
	voiceEvery time.Duration
	layers     []int // bit/s of the picture's layers
	layer      int   // -1: none
	nextVoice  time.Duration
	nextFrame  time.Duration

	voiceSent, voiceCame int
	waited               []time.Duration // from sending to arrival, of voice packets
}

// estimator is what the world needs of a bandwidth.Sender, so that others can be
// measured in the same world.
type estimator interface {
	Sent(size int, at int64) uint16
	Feedback(rtcp []byte, at int64) error
	Tick(at int64)
	Padding(wanted int, at int64) int
	Estimate() int
	Known() bool
}

type event struct {
	at       time.Duration
	sent     time.Duration
	sequence uint16
	voice    bool
	feedback []byte
}

func newWorld(down sfutest.Shape) *world {
	return &world{
		now: time.Second, down: sfutest.NewLink(down, 1), up: sfutest.NewLink(sfutest.Shape{Delay: down.Delay}, 2), sender: bandwidth.NewSender(),
		voices: 3, voiceSize: 150, voiceEvery: 20 * time.Millisecond, layers: []int{150_000, 500_000, 1_500_000}, layer: -1, chance: rand.New(rand.NewPCG(3, 4)),
	}
}

func (w *world) voiceRate() int {
	return w.voices * w.voiceSize * 8 * int(time.Second/time.Millisecond) / int(w.voiceEvery/time.Millisecond)
}

func (w *world) wanted() int { return w.voiceRate() + w.layers[len(w.layers)-1] }

func (w *world) send(size int, voice bool) {
	sequence := w.sender.Sent(size, int64(w.now))
	if voice {
		w.voiceSent++
	}
	if at, ok := w.down.Send(size, w.now); ok {
		w.insert(event{at: at, sent: w.now, sequence: sequence, voice: voice})
	}
}

func (w *world) insert(e event) {
	i := len(w.way)
	for i > 0 && w.way[i-1].at > e.at {
		i--
	}
	w.way = append(w.way, event{})
	copy(w.way[i+1:], w.way[i:])
	w.way[i] = e
}

// forget begins to count anew.
func (w *world) forget() { w.voiceSent, w.voiceCame, w.waited = 0, 0, nil }

// drain counts what is on its way as arrived: it will.
func (w *world) drain() {
	for _, e := range w.way {
		if e.voice {
			w.voiceCame++
		}
	}
}

// worst is the longest that a voice packet waited in the link's queue.
func (w *world) worst() time.Duration {
	var worst time.Duration
	for _, d := range w.waited {
		worst = max(worst, d)
	}
	return worst - wide.Delay
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += tick {
		for len(w.way) > 0 && w.way[0].at <= w.now {
			e := w.way[0]
			w.way = w.way[1:]
			switch {
			case e.feedback != nil:
				if err := w.sender.Feedback(e.feedback, int64(w.now)); err != nil {
					panic(err)
				}
				continue
			case e.voice:
				w.voiceCame++
				w.waited = append(w.waited, e.at-e.sent)
			}
			w.recorder.Arrived(e.sequence, int64(e.at))
		}
		if b := w.recorder.Feedback(nil, 1, 2, int64(w.now)); len(b) > 0 {
			if at, ok := w.up.Send(len(b)+bandwidth.Overhead, w.now); ok {
				w.insert(event{at: at, feedback: b})
			}
		}
		w.sender.Tick(int64(w.now))
		w.choose()
		if w.now >= w.nextVoice {
			w.nextVoice += w.voiceEvery
			if w.nextVoice < w.now {
				w.nextVoice = w.now
			}
			for range w.voices {
				w.send(w.voiceSize, true)
			}
		}
		if w.layer >= 0 && w.now >= w.nextFrame {
			w.nextFrame = w.now + 33*time.Millisecond
			left := int(float64(w.layers[w.layer]) / 30 / 8 * (0.7 + 0.6*w.chance.Float64()))
			for left > 0 {
				w.send(min(left, 1150), false)
				left -= 1150
			}
		}
		padding := w.sender.Padding(w.wanted(), int64(w.now))
		for padding > 0 {
			w.send(min(padding, 255)+60, false)
			padding -= 255
		}
	}
}

// choose is the simplest allocation: the best layer that fits, up with a margin.
func (w *world) choose() {
	fits := func(layer int, margin float64) bool {
		if !w.sender.Known() {
			return true
		}
		return float64(w.voiceRate())+float64(w.layers[layer])*margin <= 0.95*float64(w.sender.Estimate())
	}
	for w.layer >= 0 && !fits(w.layer, 1) {
		w.layer--
	}
	for w.layer+1 < len(w.layers) && fits(w.layer+1, 1.1) {
		w.layer++
	}
}
