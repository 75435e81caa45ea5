package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/bus"
	"kuule/internal/tracing"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/quality"
)

// hearLegs takes the media node's word on legs and how they fare, for the rooms
// and for what is kept of each hearing.
func (d *door) hearLegs() error {
	d.quality = quality.NewKeeper(d.db, d.whose, slog.Default())
	if _, err := bus.Subscribe(d.conn, bus.SFU, "leg", func(_ bus.Name, _ string, ev media.Event) {
		d.quality.Event(ev) // first: the room may forget the leg
		if o, known := d.hub.Whose(ev.Room, ev.Leg); known {
			_, span := tracing.Begin(tracing.Of(context.Background(), o.Member.String()), "leg-"+string(ev.State))
			span.End()
		}
		d.hub.LegEvent(ev)
	}); err != nil {
		return err
	}
	_, err := bus.Subscribe(d.conn, bus.SFU, "quality", func(_ bus.Name, _ string, q media.Quality) { d.quality.Take(q) })
	return err
}

// whose implements quality.Lookup. Recorders are on the server's own side of
// the network: how they fare says nothing of people.
func (d *door) whose(room interview.GroupID, leg interview.LegID) (quality.Whose, bool) {
	o, known := d.hub.Whose(room, leg)
	return quality.Whose{Hearing: o.Hearing, Member: o.Member, Device: o.Device}, known && !o.Recorder
}

// HearingQuality is how well a hearing's legs carried speech. Times are
// milliseconds.
type HearingQuality struct {
	Legs   []quality.Leg           `json:"legs"`
	People []PeopleQuality         `json:"people"` // the same, by who sat where
	Lasted int64                   `json:"lasted"`
	Lost   int64                   `json:"lost"`
	Causes map[quality.Cause]int64 `json:"causes"`
}

// PeopleQuality is what those at one device lost.
type PeopleQuality struct {
	Roles  []interview.Role        `json:"roles"`
	Names  []string                `json:"names"`
	Lasted int64                   `json:"lasted"`
	Lost   int64                   `json:"lost"`
	Poor   int64                   `json:"poor"`
	Causes map[quality.Cause]int64 `json:"causes"`
}

// byPeople sums legs up by the device, whose seats tell who sat there.
func byPeople(h *interview.Hearing, legs []quality.Leg) []PeopleQuality {
	out := []PeopleQuality{}
	at := map[interview.DeviceID]int{}
	for _, l := range legs {
		i, known := at[l.Device]
		if !known {
			p := PeopleQuality{Roles: []interview.Role{}, Names: []string{}, Causes: map[quality.Cause]int64{}}
			for _, seat := range h.Seats {
				if seat.Device != l.Device {
					continue
				}
				for _, who := range h.Participants {
					if who.ID == seat.Participant {
						p.Roles, p.Names = append(p.Roles, who.Role), append(p.Names, who.Name)
					}
				}
			}
			i = len(out)
			at[l.Device] = i
			out = append(out, p)
		}
		p := &out[i]
		p.Lasted, p.Lost, p.Poor = p.Lasted+l.Lasted, p.Lost+l.Lost, p.Poor+l.Poor
		for cause, ms := range l.Causes {
			p.Causes[cause] += ms
		}
	}
	return out
}

type (
	qualityInput struct {
		Hearing interview.HearingID `path:"hearing"`
	}
	qualityOutput struct{ Body HearingQuality }
)

// registerQuality gives the interviewer the quality of an own hearing.
func (d *door) registerQuality(api huma.API) {
	interview.Handle(api, huma.Operation{
		OperationID: "get-quality", Method: http.MethodGet, Path: "/api/hearings/{hearing}/quality",
		Summary: "How well the legs of an own hearing carried speech: minutes lost and why",
	}, func(ctx context.Context, c interview.Caller, in *qualityInput) (*qualityOutput, error) {
		h, err := d.hearings.Own(ctx, c, in.Hearing)
		if err != nil {
			return nil, err
		}
		out := &qualityOutput{HearingQuality{Causes: map[quality.Cause]int64{}}}
		if out.Body.Legs, err = d.quality.Of(ctx, h.ID); err != nil {
			return nil, err
		}
		out.Body.People = byPeople(h, out.Body.Legs)
		for _, l := range out.Body.Legs {
			out.Body.Lasted += l.Lasted
			out.Body.Lost += l.Lost
			for cause, ms := range l.Causes {
				out.Body.Causes[cause] += ms
			}
		}
		return out, nil
	})
}
