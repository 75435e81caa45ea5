package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	_ "embed" // the pictures
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"kuule/internal/canon"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/vendorport"
)

// Drawn faces of one person: a document's picture, and two live ones.
var (
	//go:embed document.jpg
	document []byte
	//go:embed live1.jpg
	live1 []byte
	//go:embed live2.jpg
	live2 []byte
)

// Config says which part is tried.
type Config struct {
	Port vendorport.Port
	URL  string           // as for [vendorport.Config]
	TLS  *tls.Config      // as for [vendorport.Config]
	Key  crypto.PublicKey // of a search for duplicates, which signs results
	Test string           // number of a test person in a register, who has a face and a finger there; "": such a person is not asked for
	Wait time.Duration    // for one answer; 0: 20 s
}

// Result is the result of one check.
type Result struct {
	Name   string `json:"name"`
	Rule   string `json:"rule"` // what the contract says
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what went wrong
}

// run is one trial.
type run struct {
	Config
	client *vendorport.Client
	raw    *http.Client
	base   string
	about  vendorport.Description
}

// Run tries everything and gives all results, in an order that is the same for
// every part of a port. The error says that the trial could not begin.
func Run(ctx context.Context, c Config) ([]Result, error) {
	if c.Wait == 0 {
		c.Wait = 20 * time.Second
	}
	client, err := vendorport.NewClient(vendorport.Config{Port: c.Port, URL: c.URL, TLS: c.TLS, Wait: c.Wait})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &run{Config: c, client: client}
	r.connect(c.TLS)
	defer r.raw.CloseIdleConnections()
	var out []Result
	for _, check := range r.checks() {
		limited, cancel := context.WithTimeout(ctx, 4*c.Wait)
		err := check.try(limited)
		cancel()
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		result := Result{Name: check.name, Rule: check.rule, OK: err == nil}
		if err != nil {
			result.Detail = err.Error()
		}
		out = append(out, result)
		if err != nil && check.name == "describes-itself" {
			return out, nil // nothing else can be asked
		}
	}
	return out, nil
}

func (r *run) connect(t *tls.Config) {
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: t}
	r.base = strings.TrimSuffix(r.URL, "/")
	if path, ok := strings.CutPrefix(r.URL, "unix:"); ok {
		r.base = "http://part"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	r.raw = &http.Client{Transport: transport, Timeout: r.Wait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type check struct {
	name, rule string
	try        func(context.Context) error
}

func (r *run) checks() []check {
	all := []check{
		{"describes-itself", "GET /kuule/port names port, versions, vendor, product, release and operations", r.describes},
		{"answers", "each operation answers a request of the contract in the contract's words, whole numbers and bounds", r.answers},
		{"same-key-same-answer", "the same key and request again give the same answer, byte for byte", r.idempotent},
		{"same-key-other-request", "a key that was used for another request is refused with conflict", r.conflicts},
		{"no-key", "a request without a key is refused with malformed", r.keyless},
		{"other-version", "a version of the contract that is not spoken is refused with version", r.version},
		{"no-json", "a request that is no JSON is refused with malformed", r.garbage},
		{"unknown-field", "a request with a field that the contract does not know is refused with malformed", r.unknownField},
		{"quotes-nothing", "a refusal repeats nothing of the request", r.silent},
		{"too-large", "a request over 16 MiB is refused with too-large", r.tooLarge},
		{"unknown-operation", "an operation that there is not is refused with unknown", r.unknownOperation},
		{"at-once", "four requests at once are answered, or refused with busy and asked again", r.atOnce},
	}
	switch r.Port {
	case vendorport.PortPAD, vendorport.PortFace, vendorport.PortQuality:
		all = append(all, check{"no-picture", "bytes that are no picture are refused with malformed or judged as undecided, and break nothing", r.noPicture})
	case vendorport.PortFingerprint, vendorport.PortOptics:
		all = append(all, check{"waits-as-told", "where nothing is laid on the glass it answers within the time that it was given, and 5 s", r.waits})
	case vendorport.PortDuplicates:
		all = append(all,
			check{"signed-result", "a search comes to a result, signed for this search and these probes", r.searches},
			check{"unknown-search", "a search that nobody handed in is refused with unknown", r.unknownSearch})
	case vendorport.PortCasework:
		all = append(all, check{"unknown-stage", "a stage that the contract does not name is refused with malformed", r.unknownStage})
	case vendorport.PortRegister:
		all = append(all,
			check{"nobody", "of a person whom the register does not know nothing is told", r.nobody},
			check{"one-person", "a request that names no person is refused with malformed", r.onePerson},
			check{"purpose", "a request for another purpose, or none, is refused with malformed", r.purpose})
		if r.Test != "" {
			all = append(all, check{"wanted-alone", "of the test person come the pictures that were asked for, whole, and no others", r.wantedAlone})
		}
	}
	if r.TLS != nil {
		all = append(all, check{"mutual-tls", "nobody is answered without a certificate", r.mutual})
	}
	return all
}

func (r *run) describes(ctx context.Context) error {
	var err error
	if r.about, err = r.client.Describe(ctx); err != nil {
		return err
	}
	if r.Port == vendorport.PortDuplicates && r.Key == nil {
		return errors.New("a register's public key is needed to check what it signs")
	}
	return nil
}

func newKey() string { return "conformance-" + rand.Text() }

// answers asks each operation through the client, which reads strictly.
func (r *run) answers(ctx context.Context) error {
	for _, o := range r.about.Operations {
		if err := r.answer(ctx, o, newKey()); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
	}
	return nil
}

func (r *run) answer(ctx context.Context, o vendorport.Operation, key string) error {
	var err error
	switch in := r.request(o).(type) {
	case vendorport.Assess:
		_, err = r.client.Assess(ctx, key, in)
	case vendorport.Grade:
		_, err = r.client.Grade(ctx, key, in)
	case vendorport.CompareFaces:
		_, err = r.client.CompareFaces(ctx, key, in)
	case vendorport.CompareFingers:
		_, err = r.client.CompareFingers(ctx, key, in)
	case vendorport.Inspect:
		_, err = r.client.Inspect(ctx, key, in)
	case vendorport.Search:
		_, err = r.client.Search(ctx, key, in)
	case vendorport.StageEvent:
		_, err = r.client.Stage(ctx, key, in)
	case vendorport.PersonQuestion:
		_, err = r.client.Person(ctx, key, in)
	case vendorport.Capture:
		var out *vendorport.Captured
		out, err = r.client.Capture(ctx, key, in)
		if err == nil && out.Taken && out.Template.Format == vendorport.FormatFinger {
			_, err = fingerprint.Check(out.Template.Data)
		}
	}
	return err
}

const briefly = 500 // milliseconds that a scanner is given when nobody is there

// request is a request of the contract for an operation.
func (r *run) request(o vendorport.Operation) any {
	reference, a, b := jpeg(document), jpeg(live1), jpeg(live2)
	b.At = 200
	switch {
	case r.Port == vendorport.PortPAD:
		return vendorport.Assess{Modality: "face", Frames: []vendorport.Picture{a, b}, Order: []string{"look-ahead", "turn-left"}}
	case r.Port == vendorport.PortQuality:
		return vendorport.Grade{Purpose: "live", Picture: a}
	case r.Port == vendorport.PortFace:
		return vendorport.CompareFaces{Live: []vendorport.Picture{a, b}, Reference: reference}
	case r.Port == vendorport.PortOptics:
		return vendorport.Inspect{Wait: briefly}
	case r.Port == vendorport.PortDuplicates:
		return vendorport.Search{Purpose: "duplicates", MaxCandidates: 10, Probes: []vendorport.Probe{{Modality: "face", Template: vendorport.Template{Format: "image/jpeg", Data: live1}}}}
	case r.Port == vendorport.PortCasework:
		return r.stage("identified")
	case r.Port == vendorport.PortRegister:
		return r.person(nobodysNumber, vendorport.WantFace, vendorport.WantFingers)
	case o == vendorport.OpCapture:
		return vendorport.Capture{Finger: 2, Attempt: 1, Wait: briefly}
	default:
		f := vendorport.Template{Format: vendorport.FormatFinger, Data: finger()}
		return vendorport.CompareFingers{Probe: f, References: []vendorport.Template{f}}
	}
}

// stage is of a case that no agency has: it may be taken or refused for good.
func (r *run) stage(name string) vendorport.StageEvent {
	return vendorport.StageEvent{
		Case: "KUULE-CONFORMANCE-0", Stage: name, Visit: "vis_00000000-0000-7000-8000-000000000000", Site: "", Assurance: "low", At: 1_800_000_000,
	}
}

func (r *run) unknownStage(ctx context.Context) error {
	body, err := json.Marshal(r.stage("lost-luggage"))
	if err != nil {
		return err
	}
	a, err := r.post(ctx, vendorport.PathOperation+string(vendorport.OpStage), newKey(), spoken, body)
	return refused(a, err, vendorport.CodeMalformed)
}

func jpeg(b []byte) vendorport.Picture { return vendorport.Picture{Format: "image/jpeg", Data: b} }

// finger is a record of twelve minutiae of nobody.
func finger() []byte {
	b := []byte("FMR\x00 20\x00\x00\x00\x00\x68\x00\x00\x01\x00\x01\x68\x00\xC5\x00\xC5\x01\x00\x02\x00\x50\x0C")
	for i := range byte(12) {
		b = append(b, 0x40, 20+7*i, 0, 30+11*(i%5), 13*i, 60)
	}
	b = append(b, 0, 0)
	b[11] = byte(len(b))
	return b
}

// said is what came over the wire.
type said struct {
	status int
	body   []byte
	header http.Header
}

// post sends bytes with headers; a header of "" is left out.
func (r *run) post(ctx context.Context, path, key, version string, body []byte) (said, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+path, bytes.NewReader(body))
	if err != nil {
		return said{}, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set(vendorport.HeaderDeadline, strconv.FormatInt(r.Wait.Milliseconds(), 10))
	if key != "" {
		q.Header.Set(vendorport.HeaderIdempotency, key)
	}
	if version != "" {
		q.Header.Set(vendorport.HeaderVersion, version)
	}
	a, err := r.raw.Do(q)
	if err != nil {
		return said{}, fmt.Errorf("it does not answer: %w", err)
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(a.Body, vendorport.MaxAnswer+1))
	if err != nil {
		return said{}, fmt.Errorf("its answer breaks off: %w", err)
	}
	return said{a.StatusCode, text, a.Header}, nil
}

// first is the operation that the general checks ask.
func (r *run) first() (path string, body []byte, err error) {
	o := r.about.Operations[0]
	body, err = json.Marshal(r.request(o))
	return vendorport.PathOperation + string(o), body, err
}

const spoken = "1"

func (r *run) idempotent(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	key := newKey()
	a, err := r.willing(ctx, path, key, body)
	if err != nil {
		return err
	}
	b, err := r.willing(ctx, path, key, body)
	if err != nil {
		return err
	}
	if a.status != b.status || !bytes.Equal(a.body, b.body) {
		return fmt.Errorf("the first answer has status %d and %d bytes, the second %d and %d, or other ones", a.status, len(a.body), b.status, len(b.body))
	}
	return nil
}

// willing asks until the part is not busy.
func (r *run) willing(ctx context.Context, path, key string, body []byte) (said, error) {
	for n := 0; ; n++ {
		a, err := r.post(ctx, path, key, spoken, body)
		if err != nil {
			return said{}, err
		}
		if a.status == http.StatusOK || a.status == http.StatusAccepted {
			return a, nil
		}
		code, err := refusal(a)
		if err != nil {
			return said{}, err
		}
		if code != vendorport.CodeBusy || n == 10 {
			return said{}, fmt.Errorf("refused with %s", code)
		}
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || seconds < 0 || seconds > 60 {
			return said{}, errors.New("busy, without a Retry-After of 0 to 60 seconds")
		}
		select {
		case <-time.After(max(time.Duration(seconds)*time.Second, 100*time.Millisecond)):
		case <-ctx.Done():
			return said{}, ctx.Err()
		}
	}
}

// refusal reads a refusal and compares its code with its status.
func refusal(a said) (vendorport.Code, error) {
	var f vendorport.Refusal
	if err := canon.Strict(a.body, &f); err != nil {
		return "", fmt.Errorf("status %d, and the body is no refusal {code, detail}", a.status)
	}
	if want, known := vendorport.Statuses[f.Code]; !known || want != a.status {
		return "", fmt.Errorf("status %d with code %.40q: the contract has no such pair", a.status, f.Code)
	}
	return f.Code, nil
}

func refused(a said, err error, want vendorport.Code) error {
	if err != nil {
		return err
	}
	if a.status < 400 {
		return fmt.Errorf("it was taken, with status %d", a.status)
	}
	code, err := refusal(a)
	if err != nil {
		return err
	}
	if code != want {
		return fmt.Errorf("refused with %s, not with %s", code, want)
	}
	return nil
}

func (r *run) conflicts(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	key := newKey()
	if _, err := r.willing(ctx, path, key, body); err != nil {
		return err
	}
	a, err := r.post(ctx, path, key, spoken, r.another(body))
	return refused(a, err, vendorport.CodeConflict)
}

// another is the same request with another number or picture in it.
func (r *run) another(body []byte) []byte {
	if bytes.Contains(body, []byte(`"wait":500`)) {
		return bytes.Replace(body, []byte(`"wait":500`), []byte(`"wait":501`), 1)
	}
	if bytes.Contains(body, []byte(`"at":0`)) {
		return bytes.Replace(body, []byte(`"at":0`), []byte(`"at":1`), 1)
	}
	if r.Port == vendorport.PortCasework {
		return bytes.Replace(body, []byte(`"at":1800000000`), []byte(`"at":1800000001`), 1)
	}
	if r.Port == vendorport.PortRegister {
		return bytes.Replace(body, []byte(nobodysNumber), []byte(nobodysNumber+"2"), 1)
	}
	return bytes.Replace(body, []byte(`"maxCandidates":10`), []byte(`"maxCandidates":11`), 1)
}

func (r *run) keyless(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	a, err := r.post(ctx, path, "", spoken, body)
	return refused(a, err, vendorport.CodeMalformed)
}

func (r *run) version(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	a, err := r.post(ctx, path, newKey(), "99", body)
	return refused(a, err, vendorport.CodeVersion)
}

func (r *run) garbage(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	for _, b := range [][]byte{{}, []byte("null and void"), body[:len(body)/2], append(bytes.Clone(body), '}')} {
		a, err := r.post(ctx, path, newKey(), spoken, b)
		if err := refused(a, err, vendorport.CodeMalformed); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) unknownField(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	a, err := r.post(ctx, path, newKey(), spoken, append([]byte(`{"kuuleUnknown":1,`), body[1:]...))
	return refused(a, err, vendorport.CodeMalformed)
}

func (r *run) silent(ctx context.Context) error {
	path, _, err := r.first()
	if err != nil {
		return err
	}
	const canary = "QUOTED-CANARY-7141"
	a, err := r.post(ctx, path, newKey(), spoken, []byte(`{"frames":"`+canary+`"}`))
	if err != nil {
		return err
	}
	if bytes.Contains(a.body, []byte(canary)) {
		return errors.New("the refusal quotes the request: what was sent may be a person's")
	}
	return refused(a, nil, vendorport.CodeMalformed)
}

func (r *run) tooLarge(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	// JSON that is right but for its size: spaces before its end.
	large := append(bytes.Clone(body[:len(body)-1]), bytes.Repeat([]byte{' '}, vendorport.MaxRequest)...)
	a, err := r.post(ctx, path, newKey(), spoken, append(large, '}'))
	return refused(a, err, vendorport.CodeTooLarge)
}

func (r *run) unknownOperation(ctx context.Context) error {
	_, body, err := r.first()
	if err != nil {
		return err
	}
	a, err := r.post(ctx, vendorport.PathOperation+"no-such-operation", newKey(), spoken, body)
	return refused(a, err, vendorport.CodeUnknown)
}

func (r *run) atOnce(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { _, errs[i] = r.willing(ctx, path, newKey(), body) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *run) noPicture(ctx context.Context) error {
	path, body, err := r.first()
	if err != nil {
		return err
	}
	// Every picture becomes twenty bytes that are none; then a JPEG cut in half.
	for _, b := range []string{"bm9uZSBidXQgbm9pc2UgISE=", "/9j/4AAQSkZJRgABAQAAAQABAAA="} {
		text := body
		for _, p := range [][]byte{document, live1, live2} {
			whole, err := json.Marshal(p)
			if err != nil {
				return err
			}
			text = bytes.ReplaceAll(text, whole, []byte(`"`+b+`"`))
		}
		a, err := r.post(ctx, path, newKey(), spoken, text)
		if err != nil {
			return err
		}
		if a.status == http.StatusOK {
			if bytes.Contains(a.body, []byte(`"`+vendorport.Match+`"`)) || bytes.Contains(a.body, []byte(`"`+vendorport.BonaFide+`"`)) {
				return errors.New("noise was judged to be a person")
			}
			continue
		}
		if err := refused(a, nil, vendorport.CodeMalformed); err != nil {
			return err
		}
	}
	return nil
}

// waits lays nothing on the glass, whoever stands there.
func (r *run) waits(ctx context.Context) error {
	o := r.about.Operations[0]
	if r.Port == vendorport.PortFingerprint && !r.about.Offers(vendorport.OpCapture) {
		return nil // a matcher has no glass
	}
	if r.Port == vendorport.PortFingerprint {
		o = vendorport.OpCapture
	}
	body, err := json.Marshal(r.request(o))
	if err != nil {
		return err
	}
	begun := time.Now()
	if _, err := r.willing(ctx, vendorport.PathOperation+string(o), newKey(), body); err != nil {
		return err
	}
	if took := time.Since(begun); took > briefly*time.Millisecond+5*time.Second {
		return fmt.Errorf("it was told to wait %d ms and took %s", briefly, took.Round(time.Millisecond))
	}
	return nil
}

func (r *run) searches(ctx context.Context) error {
	in := r.request(vendorport.OpSearch).(vendorport.Search)
	key := newKey()
	standing, err := r.client.Search(ctx, key, in)
	for err == nil && standing.State != "done" {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("the search comes to no result")
		}
		standing, err = r.client.Searched(ctx, key)
	}
	if err != nil {
		return err
	}
	probes := make([]duplicate.Probe, len(in.Probes))
	for i, p := range in.Probes {
		probes[i] = duplicate.Probe{Modality: p.Modality, Format: p.Template.Format, Data: p.Template.Data}
	}
	_, err = duplicate.ReadResult(standing.Result, r.Key, key, duplicate.Sum(probes))
	return err
}

func (r *run) unknownSearch(ctx context.Context) error {
	if _, err := r.client.Searched(ctx, newKey()); !errors.Is(err, vendorport.ErrUnknown) {
		return fmt.Errorf("a search of nobody: %w", err)
	}
	return nil
}

// nobodysNumber is on no document.
const nobodysNumber = "KUULECONFORMANCENOBODY"

// person asks for the person of a number, in a visit that never was.
func (r *run) person(number string, want ...string) vendorport.PersonQuestion {
	return vendorport.PersonQuestion{
		Purpose: vendorport.PurposeIdentification, Visit: "conformance", Hearing: "conformance", Number: number, Want: want,
	}
}

func (r *run) nobody(ctx context.Context) error {
	p, err := r.client.Person(ctx, newKey(), r.person(nobodysNumber, vendorport.WantFace, vendorport.WantFingers))
	if err != nil {
		return err
	}
	if p.Found {
		p.Forget()
		return errors.New("somebody was found under a number of nobody")
	}
	return nil
}

func (r *run) onePerson(ctx context.Context) error {
	return r.refusesPerson(ctx, r.person("", vendorport.WantFace))
}

func (r *run) purpose(ctx context.Context) error {
	for _, purpose := range []string{"", "curiosity"} {
		in := r.person(nobodysNumber, vendorport.WantFace)
		in.Purpose = purpose
		if err := r.refusesPerson(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) refusesPerson(ctx context.Context, in vendorport.PersonQuestion) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a, err := r.post(ctx, vendorport.PathOperation+string(vendorport.OpPerson), newKey(), spoken, body)
	return refused(a, err, vendorport.CodeMalformed)
}

func (r *run) wantedAlone(ctx context.Context) error {
	for _, want := range []string{vendorport.WantFace, vendorport.WantFingers} {
		p, err := r.client.Person(ctx, newKey(), r.person(r.Test, want))
		if err != nil {
			return err
		}
		err = wholeOf(p, want)
		p.Forget()
		if err != nil {
			return err
		}
	}
	return nil
}

// wholeOf says what is missing of a test person's pictures of a kind.
func wholeOf(p *vendorport.RegisteredPerson, want string) error {
	if !p.Found || len(p.Pictures) == 0 {
		return fmt.Errorf("the test person has no %s in the register", want)
	}
	for _, r := range p.Pictures {
		if r.Format != vendorport.FormatFinger {
			continue
		}
		if _, err := fingerprint.Check(r.Data); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) mutual(ctx context.Context) error {
	bare := r.TLS.Clone()
	bare.Certificates, bare.GetClientCertificate = nil, nil
	anonymous := &run{Config: r.Config, about: r.about}
	anonymous.connect(bare)
	defer anonymous.raw.CloseIdleConnections()
	path, body, err := r.first()
	if err != nil {
		return err
	}
	a, err := anonymous.post(ctx, path, newKey(), spoken, body)
	if err == nil && a.status < 400 {
		return errors.New("somebody without a certificate was answered")
	}
	return nil
}
