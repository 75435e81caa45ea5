package sfu_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
)

// cinema is a film in three sizes that a browser can show, each with a key frame
// every second.
func cinema(t *testing.T) shots {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("needs ffmpeg to make pictures")
	}
	films := map[string][][]byte{}
	for rid, size := range map[string][2]string{"q": {"160x90", "120k"}, "h": {"320x180", "350k"}, "f": {"640x360", "1000k"}} {
		file := filepath.Join(t.TempDir(), rid+".ivf")
		out, err := exec.Command(program, "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size="+size[0]+":rate=30", "-t", "10", "-c:v", "libvpx",
			"-b:v", size[1], "-minrate", size[1], "-maxrate", size[1], "-g", "30", "-deadline", "realtime", "-cpu-used", "8", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for b = b[32:]; len(b) > 12; { // IVF: a header, then size, time and frame
			n := int(binary.LittleEndian.Uint32(b))
			films[rid] = append(films[rid], b[12:12+n])
			b = b[12+n:]
		}
	}
	return func(rid string, n int, _ bool) ([]byte, bool) {
		frame := films[rid][n%len(films[rid])]
		return frame, frame[0]&1 == 0
	}
}

// came is what the browser says of one media line.
type came struct {
	Packets   int     `json:"packets"`
	Concealed float64 `json:"concealed"`
	Samples   float64 `json:"samples"`
	Height    int     `json:"height"`
	Decoded   int     `json:"decoded"`
	Freezes   int     `json:"freezes"`
}

// TestSoakOfNarrowLinksInChromium is the same with a browser that receives. Its
// figures are in docs/performance.md.
func TestSoakOfNarrowLinksInChromium(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("set KUULE_SOAK=1: this holds a conversation of two minutes in a browser")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium")
	}
	s := newTalkers(t, cinema(t))
	var mu sync.Mutex
	var last map[string]came
	leg := interview.NewLegID()
	opened := make(chan []media.Slot, 1)
	fingerprint := regexp.MustCompile(`(?i)a=fingerprint:sha-256 (\S+)`)
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata")))
	mux.HandleFunc("POST /leg", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ SDP string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		found := fingerprint.FindStringSubmatch(body.SDP)
		if found == nil {
			http.Error(w, "no fingerprint", http.StatusBadRequest)
			return
		}
		o, err := s.node.OpenLeg(r.Context(), media.OpenLeg{Room: s.room, Leg: leg, Offer: body.SDP, Fingerprint: found[1]})
		if err != nil {
			t.Error(err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"answer": s.link.Rewrite(o.Answer)})
		opened <- o.Slots
	})
	mux.HandleFunc("POST /came", func(w http.ResponseWriter, r *http.Request) {
		var got map[string]came
		_ = json.NewDecoder(r.Body).Decode(&got)
		mu.Lock()
		last = got
		mu.Unlock()
		_, _ = fmt.Fprint(w, "{}")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	browser := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+t.TempDir(),
		"--autoplay-policy=no-user-gesture-required", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", server.URL+"/narrow.html")
	browser.WaitDelay = 5 * time.Second
	if err := browser.Start(); err != nil {
		t.Skipf("chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
	})
	var slots []media.Slot
	select {
	case slots = <-opened:
	case <-time.After(60 * time.Second):
		t.Fatal("the browser did not come")
	}
	s.routes(leg, slots)
	mids := map[string][]string{}
	for _, slot := range slots {
		mids[slot.Kind] = append(mids[slot.Kind], slot.Mid)
	}
	now := func() map[string]came {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
	var looks []map[string]came // at every count
	count := func() (out [3]int) {
		looks = append(looks, now())
		for i, mid := range mids["audio"] {
			out[i] = now()[mid].Packets
		}
		return out
	}
	whole := func() bool {
		all, stats := true, now()
		for _, mid := range mids["video"] {
			before := came{}
			if len(looks) > 0 {
				before = looks[len(looks)-1][mid]
			}
			all = all && stats[mid].Height == 360 && stats[mid].Decoded > before.Decoded+5
		}
		return all
	}
	for deadline := time.Now().Add(30 * time.Second); !whole(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not everything came over the wide link: %+v", now())
		}
	}
	time.Sleep(3 * time.Second)
	var begun [3]int
	heard := reception{func() { begun = count() }, func(_, _ [3]int) (out [3]int) {
		for i, n := range count() {
			out[i] = n - begun[i]
		}
		return out
	}}
	for _, tc := range narrowLinks {
		shares, back := s.squeeze(tc.rate, leg, heard, whole)
		before, after := looks[len(looks)-2], looks[len(looks)-1]
		var lines []string
		for i := range 3 {
			a, v := mids["audio"][i], mids["video"][i]
			lines = append(lines, fmt.Sprintf("talker %d: voice %.1f %%, %.1f %% of its samples concealed, %d pictures decoded in 20 s", i, 100*shares[i],
				100*(after[a].Concealed-before[a].Concealed)/max(after[a].Samples-before[a].Samples, 1), after[v].Decoded-before[v].Decoded))
			if tc.voices[i] && shares[i] < 0.99 {
				t.Errorf("%s: %.1f %% of the voice of talker %d came", tc.name, 100*shares[i], i)
			}
		}
		t.Logf("%s: everything is back after %v\n%s", tc.name, back.Round(10*time.Millisecond), strings.Join(lines, "\n"))
		if back > 5*time.Second {
			t.Errorf("%s: everything is back after %v", tc.name, back)
		}
		time.Sleep(8 * time.Second)
	}
}
