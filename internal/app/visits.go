package app

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

// visits is authority's own memory of kiosk visits: which ticket a visit was
// used for first. The door, which signs tickets and says when they were
// redeemed, can so use a genuine visit for one ticket only, and cannot stretch
// its minutes. Every entry is on the disk before it counts. Safe for
// concurrent use.
type visits struct{ db *bolt.DB }

var (
	bucketVisits = []byte("visits") // visit id -> hash of the ticket
	bucketMet    = []byte("met")    // hearing and interviewer admitted to it

	bucketOfficers = []byte("officers") // visit, evidence and officer who stands for it
)

func openVisits(dir string) (*visits, error) {
	path := filepath.Join(dir, "visits.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &visits{db}, nil
}

func (v *visits) close() error { return v.db.Close() }

// held reports whether the visit was used for exactly this ticket before.
func (v *visits) held(id interview.VisitID, signed string) (held bool, err error) {
	err = v.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketVisits)
		held = b != nil && string(b.Get([]byte(id.String()))) == ticket.Hash([]byte(signed))
		return nil
	})
	return held, err
}

// use notes that the visit stands behind this ticket, and refuses with
// CodeTicketUsed where another one was there first.
func (v *visits) use(id interview.VisitID, signed string) error {
	if held, err := v.held(id, signed); held || err != nil {
		return err
	}
	return v.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketVisits)
		if err != nil {
			return err
		}
		key, mine := []byte(id.String()), ticket.Hash([]byte(signed))
		if first := b.Get(key); first != nil && string(first) != mine {
			return problem.New(problem.CodeTicketUsed, "visit %s was used for another ticket", id)
		}
		return b.Put(key, []byte(mine))
	})
}

// meet notes that an interviewer was admitted to a hearing: it is the one whose
// recording that interviewer may open alone.
func (v *visits) meet(h interview.HearingID, who string) error {
	if met, err := v.met(h, who); met || err != nil {
		return err
	}
	return v.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketMet)
		if err != nil {
			return err
		}
		return b.Put([]byte(h.String()+"|"+who), []byte{1})
	})
}

// stand notes that an officer stands for evidence of a visit.
func (v *visits) stand(id interview.VisitID, evidenceSHA256, who string) error {
	return v.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketOfficers)
		if err != nil {
			return err
		}
		return b.Put([]byte(id.String()+"|"+evidenceSHA256+"|"+who), []byte{1})
	})
}

// officers counts the different officers who stand for evidence of a visit.
func (v *visits) officers(id interview.VisitID, evidenceSHA256 string) (n int, err error) {
	prefix := []byte(id.String() + "|" + evidenceSHA256 + "|")
	err = v.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketOfficers)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			n++
		}
		return nil
	})
	return n, err
}

// met reports whether the interviewer was admitted to the hearing.
func (v *visits) met(h interview.HearingID, who string) (met bool, err error) {
	err = v.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMet)
		met = b != nil && b.Get([]byte(h.String()+"|"+who)) != nil
		return nil
	})
	return met, err
}
