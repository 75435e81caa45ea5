package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"kuule/interview"
	"kuule/interview/member"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
	"kuule/sfu/sfutest"
	"kuule/signaling"
)

// recording is a real recorder in a house, on the roster.
type recording struct {
	*recorder.Recorder
	h      *house
	folder string
	keys   *journaltest.Wrapper
}

// record has the house's hearing recorded.
func (h *house) record() *recording {
	h.t.Helper()
	r := &recording{h: h, folder: h.t.TempDir(), keys: &journaltest.Wrapper{}}
	var err error
	r.Recorder, err = recorder.New(recorder.Config{
		Folder: r.folder, Keys: r.keys,
		Joiner: recorder.Members{
			Connect: func(context.Context, recorder.Hearing) (member.Conn, error) {
				return h.dial("recorder", signaling.Peer{Recorder: true}), nil
			},
			Prove: h.world.ProveRecorder, Trust: h.trust,
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.Close)
	if err := r.Open(recorder.Hearing{Case: interview.NewCaseID(), Hearing: h.world.Hearing}); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// durable waits until what was captured up to that moment is on the disk.
func (r *recording) durable(until interview.Micros) {
	r.h.t.Helper()
	patiently(r.h.t, "it is durable", func() bool { s := r.Status(); return len(s) == 1 && s[0].Durable > until })
}

// end closes the hearing's journals and gives them for playback.
func (r *recording) end() []playback.Journal {
	t := r.h.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.End(ctx, r.h.world.Hearing); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(r.folder, r.h.world.Hearing.String(), "rec_*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("journals %v: %v", paths, err)
	}
	var out []playback.Journal
	for _, path := range paths {
		f, err := journal.OpenFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
		key, err := journal.ParseDataKey(r.keys.Keys[journal.WrapContext(r.h.world.Hearing, f.Opened().Recording)])
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, playback.Folder(path, key))
	}
	return out
}

// sound is one frame of a voice as a journal has it, opened.
type sound struct {
	sealing.FrameHeader
	counter uint64
	codec   []byte // of its own time
}

// kept opens what the journals hold of a member's voice.
func (r *recording) kept(of interview.MemberID) (out []sound) {
	t := r.h.t
	t.Helper()
	keys := map[int64]*sealing.FrameKey{}
	readJournals(t, r.folder, r.keys, r.h.world.Hearing, func(_ []journal.Entry, frames []journal.Frame, sealed []journal.Entry) {
		for _, e := range sealed {
			if e.Type != journal.EntrySenderKey {
				continue
			}
			k, err := e.SenderKey()
			if err != nil {
				t.Fatal(err)
			}
			if k.Member != of || keys[k.KID] != nil {
				continue
			}
			if keys[k.KID], err = sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range frames {
			if x.Member != of || x.Source != interview.SourceAudio || keys[int64(x.KID)] == nil {
				continue
			}
			head, codec, err := keys[int64(x.KID)].Open(nil, x.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			if head.Redundant {
				codec = opusred.Own(codec)
			}
			out = append(out, sound{head, x.Counter, codec})
		}
	}, nil)
	return out
}

// speech is a voice whose packets tell their numbers.
type speech struct {
	said atomic.Uint32
	stop func()
}

func (s *speech) number() uint32 { return s.said.Load() }

// speak has a member send packets of 20 ms, each with its number, and then its
// name, so that others know whose they are.
func speak(s *someone) *speech {
	x, quit, done := &speech{}, make(chan struct{}), make(chan struct{})
	x.stop = sync.OnceFunc(func() { close(quit); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			n := x.said.Add(1)
			codec := binary.BigEndian.AppendUint32([]byte{0xf8}, n) // 20 ms of Opus, by its first byte
			_ = s.Send(0, sealing.FrameHeader{Capture: s.Now(), Level: 30}, codec, n*960, false)
		}
	}()
	return x
}

// played is a packet of an exported file: when, in milliseconds, and what.
type played struct {
	at    int64
	codec []byte
}

// exported gives the packets of the one lane that there is, as a file has them,
// and the hearing clock at the file's zero.
func exported(t *testing.T, journals ...playback.Journal) (out []played, base interview.Micros) {
	t.Helper()
	var file bytes.Buffer
	r, err := playback.Stream(t.Context(), &file, playback.Options{}, journals...)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Lanes) != 1 {
		t.Fatalf("%d lanes were exported", len(r.Lanes))
	}
	var doc struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment struct {
			Cluster []struct {
				Timecode    uint64            `ebml:"Timecode"`
				SimpleBlock []ebml.Block      `ebml:"SimpleBlock"`
				BlockGroup  []webm.BlockGroup `ebml:"BlockGroup"`
			} `ebml:"Cluster"`
		} `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(&file, &doc, ebml.WithIgnoreUnknown(true)); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Fatal(err)
	}
	for _, c := range doc.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			out = append(out, played{int64(c.Timecode) + int64(b.Timecode), b.Data[0]})
		}
		for _, g := range c.BlockGroup {
			out = append(out, played{int64(c.Timecode) + int64(g.Block.Timecode), g.Block.Data[0]})
		}
	}
	return out, r.Base
}

// isSilence tells the packet with which an export fills what is missing.
func isSilence(codec []byte) bool { return bytes.Equal(codec, []byte{0xf8, 0xff, 0xfe}) }

// lossyWay leads a member over a link of its own to the node. Nobody asks for
// what is lost on it.
func (h *house) lossyWay(prove member.Prove) (member.Prove, *sfutest.Forwarder) {
	h.t.Helper()
	return h.wayOf(prove, withoutAsking)
}

// wayOf leads a member over a link of its own to the node.
func (h *house) wayOf(prove member.Prove, offer func(sdp string) string) (member.Prove, *sfutest.Forwarder) {
	h.t.Helper()
	target, err := netip.ParseAddrPort(h.media.node.Load().Addresses()[0].String())
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := sfutest.NewForwarder(target, sfutest.Shape{}, sfutest.Shape{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(f.Close)
	return func(ctx context.Context, st sealing.Statement) (string, wire.Proof, error) {
		h.media.ways.Store(st.DTLS, way{offer: offer, answer: f.Rewrite})
		return prove(ctx, st)
	}, f
}

// withoutAsking takes the questions for lost sounds out of an offer.
func withoutAsking(sdp string) string {
	var kept []string
	for _, line := range strings.SplitAfter(sdp, "\n") {
		if !strings.HasPrefix(line, "a=rtcp-fb:") || !strings.Contains(line, " nack") || strings.Contains(line, "pli") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// Where sounds are lost on the way to the node, and nobody asks for them again,
// the node has the room send them twice; the recorder keeps them sealed as they
// came, and its reader finds in the copies most of what never came.
func TestSoundSentTwiceIsWholeInTheRecording(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"))
	h.admitted(chair)
	amal, hints := h.world.Person(interview.RoleApplicant, "Amal"), make(chan wire.SendHint, 100)
	applicant := &someone{}
	cfg := h.config(applicant)
	prove, link := h.lossyWay(amal.Prove)
	cfg.Place, cfg.Prove, cfg.Publish = amal.Place(), prove, []interview.Source{interview.SourceAudio}
	cfg.On.Hint = func(b wire.SendHint) { hints <- b }
	h.enter(applicant, cfg, amal.Device.String(), amal.Peer())
	h.admit(chair, applicant)
	rec := h.record()
	patiently(t, "the recorder is on the roster", func() bool {
		return chair.IncludeRecorder(true) == nil && len(rec.Status()) == 1 && rec.Status()[0].Durable > 0
	})

	said := speak(applicant)
	t.Cleanup(said.stop)
	rec.durable(applicant.Now() + 1_000_000)
	link.Up.Set(sfutest.Shape{Loss: 0.1})
	for told := false; !told; {
		select {
		case b := <-hints:
			told = b.Red
		case <-time.After(60 * time.Second):
			t.Fatal("nobody asked for sound to be sent twice")
		}
	}
	from := said.number()
	patiently(t, "much was said twice", func() bool { return said.number() > from+350 })
	to := said.number()
	link.Up.Set(sfutest.Shape{})
	rec.durable(applicant.Now() + 1_000_000)
	said.stop()

	journals := rec.end()
	came, twice := map[uint32]bool{}, 0
	for _, s := range rec.kept(applicant.ID()) {
		came[binary.BigEndian.Uint32(s.codec[1:])] = true
		if s.Redundant {
			twice++
		}
	}
	heard := map[uint32]int{}
	file, _ := exported(t, journals...)
	for _, p := range file {
		if !isSilence(p.codec) {
			heard[binary.BigEndian.Uint32(p.codec[1:])]++
		}
	}
	lost, missing := 0, 0
	for n := from + 5; n < to-5; n++ {
		if !came[n] {
			lost++
		}
		if heard[n] == 0 {
			missing++
		}
		if heard[n] > 1 {
			t.Errorf("packet %d is heard %d times", n, heard[n])
		}
	}
	t.Logf("of %d packets %d never came to the recorder, %d are missing in what is played; %d frames were kept with a copy inside", to-from-10, lost, missing, twice)
	if twice < 200 {
		t.Errorf("only %d frames were packed twice inside their seal", twice)
	}
	if lost < 15 || missing*4 > lost {
		t.Errorf("of %d packets %d never came to the recorder, %d are missing in what is played", to-from-10, lost, missing)
	}
}

// A page's voice goes the same way: Chromium packs it twice when the page is told
// to, before the page's worker seals it.
func TestAPagesVoiceSentTwiceIsWholeInTheRecording(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"))
	h.admitted(chair)
	amal := h.world.Person(interview.RoleApplicant, "Amal")
	prove, link := h.lossyWay(amal.Prove)
	p := h.browse(amal, prove)
	knock := <-chair.knocks
	if err := chair.Admit(t.Context(), knock); err != nil {
		t.Fatal(err)
	}
	rec := h.record()
	patiently(t, "the recorder is on the roster", func() bool {
		return chair.IncludeRecorder(true) == nil && len(rec.Status()) == 1 && rec.Status()[0].Durable > 0
	})
	p.until("the voice is sent", func(s pageState) bool { return s.Packets > 50 })
	rec.durable(chair.Now() + 1_000_000)

	link.Up.Set(sfutest.Shape{Loss: 0.1})
	patiently(t, "the voice is sent twice", func() bool {
		chair.mu.Lock()
		defer chair.mu.Unlock()
		return chair.twice > 25
	})
	from := chair.Now()
	to := from + 8_000_000
	patiently(t, "eight seconds were said twice", func() bool { return chair.Now() > to })
	link.Up.Set(sfutest.Shape{})
	rec.durable(chair.Now() + 1_000_000)

	journals := rec.end()
	first, last, came := uint64(0), uint64(0), uint64(0)
	for _, s := range rec.kept(knock.Member) {
		if s.Capture < from || s.Capture > to {
			continue
		}
		if !s.Redundant {
			t.Errorf("frame %d has no copy inside", s.counter)
		}
		if came == 0 {
			first = s.counter
		}
		last, came = max(last, s.counter), came+1
	}
	lost := last - first + 1 - came
	file, base := exported(t, journals...)
	silent, heard := uint64(0), uint64(0)
	for _, x := range file {
		switch at := base + interview.Micros(x.at)*1000; {
		case at < from || at > to:
		case isSilence(x.codec):
			silent++
		default:
			heard++
		}
	}
	all := uint64(to-from) / 20_000
	t.Logf("of %d packets %d never came to the recorder; %d are played and %d filled with silence", all, lost, heard, silent)
	if lost < 15 || silent*4 > lost || heard+silent > all+all/10 || heard+silent < all-all/10 {
		t.Errorf("of %d packets %d never came to the recorder; %d are played and %d filled with silence", all, lost, heard, silent)
	}
}

// A page that comes back into a room which loses sounds sends them twice from its
// first packet on: the answer to its offer says so, nobody has to find out again.
func TestAPageThatComesBackSendsTwiceFromTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	irja, chair := h.world.Person(interview.RoleInterviewer, "Irja"), &someone{}
	cfg := h.config(chair)
	cfg.Place, cfg.Prove = irja.Place(), irja.Prove
	var mu sync.Mutex
	once, twice := map[interview.MemberID]int{}, map[interview.MemberID]int{}
	cfg.On.Frame = func(f member.Frame) {
		head, _, err := chair.Open(nil, f)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
		case head.Redundant:
			twice[f.Slot.Member]++
		default:
			once[f.Slot.Member]++
		}
	}
	h.admitted(h.enter(chair, cfg, irja.Device.String(), irja.Peer()))
	amal := h.world.Person(interview.RoleApplicant, "Amal")
	prove, link := h.lossyWay(amal.Prove)
	h.browse(amal, prove)
	knock := <-chair.knocks
	if err := chair.Admit(t.Context(), knock); err != nil {
		t.Fatal(err)
	}
	link.Up.Set(sfutest.Shape{Loss: 0.1})
	patiently(t, "the voice is sent twice", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return twice[knock.Member] > 25
	})
	// The first page loses its packets until the second one has its seat.
	h.browse(amal, amal.Prove)
	plain := 0
	patiently(t, "the voice of the second page came", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for who, n := range twice {
			if who != knock.Member && n+once[who] > 100 {
				plain = once[who]
				return true
			}
		}
		for who, n := range once {
			if who != knock.Member && n > 300 {
				plain = n
				return true
			}
		}
		return false
	})
	t.Logf("%d packets were sent once", plain)
	if plain > 20 { // one under each new key, and what the browser had encoded before: more on a busy machine. Told by loss alone they are about 50
		t.Errorf("%d packets of the page that came back were sent once", plain)
	}
}

// N5: where one listener's link carries no voice in short packets, the page is
// asked for long ones at 16 kbit/s. They reach that listener and everybody, are
// kept with their length, and play where they were said; when the link is back,
// so are the short ones.
func TestAPagesVoiceInLongPacketsIsWholeInTheRecording(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"))
	h.admitted(chair)
	amal, kaisa := h.world.Person(interview.RoleApplicant, "Amal"), h.world.Person(interview.RoleCounsel, "Kaisa")
	p := h.browse(amal, amal.Prove)
	knock := <-chair.knocks
	if err := chair.Admit(t.Context(), knock); err != nil {
		t.Fatal(err)
	}
	counsel := &someone{}
	cfg := h.config(counsel)
	prove, link := h.wayOf(kaisa.Prove, func(sdp string) string { return sdp })
	cfg.Place, cfg.Prove = kaisa.Place(), prove
	h.enter(counsel, cfg, kaisa.Device.String(), kaisa.Peer())
	h.admit(chair, counsel)
	rec := h.record()
	patiently(t, "the recorder is on the roster", func() bool {
		return chair.IncludeRecorder(true) == nil && len(rec.Status()) == 1 && rec.Status()[0].Durable > 0
	})
	p.until("the voice is sent", func(s pageState) bool { return s.Packets > 50 })
	from := chair.Now()
	rec.durable(from + 1_000_000)

	// 66 kbit/s in packets of 20 ms, 28 in packets of 60.
	link.Down.Set(sfutest.Shape{Rate: 45_000})
	rate := func() float64 {
		before, at := p.now().Packets, time.Now()
		time.Sleep(time.Second)
		return float64(p.now().Packets-before) / time.Since(at).Seconds()
	}
	patiently(t, "packets are long", func() bool { return rate() < 25 })
	narrow := chair.Now()
	came := func(s *someone) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.all
	}
	said, heardNarrow := came(chair), came(counsel)
	patiently(t, "five seconds are said in long packets", func() bool { return chair.Now() > narrow+5_000_000 })
	said, heardNarrow = came(chair)-said, came(counsel)-heardNarrow
	back := chair.Now()
	link.Down.Set(sfutest.Shape{})
	patiently(t, "packets are short again", func() bool { return rate() > 40 })
	to := chair.Now()
	rec.durable(to + 1_000_000)
	// In short packets two thirds at most would fit.
	t.Logf("over the narrow link came %d of %d packets", heardNarrow, said)
	if heardNarrow*4 < said*3 {
		t.Errorf("over the narrow link came %d of %d packets", heardNarrow, said)
	}

	journals := rec.end()
	kept, long, bytes := 0, 0, 0
	var length interview.Micros // of what was kept
	for _, s := range rec.kept(knock.Member) {
		if s.Capture < from || s.Capture > to {
			continue
		}
		kept++
		d := lengthOf(t, s.codec)
		length += d
		if s.Capture > narrow+500_000 && s.Capture < back {
			bytes += len(s.codec)
			if d == 60_000 {
				long++
			}
		}
	}
	if long < 60 || bytes > (long+3)*130 { // 16 kbit/s are 120 bytes in 60 ms
		t.Errorf("%d long packets were kept, %d bytes", long, bytes)
	}
	if off := length - (to - from); off > 150_000 || off < -150_000 {
		t.Errorf("%d ms of sound were kept of %d", length/1000, (to-from)/1000)
	}
	file, base := exported(t, journals...)
	heard, silent := 0, 0
	var ends int64
	for i, x := range file {
		at := base + interview.Micros(x.at)*1000
		switch {
		case at < from || at > to:
			continue
		case isSilence(x.codec):
			silent++
		default:
			heard++
		}
		if i > 0 && ends != 0 && (x.at-ends > 25 || ends-x.at > 25) {
			t.Errorf("a packet plays at %d ms, the one before ends at %d", x.at, ends)
		}
		ends = x.at + int64(lengthOf(t, x.codec)/1000)
	}
	t.Logf("%d packets were kept, %d of them of 60 ms; %d are played, %d filled with silence", kept, long, heard, silent)
	if silent > 2 || heard < kept-5 {
		t.Errorf("%d packets were kept; %d are played, %d filled with silence", kept, heard, silent)
	}
}

// lengthOf is how long a packet of Opus of one frame plays (RFC 6716 section 3.1).
func lengthOf(t *testing.T, codec []byte) interview.Micros {
	t.Helper()
	if len(codec) == 0 || codec[0]&3 == 3 && len(codec) < 2 {
		t.Fatalf("no packet of Opus: %x", codec)
	}
	config, frames := codec[0]>>3, interview.Micros(codec[0]&3)
	var frame interview.Micros
	switch {
	case config < 12:
		frame = []interview.Micros{10_000, 20_000, 40_000, 60_000}[config&3]
	case config < 16:
		frame = []interview.Micros{10_000, 20_000}[config&1]
	default:
		frame = []interview.Micros{2_500, 5_000, 10_000, 20_000}[config&3]
	}
	switch frames {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	default:
		return interview.Micros(codec[1]&0x3f) * frame
	}
}
