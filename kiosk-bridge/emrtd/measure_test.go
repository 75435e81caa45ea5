package emrtd

import (
	"context"
	"crypto"
	"os"
	"slices"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
)

// worldList is the state's authority among all of the German list, where that is
// at hand.
func worldList(b *testing.B, s *emrtdtest.State) *TrustList {
	b.Helper()
	certs, err := ParseCertificates(s.CSCA())
	if err != nil {
		b.Fatal(err)
	}
	if file, err := os.ReadFile("../../../shared/data/DE_ML_2026-05-28.ml"); err == nil {
		m, err := ParseMasterList(file)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range m.Certificates {
			if c.IsCA {
				certs = append(certs, c)
			}
		}
	}
	list, err := NewTrustList(certs...)
	if err != nil {
		b.Fatal(err)
	}
	return list
}

// reportTimes tells how long the middle and the slowest hundredth took.
func reportTimes(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for name, percent := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100].Microseconds())/1000, name)
	}
}

// B2: server time of passive authentication, for the ways of signing that cost
// most: `go test -bench PassiveAuthentication -benchtime 500x`.
func BenchmarkPassiveAuthentication(b *testing.B) {
	for name, how := range map[string]emrtdtest.Signing{
		"P-256":                    {Key: emrtdtest.P256, Hash: crypto.SHA256},
		"P-521 explicit":           {Key: emrtdtest.P521, Hash: crypto.SHA512, Explicit: true},
		"brainpoolP256r1":          {Key: emrtdtest.BrainpoolP256r1, Hash: crypto.SHA256},
		"brainpoolP512r1 explicit": {Key: emrtdtest.BrainpoolP512r1, Hash: crypto.SHA512, Explicit: true},
		"RSA PSS":                  {Key: emrtdtest.RSA, Hash: crypto.SHA256, PSS: true},
	} {
		b.Run(name, func(b *testing.B) {
			s, _ := newState(b, emrtdtest.ECDSA)
			s.SignAs(how)
			list := worldList(b, s)
			p := issueChip(b, s, emrtdtest.Chip{Details: true, Portrait: 3000})
			crl, err := s.CRL()
			if err != nil {
				b.Fatal(err)
			}
			lists, err := ImportRevocationLists(list, crl)
			if err != nil {
				b.Fatal(err)
			}
			zone, err := ParseMRZ(p.Printed)
			if err != nil {
				b.Fatal(err)
			}
			inspector := &Inspector{Trust: list, Revoked: lists}
			fresh := func() *inspection {
				return &inspection{Inspector: inspector, now: time.Now(), optical: zone, password: MRZPassword(zone), doc: &Document{}, trust: list}
			}
			chip, err := fresh().attempt(b.Context(), p.Card(), 0)
			if err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				in := fresh()
				in.judgeFiles(chip)
				took = append(took, time.Since(begin))
				if in.doc.Check(CheckChain).Verdict != interview.Verified || in.doc.Check(CheckDG2).Verdict != interview.Verified {
					b.Fatal(in.doc.Checks)
				}
			}
			reportTimes(b, took)
		})
	}
}

// distant is a chip at the other end of a way that takes its time.
type distant struct {
	Card
	roundTrip time.Duration
	commands  int
}

func (d *distant) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	d.commands++
	select {
	case <-time.After(d.roundTrip):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.Card.Transmit(ctx, apdu)
}

// B10: a whole reading with an 18 kB portrait over a way of 20 ms, in short and
// in extended length: `go test -bench ReadingFromAfar -benchtime 3x`. The chip
// here answers at once; a real one takes its own time for each command.
func BenchmarkReadingFromAfar(b *testing.B) {
	pace := func(curve string, cipher emrtdtest.Cipher, cam bool) []emrtdtest.PACE {
		return []emrtdtest.PACE{{Curve: curve, Cipher: cipher, CAM: cam}}
	}
	for name, chip := range map[string]emrtdtest.Chip{
		"BAC":                           {},
		"PACE P-256 AES-128":            {PACE: pace(emrtdtest.P256, emrtdtest.AES128, false)},
		"PACE brainpoolP512r1 AES-256":  {PACE: pace(emrtdtest.BrainpoolP512r1, emrtdtest.AES256, false)},
		"PACE CAM and everything, 1500": {PACE: pace(emrtdtest.P256, emrtdtest.AES256, true), Agreement: &emrtdtest.Agreement{Curve: emrtdtest.P256, Cipher: emrtdtest.AES256}, Active: emrtdtest.P256, Details: true, LongAnswers: 1500},
	} {
		for length, chunk := range map[string]int{"short": ShortAnswers, "extended": 0} {
			b.Run(name+"/"+length, func(b *testing.B) {
				s, list := newState(b, emrtdtest.ECDSA)
				chip.Portrait = 0
				face := inspect(b, list, issueChip(b, s, chip), 0).Face.Image
				chip.Portrait = max(0, 18_000-len(face))
				p := issueChip(b, s, chip)
				zone, err := ParseMRZ(p.Printed)
				if err != nil {
					b.Fatal(err)
				}
				card := &distant{Card: p.Card(), roundTrip: 20 * time.Millisecond}
				var took []time.Duration
				for b.Loop() {
					p.Card().Reset()
					begin := time.Now()
					doc, err := (&Inspector{Trust: list, Chunk: chunk}).Inspect(b.Context(), card, zone)
					if err != nil || doc.Check(CheckDG2).Verdict != interview.Verified {
						b.Fatal(err, doc)
					}
					took = append(took, time.Since(begin))
				}
				reportTimes(b, took)
				b.ReportMetric(float64(card.commands)/float64(len(took)), "commands/op")
			})
		}
	}
}
