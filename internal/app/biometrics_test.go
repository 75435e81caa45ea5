package app

import (
	"testing"

	"kuule/internal/config"
	"kuule/internal/store/storetest"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// B3, B4, B12: parts that the configuration names are asked: here the register,
// and a matcher that is away, which nobody waits for when the door opens.
func TestPartsOfTheConfigurationAreAsked(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	settings := config.Biometrics{FaceEngine: "none", Parts: []config.Part{
		{Port: "register", URL: vendorporttest.Serve(t, vendorporttest.Register(vendorporttest.Somebody))},
		{Port: "fingerprint", URL: "unix:" + t.TempDir() + "/none"},
	}}
	d := &door{in: &installation{Config: config.Config{Biometrics: settings}}, db: db, sealer: newCaseSealer(db, nil)}
	b, err := d.openBiometrics(t.Context(), testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	q := kioskbridge.RegisterQuestion{Visit: interview.NewVisitID(), Hearing: interview.NewHearingID(), Diary: vendorporttest.Somebody.Diary, Face: true}
	p, err := b.register.Person(t.Context(), q)
	if err != nil || !p.Found || len(p.Pictures) != 1 || p.Pictures[0].Kind != "face" {
		t.Errorf("%v, %v", p.Found, err)
	}
	if _, err := b.fingers.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFingers}); err == nil {
		t.Error("a matcher that is away compared")
	}
	if b.faces != nil || b.liveness != nil || b.submit != nil {
		t.Error("there is a part that nobody named")
	}
}
