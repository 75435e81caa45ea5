package attestation

import (
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-attestation/attest"

	"kuule/attestation/attestationtest"
	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

func TestPCRPolicyIsChecked(t *testing.T) {
	t.Parallel()
	zero := hex.EncodeToString(make([]byte, 32))
	must(t, DefaultPCRs.check())
	must(t, PCRPolicy{Registers: []int{0, 23}, Allowed: map[int][]string{0: {zero}}}.check())
	for name, p := range map[string]PCRPolicy{
		"descending":        {Registers: []int{7, 0}},
		"twice":             {Registers: []int{7, 7}},
		"negative":          {Registers: []int{-1}},
		"too high":          {Registers: []int{24}},
		"allowed, unquoted": {Registers: []int{0}, Allowed: map[int][]string{1: {zero}}},
		"short value":       {Registers: []int{0}, Allowed: map[int][]string{0: {"00"}}},
		"capitals":          {Registers: []int{0}, Allowed: map[int][]string{0: {"AA" + zero[2:]}}},
	} {
		if err := p.check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// C5: where the policy lists values, only those count, whatever was there at
// enrolment; and a nonce is worth nothing after half a minute.
func TestAllowedValuesAndAge(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	must(t, err)
	c := newChip(t, m)
	recs, err := openRecords(t.TempDir() + "/devices.db")
	must(t, err)
	t.Cleanup(func() { must(t, recs.close()) })
	ak, err := x509.MarshalPKIXPublicKey(c.ak.Public())
	must(t, err)
	d := wire.Device{PermanentIdentifier: c.id, DeviceID: interview.NewDeviceID(), AgreementID: interview.NewAgreementID(), Serial: "1", NotAfter: time.Now().Add(time.Hour)}
	must(t, recs.enrol(d, ak, time.Now()))

	zero, one := hex.EncodeToString(make([]byte, 32)), "01"+hex.EncodeToString(make([]byte, 31))
	for name, tc := range map[string]struct {
		allowed []string
		wait    time.Duration
		want    problem.Code
	}{
		"the value":            {[]string{zero}, 0, ""},
		"one of two":           {[]string{one, zero}, 0, ""},
		"another value":        {[]string{one}, 0, problem.CodePostureDrift},
		"none":                 {[]string{}, 0, problem.CodePostureDrift},
		"after half a minute":  {[]string{zero}, nonceLifetime + time.Second, problem.CodeQuoteRefused},
		"within half a minute": {[]string{zero}, nonceLifetime - time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			p := newPosture(recs, PCRPolicy{Registers: []int{7, 8}, Allowed: map[int][]string{7: tc.allowed}}, func() time.Time { return now })
			ch, err := p.challenge(d)
			must(t, err)
			q, err := c.ak.QuotePCRs(c.tpm, ch.Nonce, attest.HashSHA256, ch.PCRs)
			must(t, err)
			pcrs, err := c.tpm.PCRs(attest.HashSHA256)
			must(t, err)
			answer := wire.NoncedQuote{Nonce: ch.Nonce, Quote: wire.Quote{Quote: q.Quote, Signature: q.Signature, PCRs: []wire.PCR{
				{Index: 7, Digest: pcrs[7].Digest}, {Index: 8, Digest: pcrs[8].Digest},
			}}}
			now = now.Add(tc.wait)
			v, err := p.verify(d, ak, answer)
			must(t, err)
			if v.Code != tc.want || (v.Outcome == interview.Verified) != (tc.want == "") {
				t.Errorf("verdict %+v, want %q", v, tc.want)
			}
		})
	}
}

// The table of open nonces is bounded and mends itself.
func TestNoncesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPosture(nil, DefaultPCRs, func() time.Time { return now })
	for range maxNonces {
		_, err := p.challenge(wire.Device{Serial: "1"})
		must(t, err)
	}
	_, err := p.challenge(wire.Device{Serial: "1"})
	code(t, err, problem.CodeTooFast)
	now = now.Add(nonceLifetime + time.Second)
	_, err = p.challenge(wire.Device{Serial: "1"})
	must(t, err)
}

// A TPM that is named as another device starts without a baseline; expired
// certificates are forgotten.
func TestRecordsOfATPM(t *testing.T) {
	t.Parallel()
	recs, err := openRecords(t.TempDir() + "/devices.db")
	must(t, err)
	t.Cleanup(func() { must(t, recs.close()) })
	now := time.Now()
	d := wire.Device{PermanentIdentifier: "tpm", DeviceID: interview.NewDeviceID(), Serial: "1", NotAfter: now.Add(time.Hour)}
	if _, err := recs.get("tpm"); err != errNoRecord { //nolint:errorlint // exactly that
		t.Errorf("got %v", err)
	}
	must(t, recs.enrol(d, []byte("ak"), now))
	first := []wire.PCR{{Index: 0, Digest: []byte("a")}}
	_, err = recs.baseline("tpm", first, now)
	must(t, err)
	kept, err := recs.baseline("tpm", []wire.PCR{{Index: 0, Digest: []byte("b")}}, now)
	must(t, err)
	if len(kept) != 1 || string(kept[0].Digest) != "a" {
		t.Errorf("baseline %v", kept)
	}
	later := d
	later.Serial, later.NotAfter = "2", now.Add(3*time.Hour)
	must(t, recs.enrol(later, []byte("ak"), now.Add(2*time.Hour)))
	rec, err := recs.get("tpm")
	must(t, err)
	if _, old := rec.Certificates["1"]; old || len(rec.Certificates) != 1 || rec.Baseline == nil {
		t.Errorf("after renewal: %+v", rec)
	}
	later.DeviceID = interview.NewDeviceID()
	must(t, recs.enrol(later, []byte("ak"), now))
	if rec, err = recs.get("tpm"); err != nil || rec.Baseline != nil || rec.Device != later.DeviceID {
		t.Errorf("as another device: %+v, %v", rec, err)
	}
}
