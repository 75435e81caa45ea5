package sealing

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// SAS is the short authentication string of a signed roster: six digits that
// people compare aloud. Who shows a different roster to different members
// shows different digits, but for one chance in a million.
func SAS(roster string) string {
	sum := sha256.Sum256([]byte("kuule-sas" + roster))
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[:4])>>2)%1_000_000)
}
