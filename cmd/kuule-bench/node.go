package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
	"kuule/sfu/offer"
)

// nodeCommand runs a media node that admits whoever asks, for load generators of
// other code bases. No binary but this one has it.
type nodeCommand struct {
	Listen []string `default:"127.0.0.1:7100" help:"Addresses of the media port, UDP and TCP."`
	HTTP   string   `name:"http" default:"127.0.0.1:7101" help:"Where offers are taken. Whoever reaches it is admitted: keep it on loopback."`
	Pprof  string   `type:"path" help:"Write processor and memory profiles into this folder at the end."`
}

// openNode admits without asking: every member of a room receives all others.
type openNode struct {
	node *sfu.Node

	mu         sync.Mutex
	generation int64
	rooms      map[interview.GroupID][]*openMember
}

type openMember struct {
	leg    interview.LegID
	tracks []media.Publish
	slots  []media.Slot
	wishes map[string]openWish // by mid
}

// openWish is what a member wants on one of its slots.
type openWish struct {
	Mid    string `json:"mid"`
	Rank   int    `json:"rank,omitempty"`
	Height int    `json:"height,omitempty"`
	Off    bool   `json:"off,omitempty"`
}

// openSlot says whose track comes on a slot.
type openSlot struct {
	Mid  string           `json:"mid"`
	Kind string           `json:"kind"`
	From *interview.LegID `json:"from,omitempty"` // nobody's, if it is not there
	Line string           `json:"line,omitempty"` // mid of that leg's line
}

// wishBytes bounds a wish.
const wishBytes = 8 << 10

// Run serves until interrupted.
func (c *nodeCommand) Run(ctx context.Context) error {
	n := &openNode{rooms: map[interview.GroupID][]*openMember{}}
	cfg := sfu.Config{Log: slog.Default(), OnEvent: n.event}
	for _, a := range c.Listen {
		at, err := netip.ParseAddrPort(a)
		if err != nil {
			return fmt.Errorf("--listen %q: %w", a, err)
		}
		cfg.Addresses = append(cfg.Addresses, at)
	}
	node, err := sfu.New(cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	n.node = node
	profile := profiler{folder: c.Pprof, name: "node"}
	if c.Pprof != "" {
		if err := profile.start(); err != nil {
			return err
		}
		defer profile.stop()
	}
	listener, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: n.handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	slog.Info("media node without admission", "media", node.Addresses(), "http", "http://"+listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (n *openNode) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rooms/{room}/legs", n.open)
	mux.HandleFunc("POST /rooms/{room}/legs/{leg}", n.open)
	mux.HandleFunc("GET /rooms/{room}/legs/{leg}", n.look)
	mux.HandleFunc("PUT /rooms/{room}/legs/{leg}/wish", n.wish)
	mux.HandleFunc("DELETE /rooms/{room}/legs/{leg}", n.close)
	return mux
}

// groupOf gives a room of any name its id.
func groupOf(name string) (id interview.GroupID, err error) {
	sum := sha256.Sum256([]byte(name))
	u, err := uuid.FromBytes(sum[:16])
	if err != nil {
		return id, err
	}
	u[6], u[8] = u[6]&0x0f|0x70, u[8]&0x3f|0x80 // a UUIDv7, as all ids are
	err = id.UnmarshalText([]byte("grp_" + u.String()))
	return id, err
}

// open takes an SDP offer and answers it. With a leg in the path it is another
// offer of that leg, such as an ICE restart.
func (n *openNode) open(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sfu.MaxOfferBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	req, err := n.request(r, string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	opened, err := n.node.OpenLeg(r.Context(), req)
	if err == nil {
		err = n.seat(req, opened)
	}
	switch {
	case errors.Is(err, problem.New(problem.CodeUnavailable, "")):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", "/rooms/"+r.PathValue("room")+"/legs/"+opened.Leg.String())
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, opened.Answer)
}

// request makes what a door would make of an offer: every sendonly line is a
// track, and the fingerprint is whatever the offer says.
func (n *openNode) request(r *http.Request, sdp string) (media.OpenLeg, error) {
	req := media.OpenLeg{Leg: interview.NewLegID(), Offer: sdp}
	var err error
	if req.Room, err = groupOf(r.PathValue("room")); err != nil {
		return req, err
	}
	o, err := offer.Read(sdp)
	if err != nil {
		return req, err
	}
	req.Fingerprint = o.Fingerprint
	var before *openMember
	if leg := r.PathValue("leg"); leg != "" {
		if err := req.Before.UnmarshalText([]byte(leg)); err != nil {
			return req, err
		}
		n.mu.Lock()
		before = n.member(req.Room, req.Before)
		n.mu.Unlock()
	}
	for _, l := range o.Lines {
		if !l.Sends {
			continue
		}
		p := media.Publish{Mid: l.Mid, Track: interview.NewTrackID(), Source: interview.SourceAudio}
		if l.Kind == offer.Video {
			p.Source = interview.SourceVideo
		}
		if before != nil {
			if i := slices.IndexFunc(before.tracks, func(t media.Publish) bool { return t.Mid == l.Mid }); i >= 0 {
				p = before.tracks[i]
			}
		}
		req.Tracks = append(req.Tracks, p)
	}
	return req, nil
}

// member finds a leg; the lock is held.
func (n *openNode) member(room interview.GroupID, leg interview.LegID) *openMember {
	for _, m := range n.rooms[room] {
		if m.leg == leg {
			return m
		}
	}
	return nil
}

// seat adds a member and has everybody receive everybody else.
func (n *openNode) seat(req media.OpenLeg, opened media.LegOpened) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if opened.Leg != req.Before { // the leg whose place it took is gone
		n.rooms[req.Room] = slices.DeleteFunc(n.rooms[req.Room], func(m *openMember) bool { return m.leg == req.Before })
	}
	if n.member(req.Room, opened.Leg) == nil {
		n.rooms[req.Room] = append(n.rooms[req.Room], &openMember{leg: opened.Leg, tracks: req.Tracks, slots: opened.Slots})
	}
	return n.forward(req.Room)
}

// forward sets the table of a room; the lock is held. A member that offered too
// few slots receives those who came first.
func (n *openNode) forward(room interview.GroupID) error {
	n.generation++
	t := media.Table{Room: room, Generation: n.generation}
	for _, to := range n.rooms[room] {
		for _, r := range n.routes(room, to) {
			w := to.wishes[r.Mid]
			r.Rank, r.Height, r.Off = w.Rank, w.Height, w.Off
			t.Routes = append(t.Routes, r)
		}
	}
	return n.node.Forward(t)
}

// routes says what comes on a member's slots; the lock is held.
func (n *openNode) routes(room interview.GroupID, to *openMember) (routes []media.Route) {
	free := slices.Clone(to.slots)
	for _, from := range n.rooms[room] {
		if from == to {
			continue
		}
		for _, track := range from.tracks {
			kind := "video"
			if track.Source == interview.SourceAudio {
				kind = "audio"
			}
			i := slices.IndexFunc(free, func(s media.Slot) bool { return s.Kind == kind })
			if i < 0 {
				continue
			}
			routes = append(routes, media.Route{From: from.leg, Track: track.Track, To: to.leg, Mid: free[i].Mid})
			free = slices.Delete(free, i, i+1)
		}
	}
	return routes
}

// place reads room and leg of a request; the member is nil if it is not there. The
// lock is held.
func (n *openNode) place(r *http.Request) (interview.GroupID, *openMember, error) {
	room, err := groupOf(r.PathValue("room"))
	var leg interview.LegID
	err = errors.Join(err, leg.UnmarshalText([]byte(r.PathValue("leg"))))
	return room, n.member(room, leg), err
}

// look says whose track comes on which slot.
func (n *openNode) look(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	room, m, err := n.place(r)
	if err != nil || m == nil {
		http.Error(w, "no such leg", http.StatusNotFound)
		return
	}
	routes := n.routes(room, m)
	answer := struct {
		Slots []openSlot `json:"slots"`
	}{[]openSlot{}}
	for _, s := range m.slots {
		slot := openSlot{Mid: s.Mid, Kind: s.Kind}
		if i := slices.IndexFunc(routes, func(r media.Route) bool { return r.Mid == s.Mid }); i >= 0 {
			slot.From = &routes[i].From
			for _, t := range n.member(room, routes[i].From).tracks {
				if t.Track == routes[i].Track {
					slot.Line = t.Mid
				}
			}
		}
		answer.Slots = append(answer.Slots, slot)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who does not read it has gone
}

// wish takes what a member wants on its slots; those that it does not name are
// wanted as large as they come.
func (n *openNode) wish(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Slots []openWish `json:"slots"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, wishBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&wish); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	wishes := map[string]openWish{}
	for _, s := range wish.Slots {
		if len(wish.Slots) > sfu.MaxSlots || s.Rank < 0 || s.Rank >= maxRank || s.Height < 0 || s.Height > maxHeight {
			http.Error(w, fmt.Sprintf("at most %d slots, ranks below %d, heights to %d", sfu.MaxSlots, maxRank, maxHeight), http.StatusUnprocessableEntity)
			return
		}
		wishes[s.Mid] = s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	room, m, err := n.place(r)
	if err != nil || m == nil {
		http.Error(w, "no such leg", http.StatusNotFound)
		return
	}
	m.wishes = wishes
	if err := n.forward(room); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Bounds of a wish.
const (
	maxRank   = 64
	maxHeight = 4320
)

func (n *openNode) close(w http.ResponseWriter, r *http.Request) {
	room, err := groupOf(r.PathValue("room"))
	var leg interview.LegID
	if err := errors.Join(err, leg.UnmarshalText([]byte(r.PathValue("leg")))); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.node.CloseLeg(media.CloseLeg{Room: room, Leg: leg})
	n.event(media.Event{Room: room, Leg: leg, State: media.LegClosed})
	w.WriteHeader(http.StatusNoContent)
}

// event forgets legs that are gone.
func (n *openNode) event(ev media.Event) {
	if ev.State != media.LegClosed {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rooms[ev.Room] = slices.DeleteFunc(n.rooms[ev.Room], func(m *openMember) bool { return m.leg == ev.Leg })
	if err := n.forward(ev.Room); err != nil {
		slog.Warn("table was not taken", "room", ev.Room, "err", err)
	}
	if len(n.rooms[ev.Room]) == 0 {
		delete(n.rooms, ev.Room)
	}
}
