package attestation

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"kuule/attestation/wire"
	"kuule/interview"
)

// errNoRecord says that the authority never enrolled that device.
var errNoRecord = errors.New("device is not enrolled")

var (
	bucketDevices = []byte("devices") // permanent identifier -> record
	bucketRevoked = []byte("revoked") // device id -> revocation
	bucketMeta    = []byte("meta")
	keyGeneration = []byte("generation")
)

// record is what the authority keeps of one TPM.
type record struct {
	Device       interview.DeviceID     `json:"device"`
	Certificates map[string]certificate `json:"certificates"` // by decimal serial
	Baseline     []wire.PCR             `json:"baseline,omitempty"`
	BaselineAt   time.Time              `json:"baseline_at,omitzero"`
}

// certificate ties a device certificate to the attestation key that attested
// its key.
type certificate struct {
	AttestationKey []byte    `json:"attestation_key"` // SubjectPublicKeyInfo
	NotAfter       time.Time `json:"not_after"`
}

type revocation struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// records is the authority's small store: one bbolt file, every change synced
// before it is acted on. Safe for concurrent use.
type records struct{ db *bolt.DB }

func openRecords(path string) (*records, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open device records %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketDevices, bucketRevoked, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open device records %s: %w", path, err), db.Close())
	}
	return &records{db}, nil
}

func (r *records) close() error { return r.db.Close() }

// get returns the record of a TPM or errNoRecord.
func (r *records) get(identifier string) (rec record, err error) {
	err = r.db.View(func(tx *bolt.Tx) error {
		rec, err = getRecord(tx, identifier)
		return err
	})
	return rec, err
}

// enrol notes a certificate and forgets those of that TPM that have expired.
// A device that moves to another TPM, or a TPM to another device, starts
// without a baseline.
func (r *records) enrol(d wire.Device, attestationKey []byte, now time.Time) error {
	return r.db.Update(func(tx *bolt.Tx) error {
		rec, err := getRecord(tx, d.PermanentIdentifier)
		if errors.Is(err, errNoRecord) || (err == nil && rec.Device != d.DeviceID) {
			rec = record{Device: d.DeviceID, Certificates: map[string]certificate{}}
		} else if err != nil {
			return err
		}
		for serial, c := range rec.Certificates {
			if now.After(c.NotAfter) {
				delete(rec.Certificates, serial)
			}
		}
		rec.Certificates[d.Serial] = certificate{AttestationKey: attestationKey, NotAfter: d.NotAfter}
		return putRecord(tx, d.PermanentIdentifier, rec)
	})
}

// baseline returns the registers that were approved for a TPM. Where none
// were, it keeps first as the baseline and returns that.
func (r *records) baseline(identifier string, first []wire.PCR, now time.Time) (kept []wire.PCR, err error) {
	rec, err := r.get(identifier)
	if err != nil || rec.Baseline != nil {
		return rec.Baseline, err
	}
	err = r.db.Update(func(tx *bolt.Tx) error {
		rec, err := getRecord(tx, identifier)
		if err != nil {
			return err
		}
		if rec.Baseline == nil {
			rec.Baseline, rec.BaselineAt = first, now.UTC()
			if err := putRecord(tx, identifier, rec); err != nil {
				return err
			}
		}
		kept = rec.Baseline
		return nil
	})
	return kept, err
}

// forget removes what matches from every record of the device.
func (r *records) forget(device interview.DeviceID, change func(*record)) error {
	return r.db.Update(func(tx *bolt.Tx) error { return forget(tx, device, change) })
}

func forget(tx *bolt.Tx, device interview.DeviceID, change func(*record)) error {
	found := map[string]record{}
	err := tx.Bucket(bucketDevices).ForEach(func(k, v []byte) error {
		var rec record
		if err := json.Unmarshal(v, &rec); err != nil {
			return fmt.Errorf("device record %s: %w", k, err)
		}
		if rec.Device == device {
			found[string(k)] = rec
		}
		return nil
	})
	if err != nil {
		return err
	}
	for identifier, rec := range found {
		change(&rec)
		if err := putRecord(tx, identifier, rec); err != nil {
			return err
		}
	}
	return nil
}

// revoke withdraws every certificate of a device and bars new ones.
func (r *records) revoke(device interview.DeviceID, v revocation) (generation uint64, err error) {
	err = r.db.Update(func(tx *bolt.Tx) error {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := tx.Bucket(bucketRevoked).Put([]byte(device.String()), text); err != nil {
			return err
		}
		if err := forget(tx, device, func(rec *record) {
			rec.Certificates, rec.Baseline, rec.BaselineAt = map[string]certificate{}, nil, time.Time{}
		}); err != nil {
			return err
		}
		generation, err = nextGeneration(tx)
		return err
	})
	return generation, err
}

// reinstate lets a revoked device enrol again, from the beginning.
func (r *records) reinstate(device interview.DeviceID) (generation uint64, err error) {
	err = r.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketRevoked).Delete([]byte(device.String())); err != nil {
			return err
		}
		generation, err = nextGeneration(tx)
		return err
	})
	return generation, err
}

// revoked returns the device's revocation, if there is one, and the generation
// of the list that was read.
func (r *records) revoked(device interview.DeviceID) (v *revocation, generation uint64, err error) {
	err = r.db.View(func(tx *bolt.Tx) error {
		generation = readGeneration(tx)
		text := tx.Bucket(bucketRevoked).Get([]byte(device.String()))
		if text == nil {
			return nil
		}
		v = &revocation{}
		return json.Unmarshal(text, v)
	})
	return v, generation, err
}

// revokedDevices lists all that are revoked, with the list's generation.
func (r *records) revokedDevices() (devices []interview.DeviceID, generation uint64, err error) {
	err = r.db.View(func(tx *bolt.Tx) error {
		generation = readGeneration(tx)
		return tx.Bucket(bucketRevoked).ForEach(func(k, _ []byte) error {
			d, err := interview.ParseDeviceID(string(k))
			devices = append(devices, d)
			return err
		})
	})
	return devices, generation, err
}

func getRecord(tx *bolt.Tx, identifier string) (rec record, err error) {
	text := tx.Bucket(bucketDevices).Get([]byte(identifier))
	if text == nil {
		return record{}, errNoRecord
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		return record{}, fmt.Errorf("device record %s: %w", identifier, err)
	}
	return rec, nil
}

func putRecord(tx *bolt.Tx, identifier string, rec record) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketDevices).Put([]byte(identifier), text)
}

func readGeneration(tx *bolt.Tx) uint64 {
	b := tx.Bucket(bucketMeta).Get(keyGeneration)
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func nextGeneration(tx *bolt.Tx) (uint64, error) {
	g := readGeneration(tx) + 1
	return g, tx.Bucket(bucketMeta).Put(keyGeneration, binary.BigEndian.AppendUint64(nil, g))
}
