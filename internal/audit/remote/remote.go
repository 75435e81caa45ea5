package remote

import (
	"context"
	"errors"
	"io/fs"

	"kuule/internal/audit"
	"kuule/internal/bus"
	"kuule/internal/problem"
)

// The names of the requests.
const (
	opAppend      = "audit.append"
	opCheckpoint  = "audit.checkpoint"
	opProof       = "audit.proof"
	opConsistency = "audit.consistency"
	opCosign      = "audit.cosign"
)

type appendRequest struct {
	Leaves []audit.Leaf `json:"leaves"`
}

type appendReply struct {
	Places []uint64 `json:"places"`
}

type checkpointRequest struct {
	Cosigned bool `json:"cosigned"` // the newest that a device cosigned
}

type checkpointReply struct {
	Checkpoint string `json:"checkpoint"`
}

type proofRequest struct {
	Index uint64 `json:"index"`
}

type consistencyRequest struct {
	Older uint64 `json:"older"`
	Newer uint64 `json:"newer"`
}

type consistencyReply struct {
	Hashes [][]byte `json:"hashes"`
}

type cosignRequest struct {
	Checkpoint string `json:"checkpoint"`
	Line       string `json:"line"`
	Cosigner   string `json:"cosigner"` // kuule-cosigner+jws of the device
}

type none struct{}

// Cosigners checks a device's own vouching for its cosigning key
// (kuule-cosigner+jws) and gives that key, as a note's verifier key.
type Cosigners func(message string) (verifierKey string, err error)

// Serve answers for the log on authority's connection.
func Serve(conn *bus.Conn, log *audit.Log, cosigners Cosigners) error {
	return errors.Join(
		bus.Handle(conn, opAppend, func(ctx context.Context, _ bus.Name, in appendRequest) (appendReply, error) {
			places, err := log.Append(ctx, in.Leaves)
			if errors.Is(err, audit.ErrTaken) {
				return appendReply{}, problem.New(problem.CodeConflict, "audit log: %w", err)
			}
			return appendReply{places}, err
		}),
		bus.Handle(conn, opCheckpoint, func(ctx context.Context, _ bus.Name, in checkpointRequest) (checkpointReply, error) {
			read := log.Checkpoint
			if in.Cosigned {
				read = func(context.Context) (string, error) { return log.Cosigned() }
			}
			text, err := read(ctx)
			if errors.Is(err, fs.ErrNotExist) {
				return checkpointReply{}, problem.New(problem.CodeNotFound, "audit log has no such checkpoint yet")
			}
			return checkpointReply{text}, err
		}),
		bus.Handle(conn, opProof, func(ctx context.Context, _ bus.Name, in proofRequest) (audit.Proof, error) {
			return log.Prove(ctx, in.Index)
		}),
		bus.Handle(conn, opConsistency, func(ctx context.Context, _ bus.Name, in consistencyRequest) (consistencyReply, error) {
			hashes, err := log.Consistency(ctx, in.Older, in.Newer)
			return consistencyReply{hashes}, err
		}),
		bus.Handle(conn, opCosign, func(_ context.Context, _ bus.Name, in cosignRequest) (none, error) {
			key, err := cosigners(in.Cosigner)
			if err != nil {
				return none{}, problem.New(problem.CodeForbidden, "cosigner: %w", err)
			}
			err = log.AddCosignature(in.Checkpoint, in.Line, key)
			if errors.Is(err, audit.ErrCheckpoint) {
				return none{}, problem.New(problem.CodeMalformed, "%w", err)
			}
			return none{}, err
		}),
	)
}

// Client is the log as the door reaches it. Safe for concurrent use.
type Client struct{ conn *bus.Conn }

// New makes a client on the door's connection.
func New(conn *bus.Conn) Client { return Client{conn} }

func (c Client) call(ctx context.Context, what string, in, out any) error {
	return c.conn.Call(ctx, bus.Main(bus.Authority), what, in, out)
}

// Append implements audit.Appender.
func (c Client) Append(ctx context.Context, leaves []audit.Leaf) ([]uint64, error) {
	var out appendReply
	err := c.call(ctx, opAppend, appendRequest{leaves}, &out)
	return out.Places, err
}

// Checkpoint gives the newest signed checkpoint; problem.CodeNotFound before the
// first.
func (c Client) Checkpoint(ctx context.Context) (string, error) {
	var out checkpointReply
	err := c.call(ctx, opCheckpoint, checkpointRequest{}, &out)
	return out.Checkpoint, err
}

// Cosigned gives the newest cosigned checkpoint; problem.CodeNotFound before the
// first.
func (c Client) Cosigned(ctx context.Context) (string, error) {
	var out checkpointReply
	err := c.call(ctx, opCheckpoint, checkpointRequest{Cosigned: true}, &out)
	return out.Checkpoint, err
}

// Prove gives the proof of an entry, waiting until a checkpoint covers it.
func (c Client) Prove(ctx context.Context, index uint64) (audit.Proof, error) {
	var out audit.Proof
	err := c.call(ctx, opProof, proofRequest{index}, &out)
	return out, err
}

// Consistency gives the hashes that a witness of older entries needs.
func (c Client) Consistency(ctx context.Context, older, newer uint64) ([][]byte, error) {
	var out consistencyReply
	err := c.call(ctx, opConsistency, consistencyRequest{older, newer}, &out)
	return out.Hashes, err
}

// Cosign hands over a device's cosignature together with the device's message
// that vouches for its cosigning key.
func (c Client) Cosign(ctx context.Context, checkpoint, line, cosigner string) error {
	return c.call(ctx, opCosign, cosignRequest{checkpoint, line, cosigner}, nil)
}

var _ audit.Appender = Client{}
