package keyring

import (
	"context"
	"fmt"
)

// Right is one thing that a role may do with a key.
type Right uint8

// Rights of a role to a kind of key; a data key and its wrapped form need
// RightWrap, a rewrap and a retirement RightRotate.
const (
	RightCreate Right = 1 << iota
	RightWrap
	RightUnwrap
	RightRotate
	RightDestroy
)

// Rights say what a role may do with each kind of key; what is missing is
// refused.
type Rights map[Kind]Right

// rights is the whole policy (promise 7) of what others may do with the
// ring that authority holds. Rotating and destroying is authority's alone: it
// destroys only what is due, or what two persons ordered.
var rights = map[string]Rights{
	"door":     {Records: RightCreate | RightWrap | RightUnwrap, Special: RightCreate | RightWrap | RightUnwrap},
	"recorder": {Recording: RightCreate | RightWrap},
	"playback": {Recording: RightUnwrap},
}

// RightsOf gives the rights of a process's role; none for an unknown one.
func RightsOf(role string) Rights { return rights[role] }

// Restrict gives a view of the ring that refuses with ErrNotAllowed whatever
// the rights do not name.
func Restrict(ring Keyring, rights Rights) Keyring { return restricted{ring, rights} }

type restricted struct {
	ring   Keyring
	rights Rights
}

func (r restricted) need(key Key, right Right) error {
	if r.rights[key.Kind]&right != right {
		return fmt.Errorf("key %s: %w", key, ErrNotAllowed)
	}
	return nil
}

func (r restricted) Create(ctx context.Context, key Key) error {
	if err := r.need(key, RightCreate); err != nil {
		return err
	}
	return r.ring.Create(ctx, key)
}

func (r restricted) Wrap(ctx context.Context, key Key, context string, plaintext []byte) (string, error) {
	if err := r.need(key, RightWrap); err != nil {
		return "", err
	}
	return r.ring.Wrap(ctx, key, context, plaintext)
}

func (r restricted) Unwrap(ctx context.Context, key Key, context, wrapped string) (Secret, error) {
	if err := r.need(key, RightUnwrap); err != nil {
		return Secret{}, err
	}
	return r.ring.Unwrap(ctx, key, context, wrapped)
}

func (r restricted) DataKey(ctx context.Context, key Key, context string) (Secret, string, error) {
	if err := r.need(key, RightWrap); err != nil {
		return Secret{}, "", err
	}
	return r.ring.DataKey(ctx, key, context)
}

func (r restricted) Rotate(ctx context.Context, key Key) error {
	if err := r.need(key, RightRotate); err != nil {
		return err
	}
	return r.ring.Rotate(ctx, key)
}

func (r restricted) Rewrap(ctx context.Context, key Key, context, wrapped string) (string, error) {
	if err := r.need(key, RightRotate); err != nil {
		return "", err
	}
	return r.ring.Rewrap(ctx, key, context, wrapped)
}

func (r restricted) Retire(ctx context.Context, key Key) error {
	if err := r.need(key, RightRotate); err != nil {
		return err
	}
	return r.ring.Retire(ctx, key)
}

func (r restricted) Destroy(ctx context.Context, key Key) (Proof, error) {
	if err := r.need(key, RightDestroy); err != nil {
		return Proof{}, err
	}
	return r.ring.Destroy(ctx, key)
}
