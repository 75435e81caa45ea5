package kioskbridge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/tunnel"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

const otherPerson = "REG-4711-OTHER"

// searched is a world with a search for duplicates whose register holds whoever
// comes, under another reference, or nobody.
type searched struct {
	*world
	service  *duplicate.Service
	searcher *register
	stop     func()
}

// register finds everybody, as somebody else, if hit is set.
type register struct {
	hit    bool
	mu     sync.Mutex
	probes map[string]string
	world  *world

	modalities []string // that were searched for
}

func (r *register) Search(ctx context.Context, key string, probes []duplicate.Probe) (duplicate.Standing, error) {
	r.mu.Lock()
	r.probes[key] = duplicate.Sum(probes)
	for _, p := range probes {
		r.modalities = append(r.modalities, p.Modality)
	}
	r.mu.Unlock()
	return r.Standing(ctx, key)
}

func (r *register) Standing(_ context.Context, key string) (duplicate.Standing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []duplicate.Candidate{}
	if r.hit {
		found = append(found, duplicate.Candidate{Modality: "face", Reference: otherPerson, Score: 871_234})
	}
	signed, err := duplicate.SignResult(duplicate.Result{
		V: 1, Search: key, ProbesSHA256: r.probes[key], Gallery: "g", Size: 10, AsOf: 1_800_000_000, Algorithm: "a", Threshold: "t", ThresholdScore: 600_000, Candidates: found,
	}, r.world.bridgeK)
	return duplicate.Standing{Done: true, Result: signed}, err
}

func newSearched(t *testing.T, hit bool) *searched {
	t.Helper()
	r := &register{hit: hit, probes: map[string]string{}}
	s := &searched{searcher: r}
	e := &engine{finding: claims, living: isThere}
	s.world = newWorld(t, e.into, func(c *kioskbridge.Config) { c.Duplicates = later{s} })
	r.world = s.world
	var err error
	s.service, err = duplicate.New(duplicate.Config{
		DB: s.db, Outbox: &s.outbox, Sealer: &interviewtest.Sealer{}, Searcher: r, Key: s.bridgeK.Public(), Describe: engines.Pictures, Every: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.service.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	s.stop = func() { cancel(); <-ended }
	t.Cleanup(s.stop)
	return s
}

// later hands searches to a service that is made after the bridge.
type later struct{ s *searched }

func (l later) Submit(ctx context.Context, d kioskbridge.DuplicateSearch) error {
	return engines.Duplicates{Service: l.s.service}.Submit(ctx, d)
}

// settled waits until the last search has its result.
func (s *searched) settled() {
	s.t.Helper()
	waitFor(s.t.(*testing.T), func() bool {
		var open int
		if err := s.db.NewRaw("SELECT count(*) FROM kiosk_duplicate WHERE ended_at = 0").Scan(s.t.Context(), &open); err != nil {
			s.t.Fatal(err)
		}
		return open == 0
	})
}

// recorded is everything that came over connections, opened.
type recorded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

type recordingConn struct {
	net.Conn
	to *recorded
}

func (c recordingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.text.Write(b[:n])
	return n, err
}

// heldRecorded holds a visit and gives all bytes that the kiosk received.
func (w *world) heldRecorded() string {
	w.t.Helper()
	w.kiosk = w.newDevice()
	var all recorded
	client := w.client()
	client.Dialer = &websocket.Dialer{NetDialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		config := w.kiosk.ClientTLS()
		config.ServerName, config.NextProtos = strings.Split(address, ":")[0], []string{"http/1.1"}
		conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return recordingConn{conn, &all}, nil
	}}
	h := with(w.passport(emrtdtest.Genuine))
	if _, err := client.Hold(w.t.Context(), tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview, Language: "en"}, time.Now(), h); err != nil {
		w.t.Fatal(err)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.text.String()
}

var kinds = regexp.MustCompile(`"type":"([a-z]+)"`)

// B5: a kiosk receives the same whether somebody is found or not, and nothing of
// what is found: not in the visit, and not in the next one, when it is known.
func TestAKioskLearnsNothingOfADuplicate(t *testing.T) {
	t.Parallel()
	var shapes []string
	for _, hit := range []bool{true, false} {
		s := newSearched(t, hit)
		var received string
		for range 2 {
			received = s.heldRecorded()
			s.settled()
			forbidsHit(t, "the kiosk", received)
			var shape []string
			for _, m := range kinds.FindAllStringSubmatch(received, -1) {
				shape = append(shape, m[1])
			}
			if len(shape) < 20 {
				t.Fatalf("only %v was recorded: the test proves nothing", shape)
			}
			shapes = append(shapes, strings.Join(shape, " "))
		}
		tasks, err := s.service.Tasks(t.Context())
		if err != nil || hit != (len(tasks) == 2) {
			t.Errorf("hit %v: %d tasks, %v", hit, len(tasks), err)
		}
	}
	for _, s := range shapes {
		if s != shapes[0] {
			t.Errorf("a kiosk receives\n%s\nor\n%s", shapes[0], s)
		}
	}
}

// forbidsHit fails where a text has anything of the hit: the reference, the
// score, or the word.
func forbidsHit(t *testing.T, who, text string) {
	t.Helper()
	for _, word := range []string{otherPerson, base64.StdEncoding.EncodeToString([]byte(otherPerson))[:12], hex.EncodeToString([]byte(otherPerson)), "871234", "uplicate"} {
		if strings.Contains(text, word) {
			t.Errorf("%s receives %q: %.300s", who, word, text)
		}
	}
}

// receives calls every route that there is for reading, with the ids of the
// hearing, and gives all that comes back.
func receives(t *testing.T, c interview.Caller, mux *http.ServeMux, ids map[string]string) string {
	t.Helper()
	var all strings.Builder
	answered := 0
	for _, route := range slices.Sorted(maps.Keys(interview.Access())) {
		method, path, _ := strings.Cut(route, " ")
		for name, id := range ids {
			path = strings.ReplaceAll(path, "{"+name+"}", id)
		}
		var body any
		if method != http.MethodGet {
			body = []byte("{}")
		}
		status, text := interviewtest.Do(mux, c, method, path, body)
		all.WriteString(route + " " + strconv.Itoa(status) + " ")
		all.Write(text)
		all.WriteByte('\n')
		if status == http.StatusOK {
			answered++
		}
	}
	if answered == 0 {
		t.Errorf("no route answered: the test proves nothing\n%s", all.String())
	}
	return all.String()
}

// hitInAHearing plants a hit for the applicant of a booked hearing and gives the
// interface with every route of this room and of interviews.
func hitInAHearing(t *testing.T) (*interviewtest.World, *http.ServeMux, map[string]string) {
	t.Helper()
	s := newSearched(t, true)
	db := storetest.Open(t)
	w := interviewtest.NewWorld(t, db)
	var applicant interview.Participant
	for _, p := range w.Hearing.Participants {
		if p.Role == interview.RoleApplicant {
			applicant = p
		}
	}
	s.booking.Case, s.booking.Hearing, s.booking.Participant, s.booking.Terminal = w.Case.ID, w.Hearing.ID, applicant.ID, w.Terminal
	visit := interview.NewVisitID()
	err := s.service.Submit(t.Context(), duplicate.Submission{
		Visit: visit, Case: w.Case.ID, Participant: applicant.ID, Pictures: []duplicate.Picture{{Kind: "face", Format: "image/jpeg", Bytes: live}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.settled()
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	interview.Register(api, w.Store, nil)
	kioskbridge.Register(api, s.store)
	kioskbridge.RegisterDesk(api, kioskbridge.NewDesk(s.bridge, s.db, &s.outbox, nil), func(c interview.Caller) (kioskbridge.Officer, error) {
		return kioskbridge.Officer{Person: c.Subject, Device: c.Device}, nil
	})
	duplicate.Register(api, s.service, func(c interview.Caller) (string, error) { return c.Subject, nil })
	ids := map[string]string{
		"case": w.Case.ID.String(), "hearing": w.Hearing.ID.String(), "participant": applicant.ID.String(), "visit": visit.String(),
		"ticket": interview.NewTicketID().String(), "call": interview.NewCallID().String(),
	}
	// An officer does receive it: the words that are looked for are the right ones.
	_, text := interviewtest.Do(mux, w.Caller(interview.RoleOfficer), http.MethodGet, "/api/desk/duplicates", nil)
	if !bytes.Contains(text, []byte(otherPerson)) || !bytes.Contains(text, []byte("871234")) {
		t.Fatalf("an officer receives %s", text)
	}
	// What is told of it in the log belongs to no hearing, so no bundle has it.
	for _, e := range s.outbox.Events() {
		if strings.Contains(e, otherPerson) || strings.Contains(e, "871234") {
			t.Errorf("the log says %s", e)
		}
	}
	return w, mux, ids
}

// B5.
func TestAnApplicantLearnsNothingOfADuplicate(t *testing.T) {
	t.Parallel()
	w, mux, ids := hitInAHearing(t)
	text := receives(t, w.Caller(interview.RoleApplicant), mux, ids)
	forbidsHit(t, "the applicant", withoutRoutes(text))
}

// B5.
func TestCounselLearnsNothingOfADuplicate(t *testing.T) {
	t.Parallel()
	w, mux, ids := hitInAHearing(t)
	text := receives(t, w.Caller(interview.RoleCounsel), mux, ids)
	forbidsHit(t, "counsel", withoutRoutes(text))
}

// withoutRoutes takes out the names of the routes that were called, which the
// caller wrote.
func withoutRoutes(text string) string {
	for _, name := range []string{"/api/desk/duplicates", "get-duplicates", "settle-duplicate"} {
		text = strings.ReplaceAll(text, name, "")
	}
	return text
}

// needlesOf are parts of secrets as they are, in hexadecimal and in base64.
func needlesOf(secrets map[string][]byte) map[string][]byte {
	needles := map[string][]byte{}
	for name, secret := range secrets {
		for i, at := range []int{0, len(secret) / 2, len(secret) - 48} {
			part := secret[at : at+48]
			label := name + " at " + strconv.Itoa(i)
			needles[label] = part[:24]
			needles[label+", hexadecimal"] = []byte(hex.EncodeToString(part[:16]))
			// Base64 has three ways to begin; the middle of each is enough.
			for shift := range 3 {
				text := base64.StdEncoding.EncodeToString(part[shift : shift+30])
				needles[label+", base64 "+strconv.Itoa(shift)] = []byte(text[4:32])
			}
		}
	}
	return needles
}

// traces looks for bytes of secrets in every file of folders: as they are, in
// hexadecimal and in base64, from three places of each.
func traces(t *testing.T, secrets map[string][]byte, folders ...string) (files int) {
	t.Helper()
	needles := needlesOf(secrets)
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what went away holds nothing
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // the same
			}
			files++
			for name, needle := range needles {
				if bytes.Contains(b, needle) {
					t.Errorf("%s lies in %s", name, path)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// B19, with everything real: chip, face engine in its own process, search over a
// sealed gallery, a maker's part over a socket. After the visit neither a live
// picture nor the portrait nor a template lies in the database, in the gallery,
// in temporary files or in the log.
func TestAVisitLeavesNoPictureAndNoTemplate(t *testing.T) {
	e := facetest.Engine(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	folder := t.TempDir()
	logged, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logged.Close() }()
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	before := slog.Default()
	slog.SetDefault(log)
	defer slog.SetDefault(before)

	person := facetest.New(2)
	portrait := person.JPEG(facetest.View{Quality: 75})
	now := person.JPEG(facetest.View{Width: 480, Height: 480, Yaw: 0.1, From: -0.4, Quality: 60, Noise: 3})
	template, _, err := e.Template(t.Context(), now)
	if err != nil || template == nil {
		t.Fatal(template, err)
	}
	raw := make([]byte, len(template))
	for i, v := range template {
		raw[i] = byte(v)
	}
	path := filepath.Join(folder, "gallery")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{9}, 32)
	err = duplicate.WriteGallery(f, secret, time.Now(), 1, func() (duplicate.Entry, error) {
		return duplicate.Entry{Reference: otherPerson, Template: template}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	gallery, err := duplicate.OpenGallery(path, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gallery.Close() }()

	pad := vendorporttest.Client(t, vendorporttest.PAD())
	s := &searched{}
	s.world = newWorld(t, func(c *kioskbridge.Config) {
		c.Faces, c.Decode, c.Duplicates, c.Log = engines.Face{Engine: e}, engines.Decode, later{s}, log
		c.Liveness = engines.Liveness{Part: &engines.Part{Client: pad}}
		c.Patience = time.Minute
	})
	local := duplicate.NewLocal(gallery, s.bridgeK)
	defer local.Close()
	s.service, err = duplicate.New(duplicate.Config{
		DB: s.db, Outbox: &s.outbox, Sealer: &interviewtest.Sealer{}, Searcher: local, Key: s.bridgeK.Public(), Describe: engines.Describe(e), Log: log, Every: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.service.Run(ctx) }()

	who := holder
	who.Portrait = string(portrait)
	p, err := s.state.Issue(who, emrtdtest.Genuine)
	if err != nil {
		t.Fatal(err)
	}
	h := with(p)
	h.take[ticket.StepFace] = func(ask tunnel.Ask) (tunnel.Capture, error) {
		var frames []tunnel.Piece
		for range max(len(ask.Order), 1) {
			frames = append(frames, tunnel.Piece{Kind: "face", Format: "image/jpeg", Bytes: bytes.Clone(now)})
		}
		return done(frames...), nil
	}
	if _, err := s.visit(h, tunnel.ServiceInterview); err != nil {
		t.Fatal(err)
	}
	s.settled()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	checks, err := s.last().Verdicts()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(checks, func(c interview.Check) bool { return c.Name == emrtd.CheckFace })
	if i < 0 || checks[i].Verdict != interview.Undetermined || checks[i].Reason != "reference-near" {
		t.Errorf("the faces were not compared: %+v", checks)
	}
	tasks, err := s.service.Tasks(t.Context())
	if err != nil || len(tasks) != 1 || len(tasks[0].Candidates) != 1 || tasks[0].Candidates[0].Reference != otherPerson {
		t.Errorf("the planted duplicate: %+v, %v", tasks, err)
	}

	secrets := map[string][]byte{"live picture": now, "portrait": portrait, "template": raw}
	if n := traces(t, secrets, filepath.Dir(storetest.Files(t, s.db)[0]), folder, temporary, "/dev/shm"); n < 3 {
		t.Errorf("only %d files were looked at", n)
	}
}

// The search for traces finds some.
func TestTracesAreFound(t *testing.T) {
	t.Parallel()
	secret := make([]byte, 300)
	for i := range secret {
		secret[i] = byte(i * 7)
	}
	for name, text := range map[string][]byte{
		"as it is": secret, "hexadecimal": []byte(hex.EncodeToString(secret)),
		"base64": []byte(`{"picture":"` + base64.StdEncoding.EncodeToString(secret) + `"}`), "base64, shifted": []byte(base64.StdEncoding.EncodeToString(append([]byte{1}, secret...))),
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "file"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		found := &testing.T{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			traces(found, map[string][]byte{"secret": secret}, folder)
		}()
		<-done
		if !found.Failed() {
			t.Errorf("%s: nothing was found", name)
		}
	}
}
