package intake_test

import (
	"bytes"
	"crypto/hpke"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/intake"
)

// FuzzTakeIn seals whatever comes as a chunk to who takes in, with a list that its
// sender signed over whatever comes as well: what is taken in was said by that
// sender, in a span that was granted, and becomes a journal.
func FuzzTakeIn(f *testing.F) {
	s := newScene(f)
	said := s.said(0, 0)[0]
	said.Frames = said.Frames[100:130]
	sent := map[string]bool{}
	for _, x := range said.Frames {
		b, err := x.Bytes()
		must(f, err)
		sent[string(b)] = true
	}
	var list sealing.Origin
	must(f, jws.Peek(said.Origins[0], sealing.TypeOrigin, &list))
	lists, err := canon.Marshal(list)
	must(f, err)
	for _, change := range []func(c *backup.Chunk, l *sealing.Origin){
		func(*backup.Chunk, *sealing.Origin) {},
		func(c *backup.Chunk, _ *sealing.Origin) { c.Frames = append(c.Frames, c.Frames...) },
		func(c *backup.Chunk, _ *sealing.Origin) { c.Statement = s.chair.Statement },
		func(_ *backup.Chunk, l *sealing.Origin) { l.First = 1<<53 - 1 },
		func(_ *backup.Chunk, l *sealing.Origin) { l.First, l.KID = -1, -1 },
		func(_ *backup.Chunk, l *sealing.Origin) { l.Hashes = l.Hashes[:21] },
		func(_ *backup.Chunk, l *sealing.Origin) { l.Rid = "a\"b" },
		func(_ *backup.Chunk, l *sealing.Origin) { l.Seq, l.Prev = 9, "x" },
	} {
		c, l := *said, list
		change(&c, &l)
		chunk, err := canon.Marshal(c)
		must(f, err)
		text, err := canon.Marshal(l)
		must(f, err)
		f.Add(chunk, string(text))
	}
	f.Add([]byte("{}"), string(lists))
	g, err := s.evidence().Grant(s.w.Now)
	must(f, err)
	into := s.into(f)
	f.Fuzz(func(t *testing.T, chunk []byte, list string) {
		var c backup.Chunk
		if json.Unmarshal(chunk, &c) == nil && len(c.Origins) > 0 {
			if text, err := jws.Sign(json.RawMessage(list), sealing.TypeOrigin, s.speaker.Signer()); err == nil {
				c.Origins[0] = text
				if again, err := canon.Marshal(c); err == nil {
					chunk = again
				}
			}
		}
		if len(chunk) > backup.MaxChunk {
			return
		}
		sealed, err := hpke.Seal(s.to, hpke.HKDFSHA256(), hpke.AES256GCM(), fmt.Appendf(nil, "kuule-backup|%s|%d", s.w.Hearing, 0), chunk)
		must(t, err)
		file := append(binary.BigEndian.AppendUint32(backup.Magic(), uint32(len(sealed))), sealed...)
		e := intake.Under(g)
		spool := intake.NewSpool(t.TempDir(), intake.DefaultLimits())
		defer func() { must(t, spool.Close()) }()
		kept, err := spool.Keep()
		must(t, err)
		report, err := e.Read(t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }, s.own, s.trust, func(x intake.Frame) error {
			if !sent[string(x.Sealed)] || x.Member != s.speaker.Member() || g.Within(x.Capture) < 0 {
				t.Errorf("taken in: %+v", x)
			}
			return kept.Take(x)
		})
		if err != nil || kept.Len() == 0 {
			return
		}
		taken, _, err := e.Write(t.Context(), into, report, kept)
		if err != nil || taken.Kept != int64(kept.Len()) || len(taken.Recordings) != 1 {
			t.Errorf("%d frames count and are not written: %+v, %v", kept.Len(), taken, err)
		}
		if m := (interview.MemberID{}); taken.Member == m {
			t.Error("taken in by nobody")
		}
	})
}
