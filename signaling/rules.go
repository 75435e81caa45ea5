package signaling

import (
	"kuule/internal/problem"
	"kuule/interview/wire"
)

// who is a set of those who may send a message.
type who uint8

const (
	stranger who = 1 << iota // connected, not joined
	waiting                  // joined, not admitted
	chair                    // admitted, signs the rosters
	seated                   // admitted, any other page
	recorder                 // an admitted recorder
	gone                     // declined, removed, superseded or left: says nothing any more
)

const admitted = chair | seated | recorder

// rules says, for every message that may come to the door, who may send it. A
// message that is not here is refused; a test compares with package wire.
var rules = map[wire.Type]who{
	wire.TypeJoin:      stranger,
	wire.TypeAdmit:     chair,
	wire.TypeDecline:   chair,
	wire.TypeRemove:    chair,
	wire.TypeRoster:    chair,
	wire.TypeWraps:     chair | seated,
	wire.TypeOrigin:    chair | seated,
	wire.TypeOffer:     admitted,
	wire.TypeWish:      admitted,
	wire.TypeShare:     chair | seated,
	wire.TypePhase:     chair,
	wire.TypeRaise:     seated,
	wire.TypeHeartbeat: recorder,
	wire.TypeLeave:     waiting | admitted,
	wire.TypeSync:      waiting | admitted,
}

// rare are the messages that cost a lot or reach everybody: a device may send
// only a few of them.
var rare = map[wire.Type]bool{wire.TypeJoin: true, wire.TypeOffer: true, wire.TypeRaise: true, wire.TypeShare: true}

// may checks the table.
func may(t wire.Type, w who) error {
	allowed, known := rules[t]
	switch {
	case !known:
		return problem.New(problem.CodeNoRoute, "message %q", t)
	case allowed&w != 0:
		return nil
	case w == gone:
		return problem.New(problem.CodeNotReady, "message %q after the end", t)
	case w == waiting:
		return problem.New(problem.CodeNotAdmitted, "message %q", t)
	default:
		return problem.New(problem.CodeForbidden, "message %q", t)
	}
}
