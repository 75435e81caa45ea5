package agreement_test

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/agreement"
)

func document() *agreement.Document {
	room := interview.NewPremisesID()
	return &agreement.Document{
		V: 1, ID: interview.NewAgreementID(), Revision: 1,
		Organisation: agreement.Organisation{Name: "Firm", Number: "1234567-8", Kind: "law-firm"},
		Criteria:     agreement.Criteria{Set: "room", Version: "1", Level: "IV"},
		Premises:     []agreement.Premises{{ID: room, Label: "Room 2", Address: "Street 1", Room: "2"}},
		Devices: []agreement.Device{{
			ID: interview.NewDeviceID(), PermanentIdentifier: "ek-1", Serial: "S1", Model: "M", Label: "Laptop", Owner: "Firm", Premises: []interview.PremisesID{room},
		}},
		Persons:   []agreement.Person{{Subject: "sub-counsel", Role: interview.RoleCounsel}},
		ValidFrom: time.Now().Add(-time.Hour).Unix(), ValidUntil: time.Now().AddDate(1, 0, 0).Unix(),
	}
}

func code(err error) problem.Code {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

func key(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

// C3, C4: only what the security office signed names anything.
func TestOnlyTheOfficesSignatureCounts(t *testing.T) {
	t.Parallel()
	office, private := key(t)
	other, forger := key(t)
	d := document()
	signed, err := agreement.Sign(d, private)
	if err != nil {
		t.Fatal(err)
	}
	got, err := agreement.Verify(signed, office)
	if err != nil || got.Devices[0].PermanentIdentifier != "ek-1" {
		t.Fatalf("read %+v, %v", got, err)
	}
	if _, err := agreement.Verify(signed, other); code(err) != problem.CodeAgreementSignature {
		t.Errorf("under another key: %v", err)
	}
	forged, _ := agreement.Sign(d, forger)
	if _, err := agreement.Verify(forged, office); code(err) != problem.CodeAgreementSignature {
		t.Errorf("signed by somebody else: %v", err)
	}
	wrongType, _ := jws.Sign(d, "kuule-ticket+jws", private)
	if _, err := agreement.Verify(wrongType, office); code(err) != problem.CodeAgreementSignature {
		t.Errorf("another kind of message by the same key: %v", err)
	}
}

func TestADocumentThatIsNotWholeIsNeitherSignedNorRead(t *testing.T) {
	t.Parallel()
	office, private := key(t)
	for name, spoil := range map[string]func(*agreement.Document){
		"version":              func(d *agreement.Document) { d.V = 2 },
		"no id":                func(d *agreement.Document) { d.ID = interview.AgreementID{} },
		"no revision":          func(d *agreement.Document) { d.Revision = 0 },
		"kind of organisation": func(d *agreement.Document) { d.Organisation.Kind = "friend" },
		"criteria":             func(d *agreement.Document) { d.Criteria.Level = "" },
		"ends before it began": func(d *agreement.Document) { d.ValidUntil = d.ValidFrom },
		"holds too long":       func(d *agreement.Document) { d.ValidUntil = d.ValidFrom + 10*366*86400 },
		"device twice":         func(d *agreement.Document) { d.Devices = append(d.Devices, d.Devices[0]) },
		"tpm twice": func(d *agreement.Document) {
			again := d.Devices[0]
			again.ID = interview.NewDeviceID()
			d.Devices = append(d.Devices, again)
		},
		"device without identifier": func(d *agreement.Document) { d.Devices[0].PermanentIdentifier = "" },
		"premises not named":        func(d *agreement.Document) { d.Devices[0].Premises[0] = interview.NewPremisesID() },
		"person without role":       func(d *agreement.Document) { d.Persons[0].Role = "friend" },
	} {
		d := document()
		spoil(d)
		if _, err := agreement.Sign(d, private); code(err) != problem.CodeMalformed {
			t.Errorf("%s: signed: %v", name, err)
		}
		signed, err := jws.Sign(d, agreement.Type, private)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := agreement.Verify(signed, office); code(err) != problem.CodeMalformed {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	office, private := key(f)
	signed, err := agreement.Sign(document(), private)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := agreement.Verify(text, office); err == nil && d.Check() != nil {
			t.Error("read a document that is not whole")
		}
	})
}
