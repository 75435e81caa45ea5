package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"kuule/interview"
	"kuule/interview/agreement"
)

// The form of an agreement is not signed as it is printed; filled in, it is.
func TestAgreementsFormIsToBeFilledIn(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (newCommand{ID: interview.NewAgreementID(), Devices: 2, Premises: 1, Years: 1}).Run(&out); err != nil {
		t.Fatal(err)
	}
	var d agreement.Document
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if _, err := agreement.Sign(&d, key); err == nil {
		t.Error("an empty form was signed")
	}
	d.Organisation = agreement.Organisation{Name: "Centre", Number: "1", Kind: "reception-centre"}
	d.Criteria = agreement.Criteria{Set: "Katakri", Version: "2020", Level: "TL IV"}
	d.Premises[0].Label, d.Premises[0].Address, d.Premises[0].Room = "Centre, room 2", "Street 2", "2"
	for i := range d.Devices {
		v := &d.Devices[i]
		v.PermanentIdentifier, v.Serial, v.Model, v.Label, v.Owner = string(rune('a'+i)), "1", "M", "Hall", "Centre"
	}
	d.Persons[0] = agreement.Person{Subject: "olga", Role: interview.RoleOfficer}
	if _, err := agreement.Sign(&d, key); err != nil {
		t.Error(err)
	}
}
