package cli_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/attestation/agent/cli"
	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing/sealingtest"
)

// H5: a terminal deletes the back-ups that a release names, at the sealing key's
// word alone, and no others.
func TestReleaseDeletesWhatItNames(t *testing.T) {
	t.Parallel()
	hearing, sealing := interview.NewHearingID(), sealingtest.NewKey(t)
	key := func(k *ecdsa.PrivateKey) string {
		text, err := trust.EncodeKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	_, root := sealingtest.NewCA(t, "roots", time.Now()).IssueCA(t, "roots", time.Now())
	roots := []string{trust.EncodeCertificate(root)}
	some := key(sealingtest.NewKey(t))
	file := trust.File{
		V: 1, Name: "test", ServerRoots: roots, DeviceRoots: roots, RecorderRoots: roots, StatementKey: some, SealingKey: key(sealing),
		OfficeKey: some, BundleKey: some, BackupKey: some, LogKey: "test+00000000+AA==",
	}
	state := t.TempDir()
	text, err := file.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(state, "trust.json"), text)
	other := interview.NewHearingID()
	kept := func(h interview.HearingID) string { return filepath.Join(state, "backup", h.String()+".1.kb") }
	write(kept(hearing), []byte("kuulebk1"))
	write(kept(other), []byte("kuulebk1"))
	own := interview.NewDeviceID()
	write(filepath.Join(state, "device.json"), enrolled(t, own))
	release := func(key crypto.Signer, device interview.DeviceID) error {
		message, err := jws.Sign(backup.Release{V: 2, Hearing: hearing, Devices: []interview.DeviceID{device}, At: 1}, backup.TypeRelease, key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "release")
		write(path, []byte(message+"\n"))
		return cli.Release{Where: cli.Where{State: state}, File: path}.Run(&bytes.Buffer{})
	}
	if err := release(sealingtest.NewKey(t), own); err == nil {
		t.Fatal("another key released it")
	}
	if err := release(sealing, interview.NewDeviceID()); err == nil {
		t.Fatal("another terminal's release deleted it")
	}
	if _, err := os.Stat(kept(hearing)); err != nil {
		t.Fatalf("deleted without a release: %v", err)
	}
	if err := release(sealing, own); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept(hearing)); !os.IsNotExist(err) {
		t.Fatalf("not deleted: %v", err)
	}
	if _, err := os.Stat(kept(other)); err != nil {
		t.Fatalf("another hearing's went too: %v", err)
	}
}

// enrolled is the state of a device that was enrolled under that id.
func enrolled(t *testing.T, id interview.DeviceID) []byte {
	t.Helper()
	key := sealingtest.NewKey(t)
	identifier, err := wire.PermanentIdentifier(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	names, err := wire.SubjectAltName(identifier, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtraExtensions: []pkix.Extension{names},
		Subject: pkix.Name{CommonName: identifier, Organization: []string{interview.NewAgreementID().String()}, OrganizationalUnit: []string{id.String()}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"v": 1, "server": "https://localhost", "permanent_identifier": identifier, "attestation_key": []byte{1}, "device_key": []byte{1},
		"attestation_chain": [][]byte{der}, "chain": [][]byte{der},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
