package signaling

import (
	"kuule/interview"
)

// Owner is whose a media leg is.
type Owner struct {
	Hearing  interview.HearingID
	Member   interview.MemberID
	Device   interview.DeviceID
	Recorder bool
}

// Whose finds out whose a leg of a room is, while its member is there.
func (h *Hub) Whose(group interview.GroupID, id interview.LegID) (Owner, bool) {
	h.mu.Lock()
	r := h.groups[group]
	h.mu.Unlock()
	if r == nil {
		return Owner{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for m, s := range r.members {
		if s.leg != nil && s.leg.id == id {
			return Owner{Hearing: r.hearing, Member: m, Device: s.peer.Device, Recorder: s.peer.Recorder}, true
		}
	}
	return Owner{}, false
}
