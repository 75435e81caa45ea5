package vendorport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/interview"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func jpeg(n uint64, v facetest.View) vendorport.Picture {
	return vendorport.Picture{Format: "image/jpeg", Data: facetest.New(n).JPEG(v)}
}

var small = facetest.View{Width: 100, Height: 100}

// B3: a photograph that is held up is no person, and a maker's yes is asserted.
func TestAHeldUpPhotographIsSuspected(t *testing.T) {
	t.Parallel()
	c := vendorporttest.Client(t, vendorporttest.PAD())
	other := small
	other.Yaw = 0.3
	for name, x := range map[string]struct {
		frames  []vendorport.Picture
		verdict string
		word    interview.Verdict
	}{
		"a photograph": {[]vendorport.Picture{jpeg(1, small), jpeg(1, small)}, vendorport.Suspected, interview.Undetermined},
		"a person":     {[]vendorport.Picture{jpeg(1, small), jpeg(1, other)}, vendorport.BonaFide, interview.Asserted},
		"one picture":  {[]vendorport.Picture{jpeg(1, small)}, vendorport.Undecided, interview.Undetermined},
	} {
		a, err := c.Assess(t.Context(), "", vendorport.Assess{Modality: "face", Frames: x.frames, Order: []string{}})
		if err != nil || a.Verdict != x.verdict || a.Judgement() != x.word || a.Threshold.ID == "" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// No part verifies and none fails anybody.
func TestAPartAssertsAtMost(t *testing.T) {
	t.Parallel()
	for _, v := range []interview.Verdict{
		(&vendorport.Assessment{Verdict: vendorport.BonaFide}).Judgement(), (&vendorport.Assessment{Verdict: vendorport.Suspected}).Judgement(),
		(&vendorport.Compared{Verdict: vendorport.Match}).Judgement(), (&vendorport.Compared{Verdict: vendorport.NoMatch}).Judgement(),
		(&vendorport.Inspected{Present: true, Verdict: vendorport.Genuine}).Judgement(), (&vendorport.Inspected{Present: true, Verdict: vendorport.Suspect}).Judgement(),
	} {
		if v != interview.Asserted && v != interview.Undetermined {
			t.Errorf("a part's word became %s", v)
		}
	}
}

func TestABusyPartIsAskedAgainUnderTheSameKey(t *testing.T) {
	t.Parallel()
	p := vendorporttest.Quality()
	p.Faults = []vendorporttest.Fault{vendorporttest.Busy}
	c := vendorporttest.Client(t, p)
	if _, err := c.Grade(t.Context(), "", vendorport.Grade{Purpose: "live", Picture: jpeg(1, small)}); err != nil || p.Asked() != 2 {
		t.Errorf("asked %d times: %v", p.Asked(), err)
	}
}

// Whatever a part answers beyond the contract is no answer.
func TestAnswersBeyondTheContractAreNone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", vendorport.MaxAnswer+1)
	for name, x := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"nothing":               {200, "", vendorport.ErrAnswer},
		"a page":                {200, "<html>", vendorport.ErrAnswer},
		"too much":              {200, long, vendorport.ErrAnswer},
		"a verdict of its own":  {200, `{"verdict":"guilty","score":1,"threshold":{"id":"a","score":1},"algorithm":"a"}`, vendorport.ErrAnswer},
		"a field of its own":    {200, `{"verdict":"bona-fide","score":1,"threshold":{"id":"a","score":1},"algorithm":"a","name":"x"}`, vendorport.ErrAnswer},
		"a field twice":         {200, `{"verdict":"bona-fide","verdict":"bona-fide","score":1,"threshold":{"id":"a","score":1},"algorithm":"a"}`, vendorport.ErrAnswer},
		"half a score":          {200, `{"verdict":"bona-fide","score":0.5,"threshold":{"id":"a","score":1},"algorithm":"a"}`, vendorport.ErrAnswer},
		"a score beyond all":    {200, `{"verdict":"bona-fide","score":1000000001,"threshold":{"id":"a","score":1},"algorithm":"a"}`, vendorport.ErrAnswer},
		"no threshold":          {200, `{"verdict":"bona-fide","score":1,"threshold":{"id":"","score":1},"algorithm":"a"}`, vendorport.ErrAnswer},
		"elsewhere":             {302, "", vendorport.ErrAnswer},
		"a refusal without one": {500, "oops", vendorport.ErrAnswer},
		"a code of its own":     {400, `{"code":"tired","detail":""}`, vendorport.ErrAnswer},
		"code of other status":  {400, `{"code":"busy","detail":""}`, vendorport.ErrAnswer},
		"malformed":             {400, `{"code":"malformed","detail":""}`, vendorport.ErrRefused},
		"another version":       {406, `{"code":"version","detail":""}`, vendorport.ErrVersion},
		"the device is gone":    {502, `{"code":"device","detail":""}`, vendorport.ErrAway},
	} {
		var asked atomic.Int32
		url := vendorporttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(x.status)
			_, _ = w.Write([]byte(x.body))
		}))
		c, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortPAD, URL: url, Wait: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Assess(t.Context(), "", vendorport.Assess{Modality: "face", Frames: []vendorport.Picture{}, Order: []string{}})
		if !errors.Is(err, x.want) || out != nil {
			t.Errorf("%s: %v, %v", name, out, err)
		}
		if err != nil && strings.Contains(err.Error(), "guilty") {
			t.Errorf("%s: the error repeats the answer: %v", name, err)
		}
		if again := asked.Load() > 1; again != errors.Is(x.want, vendorport.ErrAway) {
			t.Errorf("%s: asked %d times", name, asked.Load())
		}
		c.Close()
	}
}

func TestAPartThatIsNotThereIsAway(t *testing.T) {
	t.Parallel()
	c, err := vendorport.NewClient(vendorport.Config{Port: vendorport.PortPAD, URL: "unix:" + t.TempDir() + "/none", Wait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Describe(t.Context()); !errors.Is(err, vendorport.ErrAway) {
		t.Error(err)
	}
	hangs := make(chan struct{})
	url := vendorporttest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	defer close(hangs)
	if c, err = vendorport.NewClient(vendorport.Config{Port: vendorport.PortPAD, URL: url, Wait: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Describe(context.Background()); !errors.Is(err, vendorport.ErrAway) {
		t.Error(err)
	}
}

func TestNothingIsSentWithoutMutualTLS(t *testing.T) {
	t.Parallel()
	some := []tls.Certificate{{}}
	for name, c := range map[string]vendorport.Config{
		"plain HTTP":        {Port: vendorport.PortPAD, URL: "http://part.example:1"},
		"no TLS settings":   {Port: vendorport.PortPAD, URL: "https://part.example:1"},
		"no certificate":    {Port: vendorport.PortPAD, URL: "https://part.example:1", TLS: &tls.Config{RootCAs: x509.NewCertPool()}},
		"no authority":      {Port: vendorport.PortPAD, URL: "https://part.example:1", TLS: &tls.Config{Certificates: some}},
		"believes anybody":  {Port: vendorport.PortPAD, URL: "https://part.example:1", TLS: &tls.Config{Certificates: some, RootCAs: x509.NewCertPool(), InsecureSkipVerify: true}},
		"a name in the URL": {Port: vendorport.PortPAD, URL: "https://user:secret@part.example:1", TLS: &tls.Config{Certificates: some, RootCAs: x509.NewCertPool()}},
		"an unknown port":   {Port: "lie-detector", URL: "unix:/run/x"},
		"no socket":         {Port: vendorport.PortPAD, URL: "unix:"},
	} {
		if _, err := vendorport.NewClient(c); err == nil {
			t.Errorf("%s was taken", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPicturesDoNotPrint(t *testing.T) {
	t.Parallel()
	p := vendorport.Picture{Format: "image/jpeg", Data: []byte("FACE")}
	f := vendorport.Template{Format: "x", Data: []byte("FACE")}
	s := vendorport.Scan{Data: []byte("FACE")}
	for _, text := range []string{fmt.Sprint(p, f, s), fmt.Sprintf("%v %+v %#v %v %#v %v %#v", p, p, p, f, f, s, s)} {
		if strings.Contains(text, "FACE") || strings.Contains(text, "70 65 67 69") || strings.Contains(text, "0x46") {
			t.Errorf("printed as %s", text)
		}
	}
}
