package media

import "kuule/interview"

// Hint tells the sender of one track how to send it, for the sake of those who
// receive it. It is the whole advice for that track and replaces the one before;
// the zero values say "as you like".
type Hint struct {
	Room  interview.GroupID `json:"room"`
	Leg   interview.LegID   `json:"leg"`
	Track interview.TrackID `json:"track"`
	Advice
}

// Advice is what a hint says. It reaches the sender as it is.
type Advice struct {
	PacketMS int  `json:"packet_ms,omitempty"` // audio: duration of one packet, 20 or 60
	Bitrate  int  `json:"bitrate,omitempty"`   // bit/s of the codec, at most
	Red      bool `json:"red,omitempty"`       // audio: send redundantly (RFC 2198)
	// Unneeded names the rids that nobody receives now. The sender may stop them
	// and must start them again when a hint no longer names them.
	Unneeded []string `json:"unneeded,omitempty"`
}

// QualityEvery is the period of Quality in milliseconds.
const QualityEvery = 2000

// Quality says how a leg fared since the one before. Up is from the member to
// the node, down from the node to the member. What is not known yet is zero.
type Quality struct {
	Room       interview.GroupID `json:"room"`
	Leg        interview.LegID   `json:"leg"`
	IntervalMS int               `json:"interval_ms"`
	RTT        int64             `json:"rtt_us"`
	Path       string            `json:"path,omitempty"` // udp, tcp, or by the relay: turn/udp, turn/tcp, turn/tls
	Up         Direction         `json:"up"`
	Down       Direction         `json:"down"`
	Estimate   int64             `json:"estimate"` // bit/s that the way down is held to carry; 0 while it has shown no limit
	Wanted     int64             `json:"wanted"`   // bit/s that everything wanted would need; more than Estimate: something is shed
	Tracks     []TrackQuality    `json:"tracks"`   // that the member sends
	Slots      []SlotQuality     `json:"slots"`    // that it is sent, only those with a route
}

// Direction is one way of a leg.
type Direction struct {
	Bitrate int64 `json:"bitrate"` // bit/s of RTP and RTCP, with IP and UDP headers
	Packets int64 `json:"packets"`
	Loss    int64 `json:"loss_ppm"`  // before repair
	Jitter  int64 `json:"jitter_us"` // RFC 3550, the worst audio stream
	NACK    int64 `json:"nack"`      // packets asked for again by the receiving side
	RTX     int64 `json:"rtx"`       // packets sent again
	PLI     int64 `json:"pli"`       // key frames asked for
}

// TrackQuality is a track that the leg sends.
type TrackQuality struct {
	Track  interview.TrackID `json:"track"`
	Source interview.Source  `json:"source"`
	Lost   int64             `json:"lost"` // packets that no repair brought
	Layers []LayerQuality    `json:"layers"`
}

// LayerQuality is one stream of a track; audio has one without a rid.
type LayerQuality struct {
	Rid     string `json:"rid,omitempty"`
	Bitrate int64  `json:"bitrate"` // bit/s
	FPS     int    `json:"fps,omitempty"`
}

// SlotQuality is a slot that the leg is sent to on.
type SlotQuality struct {
	Mid      string            `json:"mid"`
	Track    interview.TrackID `json:"track"`
	Rid      string            `json:"rid,omitempty"`
	Temporal int               `json:"temporal"`       // the highest temporal layer sent
	Shed     bool              `json:"shed,omitempty"` // wanted, but the link does not carry it
	Bitrate  int64             `json:"bitrate"`        // bit/s
	Lost     int64             `json:"lost"`           // as the receiver reports, after repair
	Freezes  int64             `json:"freezes"`        // times over 500 ms without a whole frame
	FrozenMS int64             `json:"frozen_ms"`
}
