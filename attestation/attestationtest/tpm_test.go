package attestationtest_test

import (
	"crypto/sha256"
	"io"
	"testing"

	"github.com/google/go-attestation/attest"

	"kuule/attestation/attestationtest"
)

type channel struct{ io.ReadWriter }

func (channel) Close() error                    { return nil }
func (channel) MeasurementLog() ([]byte, error) { return nil, nil }

func TestTPMKeepsItsEndorsementAcrossRestarts(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var serials []string
	for range 2 {
		tpm, err := m.TPM(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := tpm.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tpm.Extend(7, sha256.Sum256([]byte("x"))); err != nil {
			t.Error(err)
		}
		err = tpm.Do(func(rw io.ReadWriter) error {
			a, err := attest.OpenTPM(&attest.OpenConfig{CommandChannel: channel{rw}})
			if err != nil {
				return err
			}
			eks, err := a.EKs()
			if err != nil {
				return err
			}
			serials = append(serials, eks[0].Certificate.SerialNumber.String())
			return eks[0].Certificate.CheckSignatureFrom(m.Intermediates()[0])
		})
		if err != nil {
			t.Error(err)
		}
		if err := tpm.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(serials) != 2 || serials[0] != serials[1] {
		t.Errorf("endorsement certificates %v, want the same twice", serials)
	}
}
