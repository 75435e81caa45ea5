package backup

import (
	"cmp"
	"crypto/hpke"
	"encoding/base64"
	"maps"
	"slices"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
)

// Gatherer is the page's side in Go: it gathers what a member of a room sends
// while a recorder shares its keys. An epoch is opened only with the admission of
// a recorder on its roster; a frame of any other epoch, as of a pause or a
// consultation, has no chunk to go to. Nor has one that is sent after the page has
// ceased to show the room as on record. It is safe for concurrent use.
type Gatherer struct {
	to        hpke.PublicKey
	hearing   interview.HearingID
	statement func() string

	mu        sync.Mutex
	recorders map[interview.MemberID]string // their admissions
	roster    sealing.Roster
	text      string
	open      map[int64]*Chunk
	bytes     map[int64]int // of its frames
	beat      time.Time     // a recorder was last heard
}

// keptEpochs is how many epochs are open: a sender goes on under the one before for
// a moment.
const keptEpochs = 4

// maxGathered bounds the frames of a chunk, in bytes: more than a terminal sends
// between two calls of Take, and below MaxChunk as text.
const maxGathered = 640 << 10

// NewGatherer gathers for one hearing; statement gives the member's own, once it
// is made.
func NewGatherer(to hpke.PublicKey, hearing interview.HearingID, statement func() string) *Gatherer {
	return &Gatherer{to: to, hearing: hearing, statement: statement, recorders: map[interview.MemberID]string{}, open: map[int64]*Chunk{}, bytes: map[int64]int{}}
}

// Recorder makes a recorder's admission known.
func (g *Gatherer) Recorder(id interview.MemberID, admission string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recorders[id] = admission
}

// BeatLife is how long after a recorder's last heartbeat the page still shows the
// room as on record (H1), and how long what is sent is gathered: what is said after
// it people say believing that nobody records.
const BeatLife = 2 * time.Second

// Beat says that a recorder's heartbeat came and holds.
func (g *Gatherer) Beat() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beat = time.Now()
}

// Roster says which one is in force.
func (g *Gatherer) Roster(r sealing.Roster, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roster, g.text = r, text
}

// Key takes an own key as it is made for the roster in force.
func (g *Gatherer) Key(w sealing.Wrap, raw []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.open[w.Epoch]
	if c == nil {
		recorder := g.recorder()
		if recorder == "" || g.roster.Epoch != w.Epoch {
			return
		}
		c = g.chunk(&Chunk{Group: w.Group, Member: w.Sender, Epoch: w.Epoch, Roster: g.text, Recorder: recorder})
	}
	if k, err := c.SealKey(g.to, Key{Track: w.Track, Source: w.Source, KID: w.KID}, raw); err == nil && len(c.Keys) < MaxKeys {
		c.Keys = append(c.Keys, k)
		g.open[w.Epoch] = c
	}
}

// recorder is the admission of one on the roster in force, or "".
func (g *Gatherer) recorder() string {
	for _, m := range g.roster.Members {
		if a := g.recorders[m.Member]; a != "" && jws.Hash(a) == m.Admission {
			return a
		}
	}
	return ""
}

func (g *Gatherer) chunk(of *Chunk) *Chunk {
	return &Chunk{
		V: 1, Hearing: g.hearing, Group: of.Group, Member: of.Member, Epoch: of.Epoch, Statement: g.statement(), Roster: of.Roster, Recorder: of.Recorder,
		Keys: []Key{}, Frames: []Frame{}, Origins: []string{},
	}
}

// Frame takes a frame as it is sent.
func (g *Gatherer) Frame(track interview.TrackID, at interview.Micros, sealed []byte) {
	h, err := sframe.ParseHeader(sealed)
	if err != nil {
		return
	}
	epoch, _, _ := sealing.PlaceOf(int64(h.KID))
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.beat) > BeatLife {
		return
	}
	if c := g.open[epoch]; c != nil && len(c.Frames) < MaxFrames && g.bytes[epoch]+len(sealed) < maxGathered {
		g.bytes[epoch] += len(sealed)
		c.Frames = append(c.Frames, Frame{Track: track, At: at, Sealed: base64.RawURLEncoding.EncodeToString(sealed)})
	}
}

// List takes a list that was signed.
func (g *Gatherer) List(text string) {
	var o sealing.Origin
	if jws.Peek(text, sealing.TypeOrigin, &o) != nil {
		return
	}
	epoch, _, _ := sealing.PlaceOf(o.KID)
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.open[epoch]; c != nil && len(c.Origins) < MaxLists {
		c.Origins = append(c.Origins, text)
	}
}

// Take gives what was gathered since the last call, oldest epoch first.
func (g *Gatherer) Take() []*Chunk {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*Chunk
	for _, epoch := range slices.SortedFunc(maps.Keys(g.open), cmp.Compare[int64]) {
		c := g.open[epoch]
		if len(c.Keys)+len(c.Frames)+len(c.Origins) > 0 {
			if c.Statement == "" {
				c.Statement = g.statement() // it was not made when the chunk began
			}
			out = append(out, c)
			g.open[epoch], g.bytes[epoch] = g.chunk(c), 0
		}
	}
	for len(g.open) > keptEpochs {
		oldest := slices.Min(slices.Collect(maps.Keys(g.open)))
		delete(g.open, oldest)
		delete(g.bytes, oldest)
	}
	return out
}
