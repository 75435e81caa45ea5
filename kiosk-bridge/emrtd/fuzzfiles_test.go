package emrtd

import (
	"bytes"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"kuule/kiosk-bridge/emrtdtest"
)

// allocated is how many bytes this process has asked for so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// bounded fails a test that took more memory, from here until what it returns is
// called, than its input can justify: a small file must not unfold.
func bounded(t *testing.T, input []byte) func() {
	t.Helper()
	before := allocated()
	return func() {
		t.Helper()
		if most, took := uint64(16<<20+512*len(input)), allocated()-before; took > most {
			t.Errorf("%d bytes of input took %d bytes of memory", len(input), took)
		}
	}
}

func FuzzBER(f *testing.F) {
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(issue(f, s, emrtdtest.Genuine).SOD[4:])
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0x01, 0x04, 0x01, 0x02, 0, 0, 0, 0})
	f.Add(append(bytes.Repeat([]byte{0x30, 0x80}, berDepth+2), make([]byte, 2*(berDepth+2))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		out, err := derFromBER(b)
		if err != nil {
			return
		}
		again, err := derFromBER(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("what was rewritten is not definite: %v", err)
		}
	})
}

// The biometric headers of DG2: template, face record, face, image.
func FuzzPortrait(f *testing.F) {
	files := seedFiles(f)
	f.Add(files[2])
	small := slices.Clone(files[2][:160])
	f.Add(small)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		for _, parse := range []func([]byte) (Face, error){ParseDG2, parseFaceRecord} {
			face, err := parse(b)
			if err == nil && (len(face.Image) < 4 || len(face.Image) > len(b) || face.Format == "") {
				t.Errorf("a portrait of %d bytes in a file of %d", len(face.Image), len(b))
			}
		}
	})
}

func FuzzMasterList(f *testing.F) {
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	list, err := s.MasterList(s.CSCA())
	if err != nil {
		f.Fatal(err)
	}
	if m, err := ParseMasterList(list); err != nil || len(m.Certificates) != 1 {
		f.Fatalf("the seed is no list: %v", err)
	}
	f.Add(list)
	f.Add(s.CSCA())
	f.Add(s.CSCAPEM())
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		// Who signed is judged by Pinned; what was signed is judged here.
		if m, err := ParseMasterList(b); err == nil && len(m.Certificates)+len(m.Rejected) != 1 {
			t.Error("a list that its signer did not sign")
		}
		_, _ = ParseCertificates(b)
		_, _ = ImportTrustList(b, "")
	})
}

// Everything that a chip may answer under protection, with each cipher.
func FuzzProtectedAnswer(f *testing.F) {
	f.Add([]byte{0x99, 2, 0x90, 0, 0x8E, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0})
	f.Add(append([]byte{0x87, 0x11, 1}, make([]byte, 40)...))
	f.Add([]byte{0x61, 0x10})
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		for _, a := range []algorithm{algTDES, algAES128, algAES192, algAES256} {
			keys, err := a.keys([]byte("a shared secret of this session!"))
			if err != nil {
				t.Fatal(err)
			}
			s := &secureChannel{card: &recorded{answers: [][]byte{b, b, b}}}
			s.rekey(keys)
			if r, err := s.send(t.Context(), Command{INS: 0xB0, Le: 8}); err == nil {
				t.Errorf("an answer without knowledge of the key was taken: %X", r.Data)
			}
		}
	})
}
