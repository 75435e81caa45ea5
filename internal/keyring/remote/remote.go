package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kuule/internal/bus"
	"kuule/internal/keyring"
	"kuule/internal/problem"
)

// Approve says whether a viewing may unwrap this text; nil error: yes. The
// viewing is the instance name of the process that asks: of playback, for all
// that it unwraps, and of the others for what is guarded.
type Approve func(ctx context.Context, viewing string, key keyring.Key, bound string) error

// Guard begins the context of a text that nobody unwraps without approval, not
// even who has the right to unwrap other texts of that key.
const Guard = "guarded|"

type request struct {
	Key       keyring.Key `json:"key"`
	Context   string      `json:"context,omitempty"`
	Plaintext []byte      `json:"plaintext,omitempty"`
	Wrapped   string      `json:"wrapped,omitempty"`
}

type reply struct {
	Secret  []byte         `json:"secret,omitempty"`
	Wrapped string         `json:"wrapped,omitempty"`
	Proof   *keyring.Proof `json:"proof,omitempty"`
}

// The names of the requests, after "keyring." and the kind of key.
const (
	opCreate  = "create"
	opWrap    = "wrap"
	opUnwrap  = "unwrap"
	opDataKey = "datakey"
	opRotate  = "rotate"
	opRewrap  = "rewrap"
	opRetire  = "retire"
	opDestroy = "destroy"
)

func subject(kind keyring.Kind, op string) string { return "keyring." + string(kind) + "." + op }

// Serve answers for the ring on authority's connection.
func Serve(conn *bus.Conn, ring keyring.Keyring, approve Approve) error {
	// What the table of subjects lets anybody ask is answered, if only by a
	// refusal.
	all := []string{opCreate, opWrap, opUnwrap, opDataKey, opRotate, opRewrap, opRetire, opDestroy}
	served := map[keyring.Kind][]string{
		keyring.Records: all, keyring.Special: all,
		keyring.Recording: {opCreate, opWrap, opUnwrap, opDataKey},
	}
	for kind, ops := range served {
		for _, op := range ops {
			err := bus.Handle(conn, subject(kind, op), func(ctx context.Context, caller bus.Name, in request) (reply, error) {
				if in.Key.Kind != kind {
					return reply{}, coded(fmt.Errorf("key %s: %w", in.Key, keyring.ErrNotAllowed))
				}
				if caller.Role == bus.Playback || op == opUnwrap && strings.HasPrefix(in.Context, Guard) {
					if err := approve(ctx, caller.Instance, in.Key, in.Context); err != nil {
						return reply{}, err
					}
				}
				out, err := answer(ctx, keyring.Restrict(ring, keyring.RightsOf(string(caller.Role))), op, in)
				return out, coded(err)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func answer(ctx context.Context, ring keyring.Keyring, op string, in request) (reply, error) {
	switch op {
	case opCreate:
		return reply{}, ring.Create(ctx, in.Key)
	case opWrap:
		wrapped, err := ring.Wrap(ctx, in.Key, in.Context, in.Plaintext)
		return reply{Wrapped: wrapped}, err
	case opUnwrap:
		secret, err := ring.Unwrap(ctx, in.Key, in.Context, in.Wrapped)
		return reply{Secret: secret.Bytes()}, err
	case opDataKey:
		secret, wrapped, err := ring.DataKey(ctx, in.Key, in.Context)
		return reply{Secret: secret.Bytes(), Wrapped: wrapped}, err
	case opRotate:
		return reply{}, ring.Rotate(ctx, in.Key)
	case opRewrap:
		wrapped, err := ring.Rewrap(ctx, in.Key, in.Context, in.Wrapped)
		return reply{Wrapped: wrapped}, err
	case opRetire:
		return reply{}, ring.Retire(ctx, in.Key)
	case opDestroy:
		proof, err := ring.Destroy(ctx, in.Key)
		return reply{Proof: &proof}, err
	default:
		return reply{}, problem.New(problem.CodeNoRoute, "keyring knows no request %s", op)
	}
}

// refusals carry the ring's sentinel errors over the bus by the rule's name.
var refusals = []struct {
	err  error
	code problem.Code
	rule string
}{
	{keyring.ErrNoKey, problem.CodeNotFound, "keyring.no-key"},
	{keyring.ErrExists, problem.CodeConflict, "keyring.exists"},
	{keyring.ErrDestroyed, problem.CodeNotReady, "keyring.destroyed"},
	{keyring.ErrNotAllowed, problem.CodeForbidden, "keyring.rights"},
	{keyring.ErrAway, problem.CodeUnavailable, "keyring.away"},
	{keyring.ErrRetired, problem.CodeMalformed, "keyring.retired"},
	{keyring.ErrUnwrap, problem.CodeMalformed, "keyring.unwrap"},
}

func coded(err error) error {
	for _, refusal := range refusals {
		if errors.Is(err, refusal.err) {
			return problem.Refused(refusal.code, refusal.rule, "%w", err)
		}
	}
	return err
}

func decoded(err error) error {
	var refused *problem.Error
	if !errors.As(err, &refused) {
		return err
	}
	for _, refusal := range refusals {
		if refused.Rule == refusal.rule {
			return fmt.Errorf("%s: %w", refused.Detail, refusal.err)
		}
	}
	switch refused.Code { // the bus's own refusals
	case problem.CodeForbidden:
		return fmt.Errorf("%s: %w", refused.Detail, keyring.ErrNotAllowed)
	case problem.CodeUnavailable:
		return fmt.Errorf("%s: %w", refused.Detail, keyring.ErrAway)
	}
	return err
}

// New gives the ring of authority as this process may use it.
func New(conn *bus.Conn) keyring.Keyring { return remote{conn} }

type remote struct{ conn *bus.Conn }

func (r remote) call(ctx context.Context, op string, in request) (reply, error) {
	if err := in.Key.Check(); err != nil {
		return reply{}, err
	}
	var out reply
	err := r.conn.Call(ctx, bus.Main(bus.Authority), subject(in.Key.Kind, op), in, &out)
	return out, decoded(err)
}

func (r remote) Create(ctx context.Context, key keyring.Key) error {
	_, err := r.call(ctx, opCreate, request{Key: key})
	return err
}

func (r remote) Wrap(ctx context.Context, key keyring.Key, bound string, plaintext []byte) (string, error) {
	if len(plaintext) > keyring.MaxPlaintext {
		return "", fmt.Errorf("wrap under key %s: %d bytes, at most %d: use a data key", key, len(plaintext), keyring.MaxPlaintext)
	}
	out, err := r.call(ctx, opWrap, request{Key: key, Context: bound, Plaintext: plaintext})
	return out.Wrapped, err
}

func (r remote) Unwrap(ctx context.Context, key keyring.Key, bound, wrapped string) (keyring.Secret, error) {
	out, err := r.call(ctx, opUnwrap, request{Key: key, Context: bound, Wrapped: wrapped})
	return keyring.NewSecret(out.Secret), err
}

func (r remote) DataKey(ctx context.Context, key keyring.Key, bound string) (keyring.Secret, string, error) {
	out, err := r.call(ctx, opDataKey, request{Key: key, Context: bound})
	return keyring.NewSecret(out.Secret), out.Wrapped, err
}

func (r remote) Rotate(ctx context.Context, key keyring.Key) error {
	_, err := r.call(ctx, opRotate, request{Key: key})
	return err
}

func (r remote) Rewrap(ctx context.Context, key keyring.Key, bound, wrapped string) (string, error) {
	out, err := r.call(ctx, opRewrap, request{Key: key, Context: bound, Wrapped: wrapped})
	return out.Wrapped, err
}

func (r remote) Retire(ctx context.Context, key keyring.Key) error {
	_, err := r.call(ctx, opRetire, request{Key: key})
	return err
}

func (r remote) Destroy(ctx context.Context, key keyring.Key) (keyring.Proof, error) {
	out, err := r.call(ctx, opDestroy, request{Key: key})
	if err != nil || out.Proof == nil {
		return keyring.Proof{}, err
	}
	return *out.Proof, nil
}
