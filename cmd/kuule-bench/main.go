package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"kuule/sfu"
)

type program struct {
	SFU       sfuCommand       `cmd:"" name:"sfu" help:"Load a media node with rooms of talking members."`
	Recorder  recorderCommand  `cmd:"" help:"Record rooms of talking members, below the network."`
	Verify    verifyCommand    `cmd:"" help:"Verify the evidence of a long recording."`
	Seek      seekCommand      `cmd:"" help:"Seek in a long recording."`
	Join      joinCommand      `cmd:"" help:"Let members join a room that talks, and measure until they receive."`
	Reconnect reconnectCommand `cmd:"" help:"Cut members' paths and measure until media is back."`
	Node      nodeCommand      `cmd:"" help:"Run a media node that admits whoever asks, for other load generators."`
	Server    serverCommand    `cmd:"" hidden:"" help:"The media node that 'sfu' starts as a process of its own."`
}

type sfuCommand struct {
	Rooms   int  `default:"5" help:"Rooms at the same time, 1 to 240."`
	Members int  `default:"4" help:"Members of each room, 2 to 8. Each sends sound and picture and receives those of all the others."`
	Seconds int  `default:"15" help:"How long to measure, 1 to 300. Joining comes before and is not in the processor time."`
	JSON    bool `help:"Print one JSON object instead of lines."`

	Yardstick bool   `default:"true" negatable:"" help:"Run a bare pion relay under the same load afterwards and print the ratio to it."`
	Pin       bool   `default:"true" negatable:"" help:"Hold the node on processor 0 and the load generator on processor 1."`
	Curve     []int  `placeholder:"ROOMS,..." help:"Run once for each of these numbers of rooms, in this order and without yardstick, until packets are missing."`
	Pprof     string `type:"path" help:"Write processor and memory profiles of the node into this folder."`

	stamps bool // the system says when packets came to the receivers' sockets
}

const description = `Puts load on one part of Kuule and says what it cost.

  kuule-bench sfu --rooms 5 --seconds 15
  kuule-bench sfu --rooms 20 --members 4 --seconds 15 --json
  kuule-bench sfu --curve 20,40,80,120,160,200 --seconds 4
  kuule-bench join --trials 100
  kuule-bench reconnect --trials 200
  kuule-bench node --listen 127.0.0.1:7100 --http 127.0.0.1:7101

A member of 'sfu' sends 50 packets of sound a second (80 bytes) and 30 pictures a second
(two packets, and eight of a key frame every 4 s). What is printed:

  packets       that reached their receivers while measuring
  cpu           user and system time of the media node's process alone,
                for a million of these packets
  latency       of a packet, one way, from the sender's call to the receiver's
  allocations   of the media node, whatever it does them for
  join          from making the connection until it is up
  memory        of the media node for each member, beyond the empty node

Loopback delivers inside the sender's system call: a network card looks better.
Server and load share the machine: look at 'load' before comparing.`

func main() {
	var p program
	k := kong.Parse(&p, kong.Name("kuule-bench"), kong.Description(description), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	k.BindTo(ctx, (*context.Context)(nil))
	err := k.Run()
	stop()
	k.FatalIfErrorf(err)
}

// Validate implements kong's check.
func (c *sfuCommand) Validate() error {
	for _, rooms := range append(c.Curve, c.Rooms) {
		if rooms < 1 || rooms > maxRooms || rooms*c.Members > sfu.MaxLegs {
			return fmt.Errorf("rooms must be 1 to %d, and their members %d at most, not %d rooms of %d", maxRooms, sfu.MaxLegs, rooms, c.Members)
		}
	}
	switch {
	case len(c.Curve) > maxCurve:
		return fmt.Errorf("--curve takes %d numbers at most", maxCurve)
	case c.Members < 2 || c.Members > 8:
		return fmt.Errorf("--members must be 2 to 8, not %d", c.Members)
	case c.Seconds < 1 || c.Seconds > 300:
		return fmt.Errorf("--seconds must be 1 to 300, not %d", c.Seconds)
	}
	return nil
}

// Bounds of a run.
const (
	maxRooms = 240
	maxCurve = 20
)

// joinPatience bounds the time that one member may take to join.
const joinPatience = 10 * time.Second

// Run measures once.
func (c *sfuCommand) Run(ctx context.Context) error {
	patience := time.Duration(0)
	for _, rooms := range append(c.Curve, c.Rooms) {
		patience += time.Duration(c.Seconds)*time.Second + time.Duration(rooms*c.Members)*joinPatience/joinAtOnce + time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(c.Curve) > 0 {
		all, err := c.trace(ctx)
		if err != nil {
			return err
		}
		return all.write(os.Stdout, c.JSON)
	}
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	return c.write(os.Stdout, r)
}

func (c *sfuCommand) write(w io.Writer, r result) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, `rooms %d, members %d, %.1f s
packets   %.0f a second forwarded, %.3f%% of those sent were lost, %d spoiled
cpu       %.1f s for a million packets (%.0f%% of one processor), %.2f allocations a packet
latency   %.2f / %.2f / %.2f / %.2f ms (p50 / p95 / p99 / p99.9)
join      %.0f / %.0f ms (p50 / p95)
memory    %.2f MB for each member
load      %.2f before, %.2f after, %d processors; the load generator used %.0f%% of one
`, r.Rooms, r.Members, r.Seconds, r.Forwarded, 100*r.Loss, r.Spoiled, r.CPUPerMillion, 100*r.NodeShare, r.AllocsPerPacket,
		r.Latency.P50, r.Latency.P95, r.Latency.P99, r.Latency.P999, r.Join.P50, r.Join.P95, r.MemoryPerMember,
		r.LoadBefore, r.LoadAfter, r.Processors, 100*r.GeneratorShare)
	if err == nil && r.Pion != nil {
		_, err = fmt.Fprintf(w, "yardstick %.1f s for a million packets by a bare pion relay: the node takes %.2f of that\n", r.Pion.CPUPerMillion, r.RatioToPion)
	}
	if err == nil && (r.Starved || r.Pion != nil && r.Pion.Starved) {
		_, err = fmt.Fprintln(w, "starved   the machine could not make or take this load: these are no figures of the media node")
	}
	return err
}
