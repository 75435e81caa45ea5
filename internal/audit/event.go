package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"kuule/internal/canon"
	"kuule/internal/id"
)

type eventKind struct{}

func (eventKind) Prefix() string { return "evt" }

// Type is a kind of event: its name, its version, and the fields that every
// event of it has. Changed fields mean a new version.
type Type struct {
	Name    string
	Version int
	Fields  []string // sorted
}

var (
	typesMu sync.Mutex
	types   = map[string]Type{}

	typePattern  = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$`)
	fieldPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Define registers a type of event. Rooms call it for package variables; a name
// that is taken or malformed is a mistake in the program and panics.
func Define(name string, version int, fields ...string) Type {
	typesMu.Lock()
	defer typesMu.Unlock()
	if !typePattern.MatchString(name) || len(name) > 64 || version < 1 {
		panic(fmt.Sprintf("audit: %q version %d is no type of event", name, version))
	}
	key := fmt.Sprintf("%s/%d", name, version)
	if _, taken := types[key]; taken {
		panic("audit: event type " + key + " is defined twice")
	}
	for _, field := range fields {
		if !fieldPattern.MatchString(field) {
			panic(fmt.Sprintf("audit: %q is no field of an event", field))
		}
	}
	t := Type{Name: name, Version: version, Fields: slices.Sorted(slices.Values(fields))}
	if len(slices.Compact(slices.Clone(t.Fields))) != len(fields) {
		panic("audit: event type " + key + " names a field twice")
	}
	types[key] = t
	return t
}

// Types lists all defined types by name and version.
func Types() []Type {
	typesMu.Lock()
	defer typesMu.Unlock()
	all := make([]Type, 0, len(types))
	for _, t := range types {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Type) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return a.Version - b.Version
	})
	return all
}

// Event is something that happened. Its fields hold ids, codes, hashes and
// numbers, never personal content: the body is stored as it is.
type Event struct {
	id      string
	hearing string
	typ     Type
	body    []byte
	salt    []byte
}

// body is what is hashed: canonical JSON (RFC 8785).
type body struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	V       int            `json:"v"`
	Hearing string         `json:"hearing"`
	Fields  map[string]any `json:"fields"`
}

// maxBody bounds an event's body in bytes.
const maxBody = 16 << 10

// New makes an event with a fresh id and salt. hearing is the hearing's id, or
// empty where the event belongs to none. Fields must be exactly the type's.
func (t Type) New(hearing string, fields map[string]any) (Event, error) {
	for _, field := range t.Fields {
		if _, ok := fields[field]; !ok {
			return Event{}, fmt.Errorf("audit event %s: field %s is missing", t.Name, field)
		}
	}
	if len(fields) != len(t.Fields) {
		return Event{}, fmt.Errorf("audit event %s: has %d fields, its type names %d", t.Name, len(fields), len(t.Fields))
	}
	e := Event{id: id.New[eventKind]().String(), hearing: hearing, typ: t, salt: make([]byte, 32)}
	_, _ = rand.Read(e.salt) // never fails: crypto/rand ends the process instead
	var err error
	e.body, err = canon.Marshal(body{ID: e.id, Type: t.Name, V: t.Version, Hearing: hearing, Fields: fields})
	if err != nil {
		return Event{}, fmt.Errorf("audit event %s: %w", t.Name, err)
	}
	if len(e.body) > maxBody {
		return Event{}, fmt.Errorf("audit event %s: body has %d bytes, at most %d", t.Name, len(e.body), maxBody)
	}
	return e, nil
}

// ID is the event's id ("evt_...").
func (e Event) ID() string { return e.id }

// Leaf is what of the event goes into the log.
func (e Event) Leaf() Leaf {
	return Leaf{ID: e.id, Type: e.typ.Name, V: e.typ.Version, H: saltedHash(e.salt, e.body)}
}

func saltedHash(salt, body []byte) string {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write(body)
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// Leaf is an entry of the log, as canonical JSON. H is base64url of
// SHA-256(salt || canonical body).
type Leaf struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	V    int    `json:"v"`
	H    string `json:"h"`
}

// ErrBody says that a body is not the one that a leaf was made from.
var ErrBody = errors.New("event does not match its entry in the log")

// CheckBody proves that an event's stored body and salt are those of the leaf.
func (l Leaf) CheckBody(text, salt []byte) error {
	var b body
	if err := canon.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%w: %w", ErrBody, err)
	}
	if len(salt) != 32 || subtle.ConstantTimeCompare([]byte(saltedHash(salt, text)), []byte(l.H)) != 1 ||
		b.ID != l.ID || b.Type != l.Type || b.V != l.V {
		return ErrBody
	}
	return nil
}

func (l Leaf) check() error {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(l.H)
	if err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("leaf %q: h is no SHA-256", l.ID)
	}
	if _, err := id.Parse[eventKind](l.ID); err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	if !typePattern.MatchString(l.Type) || len(l.Type) > 64 || l.V < 1 {
		return fmt.Errorf("leaf %s: no type of event", l.ID)
	}
	return nil
}

// ParseLeaf reads a leaf's text, as it stands in the log.
func ParseLeaf(text []byte) (Leaf, error) {
	var l Leaf
	if err := canon.Unmarshal(text, &l); err != nil {
		return Leaf{}, fmt.Errorf("leaf: %w", err)
	}
	return l, l.check()
}
