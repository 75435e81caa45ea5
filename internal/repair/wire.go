package repair

import "encoding/binary"

// Original takes a retransmission apart: the number of the packet it repeats,
// and that packet's payload (RFC 4588, section 4). One that holds nothing is a
// probe for bandwidth and repeats no packet.
func Original(payload []byte) (sequence uint16, original []byte, ok bool) {
	if len(payload) <= 2 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(payload), payload[2:], true
}

// AppendNACK appends the RTCP packet that asks for packets of a stream (RFC
// 4585, section 6.2.1). Numbers near each other share an entry if they stand in
// their order.
func AppendNACK(dst []byte, sender, media uint32, numbers []uint16) []byte {
	start := len(dst)
	dst = append(dst, 0x80|1, 205, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, media)
	for i := 0; i < len(numbers); {
		first, mask := numbers[i], uint16(0)
		for i++; i < len(numbers); i++ {
			d := numbers[i] - first - 1
			if d > 15 {
				break
			}
			mask |= 1 << d
		}
		dst = binary.BigEndian.AppendUint16(dst, first)
		dst = binary.BigEndian.AppendUint16(dst, mask)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16((len(dst)-start)/4-1))
	return dst
}

// AppendPLI appends the RTCP packet that asks for a key frame (RFC 4585, section
// 6.3.1).
func AppendPLI(dst []byte, sender, media uint32) []byte {
	dst = append(dst, 0x80|1, 206, 0, 2)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	return binary.BigEndian.AppendUint32(dst, media)
}
