package journal

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
)

// seedFrames are some that a block can hold.
func seedFrames() []Frame {
	var out []Frame
	m, t := interview.NewMemberID(), interview.NewTrackID()
	for n := range uint64(4) {
		out = append(out, Frame{
			Member: m, Track: t, Source: interview.SourceVideo, Rid: "h", KID: 1024, Counter: n, RTPTime: uint32(n) * 3000, Arrival: interview.Micros(n) * 30_000,
			Key: n == 0, Lost: uint32(n), Sealed: append(sframe.AppendHeader(nil, 1024, n), "sealed"...),
		})
	}
	return out
}

// FuzzSections reads whatever comes as the inside of a block, which no signature and
// no seal stand before here: what reads is written again and reads the same.
func FuzzSections(f *testing.F) {
	frames := seedFrames()
	key, err := NewSenderKeyEntry(7, SenderKey{Key: make([]byte, sealing.SenderKeyBytes)})
	if err != nil {
		f.Fatal(err)
	}
	gap, err := NewEntry(EntryGap, 5, Gap{Cause: CausePaused, From: 1, To: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendFrames(nil, 0, frames, map[slot]placed{}))
	f.Add(appendFrames(appendEntry(nil, key), 9, frames[2:], map[slot]placed{}))
	f.Add(appendEntry(nil, gap))
	f.Add([]byte{recordFrame, 0, 0})
	f.Add([]byte{recordOrigin, 0, 3, 'm', 'e', 'm'})
	f.Add(bytes.Repeat([]byte{recordTrack}, 600))
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := decodeClear(b); err == nil {
			for _, e := range entries {
				if sections[e.Type].sealed {
					t.Errorf("%q stands in clear", e.Type)
				}
				_ = e.check()
			}
			spell(entries, &Opened{Hearing: interview.NewHearingID(), Group: interview.NewGroupID()})
		}
		frames, entries, err := decodeSealed(b, 3)
		if err != nil {
			return
		}
		for _, e := range entries {
			_ = e.check()
		}
		if slices.ContainsFunc(frames, func(x Frame) bool { return len(x.Sealed) == 0 || len(x.Sealed) > MaxFrame || !known(x.Source) }) {
			t.Error("a frame that no writer takes")
		}
		again, _, err := decodeSealed(appendFrames(nil, 3, frames, map[slot]placed{}), 3)
		same := func(a, b Frame) bool {
			return bytes.Equal(a.Sealed, b.Sealed) && a.Member == b.Member && a.Track == b.Track && a.Source == b.Source && a.Rid == b.Rid && a.KID == b.KID && a.Counter == b.Counter &&
				a.RTPTime == b.RTPTime && a.Arrival == b.Arrival && a.Key == b.Key && a.Lost == b.Lost
		}
		if err != nil || !slices.EqualFunc(frames, again, same) {
			t.Errorf("%d frames read another way when they are written again: %v", len(frames), err)
		}
	})
}

// FuzzOriginRecord has whatever comes signed as a list: what a journal keeps of it
// gives its text again, byte for byte.
func FuzzOriginRecord(f *testing.F) {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"kuule-origin+jws"}`))
	o := &Opened{Hearing: interview.NewHearingID(), Group: interview.NewGroupID()}
	l := &List{Member: interview.NewMemberID(), Track: interview.NewTrackID(), KID: 1024, Hashes: make([]byte, 32), Signature: make([]byte, signatureSize)}
	good, _ := l.appendText(nil, nil, o.Hearing.String(), o.Group.String())
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(good), ".")[1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(payload), l.Signature)
	f.Add(strings.Replace(string(payload), `"rid":""`, `"rid":"\u2028"`, 1), l.Signature)
	f.Add(strings.Replace(string(payload), `"seq":0`, `"seq":9007199254740991`, 1), l.Signature)
	f.Add("{}", []byte{})
	f.Fuzz(func(t *testing.T, payload string, signature []byte) {
		text := head + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + base64.RawURLEncoding.EncodeToString(signature)
		record, err := packOrigin([]byte(text), o)
		if err != nil {
			return
		}
		d := &decoder{b: record}
		read := d.list()
		if d.err != nil || len(d.b) != 0 {
			t.Fatalf("a record that does not read: %v", d.err)
		}
		if again, _ := read.appendText(nil, nil, o.Hearing.String(), o.Group.String()); string(again) != text {
			t.Errorf("%q became %q", text, again)
		}
		if hashes, err := OriginHashes(text, o.Hearing, o.Group); err != nil || !bytes.Equal(hashes, read.Hashes) {
			t.Errorf("hashes: %v", err)
		}
	})
}
