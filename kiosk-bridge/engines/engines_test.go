package engines_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func image(n uint64, v facetest.View) kioskbridge.Image {
	return kioskbridge.Image{Kind: "face", Format: "image/jpeg", Bytes: facetest.New(n).JPEG(v)}
}

// B3: the reference engine is advice: score, threshold and engine are kept, and
// the verdict is undetermined for the same person and for another.
func TestTheReferenceEngineIsAdvice(t *testing.T) {
	t.Parallel()
	f := engines.Face{Engine: facetest.Engine(t)}
	chip := image(1, facetest.View{})
	two := kioskbridge.Image{Kind: "face", Format: "image/jpeg", Bytes: facetest.Encode(facetest.Draw(facetest.View{Width: 800, Height: 480}, facetest.New(1), facetest.New(2)), 0)}
	empty := kioskbridge.Image{Kind: "face", Format: "image/jpeg", Bytes: facetest.Encode(facetest.Draw(facetest.View{}), 0)}
	for name, c := range map[string]struct {
		live   []kioskbridge.Image
		chip   kioskbridge.Image
		reason string
	}{
		"the same person":         {[]kioskbridge.Image{image(1, facetest.View{Width: 480, Height: 480, Yaw: 0.1, Noise: 3})}, chip, face.ReasonNear},
		"two persons":             {[]kioskbridge.Image{two}, chip, face.ReasonSeveralFaces},
		"nobody":                  {[]kioskbridge.Image{empty}, chip, face.ReasonNoFace},
		"a portrait of nobody":    {[]kioskbridge.Image{chip}, empty, face.ReasonReferenceUnusable},
		"a picture that is empty": {[]kioskbridge.Image{{Format: "image/jpeg"}}, chip, face.ReasonTooLarge},
		"no picture at all":       {nil, chip, face.ReasonTooLarge},
	} {
		got, err := f.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFace, Live: c.live, Reference: c.chip})
		if err != nil || got.Verdict != interview.Undetermined || !got.Unmeasured || got.Reason != c.reason || got.Threshold != face.Reference.ID || got.Engine == "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := f.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFingers}); err == nil {
		t.Error("a face engine compared fingers")
	}
}

// A maker's part asserts; one whose errors nobody measured is advice.
func TestAMakersPartAsserts(t *testing.T) {
	t.Parallel()
	for _, measured := range []string{"", "ISO/IEC 19795-1, laboratory, report 7"} {
		p := vendorporttest.Faces()
		p.Description.Measured = measured
		m := engines.Maker{Part: &engines.Part{Client: vendorporttest.Client(t, p)}}
		small, large := image(1, facetest.View{Width: 100, Height: 100}), image(1, facetest.View{Width: 120, Height: 100})
		for reference, want := range map[*kioskbridge.Image]kioskbridge.Finding{
			&small: {Verdict: interview.Asserted, Reason: "match", Score: 980_000},
			&large: {Verdict: interview.Undetermined, Reason: "no-match", Score: 20_000},
		} {
			want.Threshold, want.Engine, want.Unmeasured = "simulator/1:500000", "Simulator play of face 1", measured == ""
			got, err := m.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFace, Live: []kioskbridge.Image{small}, Reference: *reference})
			if err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		}
		if _, err := m.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFingers, Live: []kioskbridge.Image{small}}); err == nil {
			t.Error("a part for faces compared fingers")
		}
	}
}

func TestFingersAreComparedByTheirPart(t *testing.T) {
	t.Parallel()
	m := engines.Maker{Part: &engines.Part{Client: vendorporttest.Client(t, vendorporttest.Fingers(func(int, int) vendorport.Captured { return vendorporttest.NoFinger() }))}}
	finger := func(person uint16) kioskbridge.Image {
		return kioskbridge.Image{Kind: "finger-2", Format: "application/vnd.iso.fmr", Bytes: vendorporttest.Finger(person, 2, 70).Template.Data}
	}
	for person, want := range map[uint16]interview.Verdict{7: interview.Asserted, 8: interview.Undetermined} {
		got, err := m.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFingers, Live: []kioskbridge.Image{finger(7)}, Reference: finger(person)})
		if err != nil || got.Verdict != want {
			t.Errorf("person %d: %+v, %v", person, got, err)
		}
	}
	// What a kiosk calls a picture is in no frame that was checked.
	renamed := finger(7)
	renamed.Format = "image/png"
	got, err := m.Match(t.Context(), kioskbridge.MatchQuestion{Modality: kioskbridge.ModalityFingers, Live: []kioskbridge.Image{renamed}, Reference: finger(7)})
	if err != nil || got.Verdict != interview.Undetermined || got.Engine != "" {
		t.Errorf("a record under another name: %+v, %v", got, err)
	}
}

// B3: a held-up photograph is suspected, which sends the person to a person.
func TestAPresentationAttackIsSuspected(t *testing.T) {
	t.Parallel()
	l := engines.Liveness{Part: &engines.Part{Client: vendorporttest.Client(t, vendorporttest.PAD())}}
	a, b := image(1, facetest.View{Width: 100, Height: 100}), image(1, facetest.View{Width: 100, Height: 100, Yaw: 0.3})
	for reason, live := range map[string][]kioskbridge.Image{"attack-suspected": {a, a}, "bona-fide": {a, b}, "undecided": {a}} {
		got, err := l.Live(t.Context(), kioskbridge.ModalityFace, live, nil)
		if err != nil || got.Reason != reason || (got.Verdict == interview.Asserted) != (reason == "bona-fide") {
			t.Errorf("%s: %+v, %v", reason, got, err)
		}
	}
}

func TestAPartThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	c, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortPAD, URL: "unix:" + t.TempDir() + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := (engines.Liveness{Part: &engines.Part{Client: c}}).Live(t.Context(), kioskbridge.ModalityFace, nil, nil); !errors.Is(err, vendorport.ErrAway) {
		t.Error(err)
	}
}

// B5: a register behind the contract: asked once, its result signed, a planted
// duplicate found.
func TestARegisterBehindTheContract(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	probes, err := engines.Pictures(t.Context(), []duplicate.Picture{{Kind: "face", Format: "image/jpeg", Bytes: []byte("a face")}})
	if err != nil {
		t.Fatal(err)
	}
	s := engines.Searcher{Client: vendorporttest.Client(t, vendorporttest.Duplicates(key, map[string]string{"a face": "REG-1"}))}
	name := interview.NewVisitID().String()
	if _, err := s.Standing(t.Context(), name); !errors.Is(err, duplicate.ErrUnknown) {
		t.Errorf("before: %v", err)
	}
	if _, err := s.Search(t.Context(), name, probes); err != nil {
		t.Fatal(err)
	}
	standing, err := s.Standing(t.Context(), name)
	if err != nil || !standing.Done {
		t.Fatal(standing, err)
	}
	r, err := duplicate.ReadResult(standing.Result, &key.PublicKey, name, duplicate.Sum(probes))
	if err != nil || len(r.Candidates) != 1 || r.Candidates[0].Reference != "REG-1" {
		t.Errorf("%+v, %v", r, err)
	}
	other := []duplicate.Probe{{Modality: "face", Format: "image/jpeg", Data: []byte("another")}}
	if _, err := s.Search(t.Context(), name, other); !errors.Is(err, duplicate.ErrConflict) {
		t.Errorf("the same key for another face: %v", err)
	}
}

// B12: a register behind the contract: the person, and pictures in the bridge's
// words; a record whose frame is not whole is no answer.
func TestThePersonOfARegister(t *testing.T) {
	t.Parallel()
	r := engines.Register{Part: &engines.Part{Client: vendorporttest.Client(t, vendorporttest.Register(vendorporttest.Somebody))}}
	q := kioskbridge.RegisterQuestion{Visit: interview.NewVisitID(), Hearing: interview.NewHearingID(), Diary: vendorporttest.Somebody.Diary, Face: true, Fingers: true}
	got, err := r.Person(t.Context(), q)
	if err != nil || !got.Found || got.Person.ApplicantNumber != vendorporttest.Somebody.Number || got.Person.DateOfBirth != "1988-03-14" || got.Person.Name == "" {
		t.Fatalf("%v, %v", got.Person.ApplicantNumber, err)
	}
	if len(got.Pictures) != 2 || got.Pictures[0].Kind != "face" || got.Pictures[1].Kind != "finger-2" || got.Pictures[1].Format != tunnel.FormatFinger {
		t.Errorf("%d pictures", len(got.Pictures))
	}
	q.Diary = "KUULE/9/2026"
	if got, err := r.Person(t.Context(), q); err != nil || got.Found {
		t.Errorf("nobody: %v", err)
	}
	cut := vendorporttest.Somebody
	cut.Finger = map[string][]byte{"finger-2": []byte("FMR cut")}
	r = engines.Register{Part: &engines.Part{Client: vendorporttest.Client(t, vendorporttest.Register(cut))}}
	q.Diary = cut.Diary
	if _, err := r.Person(t.Context(), q); !errors.Is(err, fingerprint.ErrRecord) {
		t.Errorf("a record that is cut: %v", err)
	}
}

func TestDescribingTakesUsableFacesAlone(t *testing.T) {
	t.Parallel()
	describe := engines.Describe(facetest.Engine(t))
	good := facetest.New(1).JPEG(facetest.View{})
	probes, err := describe(t.Context(), []duplicate.Picture{
		{Kind: "face", Bytes: bytes.Clone(good)}, {Kind: "page", Bytes: bytes.Clone(good)},
		{Kind: "face", Bytes: facetest.Encode(facetest.Draw(facetest.View{}), 0)},
	})
	if err != nil || len(probes) != 1 || probes[0].Format != duplicate.FormatFace512 || len(probes[0].Data) != duplicate.Dimensions {
		t.Errorf("%d probes, %v", len(probes), err)
	}
}
