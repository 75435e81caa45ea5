package sframe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math"
	"sync"
)

const (
	// KeyBytes is the length of a base key.
	KeyBytes = 32
	// Overhead bounds how much longer a sealed frame is than the frame.
	Overhead = MaxHeader + 16
	// MaxFrame bounds a frame, sealed or not, in bytes.
	MaxFrame = 4 << 20
	// Window is how many counters behind the newest an Opener still accepts.
	Window = 1024
)

var (
	// ErrKey says that a base key has the wrong length.
	ErrKey = errors.New("sframe base key is not 32 bytes")
	// ErrExhausted says that a key has sealed all it may: take a new one.
	ErrExhausted = errors.New("sframe counter is used up")
	// ErrTooLarge says that a frame is larger than MaxFrame.
	ErrTooLarge = errors.New("frame is too large")
	// ErrKID says that a frame names another key id than the Opener's.
	ErrKID = errors.New("frame is sealed under another key id")
	// ErrReplay says that a counter was opened before, or is too old to know.
	ErrReplay = errors.New("frame was opened before or is too old")
	// ErrOpen says that a frame does not open: wrong key, wrong metadata or changed bytes.
	ErrOpen = errors.New("frame does not open")
)

// suite is a cipher suite of RFC 9605 section 4.5. The product has one; tests
// add the others to run the RFC's vectors.
type suite struct {
	id   uint16
	key  int // bytes
	hash func() hash.Hash
	aead func(key []byte) (cipher.AEAD, error)
}

// aes256gcm is AES_256_GCM_SHA512_128.
var aes256gcm = suite{id: 5, key: 32, hash: sha512.New, aead: newGCM}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// derived is a key ready for use (RFC 9605 section 4.4.2), with the buffers
// that keep the hot path free of allocation. Its owner's mutex guards it.
type derived struct {
	aead  cipher.AEAD
	salt  [12]byte
	nonce [12]byte
	aad   []byte
}

func (s suite) derive(baseKey []byte, kid uint64) (*derived, error) {
	secret, err := hkdf.Extract(s.hash, baseKey, nil)
	if err != nil {
		return nil, fmt.Errorf("derive sframe key: %w", err)
	}
	defer clear(secret)
	key, err := hkdf.Expand(s.hash, secret, s.label("SFrame 1.0 Secret key ", kid), s.key)
	if err != nil {
		return nil, fmt.Errorf("derive sframe key: %w", err)
	}
	defer clear(key)
	salt, err := hkdf.Expand(s.hash, secret, s.label("SFrame 1.0 Secret salt ", kid), 12)
	if err != nil {
		return nil, fmt.Errorf("derive sframe salt: %w", err)
	}
	aead, err := s.aead(key)
	if err != nil {
		return nil, fmt.Errorf("derive sframe key: %w", err)
	}
	return &derived{aead: aead, salt: [12]byte(salt), aad: make([]byte, 0, 128)}, nil
}

func (s suite) label(text string, kid uint64) string {
	b := binary.BigEndian.AppendUint64([]byte(text), kid)
	return string(binary.BigEndian.AppendUint16(b, s.id))
}

// prepare sets nonce and additional data for one frame.
func (d *derived) prepare(counter uint64, header, metadata []byte) {
	d.nonce = d.salt
	for i := range 8 {
		d.nonce[11-i] ^= byte(counter >> (8 * i))
	}
	d.aad = append(append(d.aad[:0], header...), metadata...)
}

// Sealer seals frames under one key and key id. It is safe for concurrent use.
type Sealer struct {
	mu   sync.Mutex
	key  *derived
	kid  uint64
	next uint64
	done bool
}

// NewSealer makes the only Sealer that may ever use baseKey, 32 bytes, which it
// does not keep.
func NewSealer(baseKey []byte, kid uint64) (*Sealer, error) {
	if len(baseKey) != KeyBytes {
		return nil, ErrKey
	}
	d, err := aes256gcm.derive(baseKey, kid)
	if err != nil {
		return nil, err
	}
	return &Sealer{key: d, kid: kid}, nil
}

// KID is the key id in every header.
func (s *Sealer) KID() uint64 { return s.kid }

// Seal appends header and sealed frame to dst and returns it with the frame's
// counter. The metadata aad is authenticated, not carried. dst and frame must
// not overlap.
func (s *Sealer) Seal(dst, aad, frame []byte) ([]byte, uint64, error) {
	if len(frame) > MaxFrame-Overhead {
		return dst, 0, ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return dst, 0, ErrExhausted
	}
	counter := s.next
	// The counter is spent before anything is sealed, whatever happens next.
	if s.next == math.MaxUint64 {
		s.done = true
	} else {
		s.next++
	}
	at := len(dst)
	dst = AppendHeader(dst, s.kid, counter)
	s.key.prepare(counter, dst[at:], aad)
	return s.key.aead.Seal(dst, s.key.nonce[:], frame, s.key.aad), counter, nil
}

// Opener opens the frames of one key and key id. It is safe for concurrent use.
type Opener struct {
	mu     sync.Mutex
	key    *derived
	kid    uint64
	window window
}

// NewOpener makes an Opener for baseKey, 32 bytes, which it does not keep.
func NewOpener(baseKey []byte, kid uint64) (*Opener, error) {
	if len(baseKey) != KeyBytes {
		return nil, ErrKey
	}
	d, err := aes256gcm.derive(baseKey, kid)
	if err != nil {
		return nil, err
	}
	return &Opener{key: d, kid: kid}, nil
}

// Open appends the opened frame to dst. A frame of another key id, one that
// does not authenticate with aad, or one whose counter was opened before is
// refused and changes nothing.
func (o *Opener) Open(dst, aad, sealed []byte) ([]byte, error) {
	if len(sealed) > MaxFrame {
		return dst, ErrTooLarge
	}
	h, err := ParseHeader(sealed)
	if err != nil {
		return dst, err
	}
	if h.KID != o.kid {
		return dst, ErrKID
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.window.fresh(h.Counter) {
		return dst, ErrReplay
	}
	o.key.prepare(h.Counter, sealed[:h.Len], aad)
	out, err := o.key.aead.Open(dst, o.key.nonce[:], sealed[h.Len:], o.key.aad)
	if err != nil {
		return dst, ErrOpen
	}
	o.window.mark(h.Counter)
	return out, nil
}

// window remembers the last Window counters (as RFC 4303 section 3.4.3 does).
type window struct {
	bits [Window / 64]uint64
	top  uint64 // highest counter seen
	any  bool
}

func (w *window) fresh(c uint64) bool {
	if !w.any || c > w.top {
		return true
	}
	return w.top-c < Window && w.bits[c/64%uint64(len(w.bits))]>>(c%64)&1 == 0
}

func (w *window) mark(c uint64) {
	if !w.any || c > w.top {
		w.slide(c)
	}
	w.bits[c/64%uint64(len(w.bits))] |= 1 << (c % 64)
}

// slide forgets the places that the counters between the old and the new top
// are to use.
func (w *window) slide(c uint64) {
	if !w.any || c-w.top >= Window {
		clear(w.bits[:])
	} else {
		for n := w.top + 1; n != c+1; n++ {
			w.bits[n/64%uint64(len(w.bits))] &^= 1 << (n % 64)
		}
	}
	w.top, w.any = c, true
}

const redacted = "sframe key (redacted)"

// String and its siblings keep keys out of logs and texts.
func (s *Sealer) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s *Sealer) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue(redacted) }

// String and its siblings keep keys out of logs and texts.
func (o *Opener) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (o *Opener) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (o *Opener) LogValue() slog.Value { return slog.StringValue(redacted) }
