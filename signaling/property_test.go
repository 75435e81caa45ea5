package signaling_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/signaling"
	"kuule/signaling/signalingtest"
)

// Promise 2 and 4: whatever people do, in whatever order, media goes only from
// and to legs of members on the newest roster.
func TestForwardingFollowsTheRoster(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		d := newDoor(t, func(c *signaling.Config) { c.Limits.RarePerSecond, c.Limits.MessagesPerSecond = 1000, 10_000 })
		defer d.hub.Close()
		chair := d.chair()
		legOf := map[interview.LegID]interview.MemberID{}
		publish := func(g *guest) {
			if m := g.publish(); m.Type == wire.TypeAnswer {
				legOf[body[wire.Answer](t, m).Leg] = g.id()
			}
		}
		publish(chair)
		var people []*signalingtest.Person
		for _, role := range []interview.Role{interview.RoleApplicant, interview.RoleCounsel, interview.RoleInterpreter} {
			people = append(people, d.world.Person(role, string(role)))
		}
		guests := make([]*guest, len(people))
		var roster []interview.MemberID
		pick := rapid.IntRange(0, len(people)-1)
		present := func(rt *rapid.T) (int, *guest) {
			i := pick.Draw(rt, "who")
			if guests[i] == nil {
				guests[i] = d.come(people[i])
			}
			return i, guests[i]
		}
		admit := func(g *guest) {
			chair.ask(wire.TypeAdmit, wire.Admit{Member: g.id(), Seats: []interview.SeatID{g.seat0()}})
		}
		for i := range people {
			guests[i] = d.come(people[i])
			admit(guests[i])
			publish(guests[i])
		}
		rt.Repeat(map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				i := pick.Draw(rt, "who")
				guests[i] = d.come(people[i])
			},
			"come back": func(rt *rapid.T) {
				_, g := present(rt)
				g.lose()
				g.connect()
				g.join()
			},
			"admit": func(rt *rapid.T) {
				_, g := present(rt)
				admit(g)
				publish(g)
			},
			"decline": func(rt *rapid.T) {
				_, g := present(rt)
				chair.ask(wire.TypeDecline, wire.Decline{Member: g.id()})
			},
			"remove": func(rt *rapid.T) {
				_, g := present(rt)
				chair.ask(wire.TypeRemove, wire.Remove{Member: g.id()})
			},
			"revoke": func(rt *rapid.T) {
				i, g := present(rt)
				d.hub.Revoke(g.peer.Device, problem.New(problem.CodeDeviceRevoked, "test"))
				guests[i] = nil
			},
			"leave": func(rt *rapid.T) {
				i, g := present(rt)
				g.ask(wire.TypeLeave, wire.Leave{})
				guests[i] = nil
			},
			"publish": func(rt *rapid.T) {
				_, g := present(rt)
				publish(g)
			},
			"roster": func(rt *rapid.T) {
				list, _ := last[wire.Members](chair, wire.TypeMembers)
				want := []interview.MemberID{chair.id()}
				for _, v := range list.Members {
					if v.Member != chair.id() && rapid.Bool().Draw(rt, "on") {
						want = append(want, v.Member)
					}
				}
				text, err := chair.group.SignRoster(want, "join", d.world.Now())
				if err != nil {
					rt.Fatal(err)
				}
				chair.must(chair.ask(wire.TypeRoster, wire.Roster{Roster: text}))
				roster = want
			},
			"": func(rt *rapid.T) {
				list, _ := last[wire.Members](chair, wire.TypeMembers)
				for _, route := range d.media.Table().Routes {
					for _, leg := range []interview.LegID{route.From, route.To} {
						m := legOf[leg]
						in := slices.ContainsFunc(list.Members, func(v wire.MemberView) bool { return v.Member == m })
						if !slices.Contains(roster, m) || !in {
							rt.Fatalf("media of %s is forwarded: on the roster %v, member %v", m, slices.Contains(roster, m), in)
						}
					}
				}
				if open, most := d.media.Legs(), len(list.Members); open > most {
					rt.Fatalf("%d legs for %d members", open, most)
				}
				for _, g := range guests {
					if g == nil {
						continue
					}
					if g.read(); len(g.refusals) > 0 {
						rt.Fatalf("%s refused: %v", g.id(), g.refusals)
					}
				}
			},
		})
	})
}

// seat0 is the first seat that the door welcomed a guest to.
func (g *guest) seat0() interview.SeatID {
	for _, m := range g.seen {
		if m.Type == wire.TypeWelcome {
			return body[wire.Welcome](g.d.t, m).Seats[0].Seat
		}
	}
	return interview.SeatID{}
}

// Whatever bytes come, a session answers and lives on, or ends its own
// connection; the room stays usable.
func FuzzSessionHandle(f *testing.F) {
	f.Add(uint8(2), []byte(`{"type":"sync","id":1,"body":{"sent":1}}`))
	f.Add(uint8(2), []byte(`{"type":"admit","body":{"member":"","seats":null}}`))
	f.Add(uint8(3), []byte(`{"type":"offer","body":{"sdp":"","tracks":[{"track":"","source":"audio","number":0,"mid":""}]}}`))
	f.Add(uint8(3), []byte(`{"type":"wraps","body":{"wraps":["a.b.c","e30.e30.e30"]}}`))
	f.Add(uint8(2), []byte(`{"type":"roster","body":{"roster":"eyJ0eXAiOiJrdXVsZS1yb3N0ZXIrandzIn0.e30.AA"}}`))
	f.Add(uint8(4), []byte(`{"type":"heartbeat","body":{"heartbeat":"eyJhbGciOiJFUzI1NiIsInR5cCI6Imt1dWxlLWhlYXJ0YmVhdCtqd3MifQ.e30.AA"}}`))
	f.Add(uint8(0), []byte(`{"type":"join","body":{"hearing":"","statement":"eyJ0eXAiOiJrdXVsZS1zdGF0ZW1lbnQrandzIn0.e30.AA","proof":{}}}`))
	d := newDoor(f, func(c *signaling.Config) {
		c.Limits.MessagesPerSecond, c.Limits.BytesPerSecond, c.Limits.RarePerSecond = 1<<30, 1<<30, 1<<30
	})
	chair := d.chair()
	all := []*guest{
		d.arrive(d.world.Person(interview.RoleApplicant, "Amal")), d.come(d.world.Person(interview.RoleApplicant, "Amal")), chair,
		d.come(d.world.Person(interview.RoleCounsel, "Kaisa")), d.comeRecorder("one"),
	}
	chair.admit(all[3])
	chair.sign("join", chair, all[3])
	f.Fuzz(func(t *testing.T, who uint8, text []byte) {
		g := all[int(who)%len(all)]
		if err := g.session.Handle(t.Context(), text); err != nil {
			t.Fatalf("the connection ended: %v", err)
		}
		if news := g.line.news(); len(news) == 0 {
			t.Fatal("nothing was answered")
		}
	})
}
