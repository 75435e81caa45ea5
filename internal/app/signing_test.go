package app

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/retention"
)

// A signing key that is rotated in the keyring by somebody stops nothing: the
// version that the devices know goes on signing. The new one signs once the
// trust file names it, and what the old one signed still holds.
func TestSigningKeysHaveVersions(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	data := o.Config.Data
	start := func() (in *installation, ring *renewal.Ring, graves *graveyard, stop func()) {
		t.Helper()
		in, err := openInstallation(data)
		if err != nil {
			t.Fatal(err)
		}
		ring, closeRing, err := openRing(t.Context(), in, o.Passphrase)
		if err != nil {
			t.Fatal(err)
		}
		key, err := in.signer(t.Context(), ring, "sealing", in.trust.SealingKey)
		if err != nil {
			t.Fatalf("authority does not start: %v", err)
		}
		if graves, err = openGraveyard(t.Context(), in.layout.Authority(), ring, key); err != nil {
			t.Fatalf("authority does not start: %v", err)
		}
		return in, ring, graves, func() {
			if err := closeRing(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// erased leaves a tombstone that the key of now signed.
	erased := func(ring *renewal.Ring, graves *graveyard) string {
		t.Helper()
		c := interview.NewCaseID()
		if err := ring.Create(t.Context(), keyring.Key{Case: c.String(), Kind: keyring.Records}); err != nil {
			t.Fatal(err)
		}
		message, err := graves.eraseCase(t.Context(), c, everything, false, retention.Tombstone{Rule: retention.ByOrder})
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	holds := func(in *installation, what, message string) {
		t.Helper()
		key, err := in.trust.Sealing()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := retention.VerifyTombstone(message, key); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	in, ring, graves, stop := start()
	first, firstKey := erased(ring, graves), in.trust.SealingKey
	if err := ring.RotateSigner(t.Context(), "sealing"); err != nil { // by whoever may, in Vault
		t.Fatal(err)
	}
	stop()
	in, ring, graves, stop = start()
	second := erased(ring, graves)
	holds(in, "signed after the rotation", second)
	stop()

	change := func(step string) ([]Signing, error) {
		return ChangeSigning(t.Context(), data, o.Passphrase, "sealing", step)
	}
	if _, err := change(SigningUse); err == nil {
		t.Error("a version was used that no device knows")
	}
	if _, err := ChangeSigning(t.Context(), data, o.Passphrase, "other", SigningAdd); err == nil {
		t.Error("another key's version was changed")
	}
	if _, err := ChangeSigning(t.Context(), data, keyring.NewSecret([]byte("a wrong passphrase")), "sealing", SigningAdd); err == nil {
		t.Error("with a wrong passphrase")
	}
	for range 2 { // again changes nothing
		if list, err := change(SigningAdd); err != nil || len(list[0].Versions) != 2 || list[0].Used != firstKey || !slices.Equal(list[0].Known, list[0].Versions[:1]) {
			t.Fatalf("%+v, %v", list, err)
		}
	}
	before, err := os.ReadFile(in.layout.Trust())
	if err != nil {
		t.Fatal(err)
	}
	device, err := trust.Parse(before) // what a device was given
	if err != nil {
		t.Fatal(err)
	}
	list, err := change(SigningUse)
	if err != nil || list[0].Used == firstKey || !slices.Equal(list[0].Known, []string{firstKey}) {
		t.Fatalf("%+v, %v", list, err)
	}
	in, ring, graves, stop = start()
	third := erased(ring, graves)
	stop()
	for what, message := range map[string]string{"the first": first, "the second": second, "the third": third} {
		holds(in, what, message)
		holds(&installation{trust: device}, what+" at a device with the file of before", message)
	}
	newest, err := trust.Key(list[0].Used)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retention.VerifyTombstone(third, newest); err != nil {
		t.Errorf("the new version did not sign: %v", err)
	}
	old, err := trust.Key(firstKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retention.VerifyTombstone(third, old); !errors.Is(err, jws.ErrSignature) {
		t.Errorf("the old version signed: %v", err)
	}
	if _, err := change(SigningUse); err == nil {
		t.Error("used twice")
	}
	// Another ring's key is still another installation's.
	stranger := initOptions(t)
	if err := Init(stranger); err != nil {
		t.Fatal(err)
	}
	other, err := openInstallation(stranger.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	strange, closeRing, err := openRing(context.Background(), other, stranger.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeRing() }()
	if _, err := in.signer(t.Context(), strange, "sealing", in.trust.SealingKey); err == nil {
		t.Error("another ring's key signs here")
	}
}
