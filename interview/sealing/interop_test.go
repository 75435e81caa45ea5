package sealing_test

import (
	"crypto/ecdsa"
	"crypto/hpke"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

// Vectors cross between the two implementations: Go writes interop.json, which
// vitest opens; vitest writes interop-web.json with the installation of the
// former, which Go opens. After -update here, run UPDATE=1 npx vitest in web.
var update = flag.Bool("update", false, "write the vectors that TypeScript opens")

const vectorDir = "../../web/src/media/seal/testdata"

type vector struct {
	Source       string              `json:"source"`
	Now          int64               `json:"now"` // Unix seconds
	Hearing      interview.HearingID `json:"hearing"`
	Group        interview.GroupID   `json:"group"`
	DeviceRoot   string              `json:"device_root"`   // PEM
	RecorderRoot string              `json:"recorder_root"` // PEM
	StatementKey string              `json:"statement_key"` // SPKI
	// The test authority's and a test device's private keys (PKCS #8), so that
	// the other side can make members of the same installation.
	Authority string `json:"authority"`
	Device    struct {
		ID   interview.DeviceID `json:"id"`
		Key  string             `json:"key"`
		Cert string             `json:"cert"`
	} `json:"device"`
	Chair     vectorMember `json:"chair"`
	Applicant vectorMember `json:"applicant"`
	Recorder  vectorMember `json:"recorder"`
	Roster    string       `json:"roster"`
	SAS       string       `json:"sas"`
	Track     string       `json:"track"`
	Wrap      string       `json:"wrap"` // chair to applicant
	Frames    []vectorSeal `json:"frames"`
	Origin    string       `json:"origin"`
	Heartbeat string       `json:"heartbeat"`
}

type vectorMember struct {
	Member    interview.MemberID `json:"member"`
	HPKE      string             `json:"hpke,omitempty"` // PKCS #8
	Sign      string             `json:"sign,omitempty"` // PKCS #8
	Statement string             `json:"statement"`
	Admission string             `json:"admission"`
	Salt      string             `json:"salt,omitempty"`
	Name      string             `json:"name,omitempty"`
}

type vectorSeal struct {
	Capture interview.Micros `json:"capture"`
	Level   uint8            `json:"level"`
	Frame   string           `json:"frame"`
	Sealed  string           `json:"sealed"`
}

func TestInteropVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	v := readVector(t, "interop.json")
	p := v.reader(t)
	v.join(t, p, v.Chair)
	v.join(t, p, v.Applicant)
	v.join(t, p, v.Recorder)
	v.open(t, p)
	if h, err := p.AcceptHeartbeat(v.Heartbeat); err != nil || h.Durable != 1_500_000 {
		t.Errorf("heartbeat: %+v %v", h, err)
	}
}

func TestWhatThePageSealsOpensInGo(t *testing.T) {
	t.Parallel()
	v := readVector(t, "interop.json")
	web := readVector(t, "interop-web.json")
	v.Chair, v.Roster, v.SAS, v.Track, v.Wrap, v.Frames, v.Origin = web.Chair, web.Roster, web.SAS, web.Track, web.Wrap, web.Frames, web.Origin
	p := v.reader(t)
	v.join(t, p, v.Chair)
	v.join(t, p, v.Applicant)
	v.open(t, p)
}

func readVector(t *testing.T, name string) *vector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

// reader is the applicant, with the keys that stand in the vectors.
func (v *vector) reader(t *testing.T) *sealing.Group {
	t.Helper()
	device, err := trust.Pool([]string{v.DeviceRoot})
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := trust.Pool([]string{v.RecorderRoot})
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.Key(v.StatementKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unpkcs8(t, v.Applicant.HPKE).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	wrap, err := hpke.NewDHKEMPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	g, err := sealing.NewGroup(sealing.Config{
		Trust:   &sealing.Trust{Devices: device, Recorders: recorder, Statement: key},
		Self:    sealing.IdentityOf(v.Applicant.Member, wrap, unpkcs8(t, v.Applicant.Sign)),
		Hearing: v.Hearing, Group: v.Group, Rules: sealing.HearingRules(),
		Now: func() time.Time { return time.Unix(v.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (v *vector) join(t *testing.T, g *sealing.Group, m vectorMember) {
	t.Helper()
	known, err := g.AddMember(m.Statement, m.Admission, time.Unix(v.Now, 0))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "" && !known.Admission.Seats[0].NameIs(m.Salt, m.Name) {
		t.Errorf("name of %s is not the one admitted", m.Member)
	}
}

func (v *vector) open(t *testing.T, g *sealing.Group) {
	t.Helper()
	if _, err := g.ApplyRoster(v.Roster); err != nil {
		t.Fatal(err)
	}
	if g.SAS() != v.SAS {
		t.Errorf("short authentication string %s, want %s", g.SAS(), v.SAS)
	}
	if _, err := g.AcceptWrap(v.Wrap); err != nil {
		t.Fatal(err)
	}
	list, err := g.AcceptOrigin(v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	track, err := interview.ParseTrackID(v.Track)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Frames) == 0 {
		t.Fatal("no frames")
	}
	for _, f := range v.Frames {
		sealed, err := base64.RawURLEncoding.DecodeString(f.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		h, frame, err := g.Open(nil, v.Chair.Member, track, sealed)
		if err != nil || string(frame) != f.Frame || h != (sealing.FrameHeader{Source: interview.SourceAudio, Capture: f.Capture, Level: f.Level}) {
			t.Errorf("%+v %q %v", h, frame, err)
		}
		if !list.Covers(sealed) {
			t.Errorf("%q is not on the origin list", f.Frame)
		}
	}
}

func writeVectors(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	wrapKey, signKey := sealingtest.NewKey(t), sealingtest.NewKey(t)
	raw, err := wrapKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	hpkeKey, err := hpke.NewDHKEMPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	chair, rec := w.page(interview.RoleInterviewer), w.recorder()
	joined := w.Page(t, interview.RoleApplicant)
	joined.Identity = sealing.IdentityOf(interview.NewMemberID(), hpkeKey, signKey)
	joined.Statement, err = joined.Identity.Statement(sealing.Place{
		Kind: sealing.KindPage, Hearing: w.Hearing, Device: joined.Device, Seats: []interview.SeatID{joined.Seats[0].Seat}, DTLS: sealingtest.DTLS, Life: time.Hour,
	}, w.now, sealing.SignWith(joined.Key, joined.Cert))
	if err != nil {
		t.Fatal(err)
	}
	joined.Admission = w.Admit(t, w.AdmissionOf(joined, sealing.KindPage))
	applicant := w.sit(joined, sealing.HearingRules())
	w.know(chair, applicant, rec)

	v := vector{
		Source: "made by go test ./interview/sealing -run TestInteropVectors -update; every key here was made for it and is used nowhere else",
		Now:    w.now.Unix(), Hearing: w.Hearing, Group: w.group,
		DeviceRoot: trust.EncodeCertificate(w.Devices.Cert), RecorderRoot: trust.EncodeCertificate(w.Recorders.Cert), Authority: pkcs8(t, w.Installation.Statement),
	}
	if v.StatementKey, err = trust.EncodeKey(w.Installation.Statement.Public()); err != nil {
		t.Fatal(err)
	}
	v.Device.ID = interview.NewDeviceID()
	key, cert := w.Devices.Issue(t, v.Device.ID.String(), w.now)
	v.Device.Key, v.Device.Cert = pkcs8(t, key), base64.StdEncoding.EncodeToString(cert.Raw)
	v.Chair = vectorMember{Member: chair.ID(), Statement: chair.Statement, Admission: chair.Admission, Salt: b64(sealingtest.Salt), Name: "Name of the interviewer"}
	v.Applicant = vectorMember{Member: applicant.ID(), HPKE: pkcs8(t, wrapKey), Sign: pkcs8(t, signKey), Statement: applicant.Statement, Admission: applicant.Admission}
	v.Recorder = vectorMember{Member: rec.ID(), Statement: rec.Statement, Admission: rec.Admission}
	v.Roster = w.roster(chair, []*person{chair, rec, applicant}, "join", applicant, rec)
	v.SAS, v.Track = chair.SAS(), chair.track.String()
	wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 3)
	if err != nil {
		t.Fatal(err)
	}
	v.Wrap = wrapFor(t, wraps, applicant.ID())
	for i, words := range []string{"Mikä on nimenne?", "", "ما اسمك؟", "four", "five", "six", "seven", "eight", "nine", "ten"} {
		f := vectorSeal{Capture: interview.Micros(i) * 20_000, Level: uint8(i), Frame: words}
		sealed, err := chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceAudio, Capture: f.Capture, Level: f.Level}, []byte(words))
		if err != nil {
			t.Fatal(err)
		}
		f.Sealed = b64(sealed)
		v.Frames = append(v.Frames, f)
	}
	lists, err := chair.Origins()
	if err != nil || len(lists) != 1 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	v.Origin = lists[0]
	v.Heartbeat, err = rec.Identity.SignHeartbeat(sealing.Heartbeat{
		Hearing: w.Hearing, Group: w.group, Recording: interview.NewRecordingID(), State: interview.RecorderRecording,
		Seq: 1, Durable: 1_500_000, Now: 1_600_000, Head: "h",
		Tracks: []sealing.TrackDurable{{Track: chair.track, Durable: 1_500_000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vectorDir, "interop.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pkcs8(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b64(der)
}

func unpkcs8(t *testing.T, text string) *ecdsa.PrivateKey {
	t.Helper()
	der, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}
