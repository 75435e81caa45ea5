package people

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"kuule/attestation/agent/gateway"
	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/member"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// Config says who a person is and where the person sits.
type Config struct {
	Name     string // for people and logs
	Link     string // start link of the device's agent
	Provider gatewaytest.Provider
	Subject  string // to sign in as; "" for nobody
	Camera   Voice
	Media    *Media
	Log      *slog.Logger
}

// Person is somebody at a device: one page, and one place in the room. Its
// methods are safe for concurrent use once Open has returned.
type Person struct {
	cfg    Config
	page   *gatewaytest.Page
	device gateway.Device
	known  map[[32]byte]Voice // what can be heard, by content
	shown  map[[32]byte]Voice // what can be seen

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at every change
	member  *member.Member
	knocks  []wire.Knock
	members []wire.MemberView
	came    map[interview.MemberID]time.Time
	phases  []Moment
	loud    map[interview.MemberID]time.Time // when a member was last heard speaking
	beats   map[interview.MemberID]sealing.Heartbeat
	heard   map[interview.MemberID]map[Voice]int
	seen    map[interview.MemberID]map[Voice]int
	bad     map[string]int // frames that did not open, by reason
	ended   error
	picture int // next of the loop

	queue chan spoken
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// Moment is a phase and when this person's page was told.
type Moment struct {
	wire.PhaseNow
	At time.Time
}

type spoken struct {
	clip Clip
	done chan Span
}

// Span is when something was said, on the hearing clock.
type Span struct{ From, To interview.Micros }

// Open opens the page at the device and signs in where the person does.
func Open(ctx context.Context, cfg Config) (*Person, error) {
	p := &Person{
		cfg: cfg, changed: make(chan struct{}), queue: make(chan spoken, 8),
		came: map[interview.MemberID]time.Time{}, loud: map[interview.MemberID]time.Time{}, heard: map[interview.MemberID]map[Voice]int{}, seen: map[interview.MemberID]map[Voice]int{}, bad: map[string]int{},
		beats: map[interview.MemberID]sealing.Heartbeat{}, known: map[[32]byte]Voice{}, shown: map[[32]byte]Voice{},
	}
	if p.cfg.Log == nil {
		p.cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, c := range cfg.Media.Clips {
		for _, packet := range c.Packets {
			p.known[sha256.Sum256(packet)] = c.Voice
		}
	}
	for v, all := range cfg.Media.Pictures {
		for _, picture := range all {
			p.shown[sha256.Sum256(picture.Data)] = v
		}
	}
	var err error
	if p.page, err = gatewaytest.Open(ctx, cfg.Link); err != nil {
		return nil, fmt.Errorf("%s opens the page: %w", cfg.Name, err)
	}
	if cfg.Subject != "" {
		if err := p.page.SignIn(ctx, cfg.Provider, cfg.Subject); err != nil {
			return nil, fmt.Errorf("%s signs in: %w", cfg.Name, err)
		}
	}
	if err := p.page.Call(ctx, http.MethodGet, "/gw/device", nil, &p.device); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	return p, nil
}

// Name is the person's name.
func (p *Person) Name() string { return p.cfg.Name }

// Call makes one call of the page.
func (p *Person) Call(ctx context.Context, method, path string, in, out any) error {
	return p.page.Call(ctx, method, path, in, out)
}

// Page is the person's page.
func (p *Person) Page() *gatewaytest.Page { return p.page }

// Redeem takes the ticket that waits at this device.
func (p *Person) Redeem(ctx context.Context, h interview.HearingID, purpose interview.Purpose) (interview.TicketID, error) {
	var me interview.Me
	if err := p.Call(ctx, http.MethodGet, "/api/me", nil, &me); err != nil {
		return interview.TicketID{}, err
	}
	for _, t := range me.Tickets {
		if t.Hearing == h && t.Purpose == purpose && !t.Redeemed {
			return t.Ticket, p.redeem(ctx, t.Ticket, h, purpose)
		}
	}
	return interview.TicketID{}, fmt.Errorf("no ticket waits at %s", p.device.Label)
}

func (p *Person) redeem(ctx context.Context, t interview.TicketID, h interview.HearingID, purpose interview.Purpose) error {
	return p.Call(ctx, http.MethodPost, "/api/tickets/"+t.String()+"/redeem", map[string]any{"hearing": h, "purpose": purpose}, nil)
}

// RedeemAgain tries to take a ticket once more.
func (p *Person) RedeemAgain(ctx context.Context, t interview.TicketID, h interview.HearingID, purpose interview.Purpose) error {
	return p.redeem(ctx, t, h, purpose)
}

// Join enters the room with all seats of the hearing on this device, and
// returns when the person waits to be admitted, or is in.
func (p *Person) Join(ctx context.Context, h interview.HearingID) error {
	var me interview.Me
	if err := p.Call(ctx, http.MethodGet, "/api/me", nil, &me); err != nil {
		return err
	}
	var seats []interview.SeatID
	for _, s := range me.Seats {
		if s.Hearing == h {
			seats = append(seats, s.Seat)
		}
	}
	trust, err := sealing.NewTrust(p.device.Trust)
	if err != nil {
		return err
	}
	ws, err := p.page.Socket(ctx, "/ws/room")
	if err != nil {
		return fmt.Errorf("%s at the door: %w", p.cfg.Name, err)
	}
	config := member.Config{
		Hearing: h, Place: sealing.Place{Kind: sealing.KindPage, Device: p.device.ID, Seats: seats}, Trust: trust, Prove: p.prove,
		Publish: []interview.Source{interview.SourceAudio, interview.SourceVideo}, Log: p.cfg.Log, On: p.events(),
	}
	kept, err := p.keepBackup(h, &config)
	if err != nil {
		return err
	}
	m, err := member.Join(ctx, member.Over(ws), config)
	if err != nil {
		return fmt.Errorf("%s at the door: %w", p.cfg.Name, err)
	}
	p.change(func() { p.member = m })
	sending, stop := context.WithCancel(context.Background())
	p.stop = stop
	if kept != nil {
		p.tasks.Go(func() { p.handBackup(sending, kept) })
	}
	p.tasks.Go(func() { p.send(sending, m) })
	return nil
}

// prove has the device sign what the page says of itself.
func (p *Person) prove(ctx context.Context, st sealing.Statement) (string, wire.Proof, error) {
	var out struct {
		Statement string        `json:"statement"`
		Proof     *signin.Proof `json:"proof"`
	}
	err := p.page.Call(ctx, http.MethodPost, "/gw/statement", map[string]any{
		"hearing": st.Hearing, "member": st.Member, "seats": st.Seats, "hpke_key": st.HPKEKey, "sign_key": st.SignKey, "dtls": st.DTLS, "exp": st.ExpiresAt,
	}, &out)
	if err != nil || out.Proof == nil {
		return out.Statement, wire.Proof{}, err
	}
	return out.Statement, wire.Proof{IDToken: out.Proof.IDToken, Nonce: out.Proof.NonceRandom}, nil
}

func (p *Person) events() member.Events {
	return member.Events{
		Frame:    p.frame,
		KeyFrame: func(interview.TrackID) { p.change(func() { p.picture = 0 }) },
		Knock:    func(k wire.Knock) { p.change(func() { p.knocks = append(p.knocks, k) }) },
		Members: func(m []wire.MemberView) {
			p.change(func() {
				p.members = m
				for _, v := range m {
					if _, known := p.came[v.Member]; !known {
						p.came[v.Member] = time.Now()
					}
				}
			})
		},
		Phase: func(now wire.PhaseNow) {
			p.change(func() { p.phases = append(p.phases, Moment{now, time.Now()}) })
		},
		Heartbeat: func(h sealing.Heartbeat) { p.change(func() { p.beats[h.Member] = h }) },
		Roster:    func(sealing.Roster, string) { p.change(func() {}) },
		Wrap:      func(sealing.Wrap) { p.change(func() {}) },
		Ended:     func(err error) { p.change(func() { p.ended = err }) },
	}
}

// frame opens a frame and recognises what is in it.
func (p *Person) frame(f member.Frame) {
	p.mu.Lock()
	m := p.member
	p.mu.Unlock()
	if m == nil {
		return
	}
	h, content, err := m.Open(nil, f)
	if err != nil {
		p.change(func() { p.bad[err.Error()]++ })
		return
	}
	if h.Redundant {
		content = opusred.Own(content)
	}
	sum := sha256.Sum256(content)
	p.change(func() {
		if f.Slot.Source == interview.SourceAudio && h.Level < speech {
			p.loud[f.Slot.Member] = time.Now()
		}
		known, counts := p.known, p.heard
		if f.Slot.Source != interview.SourceAudio {
			known, counts = p.shown, p.seen
		}
		if v, ok := known[sum]; ok {
			if counts[f.Slot.Member] == nil {
				counts[f.Slot.Member] = map[Voice]int{}
			}
			counts[f.Slot.Member][v]++
		}
	})
}

func (p *Person) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until holds does, and says what was waited for if it never came.
// holds is called with the person's lock held.
func (p *Person) until(ctx context.Context, what string, holds func() bool) error {
	for {
		p.mu.Lock()
		ok, ended, changed := holds(), p.ended, p.changed
		p.mu.Unlock()
		switch {
		case ok:
			return nil
		case ended != nil:
			return fmt.Errorf("%s waited until %s: %w", p.cfg.Name, what, ended)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s waited until %s: %w", p.cfg.Name, what, ctx.Err())
		}
	}
}

// send gives a packet every 20 ms and a picture every 100 ms, silence where
// nobody speaks: a microphone does not stop either.
func (p *Person) send(ctx context.Context, m *member.Member) {
	var now spoken
	var span Span
	next := 0
	quiet := 0
	began := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(time.Duration(n) * FrameTime))):
		}
		if now.done == nil {
			select {
			case now = <-p.queue:
				next, span = 0, Span{From: m.Now()}
			default:
			}
		}
		packet, level := p.cfg.Media.Silence.Packets[quiet], p.cfg.Media.Silence.Levels[quiet]
		if now.done != nil {
			packet, level = now.clip.Packets[next], now.clip.Levels[next]
			next++
		} else if quiet++; quiet == len(p.cfg.Media.Silence.Packets) {
			quiet = 0
		}
		p.give(m, 0, sealing.FrameHeader{Capture: m.Now(), Level: level}, packet, uint32(n)*samples, false)
		if now.done != nil && next == len(now.clip.Packets) {
			span.To = m.Now()
			now.done <- span
			now = spoken{}
		}
		if n%int(PictureTime/FrameTime) == 0 {
			p.show(m, n)
		}
	}
}

// speech is a level (-dBov) louder than a quiet room.
const speech = 45

// levelNone is that of a track without sound (sealing.FrameHeader).
const levelNone = 255

func (p *Person) show(m *member.Member, n int) {
	loop := p.cfg.Media.Pictures[p.cfg.Camera]
	if len(loop) == 0 {
		return
	}
	p.mu.Lock()
	picture := loop[p.picture%len(loop)]
	p.picture++
	p.mu.Unlock()
	p.give(m, 1, sealing.FrameHeader{Capture: m.Now(), Level: levelNone}, picture.Data, uint32(n/int(PictureTime/FrameTime))*ticks, picture.Key)
}

// give sends one frame. Before keys are there, or outside the roster, nothing
// is sent at all, which is as it must be.
func (p *Person) give(m *member.Member, track int, h sealing.FrameHeader, frame []byte, rtpTime uint32, key bool) {
	if err := m.Send(track, h, frame, rtpTime, key); err != nil && !errors.Is(err, sealing.ErrNoKey) {
		p.cfg.Log.Debug("a frame was not sent", "who", p.cfg.Name, "err", err)
	}
}

// Say speaks a clip and returns when it was said.
func (p *Person) Say(ctx context.Context, c Clip) (Span, error) {
	s := spoken{c, make(chan Span, 1)}
	select {
	case p.queue <- s:
	case <-ctx.Done():
		return Span{}, ctx.Err()
	}
	select {
	case span := <-s.done:
		return span, nil
	case <-ctx.Done():
		return Span{}, ctx.Err()
	}
}

// Leave closes the room and the page.
func (p *Person) Leave() {
	p.mu.Lock()
	m := p.member
	p.mu.Unlock()
	if p.stop != nil {
		p.stop()
		p.tasks.Wait()
	}
	if m != nil {
		m.Close()
	}
	p.page.Close()
}

// IsProblem reports whether err is the refusal with that code.
func IsProblem(err error, code problem.Code) bool {
	var p *problem.Error
	return errors.As(err, &p) && p.Code == code
}
