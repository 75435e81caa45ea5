package backup_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

// FuzzChunk seals whatever comes with a real key, so that what is tried is the
// reading of a chunk's content and not its seal: what passes holds its bounds, and
// written again it is the same.
func FuzzChunk(f *testing.F) {
	must := func(err error) {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
	}
	own, err := hpke.DHKEM(ecdh.P256()).GenerateKey()
	must(err)
	to := own.PublicKey()
	i := sealingtest.New(f, time.Now())
	chair, terminal, recorder := i.Page(f, interview.RoleInterviewer), i.Page(f, interview.RoleApplicant), i.Recorder(f)
	file := &trust.File{V: 1}
	file.StatementKey, err = trust.EncodeKey(i.Statement.Public())
	must(err)
	group, track := interview.NewGroupID(), interview.NewTrackID()
	r := sealing.Roster{V: 1, Hearing: i.Hearing, Group: group, Epoch: 1, Chair: chair.ID(), Reason: "join"}
	for _, m := range []*sealingtest.Joined{chair, terminal, recorder} {
		r.Members = append(r.Members, sealing.RosterMember{Member: m.ID(), Admission: jws.Hash(m.Admission)})
	}
	roster, err := jws.Sign(r, sealing.TypeRoster, chair.Identity.Signer())
	must(err)
	g := backup.NewGatherer(to, i.Hearing, func() string { return terminal.Statement })
	g.Recorder(recorder.ID(), recorder.Admission)
	g.Roster(r, roster)
	g.Beat()
	raw, kid := make([]byte, sealing.SenderKeyBytes), sealing.KID(1, 1, 0)
	g.Key(sealing.Wrap{Group: group, Epoch: 1, Sender: terminal.ID(), Track: track, Source: interview.SourceAudio, KID: kid}, raw)
	sealer, err := sframe.NewSealer(raw, uint64(kid))
	must(err)
	plain, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: interview.SourceAudio, Capture: 7})
	must(err)
	frame, _, err := sealer.Seal(nil, sealing.FrameMetadata(track), plain)
	must(err)
	g.Frame(track, 7, frame)
	whole := g.Take()[0]
	must(whole.Check(file))
	for _, change := range []func(c *backup.Chunk){
		func(*backup.Chunk) {},
		func(c *backup.Chunk) { c.Keys, c.Frames = []backup.Key{}, []backup.Frame{} },
		func(c *backup.Chunk) { c.Epoch = 2 },
		func(c *backup.Chunk) { c.Frames = append(c.Frames, backup.Frame{Sealed: "A"}) },
		func(c *backup.Chunk) { c.Keys = append(c.Keys, backup.Key{KID: -1, Source: "audio", Sealed: "AA"}) },
		func(c *backup.Chunk) { c.Origins = []string{"e30.e30.AA"} },
		func(c *backup.Chunk) { c.Recorder = chair.Admission },
		func(c *backup.Chunk) { c.Statement, c.Roster, c.Recorder = "", "", "" },
	} {
		c := *whole
		change(&c)
		text, err := canon.Marshal(c)
		must(err)
		f.Add(text)
	}
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > backup.MaxChunk {
			return
		}
		sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), fmt.Appendf(nil, "kuule-backup|%s|%d", i.Hearing, 0), text)
		if err != nil {
			t.Fatal(err)
		}
		in := append(binary.BigEndian.AppendUint32(backup.Magic(), uint32(len(sealed))), sealed...)
		read := 0
		err = backup.Read(bytes.NewReader(in), i.Hearing, own, func(c *backup.Chunk) error {
			read++
			if again, err := canon.Marshal(c); err != nil || c.Hearing != i.Hearing {
				t.Errorf("read what cannot be written: %v, %s", err, again)
			}
			if err := c.Check(file); err != nil {
				if !errors.Is(err, backup.ErrChunk) && !errors.Is(err, backup.ErrNotOnRecord) {
					t.Errorf("refused without a word: %v", err)
				}
				return nil
			}
			if len(c.Frames) > backup.MaxFrames || len(c.Keys) > backup.MaxKeys || len(c.Origins) > backup.MaxLists {
				t.Error("more than a chunk may hold")
			}
			for _, k := range c.Keys {
				if epoch, place, _ := sealing.PlaceOf(k.KID); c.Roster == roster && (epoch != c.Epoch || place >= len(r.Members) || r.Members[place].Member != c.Member) {
					t.Errorf("another's key passes: %d", k.KID)
				}
				if b, err := c.OpenKey(own, k); err == nil && len(b) != sealing.SenderKeyBytes {
					t.Errorf("a key of %d bytes", len(b))
				}
			}
			for _, x := range c.Frames {
				if _, err := x.Bytes(); err != nil {
					t.Errorf("a frame passes that does not read: %v", err)
				}
			}
			return c.Address(own, to)
		})
		if err == nil && read != 1 {
			t.Errorf("%d chunks, and no error", read)
		}
	})
}

// FuzzVerifyGrant signs whatever comes as authority would, so that what is tried is
// what a grant may say: its spans are in order, apart and bounded.
func FuzzVerifyGrant(f *testing.F) {
	key := sealingtest.NewKey(f)
	name := jws.Hash("x")
	good := backup.Grant{
		V: 1, Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Bundle: name,
		Spans: []backup.Span{{From: 5, To: 9}, {From: 9, To: 12}}, Rosters: []string{name}, Statements: []string{name}, At: 1,
	}
	for _, change := range []func(g *backup.Grant){
		func(*backup.Grant) {}, func(g *backup.Grant) { g.Spans[1].From = 8 }, func(g *backup.Grant) { g.Spans[0].To = 5 },
		func(g *backup.Grant) { g.Rosters[0] = "../x" }, func(g *backup.Grant) { g.V = 2 }, func(g *backup.Grant) { g.Spans = nil },
	} {
		g := good
		g.Spans, g.Rosters = append([]backup.Span{}, good.Spans...), append([]string{}, good.Rosters...)
		change(&g)
		text, err := canon.Marshal(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := backup.VerifyGrant(text, key.Public()); err == nil {
			t.Error("taken without a signature")
		}
		message, err := jws.Sign(json.RawMessage(text), backup.TypeGrant, key)
		if err != nil {
			return
		}
		g, err := backup.VerifyGrant(message, key.Public())
		if err != nil {
			return
		}
		for i, s := range g.Spans {
			if s.From >= s.To || i > 0 && s.From < g.Spans[i-1].To || g.Within(s.From) != i || g.Within(s.To-1) != i {
				t.Errorf("spans %v", g.Spans)
			}
		}
		if len(g.Spans) > backup.MaxSpans || g.Case.IsZero() || g.Hearing.IsZero() {
			t.Errorf("%+v", g)
		}
	})
}

// FuzzVerifyRelease does the same with what ends the keeping of a back-up:
// authority's release and the office's word that something is lost.
func FuzzVerifyRelease(f *testing.F) {
	key, now := sealingtest.NewKey(f), time.Now()
	for _, x := range []any{
		backup.Release{V: 2, Hearing: interview.NewHearingID(), Devices: []interview.DeviceID{interview.NewDeviceID()}, At: 1},
		backup.Release{V: 1, Hearing: interview.NewHearingID()},
		backup.Loss{V: 1, Hearing: interview.NewHearingID(), Devices: []interview.DeviceID{interview.NewDeviceID()}, Recorders: []interview.MemberID{}, Reason: "stolen", At: 1},
		backup.Loss{V: 1, Hearing: interview.NewHearingID(), Recorders: []interview.MemberID{interview.NewMemberID()}, Reason: " ", At: 1 << 40},
	} {
		text, err := canon.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if message, err := jws.Sign(json.RawMessage(text), backup.TypeRelease, key); err == nil {
			if r, err := backup.VerifyRelease(message, key.Public()); err == nil && (r.Hearing.IsZero() || r.Names(interview.DeviceID{})) {
				t.Errorf("%+v", r)
			}
		}
		if message, err := jws.Sign(json.RawMessage(text), backup.TypeLoss, key); err == nil {
			l, err := backup.VerifyLoss(message, key.Public(), now)
			if err == nil && (l.Check() != nil || time.Unix(l.At, 0).After(now.Add(sealing.Skew))) {
				t.Errorf("%+v", l)
			}
		}
	})
}
