package remote_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/audit"
	"kuule/internal/audit/audittest"
	"kuule/internal/audit/remote"
	"kuule/internal/bus"
	"kuule/internal/bus/bustest"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var tested = audit.Define("test.remote", 1, "n")

func TestOutboxIsCarriedOverTheBusProvedAndCosigned(t *testing.T) {
	t.Parallel()
	_, logKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.OpenLog(t.TempDir(), "test.example/log", logKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	witness := audittest.NewWitness(t, log.Key(), "dev_1")
	wire := bustest.Start(t)
	err = remote.Serve(wire.Connect(t, bus.Main(bus.Authority)), log, func(message string) (string, error) {
		if message != "vouched" {
			return "", errors.New("no device vouches for this key")
		}
		return witness.Key, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	client := remote.New(wire.Connect(t, bus.Main(bus.Door)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	if _, err := client.Cosigned(ctx); !errors.Is(err, problem.New(problem.CodeNotFound, "")) {
		t.Errorf("before the first cosignature: got %v", err)
	}
	db := storetest.Open(t)
	event, err := tested.New("hrg_1", map[string]any{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Record(ctx, db, event); err != nil {
		t.Fatal(err)
	}
	if carried, err := audit.Drain(ctx, db, client); err != nil || carried != 1 {
		t.Fatalf("carried %d, %v", carried, err)
	}
	forged := event.Leaf()
	forged.Type = "test.other"
	if _, err := client.Append(ctx, []audit.Leaf{forged}); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("other content under a known id: got %v", err)
	}

	proof, err := client.Prove(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := client.Consistency(ctx, witness.Size(), 1)
	if err != nil {
		t.Fatal(err)
	}
	line, err := witness.Cosign(proof.Checkpoint, hashes)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Cosign(ctx, proof.Checkpoint, line, "unknown"); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Errorf("key that no device vouches for: got %v", err)
	}
	if err := client.Cosign(ctx, proof.Checkpoint, line[:len(line)-8], "vouched"); !errors.Is(err, problem.New(problem.CodeMalformed, "")) {
		t.Errorf("cut cosignature: got %v", err)
	}
	if err := client.Cosign(ctx, proof.Checkpoint, line, "vouched"); err != nil {
		t.Fatal(err)
	}
	if proof, err = client.Prove(ctx, 0); err != nil {
		t.Fatal(err)
	}
	leaf, checkpoint, err := audit.VerifyInclusion(proof, log.Key(), []string{witness.Key})
	if err != nil || leaf != event.Leaf() || len(checkpoint.Cosigned) != 1 {
		t.Fatalf("got %v, %+v, %v", leaf, checkpoint, err)
	}
}
