package canon

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/gowebpki/jcs"
)

var (
	// ErrNumber says that a value holds a number that the canonical form forbids.
	ErrNumber = errors.New("number is not an integer within ±(2^53-1)")
	// ErrNotCanonical says that a text is JSON but not in its canonical form.
	ErrNotCanonical = errors.New("text is not in canonical form")
	// ErrDuplicate says that an object names one member twice.
	ErrDuplicate = errors.New("object names a member twice")
)

// MaxDepth bounds how deep values may nest.
const MaxDepth = 32

// Marshal returns the canonical form of v.
func Marshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	if plain(raw) {
		return raw, nil
	}
	if err := check(raw); err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	out, err := jcs.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	return out, nil
}

// Unmarshal reads a canonical text into v. A text that is not byte for byte the
// canonical form of itself, or that names a field v does not have, is refused.
func Unmarshal(text []byte, v any) error {
	if plain(text) {
		return decode(text, v)
	}
	if err := check(text); err != nil {
		return err
	}
	again, err := jcs.Transform(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if !bytes.Equal(again, text) {
		return ErrNotCanonical
	}
	return Strict(text, v)
}

// Strict reads JSON of any layout into v and refuses unknown fields, duplicate
// names and trailing bytes. It is how every outside message is read.
func Strict(text []byte, v any) error {
	if err := check(text); err != nil && !errors.Is(err, ErrNumber) {
		return err
	}
	return decode(text, v)
}

func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the end of the value")
	}
	return nil
}

// Hash returns SHA-256 of the canonical form of v.
func Hash(v any) ([32]byte, error) {
	b, err := Marshal(v)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(b), nil
}

// check walks the tokens once: integers only, no duplicate names, bounded depth.
func check(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var numErr error
	if err := walk(d, 0, &numErr); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the end of the value")
	}
	return numErr
}

func walk(d *json.Decoder, depth int, numErr *error) error {
	if depth > MaxDepth {
		return fmt.Errorf("value nests deeper than %d", MaxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Number:
		if !integer(t.String()) {
			*numErr = fmt.Errorf("%w: %s", ErrNumber, t)
		}
	case json.Delim:
		if t == '[' {
			for d.More() {
				if err := walk(d, depth+1, numErr); err != nil {
					return err
				}
			}
			_, err = d.Token()
			return err
		}
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return err
			}
			n, _ := name.(string)
			if seen[n] {
				return fmt.Errorf("%w: %q", ErrDuplicate, n)
			}
			seen[n] = true
			if err := walk(d, depth+1, numErr); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return nil
}

func integer(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n < 1<<53 && n > -(1<<53) && s != "-0"
}
