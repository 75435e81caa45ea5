package people

import (
	"context"
	"net/http"
	"time"

	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/member"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// terminalKind is the kind of device whose page keeps a back-up.
const terminalKind = "room-terminal"

// keepBackup has a room terminal's page gather its own back-up, as the page in a
// browser does; nil at other devices.
func (p *Person) keepBackup(h interview.HearingID, c *member.Config) (*backup.Gatherer, error) {
	if p.device.Kind != terminalKind || p.device.Trust.BackupKey == "" {
		return nil, nil
	}
	to, err := backup.Recipient(p.device.Trust)
	if err != nil {
		return nil, err
	}
	g := backup.NewGatherer(to, h, func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.member == nil {
			return ""
		}
		return p.member.Statement()
	})
	c.Own = g
	members, roster, heartbeat := c.On.Members, c.On.Roster, c.On.Heartbeat
	c.On.Heartbeat = func(h sealing.Heartbeat) {
		if h.State == interview.RecorderRecording || h.State == interview.RecorderBehind {
			g.Beat()
		}
		heartbeat(h)
	}
	c.On.Members = func(all []wire.MemberView) {
		for _, v := range all {
			if v.Kind == sealing.KindRecorder {
				g.Recorder(v.Member, v.Admission)
			}
		}
		members(all)
	}
	c.On.Roster = func(r sealing.Roster, text string) {
		g.Roster(r, text)
		roster(r, text)
	}
	return g, nil
}

// handBackup hands over what was gathered, about once a second. What the agent
// does not keep costs the back-up and nothing else.
func (p *Person) handBackup(ctx context.Context, g *backup.Gatherer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.signLast(g)
		for _, c := range g.Take() {
			if err := p.Call(ctx, http.MethodPost, "/gw/backup", c, nil); err != nil && ctx.Err() == nil {
				p.cfg.Log.Warn("a chunk of the back-up was not kept", "who", p.cfg.Name, "err", err)
			}
		}
	}
}

// signLast signs for what was sent after the room was lost: nobody there asks for it
// any more, and without it the back-up proves nothing.
func (p *Person) signLast(g *backup.Gatherer) {
	p.mu.Lock()
	m := p.member
	p.mu.Unlock()
	select {
	case <-m.Done():
	default:
		return // the member itself does it
	}
	lists, err := m.Group().Origins()
	if err != nil {
		p.cfg.Log.Warn("origin lists", "who", p.cfg.Name, "err", err)
	}
	for _, text := range lists {
		g.List(text)
	}
}
