package agreement

import (
	"crypto"
	"slices"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
)

// Type is the JWS type of a signed agreement.
const Type = "kuule-agreement+jws"

// Bounds of an agreement.
const (
	MaxNamed    = 500                      // devices, premises or persons
	MaxText     = 200                      // bytes of any text in it
	MaxValidity = 5 * 366 * 24 * time.Hour // five years
)

// Document is what the security office signs.
type Document struct {
	V            int                   `json:"v"` // 1
	ID           interview.AgreementID `json:"agreement"`
	Revision     int64                 `json:"revision"` // from 1; a later one replaces it
	Organisation Organisation          `json:"organisation"`
	Criteria     Criteria              `json:"criteria"`
	Devices      []Device              `json:"devices"`
	Premises     []Premises            `json:"premises"`
	Persons      []Person              `json:"persons"`
	ValidFrom    int64                 `json:"valid_from"`  // Unix seconds
	ValidUntil   int64                 `json:"valid_until"` // Unix seconds, exclusive
}

// Organisation is the party of the agreement.
type Organisation struct {
	Name   string `json:"name"`
	Number string `json:"number"` // business id
	Kind   string `json:"kind"`   // one of Kinds
}

// Kinds of organisation. The agency's own rooms and the centres' terminals are
// in the same register as everybody else (C11).
var Kinds = []string{"agency", "reception-centre", "law-firm", "interpreting"}

// Criteria names what the organisation was assessed by: data, so that another
// set or version needs no other code.
type Criteria struct {
	Set     string `json:"set"`
	Version string `json:"version"`
	Level   string `json:"level"`
}

// Device is one device, named individually (C3).
type Device struct {
	ID                  interview.DeviceID     `json:"device"`
	PermanentIdentifier string                 `json:"permanent_identifier"` // of the TPM's endorsement key
	Serial              string                 `json:"serial"`
	Model               string                 `json:"model"`
	Label               string                 `json:"label"` // as people call it
	Owner               string                 `json:"owner"`
	Premises            []interview.PremisesID `json:"premises"` // where it may be used
}

// Premises is one room, named individually (C4).
type Premises struct {
	ID      interview.PremisesID `json:"premises"`
	Label   string               `json:"label"`
	Address string               `json:"address"`
	Room    string               `json:"room"`
}

// Person is one person of the organisation who may take part (C6), by the
// subject of the sign-in: names stay with the identity provider.
type Person struct {
	Subject string         `json:"subject"`
	Role    interview.Role `json:"role"`
}

// Sign signs a document that Check accepts, with the security office's key.
func Sign(d *Document, office crypto.Signer) (string, error) {
	if err := d.Check(); err != nil {
		return "", err
	}
	return jws.Sign(d, Type, office)
}

// Verify reads a signed agreement under the office's pinned key. Problems:
// CodeAgreementSignature, CodeMalformed.
func Verify(signed string, office crypto.PublicKey) (*Document, error) {
	var d Document
	if err := jws.Verify(signed, Type, office, &d); err != nil {
		return nil, problem.Refused(problem.CodeAgreementSignature, "agreement-signed-by-office", "agreement: %w", err)
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	return &d, nil
}

// Check decides whether the document is whole: bounded, every name once, every
// device at premises that it names too.
func (d *Document) Check() error {
	refuse := func(what string) error {
		return problem.New(problem.CodeMalformed, "agreement %s: %s", d.ID, what)
	}
	switch {
	case d.V != 1:
		return refuse("version is not known")
	case d.ID.IsZero() || d.Revision < 1:
		return refuse("names no id or revision")
	case !filled(d.Organisation.Name, d.Organisation.Number) || !slices.Contains(Kinds, d.Organisation.Kind):
		return refuse("organisation needs name, number and kind")
	case !filled(d.Criteria.Set, d.Criteria.Version, d.Criteria.Level):
		return refuse("criteria need set, version and level")
	case d.ValidFrom >= d.ValidUntil || d.ValidUntil-d.ValidFrom > int64(MaxValidity/time.Second):
		return refuse("holds for no time, or for more than five years")
	case len(d.Devices) > MaxNamed || len(d.Premises) > MaxNamed || len(d.Persons) > MaxNamed:
		return refuse("names more than 500 of a kind")
	}
	once := map[string]bool{}
	twice := func(kind, name string) bool {
		seen := once[kind+"|"+name]
		once[kind+"|"+name] = true
		return seen
	}
	for _, p := range d.Premises {
		if p.ID.IsZero() || !filled(p.Label, p.Address, p.Room) || twice("premises", p.ID.String()) {
			return refuse("every premises is named once, with label, address and room")
		}
	}
	for _, v := range d.Devices {
		if v.ID.IsZero() || !filled(v.PermanentIdentifier, v.Serial, v.Model, v.Label, v.Owner) ||
			twice("device", v.ID.String()) || twice("tpm", v.PermanentIdentifier) {
			return refuse("every device is named once, with permanent identifier, serial, model, label and owner")
		}
		for _, p := range v.Premises {
			if !once["premises|"+p.String()] {
				return refuse("a device is placed at premises that are not named")
			}
		}
	}
	for _, p := range d.Persons {
		if !filled(p.Subject) || !p.Role.Valid() || twice("person", p.Subject+"|"+string(p.Role)) {
			return refuse("every person is named once per role")
		}
	}
	return nil
}

func filled(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return s == "" || len(s) > MaxText })
}

// Valid reports whether at lies in the agreement's time.
func (d *Document) Valid(at time.Time) bool {
	return at.Unix() >= d.ValidFrom && at.Unix() < d.ValidUntil
}

// Until is when the agreement ends by itself.
func (d *Document) Until() time.Time { return time.Unix(d.ValidUntil, 0).UTC() }

// Device returns what the agreement says of a device.
func (d *Document) Device(id interview.DeviceID) (Device, bool) {
	i := slices.IndexFunc(d.Devices, func(v Device) bool { return v.ID == id })
	if i < 0 {
		return Device{}, false
	}
	return d.Devices[i], true
}

// Place returns what the agreement says of premises.
func (d *Document) Place(id interview.PremisesID) (Premises, bool) {
	i := slices.IndexFunc(d.Premises, func(p Premises) bool { return p.ID == id })
	if i < 0 {
		return Premises{}, false
	}
	return d.Premises[i], true
}

// Names reports whether the agreement names the person in the role.
func (d *Document) Names(subject string, role interview.Role) bool {
	return subject != "" && slices.Contains(d.Persons, Person{subject, role})
}
