package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lossBegins is the share of packets that may be missing for good before a load
// counts as more than what can be carried.
const lossBegins = 0.001

// curve is what runs of growing load found.
type curve struct {
	Rows      []result `json:"rows"`
	LossAt    int      `json:"loss_at_rooms,omitempty"` // the first number of rooms at which packets were missing; 0: at none
	Half      int      `json:"half_rooms"`              // the largest number measured that is at most half of that, or of the last
	HalfP99   float64  `json:"half_p99_ms"`             // at that load, to the receiver's call
	HalfAdded float64  `json:"half_p99_delivered_ms"`   // and to the receiver's socket
}

// trace runs with more rooms each time until packets are missing.
func (c *sfuCommand) trace(ctx context.Context) (curve, error) {
	var all curve
	restore, err := pin(c.Pin)
	if err != nil {
		return all, err
	}
	defer restore()
	for _, rooms := range c.Curve {
		one := *c
		one.Rooms, one.stamps = rooms, true
		r, err := one.run(ctx, modeNode)
		if err != nil {
			return all, fmt.Errorf("%d rooms: %w", rooms, err)
		}
		all.Rows = append(all.Rows, r)
		if r.Loss > lossBegins {
			all.LossAt = rooms
			break
		}
	}
	all.halve()
	return all, nil
}

// halve finds the figures at half the load at which loss begins.
func (c *curve) halve() {
	most := c.LossAt
	if most == 0 {
		most = c.Rows[len(c.Rows)-1].Rooms
	}
	for _, r := range c.Rows {
		if 2*r.Rooms <= most {
			c.Half, c.HalfP99, c.HalfAdded = r.Rooms, r.Latency.P99, r.Delivered.P99
		}
	}
}

func (c *curve) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(c)
	}
	_, err := fmt.Fprintln(w, "rooms  forwarded/s  node  generator  s/million  loss      to the call: p50 p95 p99 p99.9  to the socket: p50 p95 p99 p99.9 ms  load")
	for _, r := range c.Rows {
		if err == nil {
			_, err = fmt.Fprintf(w, "%5d  %11.0f  %3.0f%%  %8.0f%%  %9.1f  %.4f%%  %.2f %.2f %.2f %.2f  %.2f %.2f %.2f %.2f  %.1f\n", r.Rooms, r.Forwarded, 100*r.NodeShare, 100*r.GeneratorShare,
				r.CPUPerMillion, 100*r.Loss, r.Latency.P50, r.Latency.P95, r.Latency.P99, r.Latency.P999, r.Delivered.P50, r.Delivered.P95, r.Delivered.P99, r.Delivered.P999, r.LoadAfter)
		}
	}
	if err != nil {
		return err
	}
	loss := "no packets were missing up to the last"
	if c.LossAt > 0 {
		loss = fmt.Sprintf("packets were missing from %d rooms on", c.LossAt)
	}
	_, err = fmt.Fprintf(w, "%s; at %d rooms p99 is %.2f ms to the call, %.2f ms to the socket\n", loss, c.Half, c.HalfP99, c.HalfAdded)
	return err
}

// stampArrivals has the system say when each packet came to a socket: a load
// generator with one processor for a thousand members is late to take it.
func stampArrivals(socket *net.UDPConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}); err != nil {
		return err
	}
	return failed
}

// waited reads from a control message how long ago a packet came to its socket.
func waited(control []byte) time.Duration {
	head := int(unsafe.Sizeof(unix.Cmsghdr{}))
	if len(control) < head+16 {
		return 0
	}
	seconds, nanos := binary.NativeEndian.Uint64(control[head:]), binary.NativeEndian.Uint64(control[head+8:])
	return max(0, time.Since(time.Unix(int64(seconds), int64(nanos))))
}
