package id

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// ErrMalformed says that a text is not an identifier of the wanted kind.
var ErrMalformed = errors.New("malformed identifier")

// Kind names one kind of identifier by the prefix it is printed with.
type Kind interface {
	// Prefix is two to four lower-case letters, without the underscore.
	Prefix() string
}

// ID is an identifier of kind K.
type ID[K Kind] struct{ u uuid.UUID }

// New makes a fresh identifier from the system's random source. It panics only
// if that source fails, as crypto/rand does.
func New[K Kind]() ID[K] { return ID[K]{uuid.Must(uuid.NewV7())} }

// Parse reads the printed form. It accepts exactly what String prints.
func Parse[K Kind](s string) (ID[K], error) {
	var k K
	rest, ok := strings.CutPrefix(s, k.Prefix()+"_")
	if !ok || len(rest) != 36 {
		return ID[K]{}, fmt.Errorf("%w: want %s_ and a UUID", ErrMalformed, k.Prefix())
	}
	u, err := uuid.Parse(rest)
	if err != nil || u == uuid.Nil || u.String() != rest {
		return ID[K]{}, fmt.Errorf("%w: want %s_ and a UUID in lower case", ErrMalformed, k.Prefix())
	}
	return ID[K]{u}, nil
}

// IsZero reports whether the identifier names nothing.
func (i ID[K]) IsZero() bool { return i.u == uuid.Nil }

// String prints prefix, underscore and UUID, or nothing for the zero value.
func (i ID[K]) String() string {
	if i.IsZero() {
		return ""
	}
	var k K
	return k.Prefix() + "_" + i.u.String()
}

// MarshalText implements encoding.TextMarshaler.
func (i ID[K]) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The empty text is the zero value.
func (i *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*i = ID[K]{}
		return nil
	}
	v, err := Parse[K](string(b))
	if err != nil {
		return err
	}
	*i = v
	return nil
}

// Value implements driver.Valuer: identifiers are stored as text.
func (i ID[K]) Value() (driver.Value, error) {
	if i.IsZero() {
		return nil, nil
	}
	return i.String(), nil
}

// Scan implements sql.Scanner.
func (i *ID[K]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*i = ID[K]{}
		return nil
	case string:
		return i.UnmarshalText([]byte(v))
	case []byte:
		return i.UnmarshalText(v)
	default:
		return fmt.Errorf("%w: cannot scan %T", ErrMalformed, src)
	}
}
