package port

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/pion/srtp/v3"
)

// keys are those of one direction of a connection. Reports are sealed and opened
// by the library; packets, which are many, by a packetKey.
type keys struct {
	packets packetKey
	control *srtp.Context
}

// newKeys makes the keys of one direction from what DTLS agreed (RFC 5764).
func newKeys(master, salt []byte) (*keys, error) {
	control, err := srtp.CreateContext(master, salt, srtp.ProtectionProfileAeadAes256Gcm, srtp.SRTCPReplayProtection(replayKept))
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	k := &keys{control: control}
	if err := k.packets.key(master, salt); err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	return k, nil
}

// Sizes of AEAD_AES_256_GCM (RFC 7714, section 12), and what is told apart by key
// derivation (RFC 3711, section 4.3.2).
const (
	keyBytes   = 32
	saltBytes  = 12
	tagBytes   = 16
	labelKey   = 0
	labelSalt  = 2
	maxIndex   = 1 << 48 // packets that one source may seal under one key
	replayKept = 15 * 64 // how many packets back one is told from its repetition
	seenWords  = replayKept/64 + 1
)

// packetKey seals the RTP packets of one direction, or opens them (RFC 7714). The
// library would parse the header of each once more and look its source up in
// maps. It is not safe for concurrent use.
type packetKey struct {
	aead    cipher.AEAD
	salt    [saltBytes]byte
	nonce   [saltBytes]byte
	sources []source
	newest  int // place of the source that was used last
}

// source is one synchronization source.
type source struct {
	ssrc    uint32
	highest uint64            // packet index: rollovers and sequence number (RFC 3711, section 3.3.1)
	seen    [seenWords]uint64 // which of the indexes up to the highest came: a ring (RFC 6479)
}

// key derives the session's key and salt (RFC 3711, section 4.3.1, by RFC 6188).
func (r *packetKey) key(master, salt []byte) error {
	if len(master) != keyBytes || len(salt) != saltBytes {
		return fmt.Errorf("key of %d bytes, salt of %d", len(master), len(salt))
	}
	block, err := aes.NewCipher(master)
	if err != nil {
		return err
	}
	derive := func(label byte, size int) []byte {
		var at [aes.BlockSize]byte
		copy(at[:], salt)
		at[7] ^= label
		out := make([]byte, size)
		cipher.NewCTR(block, at[:]).XORKeyStream(out, out)
		return out
	}
	session, err := aes.NewCipher(derive(labelKey, keyBytes))
	if err != nil {
		return err
	}
	copy(r.salt[:], derive(labelSalt, saltBytes))
	r.aead, err = cipher.NewGCM(session)
	return err
}

// find gives the place of a source, -1 if it is not known.
func (r *packetKey) find(ssrc uint32) int {
	if r.newest < len(r.sources) && r.sources[r.newest].ssrc == ssrc {
		return r.newest
	}
	for i := range r.sources {
		if r.sources[i].ssrc == ssrc {
			r.newest = i
			return i
		}
	}
	return -1
}

func (r *packetKey) add(ssrc uint32, index uint64) int {
	r.sources = append(r.sources, source{ssrc: ssrc, highest: index})
	r.newest = len(r.sources) - 1
	return r.newest
}

// index is the one of those that end in the sequence number that is nearest to
// the highest (RFC 3711, appendix A). The first packets have no rollover behind
// them.
func (s *source) index(sequence uint16) uint64 {
	if at := int64(s.highest) + int64(int16(sequence-uint16(s.highest))); at >= 0 {
		return uint64(at)
	}
	return uint64(sequence)
}

// fresh reports whether a packet did not come yet. What is too old to say counts
// as come.
func (s *source) fresh(index uint64) bool {
	if index > s.highest {
		return true
	}
	return s.highest-index < replayKept && s.seen[index/64%seenWords]&(1<<(index%64)) == 0
}

// came notes a packet that proved authentic.
func (s *source) came(index uint64) {
	if index > s.highest {
		for word := s.highest/64 + 1; word <= index/64 && word <= s.highest/64+seenWords; word++ {
			s.seen[word%seenWords] = 0
		}
		s.highest = index
	}
	s.seen[index/64%seenWords] |= 1 << (index % 64)
}

// iv is the nonce of a packet (RFC 7714, section 8.1); it holds until the next.
func (r *packetKey) iv(ssrc uint32, index uint64) []byte {
	n, salt := r.nonce[:], r.salt[:]
	copy(n, salt[:2])
	binary.BigEndian.PutUint32(n[2:], binary.BigEndian.Uint32(salt[2:])^ssrc)
	binary.BigEndian.PutUint16(n[6:], binary.BigEndian.Uint16(salt[6:])^uint16(index>>32))
	binary.BigEndian.PutUint32(n[8:], binary.BigEndian.Uint32(salt[8:])^uint32(index))
	return n
}

// seal appends the sealed payload to a header that has room for it, and gives the
// whole; nil when the key is used up. The payload may be what follows the header.
func (r *packetKey) seal(header, payload []byte) []byte {
	ssrc, sequence := binary.BigEndian.Uint32(header[8:]), binary.BigEndian.Uint16(header[2:])
	at := r.find(ssrc)
	if at < 0 {
		at = r.add(ssrc, uint64(sequence))
	}
	s := &r.sources[at]
	index := s.index(sequence)
	if index >= maxIndex {
		return nil
	}
	s.highest = max(s.highest, index)
	return r.aead.Seal(header, r.iv(ssrc, index), payload, header)
}

// open opens a packet in place, whose header has the given size. It reports false
// for what is not authentic, came before, or is of a source too many: a peer that
// makes up sources without end would fill the memory with what is kept of each.
func (r *packetKey) open(b []byte, header int) ([]byte, bool) {
	if len(b) < header+tagBytes {
		return nil, false
	}
	ssrc, sequence := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	at, index := r.find(ssrc), uint64(sequence)
	switch {
	case at >= 0:
		if index = r.sources[at].index(sequence); index >= maxIndex || !r.sources[at].fresh(index) {
			return nil, false
		}
	case len(r.sources) >= maxSources:
		return nil, false
	}
	clear, err := r.aead.Open(b[:header], r.iv(ssrc, index), b[header:], b[:header])
	if err != nil {
		return nil, false
	}
	if at < 0 {
		at = r.add(ssrc, index)
	}
	r.sources[at].came(index)
	return clear, true
}
