package wire

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/interview"
)

// IdentifierPrefix begins every permanent identifier; the base64 of a SHA-256
// over the endorsement key's public part follows.
const IdentifierPrefix = "urn:ek:sha256:"

var (
	// OIDEndorsementKey is tcg-kp-EKCertificate, the purpose that an endorsement
	// key's certificate must state.
	OIDEndorsementKey = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	// OIDAttestationKey is tcg-kp-AIKCertificate, the same for attestation keys.
	OIDAttestationKey = asn1.ObjectIdentifier{2, 23, 133, 8, 3}

	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}
	oidManufacturer        = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidModel               = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidVersion             = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

var (
	// ErrNotDevice says that a certificate does not name a device as ours do.
	ErrNotDevice = errors.New("certificate names no device")
	// ErrName says that a subject alternative name cannot be read.
	ErrName = errors.New("malformed subject alternative name")
)

// PermanentIdentifier names the TPM that holds the endorsement key ek.
func PermanentIdentifier(ek crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(ek)
	if err != nil {
		return "", fmt.Errorf("permanent identifier: %w", err)
	}
	sum := sha256.Sum256(der)
	return IdentifierPrefix + base64.StdEncoding.EncodeToString(sum[:]), nil
}

// ValidIdentifier reports whether s is a permanent identifier of our form.
func ValidIdentifier(s string) bool {
	rest, ok := strings.CutPrefix(s, IdentifierPrefix)
	if !ok {
		return false
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(rest)
	return err == nil && len(sum) == sha256.Size
}

// Hardware is what an endorsement key's certificate says of its TPM
// (TCG EK Credential Profile 2.5, section 3.1.2).
type Hardware struct {
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Version      string `json:"version"`
}

type otherName struct {
	TypeID asn1.ObjectIdentifier
	Value  asn1.RawValue `asn1:"explicit,tag:0"`
}

// permanentName is RFC 4043 section 2, https://www.rfc-editor.org/rfc/rfc4043.
type permanentName struct {
	Value    string                `asn1:"optional,utf8"`
	Assigner asn1.ObjectIdentifier `asn1:"optional"`
}

// SubjectAltName makes the extension that names a device, and its hardware
// where hw is given. It is critical exactly when the subject is empty
// (RFC 5280 section 4.2.1.6).
func SubjectAltName(identifier string, hw *Hardware, critical bool) (pkix.Extension, error) {
	name, err := asn1.Marshal(permanentName{Value: identifier})
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("subject alternative name: %w", err)
	}
	other, err := asn1.MarshalWithParams(otherName{
		TypeID: oidPermanentIdentifier,
		Value:  asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: name},
	}, "tag:0")
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("subject alternative name: %w", err)
	}
	names := []asn1.RawValue{{FullBytes: other}}
	if hw != nil {
		rdn, err := asn1.Marshal(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: oidManufacturer, Value: hw.Manufacturer},
			{Type: oidModel, Value: hw.Model},
			{Type: oidVersion, Value: hw.Version},
		}}.ToRDNSequence())
		if err != nil {
			return pkix.Extension{}, fmt.Errorf("subject alternative name: %w", err)
		}
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: rdn})
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("subject alternative name: %w", err)
	}
	return pkix.Extension{Id: oidSubjectAltName, Critical: critical, Value: value}, nil
}

// Names reads the permanent identifiers and the hardware that a certificate's
// subject alternative name holds. Both may be absent: the caller decides.
func Names(c *x509.Certificate) (identifiers []string, hw Hardware, err error) {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) })
	if i < 0 {
		return nil, Hardware{}, nil
	}
	return parseNames(c.Extensions[i].Value)
}

func parseNames(der []byte) (identifiers []string, hw Hardware, err error) {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) != 0 {
		return nil, Hardware{}, ErrName
	}
	for _, n := range names {
		if n.Class != asn1.ClassContextSpecific {
			continue
		}
		switch n.Tag {
		case 0:
			id, err := parseOtherName(n.FullBytes)
			if err != nil {
				return nil, Hardware{}, err
			}
			if id != "" {
				identifiers = append(identifiers, id)
			}
		case 4:
			if err := hw.read(n.Bytes); err != nil {
				return nil, Hardware{}, err
			}
		}
	}
	return identifiers, hw, nil
}

// parseOtherName returns the permanent identifier, or nothing for a name of
// another kind.
func parseOtherName(der []byte) (string, error) {
	var other otherName
	if rest, err := asn1.UnmarshalWithParams(der, &other, "tag:0"); err != nil || len(rest) != 0 {
		return "", ErrName
	}
	if !other.TypeID.Equal(oidPermanentIdentifier) {
		return "", nil
	}
	var name permanentName
	if rest, err := asn1.Unmarshal(other.Value.Bytes, &name); err != nil || len(rest) != 0 {
		return "", ErrName
	}
	return name.Value, nil
}

func (hw *Hardware) read(der []byte) error {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) != 0 {
		return ErrName
	}
	for _, set := range seq {
		for _, a := range set {
			text, _ := a.Value.(string)
			switch {
			case a.Type.Equal(oidManufacturer):
				hw.Manufacturer = text
			case a.Type.Equal(oidModel):
				hw.Model = text
			case a.Type.Equal(oidVersion):
				hw.Version = text
			}
		}
	}
	return nil
}

// Complete reports whether all three attributes are stated.
func (hw Hardware) Complete() bool {
	return hw.Manufacturer != "" && hw.Model != "" && hw.Version != ""
}

// IgnoreUnhandledName clears the one critical extension that crypto/x509 does
// not understand in certificates of endorsement and attestation keys, their
// subject alternative name, so that the chain can be verified. Any other
// unhandled critical extension stays and fails the verification.
func IgnoreUnhandledName(c *x509.Certificate) {
	c.UnhandledCriticalExtensions = slices.DeleteFunc(c.UnhandledCriticalExtensions,
		func(o asn1.ObjectIdentifier) bool { return o.Equal(oidSubjectAltName) })
}

// Device is what a device certificate says. Subject: CN is the permanent
// identifier, O the agreement, OU the device's id.
type Device struct {
	PermanentIdentifier string                `json:"permanent_identifier"`
	DeviceID            interview.DeviceID    `json:"device_id"`
	AgreementID         interview.AgreementID `json:"agreement_id"`
	Serial              string                `json:"serial"` // decimal
	NotBefore           time.Time             `json:"not_before"`
	NotAfter            time.Time             `json:"not_after"`
}

// ReadDevice reads what a device certificate names. It does not verify the
// certificate: that is the caller's first step.
func ReadDevice(c *x509.Certificate) (Device, error) {
	ids, _, err := Names(c)
	if err != nil {
		return Device{}, fmt.Errorf("%w: %w", ErrNotDevice, err)
	}
	s := c.Subject
	if len(ids) != 1 || ids[0] != s.CommonName || !ValidIdentifier(s.CommonName) ||
		len(s.Organization) != 1 || len(s.OrganizationalUnit) != 1 {
		return Device{}, ErrNotDevice
	}
	device, err := interview.ParseDeviceID(s.OrganizationalUnit[0])
	if err != nil {
		return Device{}, fmt.Errorf("%w: %w", ErrNotDevice, err)
	}
	agreement, err := interview.ParseAgreementID(s.Organization[0])
	if err != nil {
		return Device{}, fmt.Errorf("%w: %w", ErrNotDevice, err)
	}
	return Device{
		PermanentIdentifier: s.CommonName,
		DeviceID:            device,
		AgreementID:         agreement,
		Serial:              c.SerialNumber.String(),
		NotBefore:           c.NotBefore.UTC(),
		NotAfter:            c.NotAfter.UTC(),
	}, nil
}
