package kioskbridge

import (
	"strings"
	"testing"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtd"
)

// D2: the document's holder is the booked person, in whatever spelling and order
// states and offices have written the name; another person is told apart, and
// what nobody can say is left open.
func TestBookedPersonIsKnownInAnySpelling(t *testing.T) {
	t.Parallel()
	born := "1988-03-14"
	for _, c := range []struct {
		booked, born, zone, birth string
		verdict                   interview.Verdict
		reason                    string
	}{
		{"Samir Haddad", born, "HADDAD<<SAMIR", "880314", interview.Verified, reasonOtherOrder},
		{"Haddad Samir", born, "HADDAD<<SAMIR", "880314", interview.Verified, emrtd.ReasonOK},
		{"Mäkinen Tölö", born, "MAEKINEN<<TOELOE", "880314", interview.Verified, emrtd.ReasonOK},
		{"Mäkinen Tölö", born, "MAKINEN<<TOLO", "880314", interview.Verified, reasonOtherSpelling},
		{"Åse Ødegård", born, "OEDEGAARD<<AASE", "880314", interview.Verified, reasonOtherOrder},
		{"O’Brien-Núñez José", born, "O<BRIEN<NUNEZ<<JOSE", "880314", interview.Verified, emrtd.ReasonOK},
		{"Щербакова Юлия", born, "SHCHERBAKOVA<<IULIIA", "880314", interview.Verified, emrtd.ReasonOK},
		{"Щербакова Юлия", born, "SCHERBAKOVA<<YULIYA", "880314", interview.Verified, reasonOtherSpelling},
		{"Olena Shevchenko", born, "SHEVCHENKO<<OLENA<VIKTORIVNA", "880314", interview.Verified, reasonSomeNames},
		{"Мухаммад Рахимов", born, "RAKHIMOV<<MUKHAMMAD", "880314", interview.Verified, reasonOtherOrder},
		{"Mohammed Rahimi", born, "RAHIMI<<MOHAMMAD", "880314", interview.Undetermined, reasonNearlyNames},
		{"Hassan Haddad", born, "HADDAD<<HUSSEIN", "880314", interview.Undetermined, reasonNearlyNames}, // twins
		{"محمد رحیمی", born, "RAHIMI<<MOHAMMAD", "880314", interview.Undetermined, reasonOtherScript},
		{"محمد رحیمی", born, "RAHIMI<<MOHAMMAD", "880315", interview.Failed, reasonOtherBirth},
		{"Samir Haddad", "", "HADDAD<<SAMIR", "880314", interview.Undetermined, reasonNameOnly},
		{"Samir Haddad", "1988", "HADDAD<<SAMIR", "880314", interview.Verified, reasonOtherOrder},
		{"Samir Haddad", "1988-03", "HADDAD<<SAMIR", "88<<<<", interview.Verified, reasonOtherOrder},
		{"Samir Haddad", "1988-01-01", "HADDAD<<SAMIR", "880314", interview.Undetermined, reasonBirthClose},
		{"Samir Haddad", "1988-05-03", "HADDAD<<SAMIR", "880305", interview.Undetermined, reasonBirthClose},
		{"Samir Haddad", "1989-03-14", "HADDAD<<SAMIR", "880314", interview.Failed, reasonOtherBirth},
		{"Samir Haddad", "1988-04", "HADDAD<<SAMIR", "880314", interview.Failed, reasonOtherBirth},
		{"Samir Haddad", born, "HADDAD<<LEILA", "880314", interview.Failed, reasonOtherPerson},
		{"Samir Haddad", born, "VIRTANEN<<MATTI", "880314", interview.Failed, reasonOtherPerson},
		{"", "", "HADDAD<<SAMIR", "880314", interview.Undetermined, reasonRegisterEmpty},
		{"", born, "HADDAD<<SAMIR", "880314", interview.Undetermined, reasonBirthOnly},
		{"Bartholomew Konstantinopoulos-Papadopoulos", born, "KONSTANTINOPOULOS<PAPADOPOULOS<<BARTHOL", "880314", interview.Verified, reasonOtherSpelling}, // cut by the zone's end
	} {
		zone := zoneOf(t, c.zone, c.birth)
		got := Person{Name: c.booked, DateOfBirth: c.born}.compare(zone)
		if got.Verdict != c.verdict || got.Reason != c.reason {
			t.Errorf("%q (%s) and %s (%s): %s, %s; want %s, %s", c.booked, c.born, c.zone, c.birth, got.Verdict, got.Reason, c.verdict, c.reason)
		}
	}
}

func zoneOf(t *testing.T, names, birth string) emrtd.MRZ {
	t.Helper()
	fill := func(s string, n int) string { return (s + strings.Repeat("<", n))[:n] }
	zone, err := emrtd.ParseMRZ(fill("P<UTO"+names, 44) + fill("L898902C36UTO"+birth+"0M3001019", 44))
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// Names come from strangers' documents: comparing them is bounded.
func FuzzAgree(f *testing.F) {
	f.Add("Samir Haddad", "HADDAD<<SAMIR")
	f.Add("Щербакова", "ß̈")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 1000 || len(b) > 1000 {
			return
		}
		x, _ := zoneWords(a)
		y, _ := zoneWords(b)
		agree(x, y, true)
		if len(x) > 0 && len(x) <= maxWords && agree(x, x, false) != agreeWholly {
			t.Errorf("%q is not itself", a)
		}
	})
}
