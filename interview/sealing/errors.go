package sealing

import "errors"

// Why a message or frame is refused. Every refusal leaves the group unchanged.
var (
	// ErrStatement says that a statement does not hold: chain, keys, device or bounds.
	ErrStatement = errors.New("statement does not hold")
	// ErrAdmission says that an admission does not hold for its statement.
	ErrAdmission = errors.New("admission does not hold")
	// ErrExpired says that a statement or admission is past its end, or not begun.
	ErrExpired = errors.New("statement or admission is not valid now")
	// ErrUnknownMember says that a message names a member nobody has shown to be admitted.
	ErrUnknownMember = errors.New("member is not known here")
	// ErrMember says that a member may not be in this group.
	ErrMember = errors.New("member may not be in this group")
	// ErrRoster says that a roster does not hold.
	ErrRoster = errors.New("roster does not hold")
	// ErrChair says that somebody who does not chair signed a roster.
	ErrChair = errors.New("signer of the roster does not chair this group")
	// ErrStale says that a roster is not newer than the one in force.
	ErrStale = errors.New("roster is older than the one in force")
	// ErrFork says that a roster does not follow the one in force: one between
	// them was missed, or somebody shows different rosters to different members.
	ErrFork = errors.New("roster does not follow the one in force")
	// ErrNotOnRoster says that a member is outside the epoch's keys.
	ErrNotOnRoster = errors.New("member is not on the roster")
	// ErrEpoch says that a message is for another epoch than the one in force.
	ErrEpoch = errors.New("message is for another epoch or roster")
	// ErrWrap says that a wrap does not hold.
	ErrWrap = errors.New("wrap does not hold")
	// ErrSecondKey says that a sender gave a second key for a key id.
	ErrSecondKey = errors.New("sender gave a second key for a key id")
	// ErrReplay says that a message or frame was seen before.
	ErrReplay = errors.New("message or frame was seen before")
	// ErrTrack says that a track is not the sender's, or out of bounds.
	ErrTrack = errors.New("track does not belong here")
	// ErrNoKey says that the frame's key is not here: its wrap has not come
	// yet, or the epoch is over. A frame may be tried again once a wrap came.
	ErrNoKey = errors.New("no key for this frame")
	// ErrFrame says that a frame does not open for the track it came on.
	ErrFrame = errors.New("frame does not open")
	// ErrOrigin says that an origin list does not hold, or that lists wait
	// uncollected and sealing stops until they are.
	ErrOrigin = errors.New("origin list does not hold")
	// ErrHeartbeat says that a heartbeat does not hold.
	ErrHeartbeat = errors.New("heartbeat does not hold")
)
