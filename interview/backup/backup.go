package backup

import (
	"crypto/ecdsa"
	"crypto/hpke"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
)

// Bounds of a chunk: about a second of a terminal's sound.
const (
	MaxChunk  = 1 << 20 // bytes, as canonical JSON
	MaxFrames = 2048
	MaxKeys   = 64
	MaxLists  = 64
)

var (
	// ErrChunk says that a chunk is not what the form says.
	ErrChunk = errors.New("back-up chunk does not hold")
	// ErrNotOnRecord says that a chunk does not show a recorder in its epoch: it
	// may be of a pause or a consultation and is not kept.
	ErrNotOnRecord = errors.New("no recorder is in this key epoch")
	// ErrKey says that a back-up key does not open a chunk, or that there is none.
	ErrKey = errors.New("the back-up key does not open it")
)

// Chunk is what a page hands over about once a second.
type Chunk struct {
	V         int                 `json:"v"` // 1
	Hearing   interview.HearingID `json:"hearing"`
	Group     interview.GroupID   `json:"group"`
	Member    interview.MemberID  `json:"member"` // whose frames
	Epoch     int64               `json:"epoch"`
	Statement string              `json:"statement"` // JWS: the member's
	Roster    string              `json:"roster"`    // JWS: of this epoch
	Recorder  string              `json:"recorder"`  // JWS: admission of a recorder on it
	Keys      []Key               `json:"keys"`      // new in this epoch
	Frames    []Frame             `json:"frames"`
	Origins   []string            `json:"origins"` // JWS: lists of these frames
}

// Key is a sender key, sealed to the back-up key.
type Key struct {
	Track  interview.TrackID `json:"track"`
	Source interview.Source  `json:"source"`
	KID    int64             `json:"kid"`
	Sealed string            `json:"sealed"` // base64url: HPKE base mode under KeyInfo
}

// Frame is one frame as it was sent.
type Frame struct {
	Track  interview.TrackID `json:"track"`
	At     interview.Micros  `json:"at"`     // hearing clock, as the page knew it
	Sealed string            `json:"sealed"` // base64url: SFrame
}

// keyInfo binds a sealed key to its place; its canonical form is the HPKE info.
type keyInfo struct {
	For     string              `json:"for"`
	Hearing interview.HearingID `json:"hearing"`
	Member  interview.MemberID  `json:"member"`
	Track   interview.TrackID   `json:"track"`
	Source  interview.Source    `json:"source"`
	KID     int64               `json:"kid"`
}

// KeyInfo is the HPKE info of a sealed sender key.
func (c *Chunk) KeyInfo(k Key) ([]byte, error) {
	return canon.Marshal(keyInfo{"kuule-backup-key", c.Hearing, c.Member, k.Track, k.Source, k.KID})
}

// Recipient reads the back-up key of a trust file; ErrKey where it has none.
func Recipient(t *trust.File) (hpke.PublicKey, error) {
	if t.BackupKey == "" {
		return nil, fmt.Errorf("%w: the trust file names none", ErrKey)
	}
	k, err := trust.Key(t.BackupKey)
	if err != nil {
		return nil, err
	}
	p, ok := k.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is no P-256 key", ErrKey)
	}
	point, err := p.ECDH()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return hpke.NewDHKEMPublicKey(point)
}

// PrivateKey takes the other half.
func PrivateKey(k *ecdsa.PrivateKey) (hpke.PrivateKey, error) {
	point, err := k.ECDH()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return hpke.NewDHKEMPrivateKey(point)
}

// SealKey seals a sender key for a chunk.
func (c *Chunk) SealKey(to hpke.PublicKey, k Key, raw []byte) (Key, error) {
	info, err := c.KeyInfo(k)
	if err != nil {
		return Key{}, err
	}
	sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), info, raw)
	k.Sealed = base64.RawURLEncoding.EncodeToString(sealed)
	return k, err
}

// OpenKey opens a sender key.
func (c *Chunk) OpenKey(own hpke.PrivateKey, k Key) ([]byte, error) {
	info, err := c.KeyInfo(k)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: a key is not base64url", ErrChunk)
	}
	raw, err := hpke.Open(own, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil || len(raw) != sealing.SenderKeyBytes {
		return nil, fmt.Errorf("%w: a sender key", ErrKey)
	}
	return raw, nil
}

// Check holds a chunk against its form and against its epoch: roster and
// recorder of it, and nothing of any other. statementKey is the trust file's.
func (c *Chunk) Check(t *trust.File) error {
	if c.V != 1 || c.Hearing.IsZero() || c.Group.IsZero() || c.Member.IsZero() {
		return fmt.Errorf("%w: version, hearing, group or member", ErrChunk)
	}
	if err := c.bounds(); err != nil {
		return err
	}
	place, err := c.onRecord(t)
	if err != nil {
		return err
	}
	ours := func(kid int64) error {
		if epoch, at, _ := sealing.PlaceOf(kid); epoch != c.Epoch || at != place {
			return fmt.Errorf("%w: key id %d is not this member's in epoch %d", ErrChunk, kid, c.Epoch)
		}
		return nil
	}
	for _, k := range c.Keys {
		if err := ours(k.KID); err != nil {
			return err
		}
	}
	for _, f := range c.Frames {
		b, err := f.Bytes()
		if err != nil {
			return err
		}
		h, err := sframe.ParseHeader(b)
		if err != nil || h.KID > math.MaxInt64 {
			return fmt.Errorf("%w: a frame has no header", ErrChunk)
		}
		if err := ours(int64(h.KID)); err != nil {
			return err
		}
	}
	for _, text := range c.Origins {
		var o sealing.Origin
		if err := jws.Peek(text, sealing.TypeOrigin, &o); err != nil {
			return fmt.Errorf("%w: %w", ErrChunk, err)
		}
		if err := ours(o.KID); err != nil {
			return err
		}
	}
	return nil
}

// Bytes is the frame as it was sent.
func (f Frame) Bytes() ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(f.Sealed)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%w: a frame is not base64url", ErrChunk)
	}
	return b, nil
}

// onRecord checks that the roster of the epoch has an admitted recorder on it,
// and gives the member's place.
func (c *Chunk) onRecord(t *trust.File) (place int, err error) {
	var r sealing.Roster
	if err := jws.Peek(c.Roster, sealing.TypeRoster, &r); err != nil {
		return 0, fmt.Errorf("%w: roster: %w", ErrChunk, err)
	}
	key, err := t.Statement()
	if err != nil {
		return 0, err
	}
	var a sealing.Admission
	if err := jws.Verify(c.Recorder, sealing.TypeAdmission, key, &a); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotOnRecord, err)
	}
	on := slices.ContainsFunc(r.Members, func(m sealing.RosterMember) bool {
		return m.Member == a.Member && m.Admission == jws.Hash(c.Recorder)
	})
	if a.Kind != sealing.KindRecorder || a.Hearing != c.Hearing || r.Hearing != c.Hearing || r.Group != c.Group || r.Epoch != c.Epoch || !on {
		return 0, fmt.Errorf("%w: epoch %d", ErrNotOnRecord, c.Epoch)
	}
	place = slices.IndexFunc(r.Members, func(m sealing.RosterMember) bool { return m.Member == c.Member })
	if place < 0 {
		return 0, fmt.Errorf("%w: the member is not on the roster", ErrChunk)
	}
	return place, nil
}

const (
	fileMagic      = "kuulebk1"
	sealedOverhead = 65 + 16 // RFC 9180: the encapsulated key and the tag
)

// Magic begins a file of chunks.
func Magic() []byte { return []byte(fileMagic) }

func chunkInfo(h interview.HearingID, n int64) []byte {
	return fmt.Appendf(nil, "kuule-backup|%s|%d", h, n)
}

// Seal seals the n-th chunk of a hearing's file, with its length before it.
func (c *Chunk) Seal(to hpke.PublicKey, n int64) ([]byte, error) {
	text, err := canon.Marshal(c)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxChunk {
		return nil, fmt.Errorf("%w: %d bytes", ErrChunk, len(text))
	}
	sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), chunkInfo(c.Hearing, n), text)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))), sealed...), nil
}

// Read opens a file chunk by chunk, in the memory of one. A torn last chunk ends it
// without an error: what was durable before it counts. ErrChunk where a chunk or the
// file passes its bounds.
func Read(r io.Reader, h interview.HearingID, own hpke.PrivateKey, each func(*Chunk) error) error {
	return read(r, h, own, MaxChunks, MaxFile, each)
}

func read(r io.Reader, h interview.HearingID, own hpke.PrivateKey, maxChunks, maxFile int64, each func(*Chunk) error) error {
	size := int64(len(fileMagic))
	magic := make([]byte, len(fileMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != fileMagic {
		return fmt.Errorf("%w: no back-up file", ErrChunk)
	}
	for n := int64(0); ; n++ {
		var prefix [4]byte
		if _, err := io.ReadFull(r, prefix[:]); err != nil {
			return torn(err)
		}
		length := binary.BigEndian.Uint32(prefix[:])
		size += int64(len(prefix)) + int64(length)
		switch {
		case length > MaxChunk+sealedOverhead:
			return fmt.Errorf("%w: chunk %d of %d bytes, at most %d", ErrChunk, n, length, MaxChunk+sealedOverhead)
		case n >= maxChunks:
			return fmt.Errorf("%w: more than %d chunks in a file", ErrChunk, maxChunks)
		case size > maxFile:
			return fmt.Errorf("%w: the file is longer than %d bytes", ErrChunk, maxFile)
		}
		sealed := make([]byte, length)
		if _, err := io.ReadFull(r, sealed); err != nil {
			return torn(err)
		}
		text, err := hpke.Open(own, hpke.HKDFSHA256(), hpke.AES256GCM(), chunkInfo(h, n), sealed)
		if err != nil {
			return fmt.Errorf("%w: chunk %d", ErrKey, n)
		}
		var c Chunk
		if err := canon.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("%w: chunk %d: %w", ErrChunk, n, err)
		}
		if c.Hearing != h {
			return fmt.Errorf("%w: chunk %d is of another hearing", ErrChunk, n)
		}
		if err := each(&c); err != nil {
			return fmt.Errorf("chunk %d: %w", n, err)
		}
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
