package stage

import (
	"context"
	"fmt"
	"time"

	"kuule/internal/app"
	"kuule/internal/idptest"
	"kuule/interview"
	"kuule/interview/agreement"
)

// People of the demonstration, by the subject of their sign-in. The applicant
// signs in nowhere: the kiosk's ticket is for that.
const (
	SubjectInterviewer = "aino.virtanen"
	SubjectInterpreter = "layla.nasser"
	SubjectCounsel     = "erik.lindqvist"
	SubjectOffice      = "tuula.makinen"
	SubjectOfficer     = "olga.ranta"
	SubjectColleague   = "oiva.salo"

	NameInterviewer = "Aino Virtanen"
	NameInterpreter = "Layla Nasser"
	NameCounsel     = "Erik Lindqvist"
	NameOffice      = "Tuula Mäkinen"
	NameOfficer     = "Olga Ranta"
	NameColleague   = "Oiva Salo"
	NameApplicant   = "Samir Haddad"
	BornApplicant   = "1988-03-14"
	CardApplicant   = "A294711" // number of the document of an applicant
)

// personas are who may sign in, each at the device where it is their turn.
func (s *Stage) personas() []idptest.Persona {
	at := func(device string) string { return s.Device(device).Origin() + "/gw/signin/callback" }
	return []idptest.Persona{
		{Subject: SubjectInterviewer, Name: NameInterviewer, Role: string(interview.RoleInterviewer), Redirect: at(DeviceInterviewer)},
		{Subject: SubjectOffice, Name: NameOffice, Role: string(interview.RoleSecurityOffice), Redirect: at(DeviceInterviewer)},
		{Subject: SubjectInterpreter, Name: NameInterpreter, Role: string(interview.RoleInterpreter), Redirect: at(DeviceApplicant)},
		{Subject: SubjectOfficer, Name: NameOfficer, Role: string(interview.RoleOfficer), Redirect: at(DeviceDesk)},
		{Subject: SubjectColleague, Name: NameColleague, Role: string(interview.RoleOfficer), Redirect: at(DeviceDesk)},
		{Subject: SubjectCounsel, Name: NameCounsel, Role: string(interview.RoleCounsel), Redirect: at(DeviceCounsel)},
	}
}

// party is one organisation with what its agreement names.
type party struct {
	organisation agreement.Organisation
	place        agreement.Premises
	devices      []string
	persons      []agreement.Person
}

func (s *Stage) parties() []party {
	out := []party{
		{
			agreement.Organisation{Name: "Maahanmuuttovirasto", Number: "0000001-1", Kind: "agency"},
			agreement.Premises{Label: "Virasto, huone 412", Address: "Esittelykatu 1, Helsinki", Room: "412"},
			[]string{DeviceInterviewer},
			[]agreement.Person{{Subject: SubjectInterviewer, Role: interview.RoleInterviewer}, {Subject: SubjectOffice, Role: interview.RoleSecurityOffice}, {Subject: SubjectInterpreter, Role: interview.RoleInterpreter}},
		},
		{
			agreement.Organisation{Name: "Joutsenon vastaanottokeskus", Number: "0000002-2", Kind: "reception-centre"},
			agreement.Premises{Label: "Joutsenon vastaanottokeskus, kuulemistila 2", Address: "Esittelytie 2, Lappeenranta", Room: "2"},
			[]string{DeviceApplicant, DeviceKiosk, DeviceDesk},
			[]agreement.Person{{Subject: SubjectOfficer, Role: interview.RoleOfficer}, {Subject: SubjectColleague, Role: interview.RoleOfficer}},
		},
		{
			agreement.Organisation{Name: "Asianajotoimisto Lindqvist", Number: "0000003-3", Kind: "law-firm"},
			agreement.Premises{Label: "Asianajotoimisto Lindqvist, neuvotteluhuone", Address: "Esittelyranta 3, Turku", Room: "neuvotteluhuone"},
			[]string{DeviceCounsel},
			[]agreement.Person{{Subject: SubjectCounsel, Role: interview.RoleCounsel}},
		},
	}
	for _, d := range s.devices {
		if d.Name != DeviceKiosk && d.Name != DeviceApplicant && (d.Kind == "kiosk" || d.Kind == "room-terminal") {
			out[1].devices = append(out[1].devices, d.Name)
		}
	}
	if s.o.Outsiders { // named, so that its maker alone is the reason to refuse it
		out[0].devices = append(out[0].devices, DeviceUnknown)
	}
	return out
}

// Agree enters the agreements, signed by the security office's key.
func (s *Stage) Agree(ctx context.Context) error {
	for _, p := range s.parties() {
		if err := s.agree(ctx, p); err != nil {
			return fmt.Errorf("agreement of %s: %w", p.organisation.Name, err)
		}
	}
	return nil
}

func (s *Stage) agree(ctx context.Context, p party) error {
	criteria := agreement.Criteria{Set: "Katakri", Version: "2020", Level: "TL IV"}
	console := app.Console(s.data())
	prepared, err := console.PrepareAgreement(ctx, app.PrepareAgreement{Organisation: p.organisation, Criteria: criteria})
	if err != nil {
		return err
	}
	p.place.ID = interview.NewPremisesID()
	now := time.Now()
	doc := &agreement.Document{
		V: 1, ID: prepared.Agreement, Revision: 1, Organisation: p.organisation, Criteria: criteria,
		Devices: []agreement.Device{}, Premises: []agreement.Premises{p.place}, Persons: p.persons,
		ValidFrom: now.Add(-time.Minute).Unix(), ValidUntil: now.AddDate(1, 0, 0).Unix(),
	}
	if doc.Persons == nil {
		doc.Persons = []agreement.Person{}
	}
	for _, name := range p.devices {
		d := s.Device(name)
		d.ID, d.Premises = interview.NewDeviceID(), p.place.ID
		if d.Room != nil {
			d.Room.ID = interview.NewPremisesID()
			d.Premises = d.Room.ID
			doc.Premises = append(doc.Premises, *d.Room)
		}
		doc.Devices = append(doc.Devices, agreement.Device{
			ID: d.ID, PermanentIdentifier: d.identifier, Serial: "DEMO-" + d.Name, Model: "swtpm", Label: d.Label, Owner: p.organisation.Name,
			Premises: []interview.PremisesID{d.Premises},
		})
	}
	signed, err := agreement.Sign(doc, s.office)
	if err != nil {
		return err
	}
	_, err = console.ImportAgreement(ctx, signed)
	return err
}
