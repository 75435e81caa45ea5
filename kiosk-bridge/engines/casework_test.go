package engines_test

import (
	"errors"
	"testing"
	"time"

	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// B16: a stage reaches the case system as the contract has it, once however often
// it is told; a case that the system does not know is refused for good, and a
// busy system is none of that.
func TestStagesReachTheCaseSystem(t *testing.T) {
	t.Parallel()
	system := vendorporttest.Casework("MIG-2026-10482")
	client, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortCasework, URL: vendorporttest.Serve(t, system), Wait: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	tell := engines.Casework{Client: client}
	event := kioskbridge.StageEvent{
		ID: interview.NewEventID(), Diary: "MIG-2026-10482", Stage: kioskbridge.StageIdentified, Visit: interview.NewVisitID(), Site: "pre_x",
		Assurance: "substantial", At: time.Unix(1_800_000_000, 0),
	}
	for range 3 {
		if err := tell.Tell(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	taken := system.Taken()
	if len(taken) != 1 || taken[0] != (vendorport.StageEvent{Case: event.Diary, Stage: "identified", Visit: event.Visit.String(), Site: "pre_x", Assurance: "substantial", At: 1_800_000_000}) {
		t.Errorf("taken %+v", taken)
	}
	event.ID, event.Diary = interview.NewEventID(), "MIG-2026-99999"
	if err := tell.Tell(t.Context(), event); !errors.Is(err, kioskbridge.ErrStageRefused) {
		t.Errorf("an unknown case: %v", err)
	}
	gone, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortCasework, URL: "unix:" + t.TempDir() + "/none", Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gone.Close)
	if err := (engines.Casework{Client: gone}).Tell(t.Context(), event); err == nil || errors.Is(err, kioskbridge.ErrStageRefused) {
		t.Errorf("a system that is away: %v", err)
	}
}

// The names of stages are the contract's.
func TestStagesAreTheContracts(t *testing.T) {
	t.Parallel()
	for i, s := range []kioskbridge.Stage{kioskbridge.StageIdentified, kioskbridge.StagePhoto, kioskbridge.StageSigned, kioskbridge.StageScanned, kioskbridge.StagePaid} {
		if names := vendorport.StageNames(); names[i] != string(s) {
			t.Errorf("%s is not %s", s, names[i])
		}
	}
}
