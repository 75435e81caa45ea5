package remote_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"kuule/internal/bus"
	"kuule/internal/bus/bustest"
	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	"kuule/internal/keyring/remote"
	"kuule/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRolesOverTheBus(t *testing.T) {
	t.Parallel()
	wire := bustest.Start(t)
	recording := keyring.Key{Case: "cas_1", Kind: keyring.Recording}
	records := keyring.Key{Case: "cas_1", Kind: keyring.Records}
	local := keyringtest.Local(t)
	err := remote.Serve(wire.Connect(t, bus.Main(bus.Authority)), local, func(_ context.Context, viewing string, key keyring.Key, bound string) error {
		if viewing == "view_1" && key == recording && bound == "rec_1" {
			return nil
		}
		return problem.New(problem.CodeForbidden, "viewing %s is not approved for this recording", viewing)
	})
	if err != nil {
		t.Fatal(err)
	}
	ring := func(name bus.Name) keyring.Keyring { return remote.New(wire.Connect(t, name)) }
	recorder, door := ring(bus.Main(bus.Recorder)), ring(bus.Main(bus.Door))
	viewing, otherViewing := ring(bus.Name{Role: bus.Playback, Instance: "view_1"}), ring(bus.Name{Role: bus.Playback, Instance: "view_2"})
	ctx := t.Context()

	if err := recorder.Create(ctx, recording); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Create(ctx, recording); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("second create: got %v", err)
	}
	key, wrapped, err := recorder.DataKey(ctx, recording, "rec_1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := viewing.Unwrap(ctx, recording, "rec_1", wrapped)
	if err != nil || string(got.Bytes()) != string(key.Bytes()) {
		t.Errorf("approved viewing: %v", err)
	}
	if err := door.Create(ctx, records); err != nil {
		t.Fatal(err)
	}
	sealed, err := door.Wrap(ctx, records, "utt_1", []byte("said"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := door.Unwrap(ctx, records, "utt_1", sealed); err != nil || string(text.Bytes()) != "said" {
		t.Errorf("door's records: %v", err)
	}
	if _, err := door.Unwrap(ctx, records, "utt_2", sealed); !errors.Is(err, keyring.ErrUnwrap) {
		t.Errorf("other context: got %v", err)
	}

	_, byRecorder := recorder.Unwrap(ctx, recording, "rec_1", wrapped)
	_, byDoor := door.Unwrap(ctx, recording, "rec_1", wrapped)
	_, byOther := otherViewing.Unwrap(ctx, recording, "rec_1", wrapped)
	_, elsewhere := viewing.Unwrap(ctx, recording, "rec_2", wrapped)
	_, recordsByRecorder := recorder.Unwrap(ctx, records, "utt_1", sealed)
	_, recordsByViewing := viewing.Unwrap(ctx, records, "utt_1", sealed)
	_, erasure := recorder.Destroy(ctx, recording)
	_, doorErases := door.Destroy(ctx, records)
	for name, err := range map[string]error{
		"recorder unwraps its recording":        byRecorder,
		"door unwraps a recording":              byDoor,
		"viewing of another recording unwraps":  byOther,
		"viewing unwraps another recording":     elsewhere,
		"recorder reads records":                recordsByRecorder,
		"viewing reads records":                 recordsByViewing,
		"recorder destroys":                     erasure,
		"door destroys":                         doorErases,
		"door rotates":                          door.Rotate(ctx, records),
		"door retires":                          door.Retire(ctx, records),
		"sfu does anything":                     ring(bus.Main(bus.SFU)).Create(ctx, records),
		"viewing's wrap of a new recording key": ring(bus.Name{Role: bus.Playback, Instance: "view_1"}).Create(ctx, recording),
	} {
		if !errors.Is(err, keyring.ErrNotAllowed) {
			t.Errorf("%s: got %v, want ErrNotAllowed", name, err)
		}
	}

	// What authority destroyed is destroyed for everybody.
	if _, err := local.Destroy(ctx, records); err != nil {
		t.Fatal(err)
	}
	if _, err := door.Unwrap(ctx, records, "utt_1", sealed); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("after destruction: got %v", err)
	}
}
