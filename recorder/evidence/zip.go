package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"regexp"
	"strings"
)

// Bounds of a bundle and of one file in it. A file is below what ZIP can say
// without its 64-bit extension; a bundle is larger after a long hearing, and then
// its directory uses the extension where an offset needs it, and only there.
const (
	MaxSize     = 1 << 40
	MaxFileSize = math.MaxUint32 - 1
	MaxFiles    = 16384
)

// ErrTooLarge says that a bundle would pass MaxSize or MaxFiles.
var ErrTooLarge = errors.New("bundle is too large for one file")

// Fixed parts of a ZIP entry (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and
// 4.3.16): version 1.0, stored, 1 January 1980.
const (
	localSignature   = 0x04034b50
	centralSignature = 0x02014b50
	endSignature     = 0x06054b50
	end64Signature   = 0x06064b50 // sections 4.3.14 and 4.3.15
	locatorSignature = 0x07064b50
	zipVersion       = 10
	zip64Version     = 45
	zip64Extra       = 1 // section 4.5.3
	zipDate          = 1<<5 | 1
	localSize        = 30
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*$`)

func checkName(name string) error {
	if len(name) > 200 || !namePattern.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%q is no name for a file in a bundle", name)
	}
	return nil
}

// measured is one entry whose bytes are known.
type measured struct {
	name   string
	size   int64
	crc    uint32
	sum    string // base64url SHA-256
	offset int64  // of its local header
}

func (m measured) data() int64 { return m.offset + localSize + int64(len(m.name)) }

// measure reads an entry's content once.
func measure(name string, r io.Reader) (measured, error) {
	crc, sum := crc32.NewIEEE(), sha256.New()
	n, err := io.Copy(io.MultiWriter(crc, sum), r)
	return measured{name: name, size: n, crc: crc.Sum32(), sum: base64.RawURLEncoding.EncodeToString(sum.Sum(nil))}, err
}

func (m measured) local() []byte {
	b := binary.LittleEndian.AppendUint32(nil, localSignature)
	b = m.common(b, zipVersion, 0)
	return append(b, m.name...)
}

// common is what local and central headers share.
func (m measured) common(b []byte, version, extra uint16) []byte {
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, 0) // flags
	b = binary.LittleEndian.AppendUint16(b, 0) // stored
	b = binary.LittleEndian.AppendUint16(b, 0) // midnight
	b = binary.LittleEndian.AppendUint16(b, zipDate)
	b = binary.LittleEndian.AppendUint32(b, m.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.size))
	b = binary.LittleEndian.AppendUint32(b, uint32(m.size))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.name)))
	return binary.LittleEndian.AppendUint16(b, extra)
}

// far reports whether a number needs the 64-bit extension.
func far(n int64) bool { return n >= math.MaxUint32 }

// short is a number as the 32-bit fields have it.
func short(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }

// ending is the central directory and its end.
func ending(all []measured, at int64) []byte {
	var b []byte
	for _, m := range all {
		b = binary.LittleEndian.AppendUint32(b, centralSignature)
		version, extra := uint16(zipVersion), uint16(0)
		if far(m.offset) {
			version, extra = zip64Version, 12
		}
		b = binary.LittleEndian.AppendUint16(b, version)
		b = m.common(b, version, extra)
		b = append(b, make([]byte, 10)...) // comment, disk, attributes
		b = binary.LittleEndian.AppendUint32(b, short(m.offset))
		b = append(b, m.name...)
		if extra > 0 {
			b = binary.LittleEndian.AppendUint16(b, zip64Extra)
			b = binary.LittleEndian.AppendUint16(b, 8)
			b = binary.LittleEndian.AppendUint64(b, uint64(m.offset))
		}
	}
	size := int64(len(b))
	if far(at) {
		b = ending64(b, len(all), size, at)
	}
	b = binary.LittleEndian.AppendUint32(b, endSignature)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(all)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(all)))
	b = binary.LittleEndian.AppendUint32(b, short(size))
	b = binary.LittleEndian.AppendUint32(b, short(at))
	return append(b, 0, 0)
}

// ending64 adds the 64-bit end of the directory, and where to find it.
func ending64(b []byte, files int, size, at int64) []byte {
	b = binary.LittleEndian.AppendUint32(b, end64Signature)
	b = binary.LittleEndian.AppendUint64(b, 44) // bytes that follow
	b = binary.LittleEndian.AppendUint16(b, zip64Version)
	b = binary.LittleEndian.AppendUint16(b, zip64Version)
	b = append(b, make([]byte, 8)...) // disks
	b = binary.LittleEndian.AppendUint64(b, uint64(files))
	b = binary.LittleEndian.AppendUint64(b, uint64(files))
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint32(b, locatorSignature)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(at+size))
	return binary.LittleEndian.AppendUint32(b, 1)
}

// lay gives every entry its place and the place of the ending.
func lay(all []measured) (int64, error) {
	var at int64
	for i := range all {
		all[i].offset = at
		at = all[i].data() + all[i].size
	}
	if at+int64(len(all))*300 > MaxSize || len(all) > MaxFiles {
		return 0, fmt.Errorf("%w: %d bytes in %d files", ErrTooLarge, at, len(all))
	}
	return at, nil
}

// PlaceError names the first place of a bundle that is wrong.
type PlaceError struct {
	File   string // of the bundle; "" for the ZIP itself
	Part   string // header, content, central directory …
	Offset int64  // in the bundle, where it is known; else -1
	Err    error
}

// Error names file, part and offset.
func (e *PlaceError) Error() string {
	s := e.Part
	if e.File != "" {
		s = e.File + ": " + e.Part
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap gives the reason.
func (e *PlaceError) Unwrap() error { return e.Err }

var (
	// ErrBytes says that bytes differ from what the manifest makes of them.
	ErrBytes = errors.New("byte is not what it must be")
	// ErrEnds says that a bundle ends too early or goes on too long.
	ErrEnds = errors.New("bundle does not end where it must")
)

// compare holds the bundle's bytes at an offset against what they must be.
func compare(r io.ReaderAt, at int64, want []byte, file, part string) error {
	got := make([]byte, len(want))
	n, err := r.ReadAt(got, at)
	if n < len(want) {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrEnds
		}
	}
	for i := range n {
		if got[i] != want[i] {
			return &PlaceError{file, part, at + int64(i), ErrBytes}
		}
	}
	if n < len(want) {
		return &PlaceError{file, part, at + int64(n), err}
	}
	return nil
}

// readFirst reads the first entry, which has to be the manifest.
func readFirst(r io.ReaderAt, limit int64) (measured, []byte, error) {
	m := measured{name: manifestName}
	fixed := m.local()
	head := make([]byte, len(fixed))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return m, nil, &PlaceError{"", "bundle", int64(n), errors.Join(ErrEnds, err)}
	}
	// Checksum and size are the only bytes that are not known beforehand.
	m.crc, m.size = binary.LittleEndian.Uint32(head[14:]), int64(binary.LittleEndian.Uint32(head[18:]))
	if m.size == 0 || m.size > limit {
		return m, nil, &PlaceError{manifestName, "header", 18, fmt.Errorf("size of %d bytes: %w", m.size, ErrBytes)}
	}
	if err := compare(r, 0, m.local(), manifestName, "header"); err != nil {
		return m, nil, err
	}
	body := make([]byte, m.size)
	if n, err := r.ReadAt(body, m.data()); int64(n) < m.size {
		return m, nil, &PlaceError{manifestName, "content", m.data() + int64(n), errors.Join(ErrEnds, err)}
	}
	got, err := measure(manifestName, bytes.NewReader(body))
	if err == nil && got.crc != m.crc {
		err = &PlaceError{manifestName, "content or checksum", m.data(), ErrBytes}
	}
	got.offset = 0
	return got, body, err
}
